"""Verbs of katib in the process of the test, which need not load their libraries each time.

A test of what a process does, that it is killed, gets a signal or loads little, starts `python -m katib` itself.
"""

import io
import os
import signal
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from subprocess import CompletedProcess
from unittest.mock import patch

from katib.__main__ import main

SECONDS = 600


class Terminal(io.StringIO):
    """A terminal for stdout, as wide as COLUMNS says."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def katib(*words: str, stdin: str = "", seconds: float = SECONDS) -> "CompletedProcess[str]":
    """Returns what `python -m katib` prints and returns.

    Stopped after so many seconds, which fails the test that waits.
    """
    out, err = io.StringIO(), io.StringIO()
    watchdog = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
    watchdog.start()
    try:
        with (
            patch.dict(os.environ, environment(), clear=True),
            patch.object(sys, "stdin", io.StringIO(stdin)),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main(list(words))
    finally:
        watchdog.cancel()
    return CompletedProcess(words, code, out.getvalue(), err.getvalue())


def environment() -> dict[str, str]:
    """This process's, without the user's W&B, as wide as a pipe."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "80"}
