"""Times the selective scan, forward and backward, against mamba-ssm's pure-PyTorch path, and prints a table.

python -m benchmarks.steps.selective_scan [--rounds 5] [--device cpu] [--mamba-ssm FOLDER]

In each round every implementation runs once, one after the other in one process, on the same inputs with SPMamba's 256
channels and 16 states; the ratio is taken round by round. The batch is 4 wherever the reference runs too, because its
backward pass takes time with the square of the length; the rows of SPMamba's own batch are ours alone. With --mamba-ssm
the reference is `selective_scan_ref` of that unpacked source distribution (needs einops); without, it is the imitation
below. On CUDA it is mamba-ssm's kernel, where that is installed.
"""

import argparse
import ast
import ctypes
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import at_least_one
from trainer.kernels.selective_scan import choose, mamba_ssm
from trainer.kernels.selective_scan.tiled import tiled_scan

CHANNELS, STATES = 256, 16
CASES = (  # length, batch, whether the reference runs: at 2000 steps a single pass of it takes minutes
    (126, 4, True),
    (498, 4, True),
    (2000, 4, False),
    (126, 501, False),  # along the frequencies of 4 s
    (498, 129, False),  # along the frames of 4 s
)
MIB = 2**20

INTERFACE = Path("mamba_ssm", "ops", "selective_scan_interface.py")
"""Of mamba-ssm's source distribution."""

