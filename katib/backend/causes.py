"""Says what is wrong with a trial and how to fix it, for the causes that are the trainer's on every backend."""

from katib.check.finding import Finding
from katib.untrusted import clean


class Cause(Finding):
    """What is wrong with a trial, and the fix; that is empty where there is nothing to do."""

    def __init__(self, problem: str, fix: str = "") -> None:
        # Most of the text comes from a pod, a node or a trainer.
        super().__init__(problem=clean(problem), fix=fix)

    def __str__(self) -> str:
        return f"{self.problem}; {self.fix}" if self.fix else self.problem


OOM_GPU = Cause("out of GPU memory", "lower batch_size or segment_seconds in the spec, or use larger GPUs")
DIVERGENCE = Cause(
    "diverged: the loss became infinite or NaN",
    "its hyperparameters are to blame; if most trials diverge, lower the max of the range",
)
