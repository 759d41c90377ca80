"""A training that is killed: the body of a forked process."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from trainer.__main__ import main
from trainer.training.fit import Fit


def killed_training(argv: list[str], output: str, cpu_seconds: float, file_step: int, batches: int = -1) -> None:
    """Trains until it is killed: after so much work, at the given step of writing a file, or after so many batches."""
    torch.set_num_threads(1)
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    steps = iter(range(sys.maxsize))

    def dying(function: Callable[..., Any], last: int) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            if next(steps) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return step

    if file_step >= 0:
        os.fsync = dying(os.fsync, file_step)
        Path.replace = dying(Path.replace, file_step)  # type: ignore[method-assign]
        Path.hardlink_to = dying(Path.hardlink_to, file_step)  # type: ignore[method-assign]
    if batches >= 0:
        Fit._step = dying(Fit._step, batches)  # type: ignore[method-assign]
    if cpu_seconds:
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)  # SIGPROF ends a process like SIGKILL: no cleaning up
    os._exit(main(argv))
