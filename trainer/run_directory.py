"""The directory of one run: whose it is, who writes to it, and how a file in it is replaced.

    config.json   what defines the training, and its corpus       last.pt      checkpoint to go on from
    summary.json  the run so far, for whoever reads results       previous.pt  the one before it
    trainer.pid   process id, while a training is at work         best.pt      weights of the best epoch

A file is written beside its place and renamed into it, so that after kill -9 or on a full disk the old one or
the new one is there, never half of one. Called by trainer/train.py.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from trainer.data.corpora import FINGERPRINT
from trainer.errors import ConfigError, StorageError

LAST, PREVIOUS, BEST, SUMMARY = "last.pt", "previous.pt", "best.pt", "summary.json"
CONFIG, _PID, _TEMPORARY = "config.json", "trainer.pid", ".tmp"


@dataclass(frozen=True)
class RunDirectory:
    """A run directory that this process holds."""

    path: Path

    def write(self, name: str, content: bytes | memoryview, *, keep: str | None = None) -> None:
        """Replace the file `name` as a whole; the old one is kept under the name `keep`. Raises StorageError and
        leaves the old one where that fails."""
        target = self.path / name
        temporary = self.path / (name + _TEMPORARY)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if keep and target.exists():
                self._keep(target, self.path / keep)
            temporary.replace(target)
            self._sync()
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StorageError(
                f"{target}: cannot be written ({error.strerror}); finished epochs are kept, "
                "make room and start the same command again"
            ) from error

    def _keep(self, target: Path, kept: Path) -> None:
        """A second name for the file: it is never missing under the first. Some network volumes have no second
        names; there it is missing for an instant, in which the one kept is the last."""
        link = kept.with_name(kept.name + _TEMPORARY)
        try:
            link.unlink(missing_ok=True)
            link.hardlink_to(target)
        except OSError:
            target.replace(kept)
        else:
            link.replace(kept)

    def write_json(self, name: str, content: Any) -> None:
        """Replace `name` by `content` as JSON, readable; refuses NaN, which is no JSON."""
        self.write(name, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())

    def _sync(self) -> None:
        """Without this a rename may be lost with the power, though the file itself is on the disk."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def hold(path: Path, identity: Mapping[str, Any]) -> Iterator[RunDirectory]:
    """Hold `path` for the training that `identity` defines, a JSON object; it is made if need be.

    Raises ConfigError where it cannot be written, where another process is at work in it, or where it holds
    another run, and then names the fields that differ.
    """
    _refuse_other_run(path, identity)
    try:
        path.mkdir(parents=True, exist_ok=True)
        pid_file = _locked(path)
    except OSError as error:
        raise ConfigError(f"--run-dir {path}: cannot be written ({error.strerror})") from error
    with pid_file:
        try:
            pid_file.truncate(0)
            pid_file.write(f"{os.getpid()}\n")
            pid_file.flush()
            for leftover in path.glob("*" + _TEMPORARY):
                leftover.unlink()
        except OSError as error:
            raise ConfigError(f"--run-dir {path}: cannot be written ({error.strerror})") from error
        try:
            folder = RunDirectory(path)
            if not (path / CONFIG).exists():
                folder.write_json(CONFIG, identity)
            yield folder
        finally:
            (path / _PID).unlink(missing_ok=True)


def _refuse_other_run(path: Path, identity: Mapping[str, Any]) -> None:
    config = path / CONFIG
    try:
        there = json.loads(config.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        raise ConfigError(f"{config}: cannot be read ({error}); choose another --run-dir") from error
    if not isinstance(there, dict):
        raise ConfigError(f"{config}: is no JSON object; choose another --run-dir")
    corpus = there.get("corpus")
    if isinstance(corpus, str) and not corpus.startswith(f"{FINGERPRINT}-"):
        raise ConfigError(
            f"--run-dir {path}: was begun by an earlier version, which left mixtures out and knew its corpus by the CSV and "
            "a few mixtures only; train anew in another directory, or finish it with that version"
        )
    if different := difference(there, identity):
        raise ConfigError(f"--run-dir {path}: holds another run, with {different}; choose another directory")


def difference(there: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """The fields in which two identities differ, with both values; empty where they are the same."""
    return ", ".join(
        f"{name} {there.get(name)} (asked for: {asked.get(name)})"
        for name in dict.fromkeys((*there, *asked))
        if there.get(name) != asked.get(name)
    )


def _locked(path: Path) -> TextIO:
    """The pid file, locked; the kernel lets go of the lock when the process ends, however it ends."""
    while True:
        with contextlib.ExitStack() as closing:
            pid_file = closing.enter_context((path / _PID).open("a+"))
            try:
                fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = pid_file.seek(0) or pid_file.read().strip()
                raise ConfigError(
                    f"--run-dir {path}: process {holder} is training there; stop it first"
                ) from error
            # Whoever held the lock until now may have removed the file, and another one would lock a new one.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(pid_file.fileno()), (path / _PID).stat()):
                    closing.pop_all()
                    return pid_file
