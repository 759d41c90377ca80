"""Adam and AdamW of PyTorch, without its compiler.

PyTorch wraps what an optimizer does so that torch.compile leaves it alone, and each wrapper imports the compiler to say
so: it takes as long as the import of PyTorch itself. Only networks are compiled here, never a step of an optimizer, so
the functions within the wrappers are taken, and compute the same bits.
"""

from inspect import unwrap

import torch
from torch import optim


class _Uncompiled(optim.Optimizer):
    """An optimizer that a training creates, saves and restores without the compiler."""

    add_param_group = unwrap(optim.Optimizer.add_param_group)
    state_dict = unwrap(optim.Optimizer.state_dict)
    load_state_dict = unwrap(optim.Optimizer.load_state_dict)


class Adam(_Uncompiled, optim.Adam):
    """Adam, whose weight decay is part of the gradient."""

    # The wrapper also spares the step a gradient of its own.
    step = torch.no_grad()(unwrap(optim.Adam.step))


class AdamW(_Uncompiled, optim.AdamW):
    """Adam with a weight decay beside the gradient."""

    step = torch.no_grad()(unwrap(optim.AdamW.step))
