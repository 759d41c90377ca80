"""Receives a folder onto a claim, or sends files from one: what runs in a pod beside the claim, and nowhere else.

katib/backend/cluster/transfer.py sends this text to the pod's own Python, so it needs the standard library alone. It
speaks by standard input and output: a line of JSON each time, followed by a file's bytes and their SHA-256 where the
line announces a file.
"""

import fcntl
import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

SUMS = ".sha256"
"""The file of checksums in a folder that was copied, as `sha256sum --check` reads it."""
PART = ".part~"
"""The end of the name of a file that has not arrived whole."""
LOCK = ".lock~"
CHUNK = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


class LostError(Exception):
    """The connection ended in the middle of a file."""


class DamagedError(Exception):
    """What has arrived is not what was sent."""


def main(action: str, root: str, *words: str) -> int:
    """Does what `action` says below the folder `root`, and returns the exit code; a failure is a line of JSON."""
    try:
        if action == "receive":
            receive(Path(root), *words)
        else:
            send(Path(root), *words)
    except LostError:
        return 1  # nobody listens any more
    except (OSError, DamagedError) as error:
        name = getattr(error, "filename", None)
        reason = getattr(error, "strerror", None) or str(error)
        _tell(error=f"{name}: {reason}" if name else reason)
        return 1
    return 0


def receive(root: Path, folder: str) -> None:
    """Receives `folder` below `root`: into a hidden folder, which gets its name once every file has arrived.

    What an earlier call has received whole is kept, and so is the beginning of one file.
    """
    target, staging = root / folder, root / f".{folder}.partial"
    if target.exists():
        _tell(there=True, files=_listing(target), part=None, free=0)
        return
    staging.mkdir(exist_ok=True)
    with _locked(staging / LOCK):
        files, part = _listing(staging), _part(staging)
        space = os.statvfs(root)
        _tell(there=False, files=files, part=part, free=space.f_bavail * space.f_frsize)
        sums = {path: digest for path, (_, digest) in files.items() if digest}
        while line := sys.stdin.buffer.readline():
            request = json.loads(line)
            if "end" in request:
                _finish(staging, target, sums, request["end"])
                _tell(whole=True)
                return
            for path in request.get("remove", ()):
                (staging / path).unlink(missing_ok=True)
                sums.pop(path, None)
            if "path" in request:
                sums[request["path"]] = _receive_file(staging, request["path"], request["size"], request["offset"])
                with (staging / SUMS).open("a") as journal:
                    journal.write(f"{sums[request['path']]}  {request['path']}\n")


def send(root: Path, *names: str) -> None:
    """Sends these files below `root`; of one that is missing, only that it is."""
    for name in names:
        try:
            descriptor = os.open(root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            _tell(path=name, size=None)
            continue
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise DamagedError(f"{root / name}: is no file")
            _tell(path=name, size=status.st_size)
            digest = hashlib.sha256()
            for piece in _pieces(file, status.st_size):
                digest.update(piece)
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.write(digest.hexdigest().encode() + b"\n")
            sys.stdout.buffer.flush()


def _receive_file(staging: Path, path: str, size: int, offset: int) -> str:
    """Returns the checksum of a file that has arrived whole, from its byte `offset` on."""
    final = staging / path
    part = final.with_name(final.name + PART)
    final.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with part.open("r+b" if offset else "wb") as file:
        for piece in _pieces(file, offset):
            digest.update(piece)
        file.truncate(offset)
        for piece in _pieces(sys.stdin.buffer, size - offset):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if sys.stdin.buffer.readline().strip() != digest.hexdigest().encode():
        part.unlink()
        raise DamagedError(f"{path}: has arrived with another checksum than it was sent with")
    part.rename(final)
    return digest.hexdigest()


def _finish(staging: Path, target: Path, sums: dict[str, str], files: int) -> None:
    """Gives the folder its name once it holds as many files as were sent, each with its checksum, and no others."""
    for part in _parts(staging):
        part.unlink()
    found = {path for path, _ in _walk(staging)}
    if found != set(sums) or len(found) != files:
        raise DamagedError(f"{target.name}: {len(found)} files have arrived whole of {files}")
    journal = staging / f"{SUMS}{PART}"
    journal.write_text("".join(f"{digest}  {path}\n" for path, digest in sorted(sums.items())))
    journal.rename(staging / SUMS)
    (staging / LOCK).unlink()
    for folder, _, _ in os.walk(staging):
        descriptor = os.open(folder, os.O_RDONLY)
        with suppress(OSError):  # not every volume has it
            os.fsync(descriptor)
        os.close(descriptor)
    staging.rename(target)


def _listing(folder: Path) -> dict[str, tuple[int, str]]:
    """Returns size and checksum of each whole file by its path; no checksum where none was written down."""
    with suppress(FileNotFoundError):
        lines = (folder / SUMS).read_text(errors="replace").splitlines()
        sums = {match[2]: match[1] for match in map(_LINE.fullmatch, lines) if match}
        return {path: (size, sums.get(path, "")) for path, size in _walk(folder)}
    return {path: (size, "") for path, size in _walk(folder)}


def _walk(folder: Path) -> Iterator[tuple[str, int]]:
    """Yields the path and the size of each file that is not one of our own."""
    for place, _, names in os.walk(folder):
        for name in names:
            file = Path(place, name)
            if not name.endswith((PART, LOCK)) and file != folder / SUMS:
                yield str(file.relative_to(folder)), file.lstat().st_size


def _part(folder: Path) -> tuple[str, int, str] | None:
    """Returns path, size and checksum of the beginning that has arrived of a file, where there is one."""
    last = max(_parts(folder), key=lambda part: part.stat().st_mtime, default=None)
    if last is None:
        return None
    with last.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return str(last.relative_to(folder)).removesuffix(PART), last.stat().st_size, digest


def _parts(folder: Path) -> list[Path]:
    return [Path(place, name) for place, _, names in os.walk(folder) for name in names if name.endswith(PART)]


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yields the next `size` bytes of a file. Raises LostError where it ends before."""
    while size:
        piece = file.read(min(CHUNK, size))
        if not piece:
            raise LostError
        size -= len(piece)
        yield piece


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the lock of a folder, so that two copies do not meet in it; some volumes have no locks."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DamagedError("another copy into this folder runs; wait for it") from None
        except OSError:
            pass
        yield


def _tell(**message: object) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    arguments: Sequence[str] = sys.argv[1:]
    sys.exit(main(*arguments))
