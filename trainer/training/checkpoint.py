"""Checkpoints as bytes: everything that a training needs to resume as if it had never stopped.

A checkpoint has the weights, optimiser, scheduler, scaler, random numbers, settings and progress: the finished epochs
with their times, and how far the current one is, which determines the place in the curriculum and in the data. It is a
file of torch.save with a checksum as the comment of its zip archive. It is read with weights_only, so that a file from
elsewhere cannot run code.
"""

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor, nn, optim
from torch.amp.grad_scaler import GradScaler
from torch.optim.lr_scheduler import ReduceLROnPlateau

from trainer.config import Training
from trainer.data.readers.regular import read_regular
from trainer.errors import ConfigError, DamagedCheckpointError
from trainer.models import build
from trainer.run_files import BEST, LAST, PREVIOUS
from trainer.text import first_line
from trainer.training.continuation import CONTINUES
from trainer.training.optimizers import Adam, AdamW
from trainer.training.progress import Progress
from trainer.training.run_directory import difference

_COMMENT = b"sha256="
"""The word before the checksum, which has 64 hexadecimal digits and covers everything before this word."""
_LENGTH = len(_COMMENT) + 64


class Kept(TypedDict):
    """One of the best epochs, kept for the average of --average-best."""

    epoch: int
    score: float
    """Validation SI-SNR in dB of its own weights."""
    model: dict[str, Tensor]
    """Its weights, on the CPU."""


