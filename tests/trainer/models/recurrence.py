"""Mamba and its selective scan said directly, one step after the other (Gu and Dao 2023), and inputs for the scan."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.models.parts.mamba import Mamba


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


def direct_mamba(mamba: Mamba, x: Tensor) -> Tensor:
    """Maps [B', L, width] to the same shape, by figure 3 and algorithm 2 of the Mamba paper."""
    u, z = (x @ mamba.input.weight.T).chunk(2, 2)
    return direct_state_space(mamba, u, z) @ mamba.output.weight.T


def direct_state_space(mamba: Mamba, u: Tensor, z: Tensor) -> Tensor:
    """Returns y [B', L, D], what stands between the projections, of u and z [B', L, D]."""
    rank, states, _ = mamba.sizes
    taps, bias = mamba.conv.weight[:, 0], mamba.conv.bias  # [D, taps], [D]
    assert bias is not None
    past = F.pad(u, (0, 0, taps.shape[1] - 1, 0))
    u = bias + torch.stack([past[:, k : k + u.shape[1]] * taps[:, k] for k in range(taps.shape[1])]).sum(0)
    u = u * torch.sigmoid(u)
    selected = u @ mamba.selection.weight.T
    delta = selected[..., :rank] @ mamba.step.weight.T
    B, C = selected[..., rank : rank + states], selected[..., rank + states :]
    return recurrence(u.mT, delta.mT, -mamba.A_log.exp(), B.mT, C.mT, mamba.D, z.mT, mamba.step.bias).mT


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


def ramp(network: nn.Module) -> None:
    """Gives every parameter values that are written down nowhere, yet the same everywhere."""
    with torch.no_grad():
        for number, parameter in enumerate(network.parameters()):
            wave = torch.sin(torch.arange(1.0, parameter.numel() + 1, dtype=torch.float64) * (1 + number / 7))
            parameter.copy_(wave.view_as(parameter) * (0.5 if parameter.ndim == 1 else parameter[0].numel() ** -0.5))
