"""Writes a network as TorchScript, and runs what was written.

The network is recorded with PyTorch's own operations, as in torch.compile; loops over time stay loops, so that it takes
any batch and length.
"""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from trainer.inference.separator import Separator

DETAILS = "sepsweep.json"
"""The file in the archive that says what the network is."""
PACKAGES: tuple[str, ...] = ()
TOLERANCE = 2.0**-16
"""Half a step of 16-bit audio (-96 dB), which rounding hides. Sums in another order differ by about 1e-6 in fp32."""


class Exported(nn.Module):
    """Takes mixtures [batch, samples] at 8 kHz of `least` or more, and returns the voices [batch, 2, samples]."""

    def __init__(self, network: nn.Module, least: int) -> None:
        super().__init__()
        self.network = network
        self.least = least

    def forward(self, mixtures: Tensor) -> Tensor:
        """Separates the mixtures. Raises an error where they are shorter, because the result would be another one."""
        if mixtures.shape[1] < self.least:
            raise ValueError("the mixtures are shorter than 2000 samples (0.25 s at 8 kHz); fill them up with zeros")
        voices: Tensor = self.network(mixtures)
        return voices


def write(separator: Separator, mixtures: Tensor, file: Path, details: Mapping[str, object], least: int) -> None:
    """Writes the recording of the network on the beginning of mixtures [B, T]. Raises what torch raises."""
    with torch.inference_mode():
        recorded = torch.jit.trace(  # type: ignore[no-untyped-call]
            separator.network, mixtures[:, :least], check_trace=False
        )
        whole = torch.jit.script(Exported(recorded, least).eval())
        content = io.BytesIO()
        torch.jit.save(whole, content, _extra_files={DETAILS: json.dumps(details)})
    file.write_bytes(content.getbuffer())


def read(file: Path) -> Callable[[Tensor], Tensor]:
    """Returns what the file computes."""
    recorded: Callable[[Tensor], Tensor] = torch.jit.load(file, map_location="cpu")  # type: ignore[no-untyped-call]
    return recorded
