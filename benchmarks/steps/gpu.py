"""Measures what benchmarks/steps/models.py adds on a GPU: throughput, FLOP/s against the chip's peak, and a profile."""

from collections.abc import Iterator

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Load, Step, times

PEAK_TFLOPS = {"H100 PCIe": 756, "H100": 989, "H200": 989, "A100": 312, "L40S": 362, "L4": 121, "A10": 125}
"""Dense bf16 with tensor cores, from NVIDIA's data sheets, by a part of the device's name; the first that fits."""


def gpu_report(load: Load, rounds: int) -> Iterator[str]:
    """Yields lines about a step of ours."""
    seconds, step = times(load, rounds).median, Step(load, "ours", record=False)
    step()
    with FlopCounterMode(display=False) as counter:
        step()
    tflops = counter.get_total_flops() / seconds / 1e12
    name = torch.cuda.get_device_name()
    peak = next((value for part, value in PEAK_TFLOPS.items() if part in name), None)
    share = f", {tflops / peak:.1%} of the peak of {peak}" if peak else f", the peak of {name} is not known here"
    if load.precision != "bf16":  # of which the peaks are
        share = ""
    yield ""
    yield f"{load.model}: {load.audio_seconds / seconds:.3g} s of audio a second"
    # The LSTM is one kernel that the counter does not look into.
    products = "" if load.model == "dprnn" else f"; {tflops:.3g} TFLOP/s in products and attention{share}"
    yield f"{load.model}: {seconds * 1e3:.4g} ms a step{products}"
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        step()
        torch.cuda.synchronize()
    yield "```"
    yield from profiler.key_averages().table(sort_by="self_cuda_time_total", row_limit=12).splitlines()
    yield "```"
