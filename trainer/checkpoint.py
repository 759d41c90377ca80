"""What a checkpoint holds, as bytes: everything that a training needs to go on as if it had never stopped.

It is read with weights_only, so that a checkpoint from elsewhere cannot run code. Called by the epoch loop
and trainer/train.py; trainer/run_directory.py puts the bytes on the disk.
"""

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Adam
from torch.optim.lr_scheduler import ReduceLROnPlateau

from trainer.config import Training
from trainer.errors import ConfigError
from trainer.models import build
from trainer.progress import Progress


@dataclass
class Session:
    """A training in memory."""

    training: Training
    device: torch.device
    model: nn.Module
    optimizer: Adam
    scheduler: ReduceLROnPlateau
    scaler: GradScaler
    progress: Progress

    @property
    def parameters(self) -> int:
        """Number of the model's parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def new_session(training: Training, device: torch.device) -> Session:
    """A training before its first epoch; its weights depend on the seed alone."""
    torch.manual_seed(training.seed)
    model = build(training.model, training.preset, **training.architecture).to(device)
    optimizer = Adam(model.parameters(), lr=training.lr, weight_decay=training.weight_decay, fused=True)
    scheduler = ReduceLROnPlateau(
        optimizer,
        mode="max",
        factor=training.lr_factor,
        patience=training.lr_patience,
        threshold=1e-4,
        threshold_mode="abs",  # the relative one, torch's default, takes a fall for a rise where dB are negative
    )
    scaler = GradScaler(device.type, enabled=training.precision == "fp16")
    return Session(training, device, model, optimizer, scheduler, scaler, Progress(float("nan")))


def dump(session: Session) -> memoryview:
    """The whole session, for `restore`."""
    state = {
        "model": session.model.state_dict(),
        "optimizer": session.optimizer.state_dict(),
        "scheduler": session.scheduler.state_dict(),
        "scaler": session.scaler.state_dict(),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(session.device) if session.device.type == "cuda" else None,
        "progress": session.progress.to_dict(),
    }
    return _dump(state)


def dump_best(session: Session, identity: dict[str, Any]) -> memoryview:
    """The weights of the epoch that has just ended, with what is needed to build the model and to name it."""
    record = session.progress.history[-1]
    return _dump(
        {
            "model": session.model.state_dict(),
            "identity": identity,
            "epoch": record.epoch,
            "val_si_snr": record.val_si_snr,
        }
    )


def restore(session: Session, file: Path) -> None:
    """Bring a new session to where `file` was written. Raises ConfigError where it is no checkpoint of this
    training."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        session.model.load_state_dict(state["model"])
        session.optimizer.load_state_dict(state["optimizer"])
        session.scheduler.load_state_dict(state["scheduler"])
        session.scaler.load_state_dict(state["scaler"])
        session.progress = Progress.from_dict(state["progress"])
    except (
        OSError,
        EOFError,
        RuntimeError,
        KeyError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise ConfigError(
            f"{file}: is no checkpoint of this version that can be read ({error}); choose another --run-dir"
        ) from error
    torch.set_rng_state(state["random"])
    if state["random_cuda"] is not None and session.device.type == "cuda":
        torch.cuda.set_rng_state(state["random_cuda"], session.device)


def _dump(state: dict[str, Any]) -> memoryview:
    # Into memory first: on a full disk torch's own file writer fails with an error that does not say so.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer()
