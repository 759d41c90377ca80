"""Which variants of the mixtures an epoch trains on, and from which epoch the plateau scheduler is stepped.

The published curricula of the baselines, by name, as tables; epochs count from 1. Read by the epoch loop; the names are
checked by trainer/config.py.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

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

    def variants(self, epoch: int, shown: Collection[str] = VARIANTS) -> tuple[str, ...]:
        """Returns the variants that `epoch` (from 1) trains on, on a corpus whose mixtures can show `shown`.

        A stage of which the corpus can show nothing is passed over for the one before it: mixtures without noise
        (LibriMix's mix_clean) stay with C.
        """
        begun = [stage.variants for stage in reversed(self.stages) if stage.first_epoch <= epoch]
        return next((variants for variants in begun if set(variants) & set(shown)), begun[0])

    def steps_scheduler(self, epoch: int) -> bool:
        """Returns whether the plateau scheduler looks at the validation of `epoch`: a rise of difficulty is no plateau."""
        return epoch >= self.stages[-1].first_epoch


def _of(*stages: tuple[int, str]) -> Curriculum:
    return Curriculum(tuple(Stage(first_epoch, tuple(variants.split())) for first_epoch, variants in stages))


_ALL_BUT_C = _of((1, "C R"), (3, "C R SR S"), (5, "SER SR ER R SE S E"))

CURRICULA: Mapping[str, Curriculum] = MappingProxyType(
    {
        "convtasnet": _ALL_BUT_C,
        "spmamba": _ALL_BUT_C,
        "sepformer": _of((1, "C R"), (3, "C R SR S"), (5, "SER SR ER R SE S E C")),
        "dprnn": _of((1, "C"), (3, "C R"), (6, "C R S SR"), (8, "C R S SR E"), (10, "SER SR ER R SE S E C")),
        "all": _of((1, "SER SR ER R SE S E C")),
    }
)
"""By model as published (Series 3 keeps them fixed); 'all' has every variant, and the scheduler, from the first
epoch."""
