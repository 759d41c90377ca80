"""Provides the one-node Kubernetes' node, and a locked-down namespace on it in which trials really run."""

import os
import shutil
import site as python_site
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import soundfile

from katib.backend.cluster.kinds import NAMESPACE
from katib.services.stubs import rpc
from katib.site import Site, load_site
from tests.cluster import rig
from tests.cluster.pods import services
from tests.cluster.pods.trial import NAME
from tests.cluster.pods.trial_webhook import wrap
from tests.cluster.tools import Tools
from tests.cluster.webhook import Webhook
from tests.katib.services.rig import DbManager

ROOT = Path(__file__).parents[3]
SECURITY = "pod-security.kubernetes.io/enforce"


@pytest.fixture(scope="session")
def node(katib: Webhook, kubeconfig: Path) -> None:
    """Returns the node of the one-node Kubernetes, with containerd, kubelet and DNS."""
    if reason := rig.missing(node=True):
        pytest.skip(reason)
    if "node1" not in rig.kubectl("get", "nodes", "-o", "name", kubeconfig=kubeconfig):
        rig.script("node.sh")


@pytest.fixture(scope="session")
def corpora(node: None) -> Path:
    """Returns two corpora by name.

    `voices` has a few mixtures of synthetic voices, made like the demo's; `broken` is the same with a bad sample.
    """
    root = rig.HOME / "run" / "volumes" / "corpora"
    words = ["--out", str(root / "voices"), "--mixtures", "10", "--seconds", "1"]
    subprocess.run([sys.executable, "-m", "trainer.data.corpus", *words], check=True, cwd=ROOT, timeout=300)
    if not (root / "broken").exists():
        shutil.copytree(root / "voices", root / "broken")
        _break(min((root / "broken" / "train" / "mix").iterdir()))
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return root


@pytest.fixture
def site() -> Site:
    """Returns a site without GPUs on the real node."""
    found = load_site().model_dump()
    found |= {
        "namespace": f"node-{os.urandom(4).hex()}",
        "image": "local/base:dev",
        "data_folder": "voices",
        "parallel_trials": 2,
        "wandb": None,
        "node_selector": {"kubernetes.io/hostname": "node1"},
        "resources": {"gpus": 0, "cpu": "500m", "memory": "2Gi", "shared_memory": "64Mi"},
        "job": {**found["job"], "linger_seconds": 6},  # the collectors here start within 2 s
    }
    return Site.model_validate(found)


@pytest.fixture
def runs(site: Site) -> Iterator[Path]:
    """Yields the folder of the runs claim on this machine."""
    folder = rig.HOME / "run" / "volumes" / site.namespace
    folder.mkdir(parents=True)
    os.chown(folder, site.user.uid, site.user.gid)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def claim_folders(site: Site, runs: Path, corpora: Path) -> dict[str, Path]:
    """Returns the claims of a namespace: the corpus, the runs folder and Python's packages."""
    packages = rig.HOME / "run" / "volumes" / "packages"
    for source, target in ((Path(python_site.getsitepackages()[0]), "site-packages"), (ROOT, "repository")):
        _bind(source.resolve(), packages / target)
    return {site.claims.data: corpora, site.claims.runs: runs, "packages": packages}


@pytest.fixture
def place(tools: Tools, katib: Webhook) -> Iterator[Tools]:
    """Yields a namespace at `restricted`."""
    tools.cluster.merge(NAMESPACE, tools.namespace, {"metadata": {"labels": {SECURITY: "restricted"}}})
    katib.wrap = partial(wrap, packages="packages")
    yield tools
    katib.wrap, katib.away = None, False
    tools.kubectl("delete", "jobs", "--all", "--cascade=foreground", "--timeout=300s")


@pytest.fixture(scope="session")
def image(node: None) -> str:
    """Returns the image of the services, on the node."""
    return services.image()


@pytest.fixture
def db(place: Tools) -> Iterator[DbManager]:
    """Yields the stand-in that the Service katib-db-manager leads to."""
    manager = DbManager(rig.HOST)
    name = {"name": "katib-db-manager", "namespace": "kubeflow"}
    slice_name = {**name, "labels": {"kubernetes.io/service-name": "katib-db-manager"}}
    made = Tools(place.kubeconfig, "kubeflow")
    made.make({"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": {"ports": [{"port": 6789}]}})
    made.make(
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
         "metadata": slice_name, "endpoints": [{"addresses": [rig.HOST]}], "ports": [{"port": manager.port}]}
    )  # fmt: skip
    yield manager
    manager.away()
    made.kubectl("delete", "service,endpointslice", "katib-db-manager", "--ignore-not-found")


@dataclass
class Services:
    """The services of a search, and their addresses."""

    tools: Tools
    address: str

    def suggestion(self) -> Any:
        return rpc.SuggestionStub(grpc.insecure_channel(f"{self.address}:6789"))

    def early_stopping(self) -> Any:
        return rpc.EarlyStoppingStub(grpc.insecure_channel(f"{self.address}:6788"))

    def kill(self) -> None:
        """Kills the pod at once, and waits until its successor answers."""
        label = f"katib.kubeflow.org/deployment={NAME}-bayesianoptimization"
        self.tools.kubectl("delete", "pod", "-l", label, "--force", "--grace-period=0", "--timeout=300s")
        services.ready(self.tools, f"{NAME}-bayesianoptimization")


@pytest.fixture
def running(place: Tools, db: DbManager, image: str, katib: Webhook) -> Services:
    """Returns the services of a search in a namespace as k8s/base makes it, with their collector beside each trial."""
    place.cluster.merge(NAMESPACE, place.namespace, {"metadata": {"labels": {SECURITY: "baseline"}}})
    collector = partial(services.collector, image, place, NAME)
    katib.wrap = partial(wrap, packages="packages", rules=True, collector=collector)
    return Services(place, services.start(place, NAME, image))


def _break(path: Path) -> None:
    """Replaces a few samples by no numbers, so that every segment has at least one."""
    samples = soundfile.read(path, dtype="float32")[0]
    samples[::1000] = np.nan
    soundfile.write(path, samples, 8000, subtype="FLOAT")


def _bind(source: Path, target: Path) -> None:
    """Bind-mounts a folder, since a hostPath volume does not follow links.

    teardown.sh unmounts everything below its state folder.
    """
    if not target.is_mount():
        target.mkdir(parents=True, exist_ok=True)
        rig.run("mount", "--bind", str(source), str(target))
