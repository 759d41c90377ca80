"""Runs failed trials of a search on this machine again: in the search that is running, or in one that starts now."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from katib.backend.base import RunResult
from katib.backend.local.lock import is_locked
from katib.backend.local.own_program import is_own_program
from katib.backend.local.prepared_run import LocalRun
from katib.backend.local.record import LOCK, MANIFEST
from katib.backend.local.table import experiments, read_table
from katib.errors import EngineError, FolderError, nearest
from katib.manifest.object import Manifest
from katib.notify import Recipient
from katib.table.failed import failed_trial, failed_trials, named_trial
from katib.table.trial_table import TrialRow
from katib.terminal import print_words, say
from katib.text import count
from katib.trial import WITHOUT_RESULT
from katib.untrusted import read_text, why_unread
from katib.yaml_reader import read_yaml


@dataclass(frozen=True)
class LocalAgain:
    """The failed trials `rows` of the search of `run`."""

    prepared: LocalRun
    rows: Sequence[TrialRow]
    question: str = "Run them again?"
    retries: bool = True

    def show(self) -> None:
        """Prints the trials, and why each has failed. Raises FolderError where the corpus is another one."""
        trials = count(len(self.rows), "failed trial")
        say(f"again: experiment '{self.prepared.name}': {trials} from their checkpoints")
        print_words(*(f"  {row.trial}: {row.reason}" for row in self.rows), indent=4)
        if not self._is_running and self._is_ours:
            self.prepared.show()

    def run(self) -> RunResult:
        """Puts the trials into the queue, and runs the search to its end unless it is running already."""
        from katib.backend.local.requeue import ask  # loads Optuna

        ask(self._folder, (row.trial for row in self.rows))
        if self._is_running:
            say("the search is running, and takes them up when a slot is free")
        elif not self._is_ours:
            say(f"they wait in the queue; run them with: make local FILE={self._folder / MANIFEST}")
        else:
            return self.prepared.run()
        return RunResult()

    @property
    def _folder(self) -> Path:
        return self.prepared.runs / self.prepared.name

    @property
    def _is_running(self) -> bool:
        return is_locked(self._folder / LOCK)

    @property
    def _is_ours(self) -> bool:
        return is_own_program(Manifest.of(read_yaml(self.prepared.manifest)))


def prepare_again(
    runs: Path, word: str, data: Path | None, *, every: bool, notify: Recipient | None = None
) -> LocalAgain:
    """Returns the run of the failed trial `word`, or of `every` failed one of the experiment `word`.

    Raises SepsweepError, which names the nearest valid thing, where there is nothing to run again.
    """
    names = experiments(runs)
    if word in names:
        return _again(runs, word, failed_trials(read_table(runs, word), every=every), data, notify)
    failed = []
    for name in sorted(names, key=lambda name: not word.startswith(f"{name}-")):
        with suppress(EngineError):  # another search is damaged
            table = read_table(runs, name)
            if row := named_trial(table, word):
                return _again(runs, name, [failed_trial(row)], data, notify)
            failed += [row.trial for row in table.rows if row.state in WITHOUT_RESULT]
    hint = nearest(word, [*names, *failed]) if names else "there is none yet"
    raise FolderError(f"{runs}: no experiment or trial '{word}': {hint}")


def _again(runs: Path, name: str, rows: Sequence[TrialRow], data: Path | None, notify: Recipient | None) -> LocalAgain:
    path = runs / name / MANIFEST
    try:
        manifest = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{path}: cannot be read ({why_unread(error)}); without it no trial can run") from None
    return LocalAgain(LocalRun(runs, name, manifest, name, data, notify=notify), rows)
