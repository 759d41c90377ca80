"""The W&B run of a run directory: an id that no other directory has, and a name for people.

The id is made once and kept in the directory's `wandb/id`, so that it survives every resume and a move of the
directory.
"""

import re
import secrets
from collections.abc import Mapping
from pathlib import Path

ID = "id"
"""File of the id in W&B's folder."""
PLACE = "place"
"""File beside it with the folder that the id was given to, by which a copy of the folder is recognised."""
_WRITTEN_BY_WANDB = re.compile(r"(?:offline-)?run-(\d{8}_\d{6})-(.+)")
"""The folder of a process's run: its time and its id."""
_LONGEST = 40
"""The most characters of the directory's name in an id: W&B takes 64 in all, without /, \\, #, ?, % and :."""


def run_id(run_dir: Path, folder: Path, environment: Mapping[str, str]) -> str:
    """Returns the id of the run in `run_dir`, and keeps it in `folder`, W&B's folder in it. Raises OSError.

    WANDB_RUN_ID, which W&B's agent or the user sets, comes first, then the id that is kept, then the id that an earlier
    version, which kept none, has reported. A copy of a directory that still exists uses neither of the latter, because
    both would write to one run. In a pod a new id is the trial's name, which no other trial has and from which the
    trial table makes addresses. Elsewhere it is the directory's name with a random part, because lr3/seed42 and
    lr4/seed42, or two machines, are different runs.
    """
    identifier = _given(environment) or ("" if _is_copy(folder) else _kept(folder) or _reported(folder))
    if not identifier:
        name = run_dir.resolve().name
        identifier = name if _is_trial_in_a_pod(name, environment) else _new(name)
    (folder / ID).write_text(f"{identifier}\n")
    (folder / PLACE).write_text(f"{folder.resolve()}\n")
    return identifier


def run_name(run_dir: Path, environment: Mapping[str, str]) -> str:
    """Returns the name for people: WANDB_NAME, or the directory's name, which is the trial's.

    Outside a search, which is a group of W&B, the parent folder is part of the name.
    """
    path = run_dir.resolve()
    alone = environment.get("WANDB_RUN_GROUP") or not path.parent.name
    return environment.get("WANDB_NAME") or (path.name if alone else f"{path.parent.name}/{path.name}")


def _given(environment: Mapping[str, str]) -> str | None:
    """Returns WANDB_RUN_ID, unless this is one of several trials that inherit it."""
    several = environment.get("WANDB_RUN_GROUP") and not environment.get("WANDB_SWEEP_ID")
    return None if several else environment.get("WANDB_RUN_ID")


def _kept(folder: Path) -> str:
    try:
        return (folder / ID).read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def _is_copy(folder: Path) -> bool:
    """Returns whether the id was given to another folder that still exists with that id: `cp -r`, not `mv`."""
    try:
        first = Path((folder / PLACE).read_text().removesuffix("\n"))
        return not first.samefile(folder) and _kept(first) == _kept(folder)
    except (OSError, UnicodeDecodeError):
        return False


def _reported(folder: Path) -> str:
    """Returns the id of the newest run that W&B has written to the folder."""
    runs = [match.groups() for path in folder.glob("*run-*") if (match := _WRITTEN_BY_WANDB.fullmatch(path.name))]
    return max(runs)[1] if runs else ""


def _is_trial_in_a_pod(name: str, environment: Mapping[str, str]) -> bool:
    # The group is NAMESPACE/EXPERIMENT.
    experiment = environment.get("WANDB_RUN_GROUP", "").rpartition("/")[2]
    in_a_pod = environment.get("KUBERNETES_SERVICE_HOST")
    return bool(experiment and name.startswith(f"{experiment}-") and in_a_pod)


def _new(name: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '-', name)[:_LONGEST]}-{secrets.token_hex(4)}"
