"""This machine as a backend: each search has a folder below `out`, with its study, its manifest and its runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from katib.backend.base import Page
from katib.backend.local.again import LocalAgain, prepare_again
from katib.backend.local.another import untrained
from katib.backend.local.lock import holders
from katib.backend.local.prepared_run import LocalRun
from katib.backend.local.record import DATABASE, LOCK, MANIFEST
from katib.backend.local.table import Known, experiments, find, read_table
from katib.errors import FolderError, ManifestError, ResultError, SepsweepError
from katib.notify import Recipient
from katib.table.run_folder import last_lines
from katib.table.trial_table import TrialTable
from katib.trainer_contract import OUTPUT
from katib.untrusted import read_text, why_unread


@dataclass(frozen=True)
class LocalBackend:
    """The searches below the folder `out`; what runs tells `notify` of its events."""

    out: Path
    notify: Recipient | None = None
    error: type[SepsweepError] = FolderError
    look_seconds = 1.0
    _known: dict[str, Known] = field(default_factory=dict, repr=False, compare=False)
    """What was read of each search, so that a second look reads only what has changed."""

    def has(self, experiment: str) -> bool:
        """Returns whether `experiment` has a folder."""
        return (self.out / experiment).is_dir()

    def begun(self, experiment: str) -> bool:
        """Returns whether `experiment` has a study."""
        return (self.out / experiment / DATABASE).exists()

    def settled(self, experiment: str) -> bool:
        """Returns whether a trial of `experiment` has finished an epoch."""
        return not untrained(self.out / experiment)

    def table(self, experiment: str) -> TrialTable:
        """Returns the table from the study, or from what the runs wrote where it is damaged.

        Raises FolderError where there is no such experiment, EngineError where nothing of it can be read.
        """
        return read_table(self.out, experiment, self._known.setdefault(experiment, Known()))

    def manifest(self, experiment: str) -> str | None:
        """Returns the text of the manifest in the folder. Raises ManifestError where it cannot be read."""
        path = self.out / experiment / MANIFEST
        try:
            return read_text(path)
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ManifestError(f"{path}: cannot be read ({why_unread(error)})") from None

    def prepare(self, name: str, manifest: str, search: str, data: Path | None, *, named: bool = False) -> LocalRun:
        """Returns the run of the Experiment `name`, which resumes where it was interrupted."""
        return LocalRun(self.out, name, manifest, search, data, named, self.notify)

    def again(self, word: str, data: Path | None, *, every: bool) -> LocalAgain:
        """Returns the run of failed trials; where the search is running, they join its queue."""
        return prepare_again(self.out, word, data, every=every, notify=self.notify)

    @contextmanager
    def run_directory(self, experiment: str, trial: str) -> Iterator[Path]:
        """Yields the run directory of a trial.

        Raises ResultError where it is on a cluster, or where its folder is a link.
        """
        folder = self.out / experiment / trial
        if not folder.exists() and not self.begun(experiment):
            raise ResultError(
                f"the model of {trial} is on the runs claim of the cluster: make fetch EXPERIMENT={experiment}"
                f" TRIAL={trial} CLUSTER=1 brings it"
            )
        if folder.is_symlink() or folder.parent.is_symlink():
            raise ResultError(f"{folder} is reached by a symbolic link, which may lead anywhere")
        yield folder

    def experiments(self) -> list[str]:
        """Returns the names of all searches with a study, the one that was written last first."""
        changed = {name: _stamp(self.out / name / DATABASE)[0] for name in experiments(self.out)}
        return sorted(changed, key=lambda name: (-changed[name], name))

    def version(self, experiment: str) -> str:
        """Returns when the study and its journal were written last, and how large they are."""
        study = self.out / experiment / DATABASE
        return repr([_stamp(study.with_name(study.name + ending)) for ending in ("", "-wal", "-journal")])

    def corpus_check(self) -> str:
        """Returns nothing: each search is told the folder of its corpus."""
        return ""

    def halted(self, experiment: str) -> str:
        """Returns that no engine of this user is at work on the search, where this user has started it."""
        lock = self.out / experiment / LOCK
        try:
            ours = lock.stat(follow_symlinks=False).st_uid == os.getuid()
        except OSError:
            return ""
        if not ours or holders(lock):
            return ""
        return f"no engine is at work on it: make local FILE={self.out / experiment / MANIFEST} resumes it"

    def last_lines(self, experiment: str, trial: str, most: int) -> list[str]:
        """Returns the last lines of the trial's output."""
        return last_lines(self.out / experiment / trial / OUTPUT, most)

    @contextmanager
    def page(self, experiment: str | None, port: int) -> Iterator[Page]:
        """Yields Optuna's dashboard of `experiment`, or of the latest one.

        Raises FolderError where there is none, EngineError where the port is taken.
        """
        from katib.backend.local.dashboard import DashboardPage, serve  # loads Optuna and its dashboard

        name = experiment or self._latest()
        with serve(find(self.out, name) / DATABASE, port) as server:
            yield DashboardPage(server, name)

    def _latest(self) -> str:
        names = self.experiments()
        if not names:
            raise FolderError(f"{self.out}: no experiment there yet; `make local MODEL=...` starts one")
        return names[0]


def _stamp(file: Path) -> tuple[int, int]:
    """Returns when a file was written last, in ns, and its size; zeros where there is none."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
