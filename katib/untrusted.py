"""Reads files and texts of unknown origin with care: a run folder is data, and may come from anybody.

Only regular files are opened, so that no link leads out of the folder and no pipe blocks the reader. JSON is limited in
depth and size. Texts lose the characters that control a terminal or hide what they say.
"""

import errno
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

Kind = TypeVar("Kind")

LARGEST, LARGEST_TABLE = 16 << 20, 128 << 20
"""The most bytes of a file that is read as a whole, such as a run's summary; and of the table of a search."""
LINE_LIMIT = 1 << 16
"""Bytes of the longest line that is read, so that a trial that prints endless lines does not fill the memory."""
_BLOCK = 1 << 20
DEEPEST = 64
"""Levels of a JSON document; the manifest of an Experiment has about 20."""
MOST_EPOCHS = 1_000_000
"""The most epochs and reported values of a run, so that a list of them does not fill the memory."""
_LONGEST_NAME = 253
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_OBEYED = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # control characters of ASCII and Latin-1, among them the terminal's escape
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that change the direction of text
    "\u2028\u2029\ufeff\U000e0000-\U000e007f"  # line ends of Unicode, and invisible letters
    "\ud800-\udfff]+"  # lone surrogates, which UTF-8 cannot hold
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""The JSON escape of a surrogate; without its other half it cannot be written again."""


def clean(text: str, most: int = LINE_LIMIT) -> str:
    """Returns `text` as one line that can be shown anywhere: a blank replaces control characters and hidden marks."""
    return _OBEYED.sub(" ", text[:most])


def is_name(text: object) -> bool:
    """Returns whether `text` can name an Experiment or a Trial (a DNS subdomain of RFC 1123), and so a folder."""
    return isinstance(text, str) and len(text) <= _LONGEST_NAME and bool(_NAME.fullmatch(text))


def web_address(text: str) -> str:
    """Returns `text` if it is an http or https address that can be shown as a link; else an empty text."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    fits = parts.scheme in ("http", "https") and parts.netloc and re.fullmatch(r"[!-~]{1,2000}", text)
    return text if fits else ""


def open_file(path: Path, flags: int = os.O_RDONLY) -> int:
    """Returns a descriptor of the regular file `path`. Raises OSError if it is a link or anything else."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, "is a symbolic link", str(path)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    return descriptor


def file_size(path: Path) -> int:
    """Returns the size of the regular file `path`. Raises OSError if it is a link or anything else.

    The file is not opened: a process that closes a file loses SQLite's locks on it.
    """
    found = path.stat(follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        what = "is a symbolic link" if stat.S_ISLNK(found.st_mode) else "is no regular file"
        raise OSError(errno.EINVAL, what, str(path))
    return found.st_size


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """Returns the content of a file. Raises OSError, also if it holds more than `most` bytes."""
    with os.fdopen(open_file(path), "rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"is larger than {most >> 20} MiB", str(path))
        return file.read(most)


def read_text(path: Path, most: int = LARGEST) -> str:
    """Returns the text of a file. Raises OSError and UnicodeDecodeError."""
    return read_bytes(path, most).decode()


def given_text(source: Path | BinaryIO, most: int = LARGEST) -> str:
    """Returns the text of a file that the user named, which may be a pipe that somebody writes to, or of stdin.

    Raises OSError, also if it holds more than `most` bytes, as a device may, and UnicodeDecodeError.
    """
    if isinstance(source, Path):
        # A pipe that nobody writes to blocks whoever opens it, but not who then reads it.
        descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(descriptor, True)
        with os.fdopen(descriptor, "rb") as file:
            text = given_text(file, most)
            if not text and stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                raise OSError(errno.EPIPE, "is a pipe to which nobody writes, or that was read before", str(source))
            return text
    data = source.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"is larger than {most >> 20} MiB", source.name)
    return data.decode("utf-8-sig")


def why_unread(error: OSError | UnicodeDecodeError) -> str:
    """Returns why a text file could not be read, without the path and the number that Python's message has."""
    return str(error.strerror) if isinstance(error, OSError) else f"is not UTF-8 text (byte {error.start})"


