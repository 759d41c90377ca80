"""Decides whether a manifest in a run folder may be started: the folder is data that perhaps nobody has looked at.

`local FILE=` runs any manifest, because the user has named the file. What follows from a search (confirm, extend, arch)
starts what the search's folder says, and therefore only our trainer with its flags, in the runs folder.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from katib.errors import ManifestError
from katib.manifest.object import Manifest
from katib.trainer_contract import CONTINUES, RUNS, TRACKERS, Flags
from katib.tree import items_at, text_at, texts_at

VARIABLES = frozenset(
    {
        *("HOME", "PYTHONUNBUFFERED", "WANDB_PROJECT", "WANDB_RUN_GROUP", "WANDB_API_KEY"),
        *("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "TZ", CONTINUES, TRACKERS),
    }
)
"""The variables that our manifests set, and a few that choose no program, library or server."""


def require_own_program(manifest: Manifest, file: str) -> None:
    """Raises ManifestError where this Experiment would run more than our trainer."""
    for request in _foreign(manifest):
        raise ManifestError(
            f"{file}: {request}, which a run folder must not; look at it, and if it is yours: make local FILE={file}"
        )


def is_own_program(manifest: Manifest) -> bool:
    """Returns whether this Experiment runs our trainer and nothing else."""
    return next(_foreign(manifest), None) is None


def _foreign(manifest: Manifest) -> Iterator[str]:
    """Yields what else the Experiment does; load_experiment refuses what has another form than a Job."""
    containers, volumes = items_at(manifest.pod, "containers"), items_at(manifest.pod, "volumes")
    if not containers:
        yield "its trials are no Jobs with containers"
        return
    words = [[*texts_at(container, "command"), *texts_at(container, "args")] for container in containers]
    if len(words) != 1 or words[0][:3] != ["python", "-m", "trainer"] or not (*words[0], "--")[3].startswith("-"):
        yield "it runs another program than `python -m trainer`"
    for name in [text_at(variable, "name") for container in containers for variable in items_at(container, "env")]:
        if name not in VARIABLES:
            yield f"it sets the variable {name}"
    mounts = [mount for container in containers for mount in items_at(container, "volumeMounts")]
    below = [text_at(mount, "subPath") or text_at(mount, "subPathExpr") for mount in mounts]
    if any("hostPath" in volume for volume in volumes) or any(".." in PurePosixPath(path).parts for path in below):
        yield "it mounts a path of this machine"
    working = [text_at(container, "workingDir") or str(RUNS) for container in containers]
    flagged = [folder for flag in (Flags.RUN_DIR, Flags.CONTINUE_FROM) for folder in manifest.flags.get(flag, ())]
    for folder in (*flagged, *_set(manifest), *working):
        path = PurePosixPath(folder)
        if not path.is_relative_to(RUNS) or ".." in path.parts:
            yield f"it works in {folder}"


def _set(manifest: Manifest) -> Iterator[str]:
    """Yields the folders that a run's own settings name (--set name=value,name=value)."""
    for parameter in items_at(manifest.spec, "parameters"):
        for word in texts_at(parameter, "feasibleSpace", "list"):
            settings = dict(part.split("=", 1) for part in word.split(",") if "=" in part)
            yield from (settings[name] for name in ("run_dir", "continue_from", "data_dir") if name in settings)
