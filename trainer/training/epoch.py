"""What an epoch of a training reads."""

from trainer.config import Training
from trainer.data.readers.subset import SAMPLE_RATE, Subset
from trainer.data.sampling import Draw, select, training_batches


def epoch_of(training: Training, subset: Subset, epoch: int) -> Draw:
    """Returns the batches of the training subset in an epoch, from 1, in the variants that the curriculum shows."""
    variants = training.stages.variants(epoch, subset.shown)
    return training_batches(
        select(subset, variants, training.train_limit),
        variants,
        seed=training.seed,
        epoch=epoch,
        frames=frames_of(training),
        batch_size=training.batch_size,
    )


def frames_of(training: Training) -> int:
    """Returns the samples of the longest excerpt."""
    return round(training.segment_seconds * SAMPLE_RATE)
