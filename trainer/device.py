"""The device that `--device` names. Called by whatever runs a network."""

import torch

from trainer.errors import ConfigError


def find_device(name: str) -> torch.device:
    """`name` as a device of this machine; auto: a GPU where there is one. Raises ConfigError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"--device: unknown '{name}', valid: auto, cpu, cuda, cuda:N") from error
    if device.type == "cuda" and not (
        torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    ):
        raise ConfigError(
            f"--device {name}: this machine has {torch.cuda.device_count()} usable GPUs; "
            "--device cpu does without"
        )
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # where Triton starts its kernels and graphs are recorded
    return device
