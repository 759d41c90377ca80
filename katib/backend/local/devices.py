"""Gives the GPUs of this machine to the trials that run at a time, as nvidia-smi lists them."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from katib.errors import ManifestError
from katib.manifest.experiment import Experiment
from katib.manifest.object import Manifest

MIB = 1 << 20
MPS_PIPES = "/tmp/nvidia-mps"  # noqa: S108
"""The folder in which CUDA looks for the pipe of MPS, unless the environment names another one."""


def slots_here(experiment: Experiment, per_gpu: int = 1) -> tuple[str | None, ...]:
    """Returns the slots for trials: each has as many GPUs as a trial asks for, and at least one.

    As many as `per_gpu` have the same GPU, once each GPU has one. Without a GPU there are as many slots as the manifest
    has parallel trials. Raises ManifestError where a trial asks for more GPUs than there are, or cannot share one.
    """
    available, parallel = gpus(), experiment.search.parallel_trials
    need = Manifest(experiment.spec).gpu_need
    asked, wanted = max(1, need.count), need.resource or "by a claim"
    if available and asked > len(available):
        raise ManifestError(
            f"{experiment.name}: a trial asks for {asked} GPUs ({wanted}), and this machine has {len(available)};"
            " lower that limit"
        )
    if per_gpu > 1 and not available:
        raise ManifestError(
            f"SLOTS={per_gpu} (--slots): there is no GPU here that trials could share; leave it out: PARALLEL="
            " (--parallel) says how many run at a time on the processor"
        )
    if per_gpu > 1 and asked > 1:
        raise ManifestError(
            f"SLOTS={per_gpu} (--slots): a trial of {experiment.name} asks for {asked} GPUs, and one that shares a GPU"
            " has one; leave SLOTS out"
        )
    groups = [",".join(available[i : i + asked]) for i in range(0, len(available) - asked + 1, asked)]
    return tuple((groups * per_gpu)[:parallel]) or (None,) * parallel


def gpus() -> list[str]:
    """Returns the GPUs that trials may use, as CUDA_VISIBLE_DEVICES names them; none without an NVIDIA driver."""
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    return [line for (line, *_) in _asked("uuid")]


def cores() -> int:
    """Returns the processors that this process may use: a job of Slurm, say, is bound to some of the machine's."""
    if hasattr(os, "sched_getaffinity"):  # macOS binds no process to processors
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Gpu:
    """What nvidia-smi tells of a GPU."""

    uuid: str
    memory: int | None
    """All of its memory in bytes; None where it has none of its own, or nvidia-smi does not tell."""
    exclusive: bool
    """Whether its compute mode admits one process only."""


def told(devices: set[str]) -> list[Gpu]:
    """Returns the GPUs among which the `devices` of CUDA_VISIBLE_DEVICES are: those that are named, or else all.

    The number of a device is CUDA's own, which need not be that of nvidia-smi. A MIG slice is none of them.
    """
    if any(device.startswith("MIG") for device in devices):
        return []
    found = [
        Gpu(uuid, int(memory) * MIB if memory.isdecimal() else None, mode.startswith("Exclusive"))
        for uuid, memory, mode in _asked("uuid,memory.total,compute_mode")
    ]
    return [gpu for gpu in found if any(map(gpu.uuid.startswith, devices))] or found


def has_mps() -> bool:
    """Returns whether CUDA's Multi-Process Service runs here: its daemon makes a pipe."""
    return Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", MPS_PIPES), "control").exists()


def _asked(fields: str) -> list[list[str]]:
    """Returns what nvidia-smi tells of each GPU, one text for each of the fields; nothing without a driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    rows = [[text.strip() for text in line.split(",")] for line in lines if line.strip()]
    return [row for row in rows if len(row) == len(fields.split(","))]