@dataclass
class Session:
    """A training in memory."""

    training: Training
    device: torch.device
    model: nn.Module
    optimizer: optim.Optimizer
    scheduler: ReduceLROnPlateau
    scaler: GradScaler
    progress: Progress
    kept: list[Kept] = field(default_factory=list)
    """The epochs that are averaged, the best first."""

    @property
    def parameters(self) -> int:
        """Number of the model's parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        rate: float = self.optimizer.param_groups[0]["lr"]
        return rate


def new_session(training: Training, device: torch.device) -> Session:
    """Returns a training before its first epoch; its weights depend on the seed alone."""
    torch.manual_seed(training.seed)
    model = build(training.model, training.preset, **training.architecture).to(device)
    kind = {"adam": Adam, "adamw": AdamW}[training.optimizer]
    optimizer = kind(model.parameters(), lr=training.lr, weight_decay=training.weight_decay, fused=True)
    # Its other settings are torch's defaults, as published: a better validation exceeds 1.0001 times the best.
    scheduler = ReduceLROnPlateau(optimizer, mode="max", factor=training.lr_factor, patience=training.lr_patience)
    scaler = GradScaler(device.type, enabled=training.precision == "fp16")
    return Session(training, device, model, optimizer, scheduler, scaler, Progress(float("nan")))


def dump(session: Session, identity: Mapping[str, object]) -> memoryview:
    """Returns the checkpoint of the whole session, for `restore`; `identity` is that of config.json."""
    state = {
        "model": session.model.state_dict(),
        "optimizer": session.optimizer.state_dict(),
        "scheduler": session.scheduler.state_dict(),
        "scaler": session.scaler.state_dict(),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(session.device) if session.device.type == "cuda" else None,
        "progress": session.progress.to_dict(),
        "identity": dict(identity),
    }
    if session.kept:
        state["kept"] = session.kept
    return _dump(state)


def dump_best(session: Session, identity: Mapping[str, object]) -> memoryview:
    """Returns the checkpoint of the epoch that has just ended: its weights, its score, and the identity of the run."""
    record = session.progress.history[-1]
    return _dump(
        {
            "model": session.model.state_dict(),
            "identity": dict(identity),
            "epoch": record.epoch,
            "val_si_snr": record.val_si_snr,
        }
    )


def resume(session: Session, run_dir: Path, identity: Mapping[str, object]) -> list[str]:
    """Restores a new session from the last checkpoint in `run_dir`, or from the one before where that is damaged.

    A directory without checkpoints leaves the session as it is, and so does one with damaged ones alone where
    TRAINER_START_ANEW or SEPSWEEP_CONTINUES is set, as it is for a trial that goes on after a pause; they get another
    name. Returns warnings for the log. Raises ConfigError where a checkpoint belongs to another training, with the
    fields that differ, and DamagedCheckpointError where no checkpoint can be read.
    """
    damages: list[str] = []
    for name in (LAST, PREVIOUS):
        if not (run_dir / name).exists():
            continue
        try:
            restore(session, run_dir / name, identity)
        except DamagedCheckpointError as error:
            damages.append(str(error))
        else:
            return [f"{damage}; resumes from {name}, the one before" for damage in damages]
    if damages and (os.environ.get("TRAINER_START_ANEW") or os.environ.get(CONTINUES)):
        for file in (run_dir / LAST, run_dir / PREVIOUS):
            if file.exists():
                file.replace(file.with_name(f"{file.name}.damaged"))
        _begin_anew(session)
        return [f"{'; '.join(damages)}; starts anew"]
    if damages:
        raise DamagedCheckpointError(
            f"{'; '.join(damages)}; there is no other checkpoint: restore one from a copy, or choose another --run-dir"
        )
    lost = (run_dir / BEST).exists()
    return [f"{run_dir}: epochs were trained here, and their checkpoint is missing; starts anew"] if lost else []


def _begin_anew(session: Session) -> None:
    """Undoes what a checkpoint has changed in `session` before a part of it turned out to be unreadable."""
    fresh = new_session(session.training, session.device)
    session.model.load_state_dict(fresh.model.state_dict())
    session.optimizer.load_state_dict(fresh.optimizer.state_dict())
    session.scheduler.load_state_dict(fresh.scheduler.state_dict())
    session.scaler.load_state_dict(fresh.scaler.state_dict())
    session.progress, session.kept = fresh.progress, []


def restore(session: Session, file: Path, identity: Mapping[str, object]) -> None:
    """Restores a session from the checkpoint `file`. Raises as `resume` does."""
    state = read(file)
    if different := difference(state.get("identity") or {}, identity):
        raise ConfigError(f"{file}: belongs to another training, with {different}; choose another --run-dir")
    try:
        load(session, state)
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DamagedCheckpointError(
            f"{file}: its parts are not those of this version ({first_line(error)})"
        ) from error


def load(session: Session, state: Mapping[str, Any]) -> None:
    """Restores a session from what `dump` has written, unpacked. Raises whatever torch does where it does not fit."""
    session.model.load_state_dict(state["model"])
    session.optimizer.load_state_dict(state["optimizer"])
    session.scheduler.load_state_dict(state["scheduler"])
    session.scaler.load_state_dict(state["scaler"])
    session.progress = Progress.from_dict(state["progress"])
    session.kept = state.get("kept", [])
    torch.set_rng_state(state["random"])
    if state["random_cuda"] is not None and session.device.type == "cuda":
        torch.cuda.set_rng_state(state["random_cuda"], session.device)


def read(file: Path) -> dict[str, Any]:
    """Returns the content of a checkpoint, last or best, on the CPU.

    Raises DamagedCheckpointError where the file no longer has the content that was written.
    """
    return unpacked(content(file), file)


def content(file: Path) -> bytes:
    """Returns the bytes of a file, which nobody has checked. Raises DamagedCheckpointError where it cannot be read."""
    try:
        return read_regular(file)
    except OSError as error:
        raise DamagedCheckpointError(f"{file}: cannot be read ({error.strerror})") from error


def unpacked(content: bytes, file: Path) -> dict[str, Any]:
    """Returns what the bytes of the checkpoint `file` hold. Raises as `read` does."""
    body, comment = content[:-_LENGTH], content[-_LENGTH:]
    if not comment.startswith(_COMMENT):
        raise DamagedCheckpointError(f"{file}: is damaged, it has no checksum at its end")
    if comment != _comment(body):
        raise DamagedCheckpointError(f"{file}: is damaged, its checksum is wrong")
    try:
        _check_unpacked_size(content)
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # Whatever torch may raise: the file is as it was written, but not by this version.
    except Exception as error:
        raise DamagedCheckpointError(f"{file}: cannot be read by this version ({first_line(error)})") from error
    if not isinstance(state, dict):
        raise DamagedCheckpointError(f"{file}: is no checkpoint of this version")
    return state


def _check_unpacked_size(content: bytes) -> None:
    """Raises ValueError where the archive unpacks to more bytes than the file has.

    torch.save compresses nothing, so such a file was made by somebody else to exhaust the memory.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > len(content):
        raise ValueError(f"{len(content)} bytes that unpack to {unpacked}")


def _dump(state: dict[str, object]) -> memoryview:
    # Into memory first: on a full disk torch's own file writer fails with an error that does not say so.
    buffer = io.BytesIO()
    torch.save(state, buffer)
    # The last field of a zip archive is the length of the comment that follows it.
    buffer.seek(-2, io.SEEK_END)
    buffer.write(_LENGTH.to_bytes(2, "little"))
    buffer.write(_comment(buffer.getbuffer()))
    return buffer.getbuffer()


def _comment(body: bytes | memoryview) -> bytes:
    return _COMMENT + hashlib.sha256(body).hexdigest().encode()
