"""What a training is validated on: the variants that decide, and those that are scored beside them.

The first set learning rate, best epoch and end; the others are only recorded. Those that decide are drawn and batched
as if there were no others, so that these change no bit of the training.
"""

from dataclasses import dataclass

from trainer.config import Training
from trainer.data.readers.subset import Rows, Subset
from trainer.data.sampling import Excerpt, select, validation_batches
from trainer.training.epoch import frames_of


@dataclass(frozen=True)
class Validation:
    """The variants of a training's validation on the subset that it has for that."""

    training: Training
    subset: Subset

    @property
    def deciding(self) -> tuple[str, ...]:
        """The variants that decide."""
        return self.training.validate or self.training.validation_variants or self.subset.whole

    @property
    def beside(self) -> tuple[str, ...]:
        """The variants that are recorded beside them; none unless --validate says which decide."""
        if not self.training.validate:
            return ()
        recorded = self.training.validation_variants or self.subset.shown
        return tuple(variant for variant in recorded if variant not in self.deciding)

    @property
    def rows(self) -> list[tuple[tuple[str, ...], Rows]]:
        """The one or two sets of variants, each with its mixtures, which are shown in one of them each.

        Raises DataError where no mixture can show one of a set.
        """
        flags = {self.deciding: "--validate" if self.training.validate else "--validation-variants"}
        flags |= {self.beside: "--validation-variants"} if self.beside else {}
        return [
            (variants, select(self.subset, variants, self.training.validation_limit, flag))
            for variants, flag in flags.items()
        ]

    def batches(self, size: int) -> list[list[list[Excerpt]]]:
        """Returns the batches of each set, with at most `size` mixtures in one."""
        frames = frames_of(self.training)
        return [validation_batches(rows, variants, frames=frames, batch_size=size) for variants, rows in self.rows]
