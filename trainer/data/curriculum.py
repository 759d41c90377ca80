"""Which variants of the mixtures an epoch trains on, and from which epoch on the plateau scheduler is stepped.

A curriculum is a table of stages; epochs count from 1. Each model's own stands in its file in trainer/models/.
"""

from collections.abc import Collection
from dataclasses import dataclass

from trainer.data.mixing import VARIANTS


@dataclass(frozen=True)
class Stage:
    """From `first_epoch` on the training draws from `variants`, until a later stage begins."""

    first_epoch: int
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Curriculum:
    """Stages in the order of their epochs. The plateau scheduler rests until the last of them begins."""

    stages: tuple[Stage, ...]

    @classmethod
    def of(cls, *stages: tuple[int, str]) -> "Curriculum":
        """Returns the curriculum whose stages are given as first epoch and variants: (1, "C R"), (3, "C R SR S")."""
        return cls(tuple(Stage(first_epoch, tuple(variants.split())) for first_epoch, variants in stages))

    def variants(self, epoch: int, shown: Collection[str] = VARIANTS) -> tuple[str, ...]:
        """Returns the variants that `epoch` (from 1) trains on, on a corpus whose mixtures can show `shown`.

        A stage of which the corpus can show nothing is skipped in favour of the one before it: mixtures without noise
        (LibriMix's mix_clean) stay with C.
        """
        begun = [stage.variants for stage in reversed(self.stages) if stage.first_epoch <= epoch]
        return next((variants for variants in begun if set(variants) & set(shown)), begun[0])

    def steps_scheduler(self, epoch: int) -> bool:
        """Returns whether the plateau scheduler sees the validation of `epoch`: a harder stage is no plateau."""
        return epoch >= self.stages[-1].first_epoch


ALL_VARIANTS = Curriculum.of((1, "SER SR ER R SE S E C"))
"""Every variant, and the scheduler, from the first epoch on."""
