"""Recognises a lack of memory, and finds out by trying what would fit.

The failed step must have released its tensors before that.
"""

import gc

import torch

from trainer.config import Run
from trainer.data.readers.subset import SAMPLE_RATE
from trainer.errors import MemoryExhaustedError
from trainer.training.checkpoint import Session, dump
from trainer.training.gradients import Gradients

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


def exhausted(run: Run, session: Session, frames: int) -> MemoryExhaustedError:
    """Returns an error with the batch size, the precision, and the largest --micro-batch that fits.

    Tries a half, a quarter, … of the failed size. `frames` are the samples of the longest mixture in training.
    """
    training = run.training
    tried = run.rows
    size = tried // 2
    while size and not _fits(session, size, frames):
        size //= 2
    precision = ", or --precision bf16" if training.precision == "fp32" else ""
    if size:
        fix = f"--micro-batch {size} fits and gives the same result{precision}"
    else:
        smaller = "--micro-batch 1 or " if tried > 1 else ""
        fix = f"nothing smaller fitted, either; try {smaller}a shorter --segment-seconds{precision}"
    return MemoryExhaustedError(
        f"out of memory on {session.device}: {training.model} with {tried} x {frames / SAMPLE_RATE:g} s "
        f"at once (--batch-size {training.batch_size}, "
        f"--precision {training.precision}); {fix}"
    )


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
