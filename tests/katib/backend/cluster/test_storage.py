"""Claims by access mode and provisioner, according to the provisioners' own documentation; without a cluster."""

from typing import Any

import pytest

from katib.backend.cluster.answers import ForbiddenError
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.doctor.claims import data_claim, runs_claim
from katib.backend.cluster.doctor.result import DoctorContext, Result
from katib.backend.cluster.kinds import CLAIM, EVENT, STORAGE_CLASS, Kind, Object
from katib.site import Site, load_site
from tests.katib.backend.cluster.test_plan_and_causes import manifest

NOTED = "volume.kubernetes.io/storage-provisioner"


class Claims(Cluster):
    """A cluster with one claim for both uses, its class and its events; None: the caller may not read classes."""

    def __init__(
        self,
        claim: Object,
        classes: list[Object] | None = None,
        events: tuple[Object, ...] = (),
        nodes: int = 1,
    ) -> None:
        self.claim, self.classes, self.events, self.nodes = claim, classes, events, nodes

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        return {**self.claim, "metadata": {"name": name, **self.claim["metadata"]}} if kind is CLAIM else None

    def list(self, kind: Kind, selector: str = "", namespace: str | None = None, fields: str = "") -> Any:
        if kind is EVENT:
            return list(self.events)
        if kind is STORAGE_CLASS:
            if self.classes is None:
                raise ForbiddenError("storageclasses: cannot list")
            return self.classes
        return [{}] * self.nodes


def storage(provisioner: str, mode: str = "WaitForFirstConsumer") -> Object:
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "metadata": {"name": "standard", "annotations": default},
        "provisioner": provisioner,
        "volumeBindingMode": mode,
    }


def claim(*modes: str, phase: str = "Pending", noted: str = "", **spec: Any) -> Object:
    annotations = {NOTED: noted} if noted else {}
    return {
        "metadata": {"annotations": annotations},
        "spec": {"accessModes": list(modes), **spec},
        "status": {"phase": phase},
    }


def event(kind: str, reason: str, message: str, time: str = "2026-11-28T10:00:00Z") -> Object:
    return {"type": kind, "reason": reason, "message": message, "lastTimestamp": time}


def diagnose(cluster: Cluster, site: Site | None = None, use: str = "runs") -> Result:
    context = DoctorContext(cluster, site or load_site(), [manifest()])
    (found,) = (runs_claim if use == "runs" else data_claim)(context)
    return found


@pytest.mark.parametrize(
    ("provisioner", "other"),
    [
        ("rancher.io/local-path", "NFS, CephFS or Longhorn"),
        ("pd.csi.storage.gke.io", "Filestore"),
        ("kubernetes.io/gce-pd", "Filestore"),
        ("ebs.csi.aws.com", "EFS"),
        ("ebs.csi.eks.amazonaws.com", "EFS"),
        ("disk.csi.azure.com", "Azure Files"),
        ("rbd.csi.ceph.com", "CephFS"),
        ("cinder.csi.openstack.org", "Manila"),
        ("topolvm.io", "NFS"),
    ],
)
@pytest.mark.parametrize("binding", ["WaitForFirstConsumer", "Immediate"])
def test_a_class_for_one_node_never_makes_a_volume_for_many(provisioner: str, other: str, binding: str) -> None:
    found = diagnose(Claims(claim("ReadWriteMany"), [storage(provisioner, binding)]))
    assert found.status == "error"
    assert "ReadWriteMany" in found.problem
    assert provisioner in found.problem
    assert other in found.fix
    assert "k8s/one-node" in found.fix
    assert diagnose(Claims(claim("ReadWriteOnce"), [storage(provisioner)])).status == "ok"


@pytest.mark.parametrize(
    "provisioner",
    [
        "filestore.csi.storage.gke.io",
        "efs.csi.aws.com",
        "file.csi.azure.com",
        "driver.longhorn.io",
        "nfs.csi.k8s.io",
        "a.new/one",
    ],
)
def test_a_claim_that_waits_for_its_first_pod_is_well(provisioner: str) -> None:
    waits = event("Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding")
    assert diagnose(Claims(claim("ReadWriteMany"), [storage(provisioner)], (waits,))).status == "ok"


def test_a_read_only_claim_for_many_nodes_can_be_a_disk_of_google_and_none_of_amazon() -> None:
    wanted = claim("ReadOnlyMany")
    assert diagnose(Claims(wanted, [storage("pd.csi.storage.gke.io")]), use="data").status == "ok"
    assert diagnose(Claims(wanted, [storage("ebs.csi.aws.com")]), use="data").status == "error"


def test_without_the_right_to_read_classes_the_claims_annotation_counts() -> None:
    found = diagnose(Claims(claim("ReadWriteMany", noted="rancher.io/local-path")))
    assert (found.status, "rancher.io/local-path" in found.problem) == ("error", True)
    assert diagnose(Claims(claim("ReadWriteMany"))).status == "ok"


def test_the_newest_warning_of_the_claim_is_its_reason() -> None:
    events = (
        event("Warning", "ProvisioningFailed", "no   quota\nleft", "2026-11-28T10:02:00Z"),
        event("Warning", "ProvisioningFailed", "an older one", "2026-11-28T10:01:00Z"),
        event("Normal", "ExternalProvisioning", "waiting for a.new/one", "2026-11-28T10:03:00Z"),
    )
    found = diagnose(Claims(claim("ReadWriteMany"), [storage("a.new/one")], events))
    assert found.status == "error"
    assert "ProvisioningFailed: no quota left" in found.problem


def test_a_folder_per_node_is_reported_where_there_are_several_nodes() -> None:
    bound = claim("ReadWriteMany", phase="Bound")
    classes = [storage("k8s.io/minikube-hostpath")]
    assert diagnose(Claims(bound, classes)).status == "ok"
    found = diagnose(Claims(bound, classes, nodes=2))
    assert (found.status, "a folder of its own" in found.problem) == ("warning", True)


def test_a_claim_for_one_node_is_well_where_trials_are_kept_on_one() -> None:
    bound = Claims(claim("ReadWriteOnce", phase="Bound"), [])
    pinned = load_site().model_copy(update={"node_selector": {"kubernetes.io/hostname": "gpu1"}})
    assert diagnose(bound).status == "warning"
    (found,) = runs_claim(DoctorContext(bound, pinned, [manifest(pinned)]))
    assert found.status == "ok"
