"""Changes the cluster behind the back of the program under test."""

import dataclasses
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, cast

import yaml

from katib.backend.cluster.answers import AbsentError, NoKindError
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import (
    CLAIM,
    EXPERIMENT,
    INJECTION_LABEL,
    JOB,
    NAMESPACE,
    NODE,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
    Object,
)
from katib.manifest.render import Overrides, render
from katib.site import Site
from katib.spec import load_spec
from tests.cluster import rig

VOLUME = Kind("volume", "persistentvolumes", namespaced=False)
HOSTNAME = "kubernetes.io/hostname"
APPLY = "application/apply-patch+yaml"
NOWHERE = Path("/nonexistent")
"""The folder of a claim that no pod mounts."""


@dataclasses.dataclass
class Tools:
    """What a test does to the cluster behind the back of the program under test."""

    kubeconfig: Path
    namespace: str

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.namespace, config_file=self.kubeconfig)

    def prepare(self, site: Site, claim_folders: Mapping[str, Path] | None = None) -> None:
        """Creates the namespace as k8s/base does, with bound claims and the secret.

        `claim_folders` has the claims by name, with the folder of this machine that each leads to.
        """
        labels = {INJECTION_LABEL: "enabled", "pod-security.kubernetes.io/enforce": "baseline"}
        self.apply(NAMESPACE, "v1", "Namespace", self.namespace, labels=labels)
        if site.wandb:
            self.apply(SECRET, "v1", "Secret", site.wandb.secret, stringData={"api-key": "0" * 40})
        self.claims(claim_folders or dict.fromkeys((site.claims.data, site.claims.runs), NOWHERE))
        self.first(SERVICE_ACCOUNT, "", lambda found: found["metadata"]["name"] == "default")

    def apply(self, kind: Kind, version: str, word: str, name: str, labels: Object | None = None, **body: Any) -> None:
        """Applies one object with the API itself, since a process of kubectl takes many times as long."""
        metadata = {"name": name, "labels": labels or {}}
        self.cluster.apply(kind, {"apiVersion": version, "kind": word, "metadata": metadata, **body})

    def make(self, manifest: Object) -> None:
        """Applies an object or a List as kubectl does on the server, whose process takes a fifth of a second."""
        query = {"fieldManager": "kubectl", "fieldValidation": "Strict", "force": "true"}
        for item in manifest.get("items", [manifest]):
            kind, about = self._kind(item["apiVersion"], item["kind"]), item["metadata"]
            place = about.get("namespace", self.namespace)
            change = partial(self.cluster._json, "PATCH", kind, about["name"], item, query)
            once_served(partial(change, namespace=place, content=APPLY))

    def _kind(self, version: str, word: str) -> Kind:
        """Returns the resource type that objects of this kind have, as soon as the server knows it."""
        group, _, last = version.rpartition("/")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            listed = self.cluster.raw(f"/apis/{version}" if group else f"/api/{version}")["resources"]
            for item in listed:
                if item["kind"] == word and "/" not in item["name"]:
                    return Kind(word, item["name"], last, group, item["namespaced"])
            time.sleep(0.2)
        raise AssertionError(f"the API server has no {word} in {version}")

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return rig.kubectl("-n", self.namespace, *words, stdin=stdin, kubeconfig=self.kubeconfig)

    def claims(self, claim_folders: Mapping[str, Path], modes: tuple[str, ...] = ("ReadWriteMany",)) -> None:
        """Creates claims, each bound to a volume of its own on its folder."""
        size = {"storage": "1Gi"}
        same = {"accessModes": list(modes), "storageClassName": ""}
        volumes = {name: f"{self.namespace}-{name}" for name in claim_folders}
        for name, volume in volumes.items():
            place = {
                "hostPath": {"path": str(claim_folders[name])},
                "claimRef": {"name": name, "namespace": self.namespace},
            }
            self.apply(VOLUME, "v1", "PersistentVolume", volume, spec={**same, **place, "capacity": size})
        # The binder looks again only a period later where it learns of the claim before the volume.
        for volume in volumes.values():
            self.first(VOLUME, "", partial(_is, volume, "Available"))
        for name, volume in volumes.items():
            spec = {**same, "resources": {"requests": size}, "volumeName": volume}
            self.apply(CLAIM, "v1", "PersistentVolumeClaim", name, spec=spec)
        for name in claim_folders:
            self.first(CLAIM, "", partial(_is, name, "Bound"))

    def node(self, name: str, allocatable: dict[str, str], **spec: Any) -> None:
        """Creates a node that only the API server knows."""
        self.make(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {HOSTNAME: name}},
                "spec": spec,
            }
        )
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "Made",
            "message": "",
            "lastHeartbeatTime": None,
        }
        self.status(NODE, name, {"capacity": allocatable, "allocatable": allocatable, "conditions": [ready]})
        self.untaint(name)

    def untaint(self, name: str) -> None:
        """Removes the taint `not ready`, which a new node has until a controller removes it a moment later."""
        self.cluster.merge(NODE, name, {"spec": {"taints": None}})

    def first(
        self,
        kind: Kind,
        selector: str,
        wanted: Callable[[Object], bool] = lambda found: True,
        seconds: float = 300,
    ) -> Object:
        """Returns the first object that is `wanted`, as soon as there is one."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            there, version = self.cluster.list_at(kind, selector)
            # Closed at once: a watch that is left to the garbage collector is a warning in whichever test runs then.
            with closing(cast(Generator[Object], self.cluster.watch(kind, version, selector))) as events:
                come: Iterator[Object] = (event["object"] for event in events if event["type"] in ("ADDED", "MODIFIED"))
                for found in chain(there, come):
                    if wanted(found):
                        return found
        raise AssertionError(f"no such {kind.name} ({selector}) within {seconds:.0f} s")

    def status(self, kind: Kind, name: str, status: Object) -> None:
        """Writes the status subresource, as a controller or kubelet would."""
        once_served(lambda: self.cluster.merge(kind, f"{name}/status", {"status": status}))

    def run(self, pod: Object, **ends: Object) -> None:
        """Makes the pod run, as a kubelet would report it; `ends` are terminated states of containers (_ for -)."""
        name = pod["metadata"]["name"]
        self.first(POD, "", lambda found: found["metadata"]["name"] == name and "nodeName" in found["spec"])
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        terminated = {key.replace("_", "-"): {"startedAt": now, "finishedAt": now, **end} for key, end in ends.items()}
        states = [
            {"name": item["name"], "image": item["image"], "imageID": "", "restartCount": 0,
             "ready": item["name"] not in terminated, "started": True,
             "state": {"terminated": terminated[item["name"]]} if item["name"] in terminated else {"running": {"startedAt": now}}}
            for item in pod["spec"]["containers"]
        ]  # fmt: skip
        over = len(terminated) == len(states)
        failed = over and any(end["exitCode"] for end in terminated.values())
        phase = "Failed" if failed else "Succeeded" if over else "Running"
        conditions = [
            {"type": kind, "status": "False" if over else "True", "lastTransitionTime": now}
            for kind in ("Ready", "ContainersReady", "Initialized", "PodScheduled")
        ]
        status = {"phase": phase, "startTime": now, "containerStatuses": states, "conditions": conditions}
        self.status(POD, name, status)

    def job(self, trial: str) -> Object:
        found = self.cluster.get(JOB, trial)
        assert found is not None
        return found

    @contextmanager
    def without(self, kind: Kind, name: str, namespace: str | None = None) -> Iterator[None]:
        """Removes the object, and restores it afterwards."""
        there = self.cluster if namespace is None else Tools(self.kubeconfig, namespace).cluster
        kept = there.get(kind, name)
        assert kept is not None
        there.delete(kind, name, kept["metadata"]["uid"])
        gone(there, kind, name)
        try:
            yield
        finally:
            for key in ("resourceVersion", "uid", "creationTimestamp", "managedFields", "generation"):
                kept["metadata"].pop(key, None)
            there.create(kind, kept)

    @contextmanager
    def patched(
        self, kind: Kind, name: str, patch: Object, back: Object, namespace: str | None = None
    ) -> Iterator[None]:
        """Changes the object with a merge patch, and changes it back afterwards."""
        other = Tools(self.kubeconfig, self.namespace if namespace is None else namespace)
        other.cluster.merge(kind, name, patch)
        try:
            yield
        finally:
            other.cluster.merge(kind, name, back)

    def end(self) -> None:
        """Removes the namespace.

        What would block the next test is removed at once: pods that hold the simulated node's GPUs, which no kubelet would
        ever report as gone, and experiments, whose names doctor looks up in all namespaces.
        """
        if found := self.cluster.get(NAMESPACE, self.namespace):
            self.cluster.delete(NAMESPACE, self.namespace, found["metadata"]["uid"])
        for item in self.cluster.list(EXPERIMENT):
            self.cluster.delete(EXPERIMENT, item["metadata"]["name"], item["metadata"]["uid"])
            gone(self.cluster, EXPERIMENT, item["metadata"]["name"])
        bury_all(self.cluster, self.cluster.list(POD))


def bury_all(cluster: Cluster, pods: Iterable[Object]) -> None:
    """Removes pods at once, as a kubelet reports them as gone."""
    for pod in pods:
        with suppress(AbsentError):
            cluster._json("DELETE", POD, pod["metadata"]["name"], {"gracePeriodSeconds": 0})


def once_served(call: Callable[[], object]) -> None:
    """Makes a call of the API, again for a while where a type is established and not served everywhere yet."""
    end = time.monotonic() + 30
    while True:
        try:
            call()
            return
        except (AbsentError, NoKindError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def gone(cluster: Cluster, kind: Kind, name: str) -> None:
    """Waits until there is no object of this name."""
    end = time.monotonic() + 300
    while cluster.get(kind, name) is not None:
        assert time.monotonic() < end, f"{kind.name} {name} does not go away"
        time.sleep(0.05)


def manifest(site: Site, model: str = "dprnn", **overrides: Any) -> Object:
    """Returns the Experiment of `model` on `site`."""
    found: Object = yaml.safe_load(render(load_spec(model), site, Overrides(**overrides)))
    return found


def _is(name: str, phase: str, found: Object) -> bool:
    return bool(found["metadata"]["name"] == name and (found.get("status") or {}).get("phase") == phase)
