"""The notes at the start of a training: settings that change nothing, and what is odd about the corpus."""

from collections.abc import Iterator

import torch

from trainer.config import Run
from trainer.data.readers.corpora import Corpus
from trainer.data.readers.oddities import oddities
from trainer.text import count


def notes(run: Run, corpus: Corpus) -> Iterator[str]:
    """Yields a line for each setting without effect, each oddity of the corpus, and what the two do not share."""
    yield from _idle(run, corpus)
    visible = torch.cuda.device_count() if run.device in ("auto", "cuda") else 0
    if visible > run.gpus:
        yield f"note: {count(visible, 'GPU')} are visible, and --gpus is {run.gpus}: the others have nothing to do"
    for subset in (corpus.train, corpus.validation):
        if subset.repeated:
            yield f"note: {subset.source}: {subset.repeated} of {len(subset.rows)} mixtures repeat an earlier one"
        yield from oddities(subset)
    if set(corpus.train.shown) != set(corpus.validation.shown):
        yield (
            f"note: the mixtures to train can show {' '.join(corpus.train.shown)}, those to validate "
            f"{' '.join(corpus.validation.shown)}; both should show the same variants"
        )
    curriculum, shown = run.training.stages, corpus.train.shown
    for stage in curriculum.stages:
        if stage.first_epoch <= run.epochs and not set(stage.variants) & set(shown):
            yield (
                f"note: no mixture can show {' '.join(stage.variants)}; from epoch {stage.first_epoch} on "
                f"the training stays with {' '.join(curriculum.variants(stage.first_epoch, shown))}"
            )


def _idle(run: Run, corpus: Corpus) -> Iterator[str]:
    """Yields a line for each setting that cannot have its effect in this run."""
    if run.patience is not None and run.patience >= run.epochs:
        yield f"note: --patience {run.patience} has no effect: it needs more than the {run.epochs} of --epochs"
    if run.hopeless == run.epochs:
        yield f"note: --hopeless {run.hopeless} has no effect: the run ends after the {run.epochs} of --epochs"
    training = run.training
    if training.cosine_epochs is not None and training.scheduler != "cosine":
        yield (
            f"note: --cosine-epochs {training.cosine_epochs} has no effect with --scheduler {training.scheduler}, only "
            "with cosine"
        )
    if training.average_best > run.epochs > 1:
        yield f"note: --average-best {training.average_best} averages all of the {run.epochs} of --epochs"
    subsets = (
        ("train", training.train_limit, corpus.train),
        ("validation", training.validation_limit, corpus.validation),
    )
    for name, limit, subset in subsets:
        if limit is not None and limit > len(subset.rows):
            yield f"note: --{name}-limit {limit} has no effect: {subset.source} has {len(subset.rows)} mixtures"
    mixtures = min(len(corpus.train.rows), training.train_limit or len(corpus.train.rows))
    steps = run.epochs * -(-mixtures // training.batch_size)
    if training.warmup_steps > steps:
        yield (
            f"note: --warmup-steps {training.warmup_steps}: the learning rate does not come up to --lr, because the "
            f"{run.epochs} of --epochs have {steps} steps"
        )
