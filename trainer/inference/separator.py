"""Loads a trained network from its checkpoint, and separates recordings of any length with it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.models import build, config_fields, is_own
from trainer.models.source import require_importable
from trainer.run_files import BEST
from trainer.training.checkpoint import read

Separate = Callable[[Tensor], Tensor]
"""Maps mixtures [B, T] to estimates [B, 2, T], at 8 kHz."""


@dataclass(frozen=True)
class Separator:
    """A trained network, ready to separate."""

    network: nn.Module
    device: torch.device
    identity: dict[str, Any]
    """What defined its training, as in config.json."""
    epoch: int
    """Epoch after which it was saved."""

    def __call__(self, mixtures: Tensor) -> Tensor:
        """Returns the estimates [B, 2, T] of mixtures [B, T], in fp32 on the CPU, at an arbitrary level."""
        with torch.inference_mode():
            estimates: Tensor = self.network(mixtures.to(self.device))
        return estimates.float().cpu()


def load(path: str | Path, device: str | torch.device = "cpu") -> nn.Module:
    """Returns the trained network in `path`, ready to separate.

    It maps mixtures [batch, samples] at 8 kHz, float32 and of any length from one sample, to the two voices [batch, 2,
    samples], in no particular order. Their level and polarity are arbitrary, because SI-SNR leaves them open. It is in
    evaluation mode, and no parameter asks for a gradient.

    Args:
        path: a best.pt or last.pt; or a folder with a best.pt, such as `make fetch` writes, or a run directory.
        device: where the network is to compute.

    Raises ConfigError where there is no such checkpoint or it is another version's, and DamagedCheckpointError where
    its checksum is wrong. Nothing in the file is executed.
    """
    return load_separator(Path(path), torch.device(device)).network.requires_grad_(False)


def load_separator(checkpoint: Path, device: torch.device) -> Separator:
    """Returns the network in `checkpoint`: a best.pt or last.pt, or a run directory, whose best.pt is read.

    Raises ConfigError or DamagedCheckpointError.
    """
    file = checkpoint / BEST if checkpoint.is_dir() else checkpoint
    if not file.is_file():
        raise ConfigError(f"{file}: no such checkpoint; a run directory has one after its first epoch")
    state = read(file)
    identity = state.get("identity") or {}
    try:
        model = str(identity["model"])
        if is_own(model):
            require_importable(model)
        architecture = {name: identity[name] for name in config_fields(model) if identity.get(name) is not None}
        network = build(model, identity["preset"], **architecture)
        network.load_state_dict(state["model"])
        epoch = state["epoch"] if "epoch" in state else len(state["progress"]["history"])
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        what = " ".join(str(error).split())[:200]
        raise ConfigError(f"{file}: is from another version of the trainer ({what}); train again") from error
    return Separator(network.to(device).eval(), device, identity, epoch)


def separate_long(separate: Separate, recording: Tensor, chunk: int) -> Tensor:
    """Returns the estimates [2, T] of a recording [T] of any length, computed `chunk` samples at a time.

    A network returns its two outputs in no particular order. Each chunk shares its first half with the chunk before,
    and gets the order in which the two agree best there; then one is faded into the other. Where both speakers are
    silent in all of that half, the order after it is arbitrary.
    """
    first = separate(recording[None, :chunk])[0]
    end, frames = first.shape[1], len(recording)
    # Allocated at once, because appending would copy everything each time.
    done = first.new_empty(2, frames)
    done[:, :end] = first
    while end < frames:
        start = min(end - chunk // 2, frames - chunk)
        new = separate(recording[None, start : start + chunk])[0]
        shared = end - start
        before, after = done[:, start:end], new[:, :shared]
        if (before * after.flip(0)).sum() > (before * after).sum():
            new, after = new.flip(0), after.flip(0)
        fade = torch.sin(torch.linspace(0, math.pi / 2, shared)).square()
        done[:, start:end] = before * (1 - fade) + after * fade
        end = start + chunk
        done[:, start + shared : end] = new[:, shared:]
    return done
