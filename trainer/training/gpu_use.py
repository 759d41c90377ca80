"""Asks how much of a GPU's memory and time is in use, without waiting for what the GPU computes.

The memory is what PyTorch's allocator has counted on the host. The use comes from the driver's library (NVML), which
counts by itself; where it is missing or does not tell, as for a part of a GPU (MIG), it is left out.
"""

import ctypes
from collections.abc import Callable
from typing import cast

import torch

LIBRARY = "libnvidia-ml.so.1"


class _Utilization(ctypes.Structure):
    """NVML's nvmlUtilization_t: percent of the last moments in which a kernel ran, and in which memory was moved."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class GpuUse:
    """The memory and the use of a device; nothing on the processor."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ask = _asking(str(torch.cuda.get_device_properties(device).uuid)) if device.type == "cuda" else None

    def now(self) -> dict[str, object]:
        """Returns the bytes that this process holds, those of the GPU, and the share of its time; empty without one."""
        if self._device.type != "cuda":
            return {}
        return {
            "gpu_memory": torch.cuda.memory_reserved(self._device),
            "gpu_memory_total": torch.cuda.get_device_properties(self._device).total_memory,
            "gpu_use": self._ask() if self._ask else None,
        }


def _asking(uuid: str) -> Callable[[], float | None] | None:
    """Returns a function that returns the use of the GPU from 0 to 1; None where the driver does not tell."""
    try:
        library = ctypes.CDLL(LIBRARY)
        by_uuid, use = library.nvmlDeviceGetHandleByUUID, library.nvmlDeviceGetUtilizationRates
        started = library.nvmlInit_v2() == 0
    except (OSError, AttributeError):
        return None
    handle = ctypes.c_void_p()
    by_uuid.argtypes = (ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p))
    use.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Utilization))
    if not started or by_uuid(f"GPU-{uuid.removeprefix('GPU-')}".encode(), ctypes.byref(handle)):
        return None

    def ask() -> float | None:
        rates = _Utilization()
        return None if use(handle, ctypes.byref(rates)) else cast(int, rates.gpu) / 100

    return ask
