"""A trained network taken from its checkpoint, and how it separates a recording of any length.

Called by trainer/inference/evaluate.py and trainer/inference/separate.py.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainer.errors import ConfigError
from trainer.models import OPTIONS, build
from trainer.training.checkpoint import read
from trainer.training.run_directory import BEST

Separate = Callable[[Tensor], Tensor]
"""Mixtures [B, T] -> estimates [B, 2, T], at 8 kHz."""


@dataclass(frozen=True)
class Separator:
    """A trained network, ready to separate."""

    network: nn.Module
    device: torch.device
    identity: dict[str, Any]
    """What its training was defined by, as config.json has it."""
    epoch: int
    """After which it was saved."""

    def __call__(self, mixtures: Tensor) -> Tensor:
        """Estimates [B, 2, T] of the mixtures [B, T], in fp32 on the CPU, at a level of the network's own."""
        with torch.inference_mode():
            estimates: Tensor = self.network(mixtures.to(self.device))
        return estimates.float().cpu()


def load_separator(checkpoint: Path, device: torch.device) -> Separator:
    """Returns the network in `checkpoint`, best.pt or last.pt, or in a run directory's best.pt.

    Raises ConfigError or DamagedCheckpointError.
    """
    file = checkpoint / BEST if checkpoint.is_dir() else checkpoint
    if not file.is_file():
        raise ConfigError(f"{file}: there is no such checkpoint; a run directory has one after its first epoch")
    state = read(file)
    identity = state.get("identity") or {}
    try:
        architecture = {name: identity[name] for name in OPTIONS if identity.get(name) is not None}
        network = build(identity["model"], identity["preset"], **architecture)
        network.load_state_dict(state["model"])
        epoch = state["epoch"] if "epoch" in state else len(state["progress"]["history"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        what = " ".join(str(error).split())[:200]
        raise ConfigError(f"{file}: is of another version of the trainer ({what}); train anew") from error
    return Separator(network.to(device).eval(), device, identity, epoch)


def separate_long(separate: Separate, recording: Tensor, chunk: int) -> Tensor:
    """Estimates [2, T] of a recording [T] of any length, computed `chunk` samples at a time.

    A network gives its two outputs in no particular order. Each chunk shares its first half with the one before, and
    takes the order in which the two agree there best; then one is faded into the other. Where both speakers are silent
    in all of that half, the order after it is as good as drawn.
    """
    first = separate(recording[None, :chunk])[0]
    end, frames = first.shape[1], len(recording)
    done = first.new_empty(2, frames)  # in its place from the start: to append would copy all of it each time
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
