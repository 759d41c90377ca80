"""Makes the caller a service account with the roles that k8s/ ships for a researcher, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import Object
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
    tools.kubectl("create", "serviceaccount", "researcher")
    for role in roles(BASE):
        tools.make(role)
    tools.kubectl("create", "rolebinding", "researcher", f"--role={NAME}", account)
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
