"""The directory of one run: whose it is, who writes to it, and how a file in it is replaced.

    config.json   what defines the training, and its corpus       last.pt      checkpoint to go on from
    summary.json  the run so far, for whoever reads results       previous.pt  the one before it
    trainer.pid   process id, while a training is at work         best.pt      weights of the best epoch

A file is written beside its place and renamed into it, so that after kill -9 or on a full disk the old one or the new
one is there, never half of one. Where the volume is full, all of it waits for room (trainer/training/room.py).
"""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from trainer.data.readers.corpora import FINGERPRINT
from trainer.data.readers.regular import read_regular
from trainer.errors import ConfigError, StorageError
from trainer.training.room import Room
from trainer.training.stop import Stopped

LAST, PREVIOUS, BEST, SUMMARY = "last.pt", "previous.pt", "best.pt", "summary.json"
CONFIG, _PID, _TEMPORARY = "config.json", "trainer.pid", ".tmp"
_IN_PLACE = (_PID, "wandb", *(f"wandb/{name}" for name in ("reporter.log", "id", "place", "url")))
"""What is written where it stands (here, trainer/tracking), not beside it and renamed: through a link, another file
would be."""

_WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@dataclass(frozen=True)
class RunDirectory:
    """A run directory that this process holds. On a full volume every write waits for room."""

    path: Path
    room: Room

    def write(self, name: str, content: bytes | memoryview, *, keep: str | None = None) -> None:
        """Replaces the file `name` as a whole; the old one is kept under the name `keep`.

        Raises StorageError where that fails, Stopped where a signal comes while it waits for room, and then leaves the
        old one. A checkpoint that a signal would lose takes the room of the one before the last.
        """
        target = self.path / name

        def replace() -> None:
            self._replace(target, content, keep)

        try:
            try:
                self.room.until(target, replace)
            except Stopped:
                if name not in (LAST, BEST) or not (self.path / PREVIOUS).exists():
                    raise
                (self.path / PREVIOUS).unlink()
                self.room.until(target, replace)
            self.room.until(target, self._sync)
        except OSError as error:
            raise StorageError(
                f"{target}: cannot be written ({error.strerror}); finished epochs are kept, "
                "see to the volume and start the same command again"
            ) from error

    def _replace(self, target: Path, content: bytes | memoryview, keep: str | None) -> None:
        temporary = target.with_name(target.name + _TEMPORARY)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if keep and target.exists():
                self._keep(target, self.path / keep)
            temporary.replace(target)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def _keep(self, target: Path, kept: Path) -> None:
        """A second name for the file: it is never missing under the first.

        Some network volumes have no second names; there it is missing for an instant, in which the one kept is the
        last.
        """
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
def hold(path: Path, identity: Mapping[str, Any], room: Room) -> Iterator[RunDirectory]:
    """Holds `path` for the training that `identity` defines, a JSON object; it is made if need be.

    Raises ConfigError where it cannot be written, where another process is at work in it, or where it holds another
    run, and then names the fields that differ; StorageError and Stopped as Room does.
    """
    _refuse_foreign(path)
    _refuse_other_run(path, identity)
    folder = RunDirectory(path, room)
    try:
        room.until(path, lambda: path.mkdir(parents=True, exist_ok=True))
        pid_file = room.until(path / _PID, lambda: _locked(path))
    except OSError as error:
        raise ConfigError(f"--run-dir {path}: cannot be written ({error.strerror})") from error
    with pid_file:
        try:
            _refuse_other_run(path, identity)  # that came while this one waited for room
            try:
                room.until(path / _PID, lambda: _write_pid(pid_file))
                for leftover in path.glob("*" + _TEMPORARY):
                    leftover.unlink()
            except OSError as error:
                raise ConfigError(f"--run-dir {path}: cannot be written ({error.strerror})") from error
            if not (path / CONFIG).exists():
                folder.write_json(CONFIG, identity)
            yield folder
        finally:
            (path / _PID).unlink(missing_ok=True)


def spent_seconds(path: Path) -> float:
    """Seconds that all processes before this one have spent on the run in `path`, as its summary.json says.

    0 where it does not.
    """
    try:
        seconds = json.loads(read_regular(path / SUMMARY))["spent_seconds"]
        return max(0.0, float(seconds))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0.0


def _refuse_foreign(path: Path) -> None:
    """Raises ConfigError for what would lead out of a directory that came from somebody else, or hang whoever reads it."""
    for name in (*_IN_PLACE, CONFIG, SUMMARY, LAST, PREVIOUS, BEST):
        place, what = path / name, ""
        if name in _IN_PLACE and place.is_symlink():
            what = "a symbolic link"
        elif place.exists() and not (place.is_file() or place.is_dir()):
            what = "no regular file"
        if what:
            raise ConfigError(f"--run-dir {path}: {name} is {what}; remove it, or choose another directory")


def _refuse_other_run(path: Path, identity: Mapping[str, Any]) -> None:
    config = path / CONFIG
    try:
        there = json.loads(read_regular(config).decode())
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, RecursionError) as error:
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
    """Returns the fields in which two identities differ, with both values; empty where they are the same."""
    return ", ".join(
        f"{name} {there.get(name)} (asked for: {asked.get(name)})"
        for name in dict.fromkeys((*there, *asked))
        if there.get(name) != asked.get(name)
    )


def _write_pid(pid_file: BinaryIO) -> None:
    pid_file.truncate(0)
    pid_file.write(f"{os.getpid()}\n".encode())


def _locked(path: Path) -> BinaryIO:
    """Returns the pid file, locked; the kernel lets go of the lock when the process ends, however it ends."""
    while True:
        with contextlib.ExitStack() as closing:
            pid_file = closing.enter_context((path / _PID).open("a+b", buffering=0))
            try:
                fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = pid_file.seek(0) or pid_file.read().decode(errors="replace").strip()
                raise ConfigError(f"--run-dir {path}: process {holder} is training there; stop it first") from error
            except OSError as error:
                if error.errno not in _WITHOUT_LOCKS:
                    raise
                raise ConfigError(
                    f"--run-dir {path}: its file system has no locks ({error.strerror}), without which two processes could"
                    " train in it; choose a directory on a disk that has"
                ) from error
            # Whoever held the lock until now may have removed the file, and another one would lock a new one.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(pid_file.fileno()), (path / _PID).stat()):
                    closing.pop_all()
                    return pid_file
