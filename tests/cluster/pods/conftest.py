"""Provides the one-node Kubernetes' node, and a locked-down namespace on it in which trials really run."""

import os
import shutil
import site as python_site
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from katib.backend.cluster.kinds import NAMESPACE
from katib.site import Site, load_site
from tests.cluster import rig
from tests.cluster.pods.trial_webhook import wrap
from tests.cluster.tools import Tools
from tests.cluster.webhook import Webhook

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
def place(tools: Tools, site: Site, runs: Path, corpora: Path, katib: Webhook) -> Iterator[Tools]:
    """Yields a namespace at `restricted` with the corpus, the runs folder and Python's packages as claims."""
    tools.cluster.merge(NAMESPACE, tools.namespace, {"metadata": {"labels": {SECURITY: "restricted"}}})
    packages = rig.HOME / "run" / "volumes" / "packages"
    for source, target in ((Path(python_site.getsitepackages()[0]), "site-packages"), (ROOT, "repository")):
        _bind(source.resolve(), packages / target)
    for name, path in ((site.claims.data, corpora), (site.claims.runs, runs), ("packages", packages)):
        _volume(tools, name, path)
    katib.wrap = partial(wrap, packages="packages")
    yield tools
    katib.wrap = None
    tools.kubectl("delete", "jobs", "--all", "--cascade=foreground", "--timeout=300s")


def _volume(tools: Tools, name: str, path: Path) -> None:
    """Recreates the claim `name` of the namespace, on a folder of this machine."""
    tools.kubectl("delete", "pvc", name, "--ignore-not-found")
    tools.kubectl("delete", "pv", f"{tools.namespace}-{name}", "--ignore-not-found")
    tools.claim(name, path=path)


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
