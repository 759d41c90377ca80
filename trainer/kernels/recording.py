"""Tells whether somebody records what the layers compute, or wants to know only the shapes of it.

Who records it needs PyTorch's own operations. Where tensors have shapes alone, a kernel's loop over many small parts
may be one operation over the whole: it has the same multiply-adds and keeps the same memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_shapes = ContextVar("_shapes", default=False)


def is_recorded() -> bool:
    """Returns whether torch.compile, torch.export or torch.jit.trace follows the operations."""
    return torch.compiler.is_compiling() or is_traced()


def is_traced() -> bool:
    """Returns whether torch.jit.trace follows the operations."""
    return not torch.compiler.is_compiling() and bool(torch._C._is_tracing())


@contextmanager
def shapes_alone() -> Iterator[None]:
    """Has the kernels compute with tensors that have shapes alone while the context lasts."""
    token = _shapes.set(True)
    try:
        yield
    finally:
        _shapes.reset(token)


def are_shapes_alone() -> bool:
    """Returns whether the tensors have shapes alone, and no values."""
    return _shapes.get()
