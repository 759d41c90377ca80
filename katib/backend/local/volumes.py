"""Maps the volumes of a trial's pod to folders of this machine.

The user chooses the folders of the corpus and the runs. An emptyDir is an empty folder of the trial, a hostPath the
path itself. What only a cluster holds (another claim, a ConfigMap, a Secret) is the folder at its mount path, if this
machine has one.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from katib.errors import ManifestError
from katib.manifest.command import expand
from katib.manifest.experiment import Experiment, TrialPod
from katib.trainer_contract import DATA_VOLUME, RUNS_VOLUME
from katib.tree import Tree, at, text_at

HOST_PATH = "hostPath"
_EMPTY = ("emptyDir", "ephemeral")
_KINDS = {
    "configMap": ("ConfigMap", "name"),
    "secret": ("Secret", "secretName"),
    "persistentVolumeClaim": ("claim", "claimName"),
}


def corpus_volume(pod: TrialPod) -> str:
    """Returns the kind of the volume that holds the corpus; empty where the container mounts none."""
    mounted = any(mount.name == DATA_VOLUME for mount in pod.container.volume_mounts)
    kind = _kind(_source(pod, DATA_VOLUME)) if mounted else ""
    return "" if kind in _EMPTY else kind


def mounted_folders(
    pod: TrialPod,
    experiment: Experiment,
    data: Path | None,
    runs: Path,
    folder: Path,
    variables: Mapping[str, str],
) -> dict[str, Path]:
    """Returns the folder of each mount path of the container that is another path on this machine.

    `folder` is the trial's own. Raises ManifestError, with the volume's name, where this machine cannot replace it.
    """
    folders = {}
    for mount in pod.container.volume_mounts:
        source, path = _source(pod, mount.name), mount.mount_path.rstrip("/")
        kind = _kind(source)
        below = mount.sub_path or expand(mount.sub_path_expr, variables)
        if below.startswith("/") or ".." in below.split("/"):
            raise ManifestError(
                f"{experiment.name}: volume {mount.name}: subPath {below} leads out of the volume; use a path within it"
            )
        if kind not in _EMPTY and mount.name == DATA_VOLUME and data is not None:
            folders[path] = data
        elif kind not in _EMPTY and mount.name == RUNS_VOLUME:
            folders[path] = runs / below
        elif kind == HOST_PATH:
            folders[path] = _host_path(experiment, mount.name, source) / below
        elif not Path(mount.mount_path).exists():
            if kind not in _EMPTY and not _optional(source):
                raise ManifestError(
                    f"{experiment.name}: volume {mount.name}: {_described(source)} is in a cluster; create {path}"
                    " on this machine with its content, or remove the volume"
                )
            folders[path] = folder / mount.name / below
    return folders


def stand_ins(pod: TrialPod, data: Path | None) -> Iterator[str]:
    """Yields what on this machine replaces each volume of a cluster, one line each."""
    for mount in pod.container.volume_mounts:
        source = _source(pod, mount.name)
        kind = _kind(source)
        if kind in _EMPTY or mount.name == RUNS_VOLUME or (mount.name == DATA_VOLUME and data is not None):
            continue
        if kind == HOST_PATH:
            path = text_at(source, kind, "path")
            yield f"the volume {mount.name} is {path} of this machine (hostPath)"
        elif Path(mount.mount_path).exists():
            yield f"{mount.mount_path} of this machine replaces the volume {mount.name} ({_described(source)})"
        else:
            yield f"the volume {mount.name} is an empty folder: {_described(source)} is in a cluster, and optional"


def _source(pod: TrialPod, name: str) -> Tree:
    """Returns the source of a volume, keyed by its kind; without one it is an emptyDir, as for the API server."""
    volume = next((volume for volume in pod.template.spec.volumes if volume.get("name") == name), {})
    return {key: value or {} for key, value in volume.items() if key != "name"}


def _kind(source: Tree) -> str:
    return next(iter(source), "emptyDir")


def _described(source: Tree) -> str:
    """Returns `ConfigMap 'settings'` or `claim 'models'`; for another kind its key."""
    kind = _kind(source)
    if kind not in _KINDS:
        return kind
    word, key = _KINDS[kind]
    return f"{word} '{text_at(source, kind, key)}'"


def _optional(source: Tree) -> bool:
    return bool(at(source, _kind(source)).get("optional"))


def _host_path(experiment: Experiment, name: str, source: Tree) -> Path:
    path = Path(text_at(source, HOST_PATH, "path"))
    if not path.exists():
        raise ManifestError(
            f"{experiment.name}: volume {name}: hostPath {path}: no such folder on this machine; create it first"
        )
    return path
