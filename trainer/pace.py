"""`python -m trainer pace`: how long an epoch of a training takes on this machine's processor, before it is begun.

Measured with the training's own settings on excerpts of noise, from 1 s on, that grow until a step takes a second or
so; longer ones are taken to need time in proportion to their length. (SepFormer's chunks overlap: 1 s gives 10 % too
much, 0.25 s 70 %.)
"""

import json
import sys
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
from trainer.training.checkpoint import new_session
from trainer.training.gradients import Gradients

LONG_ENOUGH = 1.5
"""Seconds of a step from which on longer excerpts are not tried."""
SHORTEST, SHORTER = SAMPLE_RATE, SAMPLE_RATE // 4
"""Samples of the first excerpt that counts, and of one before it, in which libraries are set up."""


@dataclass(frozen=True)
class Found:
    """The device, and on a processor what an epoch consists of and takes: mixtures of each kind, and seconds."""

    device: str
    mixtures: int = 0
    validation_mixtures: int = 0
    seconds: float = 0.0


def pace(request: Pace) -> int:
    """Print what was found as one JSON object and return the exit code. Raises TrainerError as the training does."""
    device = find_device(request.device)
    training = request.training
    check_architecture(training.model, training.preset, training.architecture)
    if device.type != "cpu":
        print(json.dumps(asdict(Found(str(device)))))
        return 0
    corpus = open_corpus(request.data_dir, memory(_say))
    # The last stage has all variants; an epoch before it may have fewer mixtures.
    variants = training.stages.variants(request.epochs, corpus.train.shown)
    trained = select(corpus.train, variants, training.train_limit)
    shown = training.validation_variants or corpus.validation.whole
    validated = select(corpus.validation, shown, training.validation_limit)
    longest = round(training.segment_seconds * SAMPLE_RATE)
    step, estimate = _seconds_a_sample(request, longest)
    seconds = step * _samples(trained, longest) + estimate * _samples(validated, longest)
    print(json.dumps(asdict(Found(str(device), len(trained), len(validated), seconds))))
    return 0


def _samples(rows: Rows, longest: int) -> int:
    """Samples of all excerpts."""
    return int(np.minimum(rows.frames, longest).sum())


def _seconds_a_sample(request: Pace, longest: int) -> tuple[float, float]:
    """Seconds that a sample of a training mixture takes, and one of a validation mixture."""
    session = new_session(request.training, torch.device("cpu"))
    gradients = Gradients(session.model, request.training.precision, session.scaler, 1, record=False)

    def step(mixtures: torch.Tensor) -> None:
        gradients.zero()
        gradients(mixtures, torch.rand(1, 2, mixtures.shape[1]), 1.0)

    def estimate(mixtures: torch.Tensor) -> None:
        with torch.inference_mode():
            gradients.estimate(mixtures)

    samples = min(SHORTEST, longest)
    _timed(step, min(SHORTER, longest))
    while (seconds := _timed(step, samples)) < LONG_ENOUGH and samples < longest:
        samples = min(2 * samples, longest)
    return seconds / samples, _timed(estimate, samples) / samples


def _timed(function: Callable[[torch.Tensor], None], samples: int) -> float:
    started = time.perf_counter()
    function(torch.rand(1, samples))
    return time.perf_counter() - started


def _say(line: str) -> None:
    """Not where the JSON is read."""
    print(line, file=sys.stderr, flush=True)
