"""The selective scan against a direct step-by-step recurrence: outputs and gradients, in float64."""

import torch
import torch.nn.functional as F
from torch import Tensor


def inputs(batch: int, channels: int, length: int, states: int, dtype=torch.float64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "u": (batch, channels, length),
        "delta": (batch, channels, length),
        "A": (channels, states),
        "B": (batch, states, length),
        "C": (batch, states, length),
        "D": (channels,),
        "z": (batch, channels, length),
        "delta_bias": (channels,),
    }
    values = {name: torch.randn(*shape, generator=generator, dtype=dtype) for name, shape in shapes.items()}
    values["A"] = -values["A"].exp()
    return {name: value.requires_grad_() for name, value in values.items()}