Scan = Callable[..., Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=at_least_one, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=at_least_one, default=1)
    parser.add_argument("--mamba-ssm", type=Path, help="an unpacked source distribution")
    options = parser.parse_args()
    if options.mamba_ssm is not None and not (options.mamba_ssm / INTERFACE).is_file():
        parser.error(f"--mamba-ssm: no {INTERFACE} in {options.mamba_ssm}; unpack mamba-ssm's source there")
    if options.mamba_ssm is not None and find_spec("einops") is None:
        parser.error("--mamba-ssm: its reference needs einops; pip install einops")
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    name, reference = rival(device, options.mamba_ssm)
    ours = contestant(device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{options.threads} CPU thread(s)"
    print(f"{where}, torch {torch.__version__}, float32, {CHANNELS} channels, {STATES} states")
    print(f"{choose(device)}; {options.rounds} alternating rounds after one that does not count\n")
    print("| length | batch | implementation | forward + backward, ms | reference / this | peak memory, MiB |")
    print("|---:|---:|---|---:|---:|---:|")
    for length, batch, with_reference in CASES:
        both = with_reference or "kernel" in name
        compete(length, batch, {name: reference, **ours} if both else ours, options.rounds, device)


def rival(device: torch.device, folder: Path | None) -> tuple[str, Scan]:
    """Returns the reference and its name."""
    if device.type == "cuda" and (kernel := mamba_ssm()[0]) is not None:
        return "mamba-ssm's kernel", kernel
    if folder is not None:
        return "mamba-ssm's reference", published(folder)
    return "imitation of mamba-ssm's reference", imitation


def contestant(device: torch.device) -> dict[str, Scan]:
    """Returns our scan on this device."""
    if device.type != "cuda":
        return {"ours, tiled": tiled_scan}
    from trainer.kernels.selective_scan.triton_scan import triton_scan

    return {"ours, Triton": triton_scan}


def compete(length: int, batch: int, scans: dict[str, Scan], rounds: int, device: torch.device) -> None:
    """Prints a row for each scan: median (fastest to slowest), median ratio of the rounds, peak memory."""
    inputs = example(batch, length, device)
    steps = {name: prepared(scan, inputs) for name, scan in scans.items()}
    seconds: dict[str, list[float]] = {name: [] for name in scans}
    for _ in range(rounds + 1):
        for name, run in steps.items():
            seconds[name].append(timed(run, inputs))
    first = next(iter(scans))
    for name, scan in scans.items():
        times, base = seconds[name][1:], seconds[first][1:]
        ratios = [theirs / own for theirs, own in zip(base, times, strict=True)]
        shown = f"{median(ratios):.3g} ({min(ratios):.3g}–{max(ratios):.3g})"
        print(
            f"| {length} | {batch} | {name} | "
            f"{1e3 * median(times):.3g} ({1e3 * min(times):.3g}–{1e3 * max(times):.3g}) | "
            f"{'–' if name == first or 'ours' in first else shown} | {peak(scan, inputs) / MIB:.0f} |",
            flush=True,
        )


def example(batch: int, length: int, device: torch.device) -> dict[str, Tensor]:
    """Returns inputs like those of a freshly initialised Mamba: A from -1 to -16, steps from 0.001 to 0.1.

    They are rows of channels, as SPMamba has them.
    """
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    values = {
        "u": normal(batch, length, CHANNELS).mT,
        "delta": 0.1 * normal(batch, length, CHANNELS).mT,
        "A": -torch.arange(1.0, STATES + 1).repeat(CHANNELS, 1),
        "B": normal(batch, length, STATES).mT,
        "C": normal(batch, length, STATES).mT,
        "D": torch.ones(CHANNELS),
        "z": normal(batch, length, CHANNELS).mT,
        "delta_bias": torch.logspace(-3, -1, CHANNELS).expm1().log(),
    }
    return {name: value.to(device).requires_grad_() for name, value in values.items()}


def step(scan: Scan, inputs: dict[str, Tensor]) -> None:
    """Runs forward and backward pass to every input."""
    for value in inputs.values():
        value.grad = None
    scan(**inputs, delta_softplus=True).sum().backward()


def prepared(scan: Scan, inputs: dict[str, Tensor]) -> Callable[[], None]:
    """Returns a step; on a GPU it is recorded, as in training, so that its time is that of the kernels."""
    if not inputs["u"].is_cuda:
        return lambda: step(scan, inputs)
    step(scan, inputs)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(scan, inputs)
    return graph.replay


def timed(run: Callable[[], None], inputs: dict[str, Tensor]) -> float:
    """Returns the seconds of one step; on a GPU the mean of ten."""
    times = 10 if inputs["u"].is_cuda else 1
    synchronize(inputs)
    started = time.perf_counter()
    for _ in range(times):
        run()
    synchronize(inputs)
    return (time.perf_counter() - started) / times


def peak(scan: Scan, inputs: dict[str, Tensor]) -> float:
    """Returns the peak bytes of a step beyond what exists before it, of the process or of the GPU."""
    for value in inputs.values():
        value.grad = None
    if inputs["u"].is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before: float = torch.cuda.memory_allocated()
        step(scan, inputs)
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is free already must not hide what the step takes
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark falls to what is resident now (proc(5))
    before = resident("VmHWM")
    step(scan, inputs)
    return resident("VmHWM") - before


def resident(field: str) -> float:
    """Returns a line of /proc/self/status, which is in kB, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * float(next(line for line in lines if line.startswith(field)).split()[1])


def synchronize(inputs: dict[str, Tensor]) -> None:
    if inputs["u"].is_cuda:
        torch.cuda.synchronize()


def imitation(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor,
    delta_bias: Tensor,
    delta_softplus: bool,
) -> Tensor:
    """Returns the published recurrence as an autograd loop over steps that index precomputed tensors [B, D, L, N].

    This is how mamba-ssm's pure-PyTorch path works, and why its backward pass is quadratic: the gradient of every index
    is a tensor of the whole length.
    """
    delta = F.softplus(delta + delta_bias[:, None])
    decay = torch.exp(delta[..., None] * A[:, None])  # [B, D, L, N]
    driven = (delta * u)[..., None] * B.transpose(1, 2)[:, None]  # [B, D, L, N]
    state, outputs = torch.zeros_like(decay[:, :, 0]), []
    for t in range(u.shape[2]):
        state = decay[:, :, t] * state + driven[:, :, t]
        outputs.append(torch.einsum("bdn,bn->bd", state, C[:, :, t]))
    outputs_of_steps: Tensor = torch.stack(outputs, 2)
    return (outputs_of_steps + D[:, None] * u) * F.silu(z)


def published(folder: Path) -> Scan:
    """Returns `selective_scan_ref` from mamba-ssm's own file; importing its module would need the CUDA extension."""
    import einops

    file = folder / INTERFACE
    function = next(
        node
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "selective_scan_ref"
    )
    names: dict[str, Any] = {"torch": torch, "F": F, "rearrange": einops.rearrange, "repeat": einops.repeat}
    exec(compile(ast.Module([function], []), str(file), "exec"), names)
    scan: Scan = names["selective_scan_ref"]
    return scan


if __name__ == "__main__":
    main()
