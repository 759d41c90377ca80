"""What somebody else may have written, read with care: a run folder is data, and may come from anybody.

A file is opened only where it is a regular one under its own name, so that no link leads out of the folder and no pipe
hangs the reader; JSON has an end in depth and size; text loses what a terminal, a spreadsheet or a page would obey.
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
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

Kind = TypeVar("Kind")

LARGEST, LARGEST_TABLE = 16 << 20, 128 << 20
"""Bytes of a file that are read whole: what one run says of itself, and the table of a whole search."""
LINE_LIMIT = 1 << 16
"""Bytes of the longest line that is looked at; a trial that prints endless lines must not fill the memory."""
_BLOCK = 1 << 20
DEEPEST = 64
"""Levels of a JSON text; the manifest of an Experiment has about 20."""
MOST_EPOCHS = 1_000_000
"""Of a run, and values that it prints: a list with a place for each must not fill the memory."""
_LONGEST_NAME = 253
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_OBEYED = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # control characters of ASCII and Latin-1, the terminal's escape among them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that turn the direction of what follows
    "\u2028\u2029\ufeff\U000e0000-\U000e007f"  # line ends of Unicode, and letters that nobody sees
    "\ud800-\udfff]+"  # halves of a character, which cannot be written
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
"""The escape in JSON of half a character; without the other half it cannot be written again."""


def clean(text: str, most: int = LINE_LIMIT) -> str:
    """Returns `text` as one line that can be shown anywhere: each run of control characters and turning marks is one
    blank.
    """
    return _OBEYED.sub(" ", text[:most])


def is_name(text: object) -> bool:
    """Returns whether `text` can be the name of an Experiment or a Trial (a DNS subdomain of RFC 1123), and so of a
    folder of its own.
    """
    return isinstance(text, str) and len(text) <= _LONGEST_NAME and bool(_NAME.fullmatch(text))


def web_address(text: str) -> str:
    """Returns `text` where it is an address of http or https that can be shown as a link; else an empty text."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    fits = parts.scheme in ("http", "https") and parts.netloc and re.fullmatch(r"[!-~]{1,2000}", text)
    return text if fits else ""


def open_file(path: Path, flags: int = os.O_RDONLY) -> int:
    """Returns a descriptor of the regular file `path`, which is no link.

    Raises OSError, whose text says what it is instead.
    """
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
    """Returns the size of the regular file `path`, which is no link. Raises OSError as `open_file` does.

    It opens nothing: a process that closes a file loses the locks that SQLite has on it.
    """
    found = path.stat(follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        what = "is a symbolic link" if stat.S_ISLNK(found.st_mode) else "is no regular file"
        raise OSError(errno.EINVAL, what, str(path))
    return found.st_size


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """Returns what the file holds. Raises OSError, also where it holds more than `most`."""
    with os.fdopen(open_file(path), "rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"is larger than {most >> 20} MiB", str(path))
        return file.read(most)


def read_text(path: Path, most: int = LARGEST) -> str:
    """Returns the text of the file. Raises OSError and UnicodeDecodeError."""
    return read_bytes(path, most).decode()


def read_json(path: Path, most: int = LARGEST) -> Any:
    """Returns the value of the JSON file. Raises OSError, and ValueError where it is no JSON or nested too deeply."""
    return parse_json(read_bytes(path, most))


def parse_json(text: str | bytes) -> Any:
    """Returns the value of a JSON text, whose numbers all become a float or are below 10^19. Raises ValueError."""
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
    """Returns `found` as a `kind`, such as a dataclass or list[int], each part of its type. Raises ValueError."""
    made: Kind = _reader(cast(Any, kind))(found)
    return made


@cache
def _reader(kind: Any) -> Callable[[object], Any]:
    """Returns what checks the types; pydantic is loaded where something is read."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python


def is_epoch(value: object) -> bool:
    """Returns whether a value of a JSON text counts an epoch, from 0: of a metric, those from 1 have one."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_EPOCHS


def finite(value: object) -> float | None:
    """Returns a number of a JSON text; None for anything else, NaN and infinity included."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:  # an int of more than 308 digits
        return None


def line_text(line: bytes) -> str:
    """Returns a line without its end.

    An empty text where it is longer than LINE_LIMIT, for a number that was cut would be another number.
    """
    return line.decode(errors="replace").rstrip("\r") if len(line) <= LINE_LIMIT else ""


def lines(path: Path, words: Iterable[str] = ()) -> Iterator[str]:
    """Yields the lines of a file as `line_text` has them, in memory for a block.

    Where `words` are given, no block in which none of them stands, so that 10 GB of anything else take seconds. Raises
    OSError.
    """
    needles = [word.encode(errors="replace") for word in words]
    with os.fdopen(open_file(path), "rb") as file:
        begins = True
        while block := file.read(_BLOCK):
            block += file.readline(LINE_LIMIT + 1)
            if not needles or any(needle in block for needle in needles):
                found = block.removesuffix(b"\n").split(b"\n")
                for line in found if begins else found[1:]:
                    yield line_text(line)
            begins = block.endswith(b"\n")


def folder_inside(path: Path, root: Path) -> Path:
    """Returns `path`, which lies below `root`, as a folder that is there.

    Raises OSError where a link leads out of `root`.
    """
    if not path.resolve().is_relative_to(root.resolve()):
        raise OSError(errno.ELOOP, f"is a link to {path.resolve()}", str(path))
    path.mkdir(parents=True, exist_ok=True)
    return path
