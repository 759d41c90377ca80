"""Masks from one bidirectional GRU over learned frames: a model outside Sepsweep, `--model lab.gru_mask:MODEL`."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from trainer.models import Curriculum, Model


@dataclass(frozen=True, kw_only=True)
class GruMaskConfig:
    """Each field is a flag of the trainer: --filters, --taps, --units, --mask."""

    filters: int = 128
    """Filters of the encoder and the decoder."""
    taps: int = 32
    """Samples of a filter, even; the stride is half of it."""
    units: int = 128
    """GRU units in each direction."""
    mask: Literal["sigmoid", "relu"] = "sigmoid"
    """What bounds a mask."""

    def __post_init__(self) -> None:
        if self.taps % 2:
            raise ValueError(f"taps must be even, not {self.taps}")


class GruMask(nn.Module):
    """Mixture [B, T] to estimates [B, 2, T], any T >= 1 samples."""

    def __init__(self, config: GruMaskConfig) -> None:
        super().__init__()
        self.hop = config.taps // 2
        self.encoder = nn.Conv1d(1, config.filters, config.taps, stride=self.hop, bias=False)
        self.gru = nn.GRU(config.filters, config.units, bidirectional=True, batch_first=True)
        self.masks = nn.Linear(2 * config.units, 2 * config.filters)
        self.bound = torch.sigmoid if config.mask == "sigmoid" else torch.relu
        self.decoder = nn.ConvTranspose1d(config.filters, 1, config.taps, stride=self.hop, bias=False)

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns the estimates."""
        batch, samples = mixture.shape
        padded = nn.functional.pad(mixture, (self.hop, 2 * self.hop - samples % self.hop))
        frames = self.encoder(padded.unsqueeze(1))  # [B, N, L]
        hidden, _ = self.gru(frames.transpose(1, 2))  # [B, L, 2H]
        masks = self.bound(self.masks(hidden)).view(batch, -1, 2, frames.shape[1]).permute(0, 2, 3, 1)  # [B, 2, N, L]
        separated = (masks * frames.unsqueeze(1)).flatten(0, 1)  # [2B, N, L]
        decoded = self.decoder(separated).view(batch, 2, -1)  # [B, 2, T + padding]
        return decoded[..., self.hop : self.hop + samples]


MODEL = Model(
    network=GruMask,
    presets={"paper": GruMaskConfig(), "debug": GruMaskConfig(filters=32, units=16)},
    curriculum=Curriculum.of((1, "C R"), (3, "SER SR ER R SE S E")),
)
