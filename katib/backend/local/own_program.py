"""Whether a manifest that lies in a run folder may be started: a run folder is data, which perhaps nobody has looked
at.

`local FILE=` runs any manifest, because its caller has named the file. What follows from a search (confirm, arch)
starts what the folder of the search says, and so takes no more of it than our trainer with its flags, in the folder of
runs.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from katib.errors import ManifestError
from katib.manifest.object import Manifest
from katib.trainer_contract import RUNS, Flags

VARIABLES = frozenset(
    {
        *("HOME", "PYTHONUNBUFFERED", "WANDB_PROJECT", "WANDB_RUN_GROUP", "WANDB_API_KEY"),
        *("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "TZ"),
    }
)
"""Those that our manifests set, and a few that choose no program, library or server."""


def require_own_program(spec: Mapping[str, Any], file: str) -> None:
    """Raises ManifestError where the Experiment of this `spec` would run more than our trainer."""
    for what in _foreign(spec):
        raise ManifestError(
            f"{file}: {what}, which a run folder cannot ask for; look at it, and if it is yours: make local FILE={file}"
        )


def _foreign(spec: Mapping[str, Any]) -> Iterator[str]:
    try:
        pod = spec["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
        containers, volumes = pod["containers"], pod.get("volumes") or []
        words = [[*(one.get("command") or []), *(one.get("args") or [])] for one in containers]
        variables = [item.get("name") for one in containers for item in one.get("env") or []]
        mounts = [item for one in containers for item in one.get("volumeMounts") or []]
        kinds = {kind for volume in volumes for kind in volume}
        below = [str(mount.get("subPath") or mount.get("subPathExpr") or "") for mount in mounts]
        folders = [
            *Manifest(spec).flags.get(Flags.RUN_DIR, ()),
            *(one.get("workingDir") or RUNS for one in containers),
        ]
    except (KeyError, TypeError, AttributeError):
        yield "its trials are no Jobs with containers"
        return
    if len(words) != 1 or words[0][:3] != ["python", "-m", "trainer"] or not str((*words[0], "--")[3]).startswith("-"):
        yield "it runs another program than `python -m trainer`"
    for name in variables:
        if name not in VARIABLES:
            yield f"it sets the variable {name}"
    if "hostPath" in kinds or any(".." in PurePosixPath(path).parts for path in below):
        yield "it mounts a path of this machine"
    for folder in folders:
        path = PurePosixPath(str(folder))
        if not path.is_relative_to(RUNS) or ".." in path.parts:
            yield f"it works in {folder}"
