"""The selective scan said directly, one step after the other (Gu and Dao 2023, algorithm 2), and inputs for it."""

from typing import Any

import torch
from torch import Tensor


def recurrence(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = True,
) -> Tensor:
    """Returns what selective_scan must return: u, delta, z [B, D, L]; A [D, N]; B, C [B, N, L]; D, delta_bias [D]."""
    state, outputs = u.new_zeros(len(u), *A.shape), []
    for t in range(u.shape[2]):
        step = delta[:, :, t] + (0 if delta_bias is None else delta_bias)
        if delta_softplus:
            step = torch.log1p(torch.exp(step))
        state = torch.exp(step[:, :, None] * A) * state
        state = state + step[:, :, None] * B[:, None, :, t] * u[:, :, t, None]
        output = (state * C[:, None, :, t]).sum(2) + D * u[:, :, t]
        outputs.append(output if z is None else output * z[:, :, t] * torch.sigmoid(z[:, :, t]))
    return torch.stack(outputs, 2)


def scan_inputs(
    batch: int, channels: int, length: int, states: int, *, without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Returns random arguments in float64 that require gradients; those named in `without` are None."""
    per_step, state, per_channel = (batch, channels, length), (batch, states, length), (channels,)
    shapes = {
        "u": per_step,
        "delta": per_step,
        "A": (channels, states),
        "B": state,
        "C": state,
        "D": per_channel,
    }
    shapes |= {"z": per_step, "delta_bias": per_channel}
    generator = torch.Generator().manual_seed(0)
    values = {name: torch.randn(*shape, generator=generator).double() for name, shape in shapes.items()}
    values["A"] = -values["A"].exp()
    values["delta_bias"] = values["delta_bias"].abs()
    return {name: None if name in without else x.requires_grad_() for name, x in values.items()}


def gradient_of(parameter: Tensor) -> Tensor:
    """Returns the gradient that a backward pass has left at `parameter`."""
    assert parameter.grad is not None
    return parameter.grad


def with_gradients(output: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    """Returns the output, and the gradient of each input for a fixed weighting of the output."""
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype, device=output.device).view(output.shape)
    return [output.detach(), *torch.autograd.grad((output * weights).sum(), inputs)]


def assert_equal(got: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    """Asserts that every pair differs by less than `tolerance` of the largest expected number, or of 0.001.

    A gradient that is zero in exact arithmetic consists of rounding errors only.
    """
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() <= tolerance * max(theirs.abs().max().item(), 1e-3)