def read_json(path: Path, most: int = LARGEST) -> Any:
    """Returns the value of a JSON file. Raises OSError, and ValueError if it is not JSON or nested too deeply."""
    return parse_json(read_bytes(path, most))


def parse_json(text: str | bytes) -> Any:
    """Returns the value of a JSON text; whole numbers of 20 characters or more become floats. Raises ValueError."""
    try:
        found = json.loads(text, parse_int=_whole)
        if _SURROGATE.search(text if isinstance(text, bytes) else text.encode(errors="replace")):
            json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("half of a character (a lone surrogate)") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [found]
    for _ in range(DEEPEST):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return found
    raise ValueError("nested too deeply")


def _whole(text: str) -> int | float:
    return int(text) if len(text) < 20 else float(text)


def checked(kind: type[Kind], found: object) -> Kind:
    """Returns `found` as a `kind`, such as a dataclass or list[int]. Raises ValueError if a part has another type."""
    made: Kind = _reader(cast(Any, kind))(found)
    return made


@cache
def _reader(kind: Any) -> Callable[[object], Any]:
    """Returns the function that checks a type; pydantic is imported only when something is read."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python


def is_epoch(value: object) -> bool:
    """Returns whether a JSON value can be the number of an epoch: 0 stands for before the first."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_EPOCHS


def finite(value: object) -> float | None:
    """Returns a JSON value as a float; None if it is not a finite number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:
        # A whole number of more than 308 digits has no float.
        return None


def line_text(line: bytes) -> str:
    """Returns a line without its end, or an empty text if it is longer than LINE_LIMIT: a cut number would be wrong."""
    return line.decode(errors="replace").rstrip("\r") if len(line) <= LINE_LIMIT else ""


def split_lines(data: bytes) -> tuple[list[bytes], bytes]:
    """Returns the lines of an output without their ends, and what follows the last end, to which more may be appended.

    A line longer than LINE_LIMIT ends at its carriage returns, too: a progress bar that is drawn over and over writes
    no other end, and the metric that follows it stands in its line. What follows is cut where it is too long to count.
    """
    *whole, rest = data.split(b"\n")
    found = [piece for line in whole for piece in (line.split(b"\r") if len(line) > LINE_LIMIT else [line])]
    if len(rest) > LINE_LIMIT:
        *drawn, rest = rest.split(b"\r")
        found += drawn
    return found, rest[: LINE_LIMIT + 1]


def lines(path: Path, words: Iterable[str] = ()) -> Iterator[str]:
    """Yields the lines of a file as `line_text` returns them, reading a block at a time. Raises OSError.

    If `words` are given, blocks that hold none of them are skipped, so that 10 GB of other output take seconds.
    """
    needles = [word.encode(errors="replace") for word in words] or [b""]
    with os.fdopen(open_file(path), "rb") as file:
        rest = b""
        while block := file.read(_BLOCK):
            block = rest + block
            if not any(needle in block for needle in needles):
                block = block[block.rfind(b"\n") + 1 :]
            found, rest = split_lines(block)
            yield from map(line_text, found)
        if rest and any(needle in rest for needle in needles):
            yield line_text(rest)


def folder_inside(path: Path, root: Path) -> Path:
    """Returns the folder `path` below `root`, which it may create. Raises OSError if a link leads out of `root`."""
    # Path.resolve raises a RuntimeError of links that lead in a circle.
    leads_to = os.path.realpath(path)
    if not Path(leads_to).is_relative_to(os.path.realpath(root)):
        raise OSError(errno.ELOOP, f"is a link to {leads_to}", str(path))
    path.mkdir(parents=True, exist_ok=True)
    return path
