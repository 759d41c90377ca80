"""Makes an experiment that looks as if it had been run here, of any size, in seconds: store, manifest and runs.

python -m benchmarks.systems.made_experiment RUNS NAME TRIALS EPOCHS

Store and manifest come from the product's own code; only the trials are written into the store's tables at once, in one
transaction instead of one per report.
"""

import json
import math
import random
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import optuna

from katib.backend.local.record import DATABASE, MANIFEST
from katib.backend.local.store import Store
from katib.manifest.experiment import load_experiment
from katib.manifest.render import Overrides, render
from katib.site import load_site
from katib.spec import load_spec

START = datetime(2026, 11, 1, 8, tzinfo=UTC)
OPTUNA_STATES = {"Succeeded": "COMPLETE", "EarlyStopped": "PRUNED", "Failed": "FAIL"}


def make_experiment(runs: Path, trials: int, epochs: int, model: str = "dprnn", name: str = "made") -> Path:
    """Returns the folder of an experiment of finished trials: of 10, 6 succeeded, 3 stopped early, 1 failed."""
    folder = runs / name
    folder.mkdir(parents=True)
    overrides = Overrides(name=name, trials=trials, epochs=epochs)
    manifest = render(load_spec(model), load_site(), overrides)
    (folder / MANIFEST).write_text(manifest)
    experiment = load_experiment(manifest, name)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    Store.create(folder, experiment.identity()).close()
    random_ = random.Random(1)
    connection = sqlite3.connect(folder / DATABASE)
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        for number in range(trials):
            _trial(connection, folder, experiment.search.parameters, number, epochs, random_)
    connection.close()
    return folder


def _trial(
    connection: sqlite3.Connection,
    folder: Path,
    parameters: Any,
    number: int,
    epochs: int,
    random_: random.Random,
) -> None:
    key, name = number + 1, f"{folder.name}-{number:08}"
    state = "Failed" if number % 10 == 9 else "EarlyStopped" if number % 10 >= 6 else "Succeeded"
    done = epochs if state == "Succeeded" else random_.randint(min(20, epochs), epochs)
    assignments = {}
    for parameter in parameters:
        low, high = float(parameter.min), float(parameter.max)
        if parameter.distribution == "logUniform":
            value = math.exp(random_.uniform(math.log(low), math.log(high)))
        else:
            value = random_.uniform(low, high)
        assignments[parameter.name] = repr(value)
    reached = 4.0 - abs(math.log10(float(assignments["lr"])) + 2.6) + random_.gauss(0, 0.13)
    began = START + timedelta(hours=2.5 * number / 4)
    history = [_epoch(step, reached, began, random_) for step in range(1, done + 1)]
    seconds = 90.0 * done
    connection.execute(
        "INSERT INTO trials VALUES (?, ?, 1, ?, ?, ?)",
        (key, number, OPTUNA_STATES[state], _naive(began), _naive(began + timedelta(seconds=seconds))),
    )
    attributes = {"name": name, "assignments": assignments, "state": state}
    attributes["effort"] = {
        "failures": int(state == "Failed"),
        "seconds": seconds,
        "started": began.timestamp(),
    }
    if state == "Failed":
        attributes["reason"] = "diverged: the loss is nan"
    rows = [(key, attribute, json.dumps(value)) for attribute, value in attributes.items()]
    connection.executemany("INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, ?, ?)", rows)
    connection.executemany(
        "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)"
        " VALUES (?, ?, ?, 'FINITE')",
        [(key, record["epoch"], record["val_si_snr"]) for record in history],
    )
    run = folder / name
    run.mkdir()
    (run / "summary.json").write_text(
        json.dumps({"mixture_val_si_snr": -1.2, "epochs": epochs, "history": history}, indent=2)
    )


def _epoch(step: int, reached: float, began: datetime, random_: random.Random) -> dict[str, Any]:
    """Returns an epoch as trainer/training/progress.py writes it."""
    value = round(reached * (1 - math.exp(-step / 12)) + random_.gauss(0, 0.05), 4)
    return {
        "epoch": step,
        "time": f"{(began + timedelta(seconds=90 * step)).replace(tzinfo=None).isoformat()}Z",
        "val_si_snr": value,
        "train_loss": -value,
        "lr": 1e-3,
        "grad_norm": 3.0,
        "seconds": 90.0,
        "variants": {"SER": value + 0.1, "SE": value - 0.1},
        "mixtures": 4000,
        "waited": 0.5,
    }


def _naive(instant: datetime) -> str:
    """Returns the time without a zone: Optuna stores UTC that way."""
    return instant.replace(tzinfo=None).isoformat(sep=" ")


if __name__ == "__main__":
    runs, name, trials, epochs = sys.argv[1:]
    make_experiment(Path(runs), int(trials), int(epochs), name=name)
