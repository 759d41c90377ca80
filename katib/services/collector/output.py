"""Reads the trainer's output line by line from the file to which Katib's wrapper redirects it.

The file may hold any bytes: binary data, lines without end, or it may be truncated and start again. A line that is too
long to be a metric is divided at its carriage returns, or else skipped: a number that was cut would be another one. A
link or a pipe in the file's place is not read: a link leads out of the folder, and a pipe may block for ever.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from katib import untrusted
from katib.untrusted import file_size, open_file, split_lines

CHUNK = 1 << 16


class Output:
    """Follows a file that may not exist yet, and writes every byte to `copy`."""

    def __init__(self, path: Path, copy: BinaryIO) -> None:
        self._path = path
        self._copy = copy
        self._place = 0
        self._rest = b""
        self.skipped = 0
        """The number of lines that were too long."""

    def lines(self) -> Iterator[str]:
        """Yields the whole lines since the last call, at most one chunk of them, without line ends."""
        for line in self._whole(self._read()):
            yield line.decode(errors="replace").removesuffix("\r")

    @property
    def behind(self) -> bool:
        """Whether there is more to read."""
        return self._size() != self._place

    def last(self) -> str:
        """Returns what follows the last line end; before the output is complete it may be half a line."""
        rest, self._rest = self._rest, b""
        return "" if len(rest) > untrusted.LINE_LIMIT else rest.decode(errors="replace").removesuffix("\r")

    def _read(self) -> bytes:
        if self._size() < self._place:
            # A container that was started again writes its file from the start.
            self._place, self._rest = 0, b""
        try:
            with os.fdopen(open_file(self._path), "rb") as file:
                file.seek(self._place)
                chunk = file.read(CHUNK)
        except OSError:
            return b""
        self._place += len(chunk)
        if chunk:
            self._copy.write(chunk)
            self._copy.flush()
        return chunk

    def _whole(self, chunk: bytes) -> list[bytes]:
        whole, self._rest = split_lines(self._rest + chunk)
        kept = [line for line in whole if len(line) <= untrusted.LINE_LIMIT]
        self.skipped += len(whole) - len(kept)
        return kept

    def _size(self) -> int:
        try:
            return file_size(self._path)
        except FileNotFoundError:
            return 0
        except OSError:
            return self._place
