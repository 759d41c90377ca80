"""Refuses a network that this machine cannot hold, before any memory is spent on it."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from trainer.errors import ConfigError
from trainer.models.registry import Model
from trainer.text import first_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

COPIES = 4
"""What a training holds of each weight at least: itself, its gradient or its copy in a checkpoint, and Adam's two
moments."""
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def check_size(model: str, entry: Model, config: "DataclassInstance") -> None:
    """Raises ConfigError where the network has more weights than memory, or sizes that no tensor can have."""
    try:
        # A meta tensor has a shape and no memory.
        with torch.device("meta"):
            network = entry.network(config)
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
        raise ConfigError(
            f"model {model}: its network is too large to be built ({first_line(error)}); choose smaller sizes"
        ) from error
    weights = sum(parameter.numel() for parameter in network.parameters())
    needed = COPIES * sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    if needed > (there := machine_memory()):
        raise ConfigError(
            f"model {model}: a training of its {weights:,} weights takes {needed / 1e9:,.0f} GB of memory without any "
            f"audio, and there are {there / 1e9:,.0f} GB; choose smaller sizes"
        )


def machine_memory() -> int:
    """Returns the bytes of memory that this machine has, or that its container may use."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # A container without a limit has the word max there, and other systems have no such file.
    with suppress(OSError, ValueError):
        memory = min(memory, int(_CGROUP.read_text()))
    return memory
