"""Decides whether our Triton kernels can take a tensor; the selective scan makes a choice of its own."""

from functools import cache
from importlib.util import find_spec

from torch import Tensor

from trainer.kernels.recording import is_recorded


def in_triton(x: Tensor) -> bool:
    """Returns whether `x` is on CUDA and triton is installed; torch.compile makes kernels of its own."""
    return x.device.type == "cuda" and not is_recorded() and _installed()


@cache
def _installed() -> bool:
    return find_spec("triton") is not None
