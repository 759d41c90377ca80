"""Runs a program of this package from the command line, and ends it in order where Ctrl-C interrupts it."""

import os
import sys
from collections.abc import Callable
from io import TextIOWrapper


def guarded(main: Callable[[list[str]], int]) -> int:
    """Runs `main` with the words of the command line and returns its exit code; 130 after Ctrl-C, without a trace."""
    prepare_streams()
    try:
        return main(sys.argv[1:])
    except KeyboardInterrupt:
        print("error: stopped by Ctrl-C; the same command begins again, or goes on", file=sys.stderr)
        return 130


def prepare_streams() -> None:
    """Opens /dev/null for stdin, stdout or stderr where whoever started the program has closed it, as `>&-` does.

    Otherwise the next file that is opened, such as a checkpoint, gets the number of the stream, and a library's warning
    is written into it.

    A file or a pipe gets UTF-8 whatever the locale says, because programs read it; a terminal that lacks a character
    shows a question mark.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        name = ("stdin", "stdout", "stderr")[descriptor]
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "w" if descriptor else "r", encoding="utf-8"))  # noqa: SIM115, PTH123
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")
