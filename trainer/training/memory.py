"""What a training that runs out of memory says: what did not fit, and what does, which is tried out.

Called by trainer/training/train.py once the failed step has let go of its tensors.
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
"""Of PyTorch's CPU allocator and of oneDNN, which have no exception of their own. oneDNN does not say why a primitive
failed; with shapes that this trainer gives it, memory is the one reason seen."""


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether `error` says that the device's or the machine's memory is at its end."""
    kinds = (torch.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or any(message in str(error) for message in _MESSAGES)


def exhausted(run: Run, session: Session, frames: int) -> MemoryExhaustedError:
    """Returns the error that names the batch size, the precision, and a --micro-batch that fits: the first that does of
    a half, a quarter, … of what was tried. `frames`: samples of the longest mixture in training.
    """
    training = run.training
    tried = run.rows
    size = tried // 2
    while size and not _fits(session, size, frames):
        size //= 2
    precision = ", or --precision bf16" if training.precision == "fp32" else ""
    if size:
        advice = f"--micro-batch {size} fits and gives the same result{precision}"
    else:
        smaller = "--micro-batch 1 or " if tried > 1 else ""
        advice = f"nothing smaller fitted when it was tried; try {smaller}a shorter --segment-seconds{precision}"
    return MemoryExhaustedError(
        f"out of memory on {session.device}: {training.model} with {tried} x {frames / SAMPLE_RATE:g} s "
        f"at once (--batch-size {training.batch_size}, "
        f"--precision {training.precision}); {advice}"
    )


def _fits(session: Session, size: int, frames: int) -> bool:
    """Returns whether two steps with `size` mixtures and a checkpoint do.

    They spoil the session, which no one uses any more.
    """
    device = session.device
    gradients = Gradients(session.model, session.training.precision, session.scaler, size, record=False)
    gc.collect()  # what failed before may hang in a cycle of its exception and its frames
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
