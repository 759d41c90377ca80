"""Installs Katib v0.19.0 with our services: renders a kustomize folder, applies it, and waits until Katib is up."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from katib.backend.cluster.kinds import KATIB_NAMESPACE
from katib.backend.cluster.kubectl import kubectl
from katib.errors import ClusterError
from katib.tree import at, text_at
from katib.yaml_reader import read_documents

DEPLOYMENTS = ("katib-db-manager", "katib-controller", "katib-ui")
ROLLOUT_TIMEOUT = "600s"


@dataclass(frozen=True)
class Installation:
    """What is about to be applied, and the API server that it is applied to."""

    manifests: str
    """The rendered objects, as YAML."""
    server: str
    context: str | None

    @cached_property
    def namespace(self) -> str:
        """The namespace of Katib's controller."""
        found = (at(document.value) for document in read_documents(self.manifests))
        named = {text_at(item, "metadata", "name"): item for item in found if text_at(item, "kind") == "Deployment"}
        return text_at(named.get("katib-controller"), "metadata", "namespace") or KATIB_NAMESPACE

    @property
    def objects(self) -> int:
        """Number of objects in the manifests."""
        return self.manifests.count("\nkind: ") + self.manifests.startswith("kind: ")


def prepare(overlay: Path, context: str | None) -> Installation:
    """Renders the kustomize folder `overlay`. Raises ClusterError where kubectl cannot, often for lack of a network."""
    try:
        manifests = kubectl("kustomize", str(overlay))
    except ClusterError as error:
        raise ClusterError(
            f"{error}; k8s/katib takes Katib's own install from github.com: where that is out of reach, "
            "name a folder with a copy, OVERLAY=folder"
        ) from None
    server = kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}", context=context)
    return Installation(manifests, server, context)


def install(installation: Installation, say: Callable[[str], None]) -> None:
    """Applies the objects and waits for Katib's deployments. Raises ClusterError where one does not come up."""
    context = installation.context
    apply = ("apply", "--server-side", "--force-conflicts", "-f", "-")
    say(kubectl(*apply, stdin=installation.manifests, context=context).strip())
    for name in DEPLOYMENTS:
        say(f"waiting for {name}")
        rollout = ("rollout", "status", f"deployment/{name}", f"--timeout={ROLLOUT_TIMEOUT}")
        kubectl("-n", installation.namespace, *rollout, context=context)
