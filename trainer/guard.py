"""Runs a program of this package from the command line, and ends it in order where Ctrl-C interrupts it."""

import sys
from collections.abc import Callable


def guarded(main: Callable[[list[str]], int]) -> int:
    """Runs `main` with the words of the command line and returns its exit code; 130 after Ctrl-C, without a trace."""
    try:
        return main(sys.argv[1:])
    except KeyboardInterrupt:
        print("error: stopped by Ctrl-C; the same command begins again, or goes on", file=sys.stderr)
        return 130
