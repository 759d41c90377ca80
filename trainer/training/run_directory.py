"""The directory of one run: which run it belongs to, which process holds it, and how its files are replaced.

Its files have their names in trainer/run_files.py. A file is written under a temporary name and renamed, so that after
kill -9 or on a full disk there is the old file or the new one, never half of one. Where the volume is full, every write
waits for room (trainer/training/room.py).
"""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from trainer.data.readers.corpora import FINGERPRINT
from trainer.data.readers.regular import read_regular
from trainer.errors import ConfigError, StorageError
from trainer.recipe import DEFAULTS
from trainer.run_files import BEST, CONFIG, LAST, PID, PREVIOUS, SUMMARY
from trainer.training.room import Room
from trainer.training.stop import Stopped

_TEMPORARY = ".tmp"
_IN_PLACE = (PID, "tensorboard", "wandb", *(f"wandb/{name}" for name in ("reporter.log", "id", "place", "url")))
"""Files that are written in place, here and in trainer/tracking, not renamed. Through a link, another file would be
overwritten."""

_WITHOUT_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@dataclass(frozen=True)
class RunDirectory:
    """A run directory held by this process. On a full volume every write waits for room."""

    path: Path
    room: Room

    def write(self, name: str, content: bytes | memoryview, *, keep: str | None = None) -> None:
        """Replaces the file `name` as a whole, and keeps the old one under the name `keep`.

        Raises StorageError where that fails, and Stopped where a signal comes while it waits for room; both leave the
        old file. A checkpoint that would be lost by a signal takes the room of previous.pt.
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
                f"{target}: cannot be written ({error.strerror}); finished epochs are kept: "
                "fix the volume and run the same command to resume"
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
        """Gives the file a second name, so that it is never missing under the first.

        Some network volumes have no hard links. There it is missing for an instant, in which the kept file is the last.
        """
        link = kept.with_name(kept.name + _TEMPORARY)
        try:
            link.unlink(missing_ok=True)
            link.hardlink_to(target)
        except OSError:
            target.replace(kept)
        else:
            link.replace(kept)

    def write_json(self, name: str, content: Mapping[str, object]) -> None:
        """Replaces `name` by `content` as indented JSON. Raises ValueError for NaN, which JSON does not have."""
        self.write(name, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())

    def _sync(self) -> None:
        """Writes the directory itself to the disk; without that, a power failure may lose a rename."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def hold(path: Path, identity: Mapping[str, object], room: Room) -> Iterator[RunDirectory]:
    """Holds `path`, which is created if missing, for the training that the JSON object `identity` defines.

    Raises ConfigError where it cannot be written, where another process holds it, or where it belongs to another run,
    with the fields that differ; StorageError and Stopped as Room does.
    """
    _refuse_foreign(path)
    _refuse_other_run(path, identity)
    folder = RunDirectory(path, room)
    try:
        room.until(path, lambda: path.mkdir(parents=True, exist_ok=True))
        pid_file = room.until(path / PID, lambda: _locked(path))
    except OSError as error:
        raise ConfigError(f"--run-dir {path}: cannot be written ({error.strerror})") from error
    with pid_file:
        try:
            # Another run may have begun while this one waited for room.
            _refuse_other_run(path, identity)
            try:
                room.until(path / PID, lambda: _write_pid(pid_file))
                for leftover in path.glob("*" + _TEMPORARY):
                    leftover.unlink()
            except OSError as error:
                raise ConfigError(f"--run-dir {path}: cannot be written ({error.strerror})") from error
            if not (path / CONFIG).exists():
                folder.write_json(CONFIG, identity)
            yield folder
        finally:
            (path / PID).unlink(missing_ok=True)


def spent_seconds(path: Path) -> float:
    """Returns the seconds that earlier processes have spent on the run, according to its summary.json, or 0."""
    try:
        seconds = json.loads(read_regular(path / SUMMARY))["spent_seconds"]
        return max(0.0, float(seconds))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0.0


def _refuse_foreign(path: Path) -> None:
    """Raises ConfigError for links out of a directory that came from somebody else, and for files that would block."""
    for name in (*_IN_PLACE, CONFIG, SUMMARY, LAST, PREVIOUS, BEST):
        file, what = path / name, ""
        if name in _IN_PLACE and file.is_symlink():
            what = "a symbolic link"
        elif file.exists() and not (file.is_file() or file.is_dir()):
            what = "no regular file"
        if what:
            raise ConfigError(f"--run-dir {path}: {name} is {what}; remove it, or choose another directory")


def _refuse_other_run(path: Path, identity: Mapping[str, object]) -> None:
    """Raises ConfigError where config.json says that the directory belongs to another run."""
    config = path / CONFIG
    try:
        existing: object = json.loads(read_regular(config).decode())
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{config}: cannot be read ({why}); choose another --run-dir") from error
    if not isinstance(existing, dict):
        raise ConfigError(f"{config}: is no JSON object; choose another --run-dir")
    corpus = existing.get("corpus")
    if isinstance(corpus, str) and not corpus.startswith(f"{FINGERPRINT}-"):
        raise ConfigError(
            f"--run-dir {path}: was begun by an earlier version, which skipped mixtures and identified its corpus by "
            "the CSV and a few mixtures only; train in another directory, or finish this run with that version"
        )
    if different := difference(existing, identity):
        raise ConfigError(f"--run-dir {path}: holds another run, with {different}; choose another directory")


def difference(existing: Mapping[str, object], requested: Mapping[str, object]) -> str:
    """Returns the fields in which two identities differ, with both values; empty where they are the same."""
    before, wanted = ({**DEFAULTS, **identity} for identity in (existing, requested))
    return ", ".join(
        f"{name} {before.get(name)} (requested: {wanted.get(name)})"
        for name in dict.fromkeys((*existing, *requested))
        if before.get(name) != wanted.get(name)
    )


def _write_pid(pid_file: BinaryIO) -> None:
    pid_file.truncate(0)
    pid_file.write(f"{os.getpid()}\n".encode())


def _locked(path: Path) -> BinaryIO:
    """Returns the locked pid file; the kernel releases the lock when the process ends, in whatever way."""
    while True:
        with contextlib.ExitStack() as closing:
            pid_file = closing.enter_context((path / PID).open("a+b", buffering=0))
            try:
                fcntl.flock(pid_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = pid_file.seek(0) or pid_file.read().decode(errors="replace").strip()
                raise ConfigError(f"--run-dir {path}: process {holder} is training there; stop it first") from error
            except OSError as error:
                if error.errno not in _WITHOUT_LOCKS:
                    raise
                raise ConfigError(
                    f"--run-dir {path}: its file system has no locks ({error.strerror}), so two processes could use it "
                    "at once; choose a directory on a file system with locks"
                ) from error
            # The last holder of the lock may have removed the file, and another process would lock a new one.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(pid_file.fileno()), (path / PID).stat()):
                    closing.pop_all()
                    return pid_file
