"""Which run of W&B a run directory is: an id that no other directory has, and a name for people.

The id is made once and kept in the directory's `wandb/id`, so that it outlasts every resume and a move of the
directory.
"""

import re
import secrets
from collections.abc import Mapping
from pathlib import Path

ID = "id"
"""In W&B's folder."""
PLACE = "place"
"""Beside it: the folder that the id was given to, by which a copy of it knows itself."""
_WRITTEN_BY_WANDB = re.compile(r"(?:offline-)?run-(\d{8}_\d{6})-(.+)")
"""The folder of one process's run: its time and its id."""
_LONGEST = 40
"""Characters of the directory's name in an id: W&B takes 64 in all, without /, \\, #, ?, % and :."""


def run_id(run_dir: Path, folder: Path, environment: Mapping[str, str]) -> str:
    """Returns the id of the run in `run_dir`, and keeps it in `folder`, W&B's own in it. Raises OSError.

    One that W&B's agent or the user gives by WANDB_RUN_ID comes first, then the one that is kept, then the one that the
    directory was reported under by a version that kept none; a copy of a directory that is still there takes neither,
    as both would write to one run. A new one is the trial's name in a pod, where no other trial has it and the trial
    table makes addresses of it, else the directory's name and a random part: lr3/seed42 and lr4/seed42, or two
    machines, are different runs.
    """
    found = _given(environment) or ("" if _is_copy(folder) else _kept(folder) or _reported(folder))
    if not found:
        name = run_dir.resolve().name
        found = name if _is_trial_in_a_pod(name, environment) else _new(name)
    (folder / ID).write_text(f"{found}\n")
    (folder / PLACE).write_text(f"{folder.resolve()}\n")
    return found


def run_name(run_dir: Path, environment: Mapping[str, str]) -> str:
    """Returns the name for people: WANDB_NAME, or the directory's, which is the trial's.

    Outside of a search, which is W&B's group, with the folder that it lies in.
    """
    path = run_dir.resolve()
    alone = environment.get("WANDB_RUN_GROUP") or not path.parent.name
    return environment.get("WANDB_NAME") or (path.name if alone else f"{path.parent.name}/{path.name}")


def _given(environment: Mapping[str, str]) -> str | None:
    """WANDB_RUN_ID, unless this is one of several trials that inherit it."""
    several = environment.get("WANDB_RUN_GROUP") and not environment.get("WANDB_SWEEP_ID")
    return None if several else environment.get("WANDB_RUN_ID")


def _kept(folder: Path) -> str:
    try:
        return (folder / ID).read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def _is_copy(folder: Path) -> bool:
    """Returns whether the folder that the id was given to is another one, still there and with that id: `cp -r`, not
    `mv`.
    """
    try:
        first = Path((folder / PLACE).read_text().removesuffix("\n"))
        return not first.samefile(folder) and _kept(first) == _kept(folder)
    except (OSError, UnicodeDecodeError):
        return False


def _reported(folder: Path) -> str:
    """Returns the id of the newest run that W&B has written to the folder."""
    found = [match.groups() for path in folder.glob("*run-*") if (match := _WRITTEN_BY_WANDB.fullmatch(path.name))]
    return max(found)[1] if found else ""


def _is_trial_in_a_pod(name: str, environment: Mapping[str, str]) -> bool:
    experiment = environment.get("WANDB_RUN_GROUP", "").rpartition("/")[2]  # of NAMESPACE/EXPERIMENT
    in_a_pod = environment.get("KUBERNETES_SERVICE_HOST")
    return bool(experiment and name.startswith(f"{experiment}-") and in_a_pod)


def _new(name: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '-', name)[:_LONGEST]}-{secrets.token_hex(4)}"
