"""Puts failed trials back into the queue of a search on this machine, whether it is running or not.

A request is an empty file in the trial's folder. The engine takes it up when a slot is free, or at its next start.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from katib.backend.local.reasons import unwritable
from katib.backend.local.record import Trial
from katib.backend.local.store import Store
from katib.trial import WITHOUT_RESULT

REQUEST = "again"
QUEUED = "runs again"
"""The reason of a trial that waits to run again; it is followed by why it failed."""


def ask(folder: Path, trials: Iterable[str]) -> None:
    """Asks the engine of the search in `folder` to run these trials again. Raises EngineError where it cannot write."""
    for trial in trials:
        try:
            (folder / trial).mkdir(exist_ok=True)
            (folder / trial / REQUEST).touch()
        except OSError as error:
            raise unwritable(folder / trial, error) from None


def requeue(store: Store, trials: Iterable[Trial]) -> list[Trial]:
    """Returns those of `trials` that were asked for, as they wait now; their reports and checkpoints stay.

    Each has all its tries before it. A request for a trial that has not failed has no effect.
    """
    queued = []
    for trial in trials:
        request = store.path.parent / trial.name / REQUEST
        if trial.state in ("Succeeded", "EarlyStopped") or not request.exists():
            continue
        if trial.state in WITHOUT_RESULT:
            effort, reason = replace(trial.effort, failures=0), f"{QUEUED}, after: {trial.reason}"
            queued.append(store.update(trial, effort=effort, reason=reason, state="Created"))
        # A request that is left by a killed engine meets a trial that waits, and changes nothing.
        request.unlink(missing_ok=True)
    return queued
