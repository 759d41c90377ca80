"""Runs what follows from a search on this machine, on the corpus that the search was trained on."""

import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from katib.backend.base import RunResult
from katib.backend.local.corpus import EARLIER, is_earlier, mixtures
from katib.backend.local.launch import Launcher, launcher
from katib.backend.local.own_program import require_own_program
from katib.backend.local.pace import pace
from katib.backend.local.record import DATABASE, MANIFEST
from katib.backend.local.table import read_table
from katib.errors import FolderError
from katib.manifest.experiment import load_experiment
from katib.manifest.object import Manifest
from katib.notify import Recipient
from katib.program import as_typed
from katib.table.run_folder import read_json
from katib.table.trial_table import TrialTable
from katib.terminal import say
from katib.trainer_contract import SUMMARY, Flags
from katib.yaml_reader import read_yaml


@dataclass(frozen=True)
class LocalRun:
    """The Experiment `name` with its manifest's text, which follows from `search`; both lie below `runs`.

    `named` says that the manifest comes from a file that the user has named, and not from a folder.
    """

    runs: Path
    name: str
    manifest: str
    search: str
    data: Path | None
    named: bool = False
    notify: Recipient | None = None
    question: str = "Run them?"
    retries: bool = False

    def show(self) -> None:
        """Prints what it costs where the processor has to train. Raises FolderError where the corpus is another one."""
        from katib.backend.local.run import is_begun  # loads Optuna

        if not self.named:
            require_own_program(Manifest.of(read_yaml(self.manifest)), str(self.runs / self.name / MANIFEST))
        self._require_corpus()
        self._require_mixtures(Manifest.of(read_yaml(self.manifest)).number(Flags.TRAIN_LIMIT))
        if not is_begun(self._launcher) and (cost := pace(self._launcher)) is not None:
            say(str(cost))

    def run(self) -> RunResult:
        """Runs it to its end, or until it is interrupted, which is printed on stderr."""
        from katib.backend.local.run import run  # loads Optuna

        halt = run(self._launcher, self.manifest, self.notify)
        if halt is not None:
            print(as_typed(str(halt)), file=sys.stderr)
        begun = (self.runs / self.name / DATABASE).exists()
        return RunResult(halt.code if halt else 0, read_table(self.runs, self.name) if begun else None)

    @cached_property
    def _search(self) -> TrialTable:
        return read_table(self.runs, self.search)

    @cached_property
    def _launcher(self) -> Launcher:
        data = self.data or self._recorded_corpus()
        return launcher(load_experiment(self.manifest, self.name), data, self.runs)

    def _recorded_corpus(self) -> Path | None:
        """Returns where the search's runs found their corpus, which the trainer writes into each summary."""
        for row in self._search.rows:
            folder = read_json(self.runs / self.search / row.trial / SUMMARY).get("data_dir")
            if isinstance(folder, str):
                return Path(folder)
        return None

    def _require_mixtures(self, wanted: int | None) -> None:
        """Raises FolderError where the corpus has fewer mixtures to train than are `wanted`."""
        data = self._launcher.data
        if wanted is not None and data is not None and wanted > (found := mixtures(data)):
            raise FolderError(f"--data {data}: has {found} mixtures to train, and {wanted} are asked for; name fewer")

    def _require_corpus(self) -> None:
        """Raises FolderError where the corpus is not the search's: their values could not be compared."""
        wanted, reason = self._search.identity.corpus, ""
        if not wanted:
            return
        try:
            corpus = self._launcher.corpus()
        except FolderError as error:
            corpus, reason = "", f" ({error})"
        if corpus == wanted:
            return
        if is_earlier(wanted, corpus):
            raise FolderError(f"the search '{self.search}': {EARLIER}; search anew under another --name")
        raise FolderError(
            f"--data {self._launcher.data}: the search '{self.search}' was trained on another corpus{reason};"
            " give the one that it had"
        )
