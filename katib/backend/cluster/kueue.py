"""Reads what Kueue has in a cluster: the version of its types, and whether a queue makes nodes appear."""

from dataclasses import replace

from katib.backend.cluster.answers import NoKindError
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import ADMISSION_CHECK, CLUSTER_QUEUE, KUEUE, LOCAL_QUEUE, Kind
from katib.tree import items_at, text_at, texts_at

VERSIONS = ("v1beta2", "v1beta1")
"""The versions of Kueue's types that are known here, the newest first; their fields that are read here are the same."""
PROVISIONING = "kueue.x-k8s.io/provisioning-request"
"""The controller of an admission check that asks an autoscaler for the nodes of a Job before it starts."""


def served(cluster: Cluster, kind: Kind) -> Kind:
    """Returns one of Kueue's kinds in the newest version that the cluster has. Raises NoKindError where it has none."""
    listed = [text_at(item, "version") for item in items_at(cluster.raw(f"/apis/{KUEUE}"), "versions")]
    version = next((version for version in VERSIONS if version in listed), None)
    if version is None:
        raise NoKindError(f"{cluster.server} has {KUEUE} in {', '.join(listed) or 'no version'}, and not {VERSIONS[0]}")
    return replace(kind, version=version)


def provisions(cluster: Cluster, queue: str) -> bool:
    """Returns whether the queue asks an autoscaler for nodes (ProvisioningRequest). Raises ClusterError."""
    behind = text_at(cluster.get(served(cluster, LOCAL_QUEUE), queue), "spec", "clusterQueue")
    found = cluster.get(served(cluster, CLUSTER_QUEUE), behind) if behind else None
    listed = items_at(found, "spec", "admissionChecksStrategy", "admissionChecks")
    names = [text_at(each, "name") for each in listed] + texts_at(found, "spec", "admissionChecks")
    checks = (cluster.get(served(cluster, ADMISSION_CHECK), name) for name in names)
    return any(text_at(check, "spec", "controllerName") == PROVISIONING for check in checks)
