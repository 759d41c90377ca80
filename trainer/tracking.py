"""Experiment tracking with Weights & Biases where WANDB_PROJECT is set, and nothing where it is not.

The run is called like its directory and lies in the group WANDB_RUN_GROUP. Without WANDB_API_KEY it is kept
in the run directory, to be sent later. A tracker that fails says so once and never stops a training. Called
by the epoch loop.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Protocol

from trainer.progress import EpochRecord


class Tracker(Protocol):
    """Where the epochs' numbers go beside stdout."""

    def log(self, record: EpochRecord) -> None:
        """An epoch has ended."""

    def finish(self, exit_code: int) -> None:
        """The process is about to end; 0 where the training is complete."""


class NoTracker:
    """Stands in where nothing is tracked, so that nobody has to ask."""

    def log(self, record: EpochRecord) -> None:
        """Nothing to do."""

    def finish(self, exit_code: int) -> None:
        """Nothing to do."""


def open_tracker(run_dir: Path, config: Mapping[str, Any]) -> Tracker:
    """W&B's tracker where WANDB_PROJECT asks for it and it can be started."""
    if not os.environ.get("WANDB_PROJECT"):
        return NoTracker()
    try:
        return _WandbTracker(run_dir, config)
    except Exception as error:  # whatever W&B may raise: the training is worth more than its tracking
        _warn(f"W&B cannot be started ({error}); training goes on without")
        return NoTracker()


class _WandbTracker:
    def __init__(self, run_dir: Path, config: Mapping[str, Any]) -> None:
        import wandb  # takes a second

        # None leaves the choice to WANDB_MODE, and to W&B's default, which is online.
        mode: Literal["offline"] | None = (
            None if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_MODE") else "offline"
        )
        name = run_dir.resolve().name
        self._run = wandb.init(
            id=name,
            name=name,
            dir=run_dir,
            config=dict(config),
            resume="allow" if mode is None else None,
            mode=mode,
            # W&B's own lines would name the metric in a form that Katib's collector trips over.
            settings=wandb.Settings(silent=True, console="off"),
        )
        if self._run.settings.mode == "offline":
            print(f"W&B offline: send it later with `wandb sync {run_dir}/wandb/offline-run-*`", flush=True)

    def log(self, record: EpochRecord) -> None:
        _attempt(lambda: self._run.log(asdict(record), step=record.epoch))

    def finish(self, exit_code: int) -> None:
        _attempt(lambda: self._run.finish(exit_code))


def _attempt(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception as error:  # as in open_tracker
        _warn(f"W&B failed ({error}); training goes on")


def _warn(message: str) -> None:
    print(f"warning: {' '.join(message.split())}", file=sys.stderr, flush=True)
