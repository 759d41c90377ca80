"""Tries a model of one's own on noise, before a training begins."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from trainer.errors import ConfigError
from trainer.models.registry import Model
from trainer.text import one_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

MIXTURES, SAMPLES = 2, 4001


def check_forward(model: str, entry: Model, config: "DataclassInstance") -> None:
    """Raises ConfigError where the network does not map mixtures [B, T] to estimates [B, 2, T], for an odd T.

    The estimates must be real numbers through which a gradient reaches its parameters.
    """
    mixtures = torch.rand(MIXTURES, SAMPLES) - 0.5
    expected = [MIXTURES, 2, SAMPLES]
    step = "its network cannot be built"
    try:
        network = entry.network(config).eval()
        lazy = [name for name, parameter in network.named_parameters() if is_lazy(parameter)]
        step = f"forward fails on mixtures {[MIXTURES, SAMPLES]}"
        estimates: object = network(mixtures)
    # Whatever the network of somebody else may raise.
    except Exception as error:
        raise ConfigError(f"model {model}: {step} ({type(error).__name__}: {one_line(str(error))})") from error
    if lazy:
        raise ConfigError(
            f"model {model}: {lazy[0]} has no size before the first forward, and a checkpoint needs it; write the sizes"
            " of its layer in place of the lazy one"
        )
    shape = list(estimates.shape) if isinstance(estimates, Tensor) else type(estimates).__name__
    if not isinstance(estimates, Tensor) or shape != expected:
        raise ConfigError(
            f"model {model}: forward maps mixtures {[MIXTURES, SAMPLES]} to {shape}, expected estimates {expected}"
        )
    if not estimates.is_floating_point():
        raise ConfigError(f"model {model}: forward returns {estimates.dtype}, and estimates are real numbers")
    if not estimates.requires_grad:
        raise ConfigError(
            f"model {model}: no gradient reaches a parameter from what forward returns; look for detach(), no_grad() or"
            " requires_grad=False in it, or for a network without parameters"
        )
