"""What an epoch of a training reads."""

from trainer.config import Training
from trainer.data.readers.subset import SAMPLE_RATE, Subset
from trainer.data.remix import Remix
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
        remix=remix_of(training),
    )


def remix_of(training: Training) -> Remix:
    """Returns how the voices of training mixtures are mixed anew."""
    return Remix(training.dynamic_mixing, training.speed_perturbation)


def frames_of(training: Training) -> int:
    """Returns the samples of the longest excerpt."""
    return round(training.segment_seconds * SAMPLE_RATE)
