"""A run folder as a stranger hands it over: a search of three trials that have ended, of which a test changes one
thing.
"""

import json
import shutil
import sqlite3
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from katib.backend.local.record import DATABASE, MANIFEST, Effort
from katib.backend.local.store import Store
from katib.manifest.experiment import load_experiment
from katib.search.sampler import sampler
from tests.katib.backend.local.rig import as_text, manifest

NAME, TRIALS = "test", ("test-aaaaaaaa", "test-bbbbbbbb", "test-cccccccc")


@cache
def _made() -> Path:
    folder = Path(mkdtemp()) / NAME
    folder.mkdir()
    search = manifest(name=NAME)
    experiment = load_experiment(json.dumps(search), "test")
    store = Store.create(folder, experiment.identity())
    space = sampler(experiment.search).space
    for number, name in enumerate(TRIALS):
        trial = store.add(name, {"x": f"{number + 1.5}"}, space)
        trial = store.report(store.update(trial, state="Running"), 1, float(number))
        store.update(trial, state="Succeeded", effort=Effort(seconds=9.0, starts=1))
    store.close()
    (folder / MANIFEST).write_text(as_text(search))
    return folder


def run_folder(runs: Path) -> Path:
    """Returns a copy of the search below `runs`."""
    folder = runs / NAME
    shutil.copytree(_made(), folder)
    for name in TRIALS:
        (folder / name).mkdir()
    return folder


def query(folder: Path, *statements: str) -> None:
    """Change the study as only a stranger would."""
    with sqlite3.connect(folder / DATABASE) as database:
        database.executescript(";".join(statements))
    database.close()


def attribute(folder: Path, key: str, value: Any, table: str = "trial_user_attributes") -> None:
    """Set one attribute of the first trial (or of the study) to a JSON value, or to a text that is none."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    owner = "study_id" if table.startswith("study") else "trial_id"
    with sqlite3.connect(folder / DATABASE) as database:
        statement = f"INSERT OR REPLACE INTO {table} ({owner}, key, value_json) VALUES (1, ?, ?)"
        database.execute(statement, (key, text.decode()))
    database.close()
