"""`python -m trainer pace`: estimates how long an epoch of a training takes on this machine's processor.

It times steps with the training's own settings on excerpts of noise. They begin at 1 s and grow until a step takes a
second or so; the time of longer ones is taken to grow with their length. (SepFormer's chunks overlap: an excerpt of 1 s
overestimates by 10 %, one of 0.25 s by 70 %.)
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from trainer.config import Pace, check_architecture
from trainer.data.readers.corpora import open_corpus
from trainer.data.readers.seen import memory
from trainer.data.readers.subset import SAMPLE_RATE, Rows
from trainer.data.sampling import select
from trainer.device import find_device
from trainer.metric_line import say_beside
from trainer.training.checkpoint import new_session
from trainer.training.gradients import Gradients
from trainer.training.validation import Validation

LONG_ENOUGH = 1.5
"""A step of this many seconds ends the search for a longer excerpt."""
SHORTEST, WARM_UP = SAMPLE_RATE, SAMPLE_RATE // 4
"""Samples of the first excerpt that counts, and of the one before it, in which libraries set themselves up."""


@dataclass(frozen=True)
class EpochEstimate:
    """The device, and for a processor the mixtures and the seconds of an epoch."""

    device: str
    mixtures: int = 0
    validation_mixtures: int = 0
    seconds: float = 0.0


def pace(request: Pace) -> int:
    """Prints the estimate as one JSON object and returns the exit code. Raises TrainerError as the training does."""
    device = find_device(request.device)
    training = request.training
    check_architecture(training.model, training.preset, training.architecture)
    if device.type != "cpu":
        print(json.dumps(asdict(EpochEstimate(str(device)))))
        return 0
    corpus = open_corpus(request.data_dir, memory(say_beside))
    # The last stage has all variants; an epoch before it may have fewer mixtures.
    variants = training.stages.variants(request.epochs, corpus.train.shown)
    trained = select(corpus.train, variants, training.train_limit)
    validated = [rows for _, rows in Validation(training, corpus.validation).rows]
    longest = round(training.segment_seconds * SAMPLE_RATE)
    step, estimate = _seconds_per_sample(request, longest)
    seconds = step * _samples(trained, longest) + estimate * sum(_samples(rows, longest) for rows in validated)
    print(json.dumps(asdict(EpochEstimate(str(device), len(trained), sum(map(len, validated)), seconds))))
    return 0


def _samples(rows: Rows, longest: int) -> int:
    """Returns the samples of all excerpts."""
    return int(np.minimum(rows.frames, longest).sum())


def _seconds_per_sample(request: Pace, longest: int) -> tuple[float, float]:
    """Returns the seconds that a sample takes in training and in validation."""
    session = new_session(request.training, torch.device("cpu"))
    gradients = Gradients(session.model, request.training.precision, session.scaler, 1, record=False)

    def step(mixtures: torch.Tensor) -> None:
        gradients.zero()
        gradients(mixtures, torch.rand(1, 2, mixtures.shape[1]), 1.0)

    def estimate(mixtures: torch.Tensor) -> None:
        with torch.inference_mode():
            gradients.estimate(mixtures)

    samples = min(SHORTEST, longest)
    _timed(step, min(WARM_UP, longest))
    while (seconds := _timed(step, samples)) < LONG_ENOUGH and samples < longest:
        samples = min(2 * samples, longest)
    return seconds / samples, _timed(estimate, samples) / samples


def _timed(function: Callable[[torch.Tensor], None], samples: int) -> float:
    started = time.perf_counter()
    function(torch.rand(1, samples))
    return time.perf_counter() - started
