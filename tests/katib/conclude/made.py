"""Trials and tables for the tests of results, and a search of real trials on this machine."""

from pathlib import Path
from typing import Any

import yaml

from katib.backend.local.record import Effort, Trial
from katib.backend.local.table import table
from katib.manifest.render import Overrides, render
from katib.site import load_site
from katib.spec import load_spec
from katib.table.trial_table import TrialTable
from katib.trial import Identity

BEST = {"lr": "0.001", "weight_decay": "1e-05", "grad_clip_norm": "5", "lr_factor": "0.5"}


def manifest(model: str = "dprnn", **overrides: Any) -> dict[str, Any]:
    """Returns the Experiment that `make local` would run for the model's search."""
    found: dict[str, Any] = yaml.safe_load(render(load_spec(model), load_site(), Overrides(**overrides)))
    return found


def identity(model: str = "dprnn", *, maximize: bool = True, **overrides: Any) -> Identity:
    """Of that Experiment."""
    found = manifest(model, **overrides)
    strategy = "max" if maximize else "min"
    return Identity(found["metadata"]["name"], "val_si_snr", maximize, strategy, found["spec"])  # type: ignore[arg-type]


def trial(name: str, *values: float, state: str = "Succeeded", **changes: Any) -> Trial:
    """Returns one that trained for 90 s an epoch."""
    fields: dict[str, Any] = {"assignments": BEST, "effort": Effort(seconds=90.0 * len(values), starts=1)}
    return Trial(1, name, state=state, values=values, **(fields | changes))  # type: ignore[arg-type]


def made(folder: Path, *trials: Trial, model: str = "dprnn", **overrides: Any) -> TrialTable:
    """Returns the table of these trials."""
    return table(identity(model, **overrides), trials, folder)
