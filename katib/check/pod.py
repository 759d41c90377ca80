"""Checks the pod of a trial, into which Katib puts its collector beside the trainer.

The collector shares the pod's processes and, at /var/log/katib, a volume; it is root unless the pod says otherwise.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from katib.check.finding import Defect, error, warning
from katib.check.node import Node, named
from katib.errors import nearest

SIDECARS = ("metrics-logger-and-collector", "metrics-collector")
METRICS_VOLUME = "metrics-volume"
METRICS_FOLDER = "/var/log/katib"
REFUSED = "the API server refuses the pod of each trial; the trial stays Running forever"

PRIMARY = error(
    "primary-container",
    finds="primaryContainerName is the name of no container",
    effect="Katib's pod webhook refuses each pod; the trial stays Running forever",
    fix="name the container that trains",
)
FIRST = warning(
    "primary-not-first",
    finds="the primary container is not the first",
    effect="with injectSecurityContext Katib gives its collector the security context of the first container,"
    " another's",
    fix="put the container that trains first",
)
CONTAINER = error(
    "container",
    finds="no containers, one without image, or two of one name (Katib adds metrics-logger-and-collector)",
    effect=REFUSED,
    fix="give each container a name of its own and an image",
)
BESIDE = warning(
    "container-beside",
    finds="another container that runs beside the trainer",
    effect="the collector waits for all processes of the pod, so the trial does not end before this one does",
    fix="make it an init container, or set waitAllProcesses: false in katib-config",
)
MOUNT = error(
    "metrics-mount",
    finds="a volume metrics-volume, or a mount where the collector's folder is (/var/log/katib for StdOut)",
    effect="Katib adds its own of the same name and place; " + REFUSED,
    fix="choose another name or path",
)
VOLUME = error(
    "volume",
    finds="a mount of a volume that the pod does not have, or two volumes or mount paths alike",
    effect=REFUSED,
    fix="add the volume, or correct its name",
)
RESTART = error(
    "restart-policy",
    finds="restartPolicy other than Never",
    effect="a Job takes no Always, which is the default; with OnFailure the collector cannot find the trainer again",
    fix="write restartPolicy: Never; a new try is a new pod (backoffLimit)",
)
UID = error(
    "uid-of-container",
    finds="runAsUser on the primary container and not on the pod, under early stopping",
    effect="the collector runs as root, and the trainer cannot write into its files: a trial that is stopped early"
    " fails",
    fix="move runAsUser to the pod's securityContext",
)
NON_ROOT = error(
    "non-root-without-uid",
    finds="the pod's runAsNonRoot without a runAsUser, or with 0",
    effect="the collector's image is root: the kubelet refuses to start it, and the trial hangs",
    fix="add runAsUser (and runAsGroup, fsGroup) to the pod's securityContext",
)
HOST_PID = error(
    "host-pid",
    finds="hostPID: true",
    effect="Katib sets shareProcessNamespace, which excludes it; " + REFUSED,
    fix="remove hostPID",
)


def pod(node: Node, name: Node, folder: str | None, *, stopping: bool, restarts: bool = True) -> Iterator[Defect]:
    """Yields the defects of the pod spec at `node`.

    `name` is primaryContainerName, `folder` the one that the collector reads (None: it reads none), `stopping` whether
    trials are stopped early, `restarts` whether restartPolicy is the pod's own and not its replica's.
    """
    if not isinstance(node.value, dict):
        return
    containers = node["containers"]
    if isinstance(containers.value, list) and not containers.value:
        yield CONTAINER.at(containers, "is empty")
    yield from _containers(node, name)
    restart = node["restartPolicy"]
    if not restarts:
        pass
    elif restart.missing or (restart.text is not None and restart.text != "Never"):
        problem = f"is {restart.text}" if restart.text else "is missing, which means Always"
        yield RESTART.at(restart, problem)
    if node["hostPID"].value is True:
        yield HOST_PID.at(node["hostPID"], "is true")
    yield from _ids(node, named(containers.items).get(name.text or "") if stopping else None)
    yield from _volumes(node, name, folder)


def _containers(node: Node, primary: Node) -> Iterator[Defect]:
    containers = node["containers"].items
    names = named(containers)
    if primary.text and containers and primary.text not in names:
        hint = nearest(primary.text, names) if names else "no container has a name"
        yield PRIMARY.at(primary, f"no container '{primary.text}': {hint}")
    seen = set(SIDECARS)
    for index, container in enumerate(containers):
        name = container["name"]
        if not isinstance(container.value, dict):
            continue
        if name.text in seen:
            yield CONTAINER.at(name, f"'{name.text}' is the name of another container")
        if container["image"].empty:
            yield CONTAINER.at(container["image"], "is missing")
        if name.text == primary.text and name.text and index > 0 and name.text not in seen:
            yield FIRST.at(name, f"'{name.text}' is number {index + 1}")
        if primary.text in names and name.text != primary.text and name.text not in seen:
            yield BESIDE.at(name, f"'{name.text}' runs beside '{primary.text}'")
        seen.add(name.text or "")
    for container in node["initContainers"].items:
        if container["restartPolicy"].text == "Always":
            yield BESIDE.at(container, "is a sidecar: it runs until the pod ends")


def _ids(node: Node, primary: Node | None) -> Iterator[Defect]:
    context = node["securityContext"]
    user = context["runAsUser"]
    if context["runAsNonRoot"].value is True and not user.value and (user.missing or user.integer == 0):
        yield NON_ROOT.at(context["runAsNonRoot"], f"without runAsUser{'' if user.missing else ' other than 0'}")
    elif primary is not None and user.missing:
        own = primary["securityContext"]["runAsUser"]
        if own.integer:
            yield UID.at(own, f"is {own.integer}, and the pod has no runAsUser")


def _volumes(node: Node, primary: Node, folder: str | None) -> Iterator[Defect]:
    volumes: set[str] = set()
    for volume in node["volumes"].items:
        name = volume["name"]
        if name.text == METRICS_VOLUME and folder is not None:
            yield MOUNT.at(name, f"'{METRICS_VOLUME}' is Katib's own volume")
        elif name.text in volumes:
            yield VOLUME.at(name, f"'{name.text}' stands here a second time")
        volumes.add(name.text or "")
    for container in node["containers"].items + node["initContainers"].items:
        paths: set[str] = set()
        for mount in container["volumeMounts"].items + container["volumeDevices"].items:
            name, path = mount["name"], mount["mountPath"]
            if name.text and name.text not in volumes:
                hint = nearest(name.text, volumes) if volumes else "the pod has no volumes"
                yield VOLUME.at(name, f"no volume '{name.text}': {hint}")
            if path.text is None:
                continue
            if container["name"].text == primary.text and folder and _same(path.text, folder):
                yield MOUNT.at(path, f"'{path.text}' is where Katib mounts the collector's volume")
            elif path.text in paths:
                yield VOLUME.at(path, f"'{path.text}' stands here a second time")
            paths.add(path.text)


def _same(path: str, folder: str) -> bool:
    return PurePosixPath(path) == PurePosixPath(folder)
