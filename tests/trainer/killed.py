"""A training that is killed: the body of a forked process, for test_survival.py."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from trainer.__main__ import main


def killed_training(argv: list[str], output: str, cpu_seconds: float, file_step: int) -> None:
    """Trains until it is killed: after so much work, or at the given step of writing a file."""
    torch.set_num_threads(1)
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    steps = iter(range(sys.maxsize))

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            if next(steps) == file_step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return step

    if file_step >= 0:
        os.fsync = dying(os.fsync)
        Path.replace = dying(Path.replace)  # type: ignore[method-assign]
        Path.hardlink_to = dying(Path.hardlink_to)  # type: ignore[method-assign]
    if cpu_seconds:
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # SIGPROF ends a process like SIGKILL: no cleaning up
    os._exit(main(argv))
