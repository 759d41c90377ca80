"""The learning rate: what changes it after an epoch, and how the first steps warm up to it.

Everything that it depends on is in a checkpoint: the rate and the plateau's state, the finished epochs and their steps.
"""

import contextlib
import math
from collections.abc import Iterator

from trainer.training.checkpoint import Session


def after_epoch(session: Session, epoch: int, score: float) -> None:
    """Sets the learning rate of the epoch that follows `epoch` (from 1), whose validation had this `score` in dB.

    The plateau sees the score from the curriculum's last stage on; the cosine depends on the epoch alone.
    """
    training = session.training
    if training.scheduler == "plateau" and training.stages.steps_scheduler(epoch):
        session.scheduler.step(score)
    if training.scheduler == "cosine" and training.cosine_epochs:
        rate = training.lr * (1 + math.cos(math.pi * epoch / training.cosine_epochs)) / 2
        for group in session.optimizer.param_groups:
            group["lr"] = rate


@contextlib.contextmanager
def warming_up(session: Session) -> Iterator[None]:
    """Lowers the learning rate for one step of the optimizer, if it is among the first --warmup-steps.

    Of n steps, step i takes i / n of the rate. The progress counts the step already.
    """
    whole, progress = session.training.warmup_steps, session.progress
    step = sum(record.steps for record in progress.history) + progress.partial.steps
    if step >= whole:
        yield
        return
    rates = [group["lr"] for group in session.optimizer.param_groups]
    for group, rate in zip(session.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * step / whole
    yield
    for group, rate in zip(session.optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
