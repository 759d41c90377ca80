"""Tries a model of one's own on noise, before a training begins."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trainer.errors import ConfigError
from trainer.models.registry import Model
from trainer.text import one_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MIXTURES, SAMPLES = 2, 4001


def check_forward(model: str, entry: Model, config: "DataclassInstance") -> None:
    """Raises ConfigError where the network does not map mixtures [B, T] to estimates [B, 2, T], for an odd T."""
    mixtures = torch.rand(MIXTURES, SAMPLES) - 0.5
    expected = [MIXTURES, 2, SAMPLES]
    step = "its network cannot be built"
    try:
        network = entry.network(config).eval()
        step = f"forward fails on mixtures {[MIXTURES, SAMPLES]}"
        with torch.no_grad():
            estimates: object = network(mixtures)
    # Whatever the network of somebody else may raise.
    except Exception as error:
        raise ConfigError(f"model {model}: {step} ({type(error).__name__}: {one_line(str(error))})") from error
    shape = list(estimates.shape) if isinstance(estimates, Tensor) else type(estimates).__name__
    if shape != expected:
        raise ConfigError(
            f"model {model}: forward maps mixtures {[MIXTURES, SAMPLES]} to {shape}, expected estimates {expected}"
        )
