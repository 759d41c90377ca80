"""Whether our Triton kernels can take a tensor.

Asked by global_norm and lstm; the selective scan has a choice of its own.
"""

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor


def in_triton(x: Tensor) -> bool:
    """On CUDA, where triton is installed; torch.compile makes kernels of its own."""
    return x.device.type == "cuda" and not torch.compiler.is_compiling() and _installed()


@cache
def _installed() -> bool:
    return find_spec("triton") is not None
