"""Measures where a step's time goes, and each kernel against what the GPU's memory and arithmetic allow.

What they allow is measured, too: a copy, a product in bf16, and one in fp32 without TF32. A kernel must read its input
and the gradient of its output, and write its output and the gradient of its input; what it keeps besides counts against
it. Its arithmetic is that of the forward pass three times.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.measure import Step
from benchmarks.on_gpu.rows import Row, Sizes, row, synchronize, timed
from benchmarks.steps.selective_scan import CHANNELS, STATES, contestant, example
from trainer.kernels.convolution import Pointwise, ReflectedDepthwise
from trainer.kernels.lstm import LSTM
from trainer.kernels.transformer import TransformerLayer
from trainer.models.parts.global_norm import PReLUNorm

TOP = 5
"""The kernels that are listed of a model's step."""


@dataclass(frozen=True)
class Kernel:
    """A kernel at the size at which a model of published size has it."""

    name: str
    function: Callable[[Tensor], Tensor]
    x: Tensor
    flops: float
    """Of the forward pass."""
    tensor_cores: bool
    """Whether its arithmetic may run on them, in bf16."""


def roofline(sizes: Sizes) -> Iterator[Row]:
    """Yields the peaks of this machine, and of each kernel which part of what they allow it reaches."""
    side = 8192 if sizes.device == "cuda" else 64
    numbers = torch.randn(4 * side * side, device=sizes.device)
    copied = torch.empty_like(numbers)
    bandwidth = [8e3 * numbers.numel() / ms for ms in timed(lambda: copied.copy_(numbers), sizes.device, sizes.rounds)]
    yield row("memory", [value / 1e9 for value in bandwidth], "GB/s")
    peaks: dict[bool, float] = {}
    for tensor_cores, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        torch.set_float32_matmul_precision("highest")
        square = torch.randn(side, side, device=sizes.device).to(dtype)
        rates = [2e3 * side**3 / ms for ms in timed(lambda a=square: a @ a, sizes.device, sizes.rounds)]  # type: ignore[misc]
        yield row(f"products in {str(dtype).removeprefix('torch.')}", [rate / 1e12 for rate in rates], "TFLOP/s")
        peaks[tensor_cores] = max(rates)
    torch.set_float32_matmul_precision("high")
    for kernel in _kernels(sizes):
        yield _against(kernel, max(bandwidth), peaks[kernel.tensor_cores], sizes)


def kernels_of_steps(sizes: Sizes) -> Iterator[Row]:
    """Yields which part of the time of each model's step its longest kernels take; kernel by kernel, not recorded."""
    gpu = sizes.device == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    for model in sizes.models:
        step = Step(sizes.load(model), "ours", record=False)
        step()
        with profile(activities=activities) as profiler:
            step()
            synchronize(sizes.device)
        events = [event for event in profiler.key_averages() if (event.device_type.name == "CUDA") == gpu]
        spent = [(event.self_device_time_total if gpu else event.self_cpu_time_total, event) for event in events]
        whole = sum(time for time, _ in spent)
        for time, event in sorted(spent, key=lambda pair: -pair[0])[:TOP]:
            what = f"{model}: {event.key[:60]}"
            yield Row(what=what, value=100 * time / whole, unit="% of the step", note=f"{event.count} calls")


def _kernels(sizes: Sizes) -> Iterator[Kernel]:
    """Yields the kernels of this package; on a CPU, much smaller."""
    device, gpu = sizes.device, sizes.device == "cuda"
    batch, frames = (16, 3999) if gpu else (1, 50)
    half = torch.bfloat16 if gpu else torch.float32

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device, dtype=half).requires_grad_()

    def on(module: nn.Module) -> nn.Module:
        return module.to(device)

    wide = noise(batch, 512, frames)
    yield Kernel("PReLU and norm (convtasnet)", on(PReLUNorm(512, 1e-8)), wide, 10 * wide.numel(), False)
    yield Kernel("depthwise convolution (convtasnet)", on(ReflectedDepthwise(512, 3, 1)), wide, 6 * wide.numel(), False)
    narrow = noise(batch, 256, frames)
    yield Kernel("1x1 convolution (convtasnet)", on(Pointwise(256, 512)), narrow, 1024 * narrow.numel(), True)
    rows = noise(100, 81 * 16 if gpu else 2, 64)
    flops = 2 * 2 * rows.shape[0] * rows.shape[1] * 4 * 128 * (64 + 128)
    yield Kernel("LSTM, one step after the other (dprnn)", on(LSTM(64, 128)), rows, flops, True)
    chunks = noise(66 if gpu else 1, 250, 256)
    positions = chunks.shape[0] * chunks.shape[1]
    flops = 2 * positions * (4 * 256 * 256 + 2 * 256 * 1024) + 4 * positions * 250 * 256
    yield Kernel("transformer layer (sepformer)", on(TransformerLayer(256, 8, 1024)), chunks, flops, True)
    (scan,) = contestant(torch.device(device)).values()
    inputs = example(*((129, 498) if gpu else (1, 8)), torch.device(device))
    u = inputs.pop("u")
    # An exponential, three products and two sums for each state.
    flops = 6 * u.numel() * STATES
    yield Kernel("selective scan (spmamba)", lambda u: scan(u=u, **inputs, delta_softplus=True), u, flops, False)
    assert u.shape[1] == CHANNELS


def _against(kernel: Kernel, bandwidth: float, peak: float, sizes: Sizes) -> Row:
    """Returns which part of what memory and arithmetic allow `kernel` reaches, forward and backward."""
    run, output = _prepared(kernel, sizes.device)
    taken = timed(run, sizes.device, sizes.rounds)
    moved = 3 * _bytes(kernel.x) + 2 * _bytes(output)
    if isinstance(kernel.function, nn.Module):
        moved += 3 * sum(map(_bytes, kernel.function.parameters()))
    else:  # beside u: delta and z, each with a gradient
        moved += 2 * 3 * _bytes(kernel.x)
    memory, arithmetic = 1e3 * moved / bandwidth, 1e3 * 3 * kernel.flops / peak
    note = f"{min(taken):.3g} ms; memory allows {memory:.3g}, arithmetic {arithmetic:.3g}"
    return row(kernel.name, [100 * max(memory, arithmetic) / ms for ms in taken], "% of what is allowed", note=note)


def _prepared(kernel: Kernel, device: str) -> tuple[Callable[[], object], Tensor]:
    """Returns the forward and backward pass, on a GPU as a record without the time between kernels; and the output."""
    weights = [*kernel.function.parameters()] if isinstance(kernel.function, nn.Module) else []

    def step() -> Tensor:
        for value in (kernel.x, *weights):
            value.grad = None
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda" and kernel.x.dtype != torch.float32):
            output = kernel.function(kernel.x)
        output.backward(torch.ones_like(output))
        return output.detach()

    for _ in range(3):
        output = step()
    if device == "cpu":
        return step, output
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay, output


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()
