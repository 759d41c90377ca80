"""Finds the device that `--device` names, says why CUDA does not work where it does not, and with what one trains."""

import os
import platform
import re
import sys
import warnings
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from trainer.errors import ConfigError, MemoryExhaustedError
from trainer.text import count, first_line

LEAST_DRIVER = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
"""The least driver on Linux by CUDA's major version.

Source: NVIDIA's CUDA Compatibility, "Minor Version Compatibility", table 1
(docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html); the full versions are those of the CUDA
Toolkit's release notes."""
DRIVER = Path("/proc/driver/nvidia/version")
NODES = Path("/dev")


def find_device(name: str, gpus: int = 1) -> torch.device:
    """Returns the device `name` of this machine, the first of `gpus` where there are to be several.

    auto is a GPU if one works, else the CPU, with a warning if there is a GPU that does not work. Raises ConfigError,
    and MemoryExhaustedError where the GPU has no memory left.
    """
    match, asked = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", name), gpus
    if not match:
        raise ConfigError(f"--device: unknown '{name}', valid: auto, cpu, cuda, cuda:N")
    if name == "cpu":
        return torch.device("cpu")
    gpus = _gpus()
    if asked > 1 and match[1]:
        raise ConfigError(f"--gpus {asked}: --device {name} is one GPU; --device cuda takes the first {asked}")
    if name == "auto" and not gpus:
        if asked > 1:
            raise ConfigError(
                f"--gpus {asked}: no GPU is usable here: {why_not()}; --device cpu trains in {asked} processes without"
            )
        if _is_gpu_there():
            print(
                f"warning: an NVIDIA GPU is present, but CUDA does not work: {why_not()}; the CPU is used "
                "(--device cuda makes this an error)",
                file=sys.stderr,
            )
        return torch.device("cpu")
    if not gpus:
        raise ConfigError(f"--device {name}: CUDA does not work here: {why_not()}; --device cpu works without it")
    if match[1] and int(match[1]) >= gpus:
        raise ConfigError(
            f"--device {name}: this machine has {count(gpus, 'usable GPU')}, from cuda:0; --device cpu works without it"
        )
    if asked > gpus:
        raise ConfigError(f"--gpus {asked}: this machine has {count(gpus, 'usable GPU')}; name at most that many")
    device = torch.device("cuda:0" if asked > 1 else "cuda" if name == "auto" else name)
    _try(device)
    return device


def why_not() -> str:
    """Returns why CUDA does not work on this machine.

    The parts are the CUDA version that PyTorch is built for, the least driver that it needs, the driver that is loaded,
    and, where that is new enough, CUDA's own error.
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
    """Returns the number of GPUs that CUDA can use, without its own warning about an old driver: ours says more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _is_gpu_there() -> bool:
    """Returns whether the machine has an NVIDIA GPU that is not hidden on purpose."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    return not hidden and any(NODES.glob("nvidia[0-9]*"))


def _driver() -> str | None:
    """Returns the version of the NVIDIA driver that the kernel has loaded."""
    try:
        version = re.search(r"\s(\d{3,}\.\d+(?:\.\d+)*)\s", DRIVER.read_text())
    except OSError:
        return None
    return version[1] if version else "of an unknown version"


def _parts(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _cuda_error() -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return first_line(error)
    return ""


def _try(device: torch.device) -> None:
    """Raises an error where the GPU cannot compute one number.

    CUDA also counts GPUs that PyTorch was not built for or that another process uses exclusively.
    """
    try:
        # Triton starts its kernels, and graphs are recorded, on the current device.
        if device.index is not None:
            torch.cuda.set_device(device)
        (torch.zeros(1, device=device) + 1).item()
    except torch.OutOfMemoryError as error:
        raise MemoryExhaustedError(
            f"--device {device}: has no memory left; another process uses it (see nvidia-smi)"
        ) from error
    except RuntimeError as error:
        raise ConfigError(
            f"--device {device}: cannot compute ({first_line(error)}); --device cpu works without it"
        ) from error


def made_with(device: torch.device) -> str:
    """Returns the versions and the device as words: `sepsweep 0.1.0, Python 3.12.3, PyTorch 2.8.0, CUDA 12.8, …`."""
    parts = []
    # An image has the files alone; its tag is the commit.
    with suppress(PackageNotFoundError):
        parts.append(f"sepsweep {version('sepsweep')}")
    parts += [f"Python {platform.python_version()}", f"PyTorch {torch.__version__}"]
    if device.type == "cuda":
        runtime = f"ROCm {torch.version.hip}" if torch.version.hip else f"CUDA {torch.version.cuda}"
        parts += [runtime, torch.cuda.get_device_name(device)]
    else:
        parts.append("CPU")
    return ", ".join(parts)
