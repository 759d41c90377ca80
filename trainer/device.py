"""The device that `--device` names, and why CUDA does not work where it does not."""

import os
import re
import sys
import warnings
from pathlib import Path

import torch

from trainer.errors import ConfigError, MemoryExhaustedError
from trainer.text import count

LEAST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
"""By CUDA's major version, for Linux: NVIDIA's CUDA Compatibility, "Minor Version Compatibility", table 1
(docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html), in full in the CUDA Toolkit's release
notes."""
DRIVER = Path("/proc/driver/nvidia/version")
NODES = Path("/dev")


def find_device(name: str) -> torch.device:
    """Returns `name` as a device of this machine.

    Auto: a GPU where there is one that works, and a warning where there is one that does not. Raises ConfigError, and
    MemoryExhaustedError where the GPU has no memory left for anything.
    """
    found = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", name)
    if not found:
        raise ConfigError(f"--device: unknown '{name}', valid: auto, cpu, cuda, cuda:N")
    if name == "cpu":
        return torch.device("cpu")
    gpus = _gpus()
    if name == "auto" and not gpus:
        if _is_gpu_there():
            print(
                f"warning: an NVIDIA GPU is here, but CUDA does not work: {why_not()}; the CPU is used, "
                "--device cuda would refuse to",
                file=sys.stderr,
            )
        return torch.device("cpu")
    if not gpus:
        raise ConfigError(f"--device {name}: CUDA does not work here: {why_not()}; --device cpu does without")
    if found[1] and int(found[1]) >= gpus:
        raise ConfigError(
            f"--device {name}: this machine has {count(gpus, 'usable GPU')}, from cuda:0; --device cpu does without"
        )
    device = torch.device("cuda" if name == "auto" else name)
    _try(device)
    return device


def why_not() -> str:
    """Returns why CUDA does not work on this machine: what PyTorch is built for, the least driver that this takes, the
    driver that is there, and, where that is new enough, what CUDA says.
    """
    if torch.version.cuda is None:
        return f"PyTorch {torch.__version__} is built without CUDA"
    built = f"PyTorch {torch.__version__} is built for CUDA {torch.version.cuda}"
    least = LEAST_DRIVER.get(int(torch.version.cuda.split(".")[0]))
    needs = f", which needs NVIDIA driver {least} or later" if least else ""
    driver = _driver()
    if driver is None:
        return f"{built}{needs}, and no driver is loaded ({DRIVER} is missing)"
    if least and _parts(driver) < _parts(least):
        return f"{built}{needs}, and {driver} is loaded"
    return f"{built}{needs}; {driver} is loaded, and CUDA says: {_cuda_error() or 'no GPU is visible'}"


def _gpus() -> int:
    """GPUs that CUDA can use. It warns where the driver is too old, which is said in our own line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _is_gpu_there() -> bool:
    """Returns whether the machine has an NVIDIA GPU that nobody has hidden on purpose."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    return not hidden and any(NODES.glob("nvidia[0-9]*"))


def _driver() -> str | None:
    """Returns the version of the NVIDIA driver that the kernel has loaded."""
    try:
        found = re.search(r"\s(\d{3,}\.\d+(?:\.\d+)*)\s", DRIVER.read_text())
    except OSError:
        return None
    return found[1] if found else "of an unknown version"


def _parts(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _cuda_error() -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return _first_line(error)
    return ""


def _try(device: torch.device) -> None:
    """Lets the GPU compute one number: a GPU that PyTorch was not built for, or that another process has for itself, is
    counted too.
    """
    try:
        if device.index is not None:
            torch.cuda.set_device(device)  # where Triton starts its kernels and graphs are recorded
        (torch.zeros(1, device=device) + 1).item()
    except torch.OutOfMemoryError as error:
        raise MemoryExhaustedError(
            f"--device {device}: has no memory left; another process uses it, see nvidia-smi"
        ) from error
    except RuntimeError as error:
        raise ConfigError(
            f"--device {device}: cannot compute ({_first_line(error)}); --device cpu does without"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
