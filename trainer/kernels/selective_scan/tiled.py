"""The selective scan on the CPU: tiles that stay in the cache, and memory that grows linearly with the length.

A tile is some sequences times some steps, small enough for its three state tensors to stay in the cache. The forward
pass keeps only the state before each tile; the backward pass recomputes a tile's states and takes the tiles from the
end (Gu and Dao 2023, arXiv:2312.00752, section 3.3.2). States are [b, t, N, D], so that every operation runs over rows
of D contiguous channels.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainer.kernels.context import Context
from trainer.kernels.recording import are_shapes_alone

TILE_BYTES = 1024 * 1024
"""Bytes of one state tensor of a tile per thread. With fewer, calling the operations costs more than computing them;
with more, the cache does not help. The time is flat from half to four times this size."""
TILE_STEPS = 16
"""Steps of a tile, more where the batch is too small to fill it; a state per tile is kept for the backward pass."""

aten = torch.ops.aten


def tiled_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
) -> Tensor:
    """Returns y [B, D, L] of u, delta and z [B, D, L], A [D, N], B and C [B, N, L], D and delta_bias [D].

    All are of one type, float32 or float64, in which everything is computed. The scan is fastest where u, delta and z
    are transposed views of [B, L, D].
    """
    rows = [x if x is None else x.transpose(1, 2).contiguous() for x in (u, delta, B, C, z)]  # [B, L, ...]
    y: Tensor = _TiledScan.apply(*rows, A.t().contiguous(), D, delta_bias, delta_softplus)
    return y.transpose(1, 2)  # [B, D, L]


class _TiledScan(torch.autograd.Function):
    """The scan from u, delta, z [B, L, D], B, C [B, L, N], A [N, D], D and bias [D] to y [B, L, D]."""

    @staticmethod
    def forward(
        ctx: Context,
        u: Tensor,
        delta: Tensor,
        B: Tensor,
        C: Tensor,
        z: Tensor | None,
        A: Tensor,
        D: Tensor,
        bias: Tensor | None,
        softplus: bool,
    ) -> Tensor:
        size = _tile_size(u, A)
        y = torch.empty_like(u)
        starts = u.new_empty(-(-u.shape[1] // size[1]), len(u), *A.shape)  # [tiles of a sequence, B, N, D]
        starts[0] = 0
        for index, tile, (decay, states) in _tiles(u, A, size, buffers=2):
            u_tile, step = u[tile], _step(_biased(delta[tile], bias), softplus)  # [b, t, D] each
            _states(step, step * u_tile, A, B[tile], starts[index, tile[0]], decay, states)
            if index + 1 < len(starts):
                starts[index + 1, tile[0]] = states[:, -1]
            output = _over_states(states, C[tile]).addcmul_(u_tile, D)  # [b, t, D]
            y[tile] = output if z is None else output.mul_(F.silu(z[tile]))
        ctx.save_for_backward(u, delta, B, C, z, A, D, bias, starts)
        ctx.size, ctx.softplus = size, softplus
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, y_grad: Tensor) -> tuple[Tensor | None, ...]:
        # Backward may be called where autocast is on.
        with torch.autocast("cpu", enabled=False):
            return _gradients(ctx, y_grad)


def _gradients(ctx: Context, y_grad: Tensor) -> tuple[Tensor | None, ...]:
    """Returns the gradients of forward's arguments from the gradient of y [B, L, D]."""
    u, delta, B, C, z, A, D, bias, starts = ctx.saved_tensors
    u_grad, delta_grad, B_grad, C_grad = map(torch.empty_like, (u, delta, B, C))
    z_grad = None if z is None else torch.empty_like(z)
    A_grad, D_grad = torch.zeros_like(A), torch.zeros_like(D)
    later: Tensor | None = None  # gradient of the state before a tile, from all that comes after
    for index, tile, (decay, states, state_grad) in _tiles(u, A, ctx.size, buffers=3, backwards=True):
        u_tile, raw, start = u[tile], _biased(delta[tile], bias), starts[index, tile[0]]
        step = _step(raw, ctx.softplus)  # [b, t, D]
        x = step * u_tile  # [b, t, D]
        _states(step, x, A, B[tile], start, decay, states)
        grad = y_grad[tile]  # [b, t, D]
        if z is not None and z_grad is not None:
            ungated = _over_states(states, C[tile]).addcmul_(u_tile, D)
            z_grad[tile] = aten.silu_backward(ungated.mul_(grad), z[tile])
            grad = F.silu(z[tile]).mul_(grad)
        later = _state_gradients(grad, C[tile], decay, later if index + 1 < len(starts) else None, state_grad)
        C_grad[tile] = _over_channels(states, grad)
        B_grad[tile] = _over_channels(state_grad, x)
        x_grad = _over_states(state_grad, B[tile])  # [b, t, D]
        log_decay_grad = decay.mul_(state_grad)  # [b, t, N, D]
        log_decay_grad[:, 0].mul_(start)
        log_decay_grad[:, 1:].mul_(states[:, :-1])
        step_grad = torch.mul(log_decay_grad, A, out=states).sum(2).addcmul_(x_grad, u_tile)
        A_grad += log_decay_grad.mul_(step.unsqueeze(2)).sum((0, 1))
        delta_grad[tile] = aten.softplus_backward(step_grad, raw, 1, 20) if ctx.softplus else step_grad
        D_grad += (grad * u_tile).sum((0, 1))
        u_grad[tile] = x_grad.mul_(step).addcmul_(grad, D)
    bias_grad = None if bias is None else delta_grad.sum((0, 1))
    return u_grad, delta_grad, B_grad, C_grad, z_grad, A_grad, D_grad, bias_grad, None


