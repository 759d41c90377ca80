"""Recognises a lack of memory, and finds out by trying what would fit.

The failed step must have released its tensors before that. What fits is kept in the run directory, and the next start
goes on with it, once: the batch of a step stays the same, so that the result does, too.
"""

import contextlib
import gc
import json
from dataclasses import replace

import torch

from trainer.config import Run
from trainer.data.readers.regular import read_regular
from trainer.data.readers.subset import SAMPLE_RATE
from trainer.errors import MemoryExhaustedError, StorageError
from trainer.metric_line import say
from trainer.run_files import MICRO_BATCH
from trainer.training.checkpoint import Session, dump
from trainer.training.gradients import Gradients
from trainer.training.run_directory import RunDirectory
from trainer.training.stop import Stopped

_MESSAGES = (
    "can't allocate memory",
    "not enough memory",
    "could not create a",
    "could not execute a primitive",
)
"""Messages of PyTorch's CPU allocator and of oneDNN, which have no exception of their own. oneDNN does not say why a
primitive failed; with the shapes of this trainer, a lack of memory is the only reason seen so far."""


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether `error` says that the device or the machine is out of memory."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or any(message in str(error) for message in _MESSAGES)


def fitting(run: Run) -> Run:
    """Returns `run` with the smaller micro-batch that was found after its memory ran out; `run` itself without one."""
    path = run.run_dir / MICRO_BATCH
    try:
        size = json.loads(read_regular(path))["micro_batch"]
    except (FileNotFoundError, NotADirectoryError):
        return run
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        size = None
    if type(size) is not int or size < 1:
        say(f"warning: {path}: holds no micro-batch, and is not used")
        return run
    if size >= run.rows:
        return run
    say(f"note: --micro-batch {size}, since {run.rows} at once ran out of memory ({path}); the result is the same")
    return replace(run, micro_batch=size)


def exhausted(run: Run, session: Session, frames: int, folder: RunDirectory) -> MemoryExhaustedError:
    """Returns an error with the batch size, the precision, and the largest --micro-batch that fits.

    Tries a half, a quarter, … of the failed size. `frames` are the samples of the longest mixture in training. The
    first time, what fits is kept in `folder`.
    """
    training = run.training
    tried = run.rows
    size = tried // 2
    while size and not _fits(session, size, frames):
        size //= 2
    precision = ", or --precision bf16" if training.precision == "fp32" else ""
    if size:
        taken = ": the next start takes it" if _keep(folder, size, tried) else ""
        fix = f"--micro-batch {size} fits and gives the same result{taken}{precision}"
    else:
        smaller = "--micro-batch 1 or " if tried > 1 else ""
        fix = f"nothing smaller fitted, either; try {smaller}a shorter --segment-seconds{precision}"
    return MemoryExhaustedError(
        f"out of memory on {session.device}: {training.model} with {tried} x {frames / SAMPLE_RATE:g} s "
        f"at once (--batch-size {training.batch_size}, "
        f"--precision {training.precision}); {fix}"
    )


def _keep(folder: RunDirectory, size: int, tried: int) -> bool:
    """Writes the micro-batch into the run directory, and returns whether the next start will take it."""
    if (folder.path / MICRO_BATCH).exists():
        return False
    with contextlib.suppress(StorageError, Stopped):
        folder.write_json(MICRO_BATCH, {"micro_batch": size, "failed": tried})
        return True
    return False


def _fits(session: Session, size: int, frames: int) -> bool:
    """Returns whether two steps with `size` mixtures and a checkpoint fit; they ruin the session, which is over."""
    device = session.device
    gradients = Gradients(session.model, session.training.precision, session.scaler, size, record=False)
    # The tensors that failed before may be held by a cycle of an exception and its frames.
    gc.collect()
    try:
        for _ in range(2):
            gradients.zero()
            mixtures, targets = torch.rand(size, frames), torch.rand(size, 2, frames)
            gradients(mixtures.to(device), targets.to(device), 1 / size)
            session.optimizer.step()
        dump(session, {})
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True
