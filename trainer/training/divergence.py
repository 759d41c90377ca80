"""What a diverged training says of itself."""

from trainer.errors import DivergedError
from trainer.training.checkpoint import Session


def diverged(session: Session, epoch: int, what: str, value: str) -> DivergedError:
    """Returns the error of a training whose loss, gradient or validation (`what`) has a `value` that is not finite."""
    training = session.training
    fix = f"try a lower --lr (now {training.lr:g}) or --grad-clip-norm (now {training.grad_clip_norm:g})"
    if training.precision != "fp32":
        fix += f", or --precision fp32 (now {training.precision})"
    return DivergedError(f"epoch {epoch}, at a learning rate of {session.lr:g}: the {what} is {value}; {fix}")