def _states(step: Tensor, x: Tensor, A: Tensor, B: Tensor, start: Tensor, decay: Tensor, states: Tensor) -> None:
    """Writes decay = exp(step A) and the states h_t = decay_t h_(t-1) + B_t x_t, both [b, t, N, D]."""
    torch.mul(step.unsqueeze(2), A, out=decay).exp_()
    torch.mul(x.unsqueeze(2), B.unsqueeze(3), out=states)
    if are_shapes_alone():
        return
    state = start  # [b, N, D]
    for decay_t, state_t in zip(decay.unbind(1), states.unbind(1), strict=True):
        state = torch.addcmul(state_t, decay_t, state, out=state_t)


def _state_gradients(grad: Tensor, C: Tensor, decay: Tensor, later: Tensor | None, state_grad: Tensor) -> Tensor:
    """Writes g_t = C_t grad_t + decay_(t+1) g_(t+1) [b, t, N, D] to `state_grad`; returns decay_1 g_1 [b, N, D]."""
    torch.mul(grad.unsqueeze(2), C.unsqueeze(3), out=state_grad)
    grads, decays = state_grad.unbind(1), decay.unbind(1)
    if later is not None:
        grads[-1].add_(later)
    for t in reversed(range(len(grads) - 1)):
        torch.addcmul(grads[t], decays[t + 1], grads[t + 1], out=grads[t])
    return decays[0] * grads[0]


def _over_states(states: Tensor, weights: Tensor) -> Tensor:
    """Returns [b, t, D], the sum over N of states [b, t, N, D] times weights [b, t, N]."""
    batch, steps, state_size, channels = states.shape
    weights = weights.reshape(-1, 1, state_size)  # [b t, 1, N]
    return torch.bmm(weights, states.view(-1, state_size, channels)).view(batch, steps, channels)


def _over_channels(states: Tensor, weights: Tensor) -> Tensor:
    """Returns [b, t, N], the sum over D of states [b, t, N, D] times weights [b, t, D]."""
    batch, steps, state_size, channels = states.shape
    weights = weights.reshape(-1, channels, 1)  # [b t, D, 1]
    return torch.bmm(states.view(-1, state_size, channels), weights).view(batch, steps, state_size)


def _biased(delta: Tensor, bias: Tensor | None) -> Tensor:
    return delta if bias is None else delta + bias


def _step(raw: Tensor, softplus: bool) -> Tensor:
    return F.softplus(raw) if softplus else raw


Tile = tuple[slice, slice]


def _tile_size(u: Tensor, A: Tensor) -> tuple[int, int]:
    """Returns the sequences and the steps of a tile for u [B, L, D] and A [N, D]."""
    rows = torch.get_num_threads() * TILE_BYTES // (A.numel() * A.itemsize)
    sequences = max(1, min(len(u), rows // TILE_STEPS))
    return sequences, min(u.shape[1], max(TILE_STEPS, rows // sequences))


def _tiles(
    u: Tensor, A: Tensor, size: tuple[int, int], buffers: int, backwards: bool = False
) -> Iterator[tuple[int, Tile, list[Tensor]]]:
    """Yields each tile's number in its sequences, its index into [B, L], and buffers [b, t, N, D] that tiles share."""
    (batch, length, _), (sequences, steps) = u.shape, u.shape[:2] if are_shapes_alone() else size
    storage = [u.new_empty(sequences * steps * A.numel()) for _ in range(buffers)]
    numbers = range(-(-length // steps))
    for first in range(0, batch, sequences):
        for number in reversed(numbers) if backwards else numbers:
            b, t = min(sequences, batch - first), min(steps, length - number * steps)
            tile = slice(first, first + b), slice(number * steps, number * steps + t)
            yield number, tile, [x[: b * t * A.numel()].view(b, t, *A.shape) for x in storage]
