"""Tells whether somebody records what the layers compute, who needs PyTorch's own operations for it."""

import torch


def is_recorded() -> bool:
    """Returns whether torch.compile, torch.export or torch.jit.trace follows the operations."""
    return torch.compiler.is_compiling() or is_traced()


def is_traced() -> bool:
    """Returns whether torch.jit.trace follows the operations."""
    return not torch.compiler.is_compiling() and bool(torch._C._is_tracing())
