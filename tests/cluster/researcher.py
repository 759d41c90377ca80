"""Makes the caller a service account with the roles that k8s/ ships for a researcher, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from katib.backend.cluster import claim_pod, lifecycle, run_directories
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import CLAIM, EXPERIMENT, JOB, POD, SERVICE_ACCOUNT, TRIAL, Object
from katib.conclude import architecture, sizes
from katib.errors import ResultError
from tests.cluster import rig
from tests.cluster.faults import with_token
from tests.cluster.tools import Tools

K8S = Path(__file__).parents[2] / "k8s"
BASE, OF_KATIB = K8S / "base" / "rbac.yaml", K8S / "katib" / "ours" / "researcher.yaml"
NAME = "sepsweep-researcher"


def roles(path: Path, kind: str = "Role") -> list[Object]:
    """Returns the roles in a file of k8s/."""
    return [item for item in yaml.safe_load_all(path.read_text()) if item["kind"] == kind]


@contextmanager
def researcher(tools: Tools, *, katib: bool = True) -> Iterator[Path]:
    """Yields the kubeconfig of such an account; with `katib`, it has the binding in Katib's namespace too."""
    account = f"--serviceaccount={tools.namespace}:researcher"
    if tools.cluster.get(SERVICE_ACCOUNT, "researcher") is None:
        tools.kubectl("create", "serviceaccount", "researcher")
        tools.kubectl("create", "rolebinding", "researcher", f"--role={NAME}", account)
    for role in roles(BASE):
        tools.make(role)
    bound = f"researcher-{tools.namespace}"
    if katib:
        rig.kubectl("apply", "-f", str(OF_KATIB), kubeconfig=tools.kubeconfig)
        rig.kubectl(
            "-n",
            "kubeflow",
            "create",
            "rolebinding",
            bound,
            f"--role={NAME}",
            account,
            kubeconfig=tools.kubeconfig,
        )
    cluster: Cluster = with_token(tools, tools.kubectl("create", "token", "researcher").strip())
    assert cluster.namespace == tools.namespace
    try:
        yield tools.kubeconfig.parent / "visitor.conf"
    finally:
        if katib:
            rig.kubectl("-n", "kubeflow", "delete", "rolebinding", bound, kubeconfig=tools.kubeconfig)


@contextmanager
def as_researcher(tools: Tools, monkeypatch: pytest.MonkeyPatch, *, katib: bool = True) -> Iterator[None]:
    """Runs verbs as that account meanwhile, which wait for no pod's end or next trial."""
    with researcher(tools, katib=katib) as kubeconfig, monkeypatch.context() as patched:
        patched.setenv("KUBECONFIG", str(kubeconfig))
        patched.setattr(run_directories, "TIMEOUT_SECONDS", 1.0)
        patched.setattr(claim_pod, "START_SECONDS", 1.0)
        patched.setattr(lifecycle, "SETTLE_SECONDS", 1.0)
        patched.setattr(sizes, "sizes", unasked)
        patched.setattr(architecture, "sizes", unasked)
        yield


def unasked(*_: object) -> None:
    """Replaces the trainer, which needs no rights and takes half a minute to count parameters."""
    raise ResultError("not asked")


def versions(tools: Tools) -> dict[str, str]:
    """Returns what changes where a verb changes or deletes an object, and not where a controller writes its status."""
    kinds = (EXPERIMENT, TRIAL, JOB, POD, CLAIM)
    found = [(kind, item["metadata"]) for kind in kinds for item in tools.cluster.list(kind)]
    keys = ("uid", "generation", "labels", "annotations", "deletionTimestamp")
    return {f"{kind.name} {about['name']}": str([about.get(key) for key in keys]) for kind, about in found}
