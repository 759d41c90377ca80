"""Finds out which volumes a storage class makes, from its provisioner, and why a claim has no volume yet.

The table lists provisioners whose volumes are attached to one node; according to their own documentation of access
modes, each refuses a file system that several nodes write to (ReadWriteMany). Of a provisioner that is not in it, only
the claim's events are judged.
"""

from collections.abc import Mapping, Sequence

from katib.backend.causes import Cause
from katib.backend.cluster.answers import ForbiddenError, one_line
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import CLAIM, EVENT, STORAGE_CLASS
from katib.backend.cluster.objects import Claim, StorageClass, read_claim, read_event, read_storage_class
from katib.backend.cluster.pod import Pod
from katib.errors import ClusterError

READ_WRITE_MANY, READ_ONLY_MANY = "ReadWriteMany", "ReadOnlyMany"
_ANY = "NFS, CephFS or Longhorn"
ONE_NODE: Mapping[str, str] = {
    "rancher.io/local-path": _ANY,  # kind, k3s
    "kubernetes.io/gce-pd": "Filestore (filestore.csi.storage.gke.io)",
    "pd.csi.storage.gke.io": "Filestore (filestore.csi.storage.gke.io)",
    "kubernetes.io/aws-ebs": "EFS (efs.csi.aws.com)",
    "ebs.csi.aws.com": "EFS (efs.csi.aws.com)",
    "ebs.csi.eks.amazonaws.com": "EFS (efs.csi.aws.com)",
    "kubernetes.io/azure-disk": "Azure Files (file.csi.azure.com)",
    "disk.csi.azure.com": "Azure Files (file.csi.azure.com)",
    "kubernetes.io/cinder": "Manila (manila.csi.openstack.org)",
    "cinder.csi.openstack.org": "Manila (manila.csi.openstack.org)",
    "rbd.csi.ceph.com": "CephFS (cephfs.csi.ceph.com)",
    "rook-ceph.rbd.csi.ceph.com": "CephFS (rook-ceph.cephfs.csi.ceph.com)",
    "openshift-storage.rbd.csi.ceph.com": "CephFS (openshift-storage.cephfs.csi.ceph.com)",
    "dobs.csi.digitalocean.com": _ANY,
    "csi.hetzner.cloud": _ANY,
    "linodebs.csi.linode.com": _ANY,
    "block.csi.vultr.com": _ANY,
    "csi.scaleway.com": _ANY,
    "blockvolume.csi.oraclecloud.com": "File Storage (fss.csi.oraclecloud.com)",
    "vpc.block.csi.ibm.io": "File Storage for VPC (vpc.file.csi.ibm.io)",
    "diskplugin.csi.alibabacloud.com": "NAS (nasplugin.csi.alibabacloud.com)",
    "topolvm.io": _ANY,
    "openebs.io/local": _ANY,
    "local.csi.openebs.io": _ANY,
    "zfs.csi.openebs.io": _ANY,
}
"""By provisioner, what the same platform offers for volumes of many nodes."""
A_FOLDER_A_NODE = (
    "k8s.io/minikube-hostpath",
    "docker.io/hostpath",
    "microk8s.io/hostpath",
    "hostpath.csi.k8s.io",
)
"""Provisioners that accept every access mode, and give each node a folder of its own."""
_READ_ONLY_TOO = ("pd.csi.storage.gke.io", "kubernetes.io/gce-pd")
_NORMAL = ("WaitForFirstConsumer", "WaitForPodScheduled", "Provisioning", "ProvisioningSucceeded")
"""Reasons of a claim's events that mean nothing but the wait for its first pod, or for a moment."""


def unsupported_mode(claim: Claim, provisioner: str) -> str:
    """Returns the access mode of the claim for which `provisioner` makes no volume; empty where none is known."""
    if provisioner not in ONE_NODE or claim.block:
        return ""
    if READ_WRITE_MANY in claim.modes:
        return READ_WRITE_MANY
    return READ_ONLY_MANY if READ_ONLY_MANY in claim.modes and provisioner not in _READ_ONLY_TOO else ""


def mode_fix(name: str, provisioner: str) -> str:
    """Returns the fix for a claim for which `provisioner` makes no volume.

    A claim's access modes cannot be changed, so it must be deleted.
    """
    other = ONE_NODE.get(provisioner, _ANY)
    return (
        f"kubectl delete pvc {name}; then, if one node runs all trials, kubectl apply -k k8s/one-node (ReadWriteOnce)"
        " and set node_selector kubernetes.io/hostname: NODE in k8s/site.yaml; otherwise name a storage class of"
        f" {other} in k8s/base/claims.yaml and kubectl apply -k k8s/base"
    )


def provisioner_of(claim: Claim, classes: Sequence[StorageClass] = ()) -> str:
    """Returns the provisioner of the claim's volume: that of its storage class, or the one that Kubernetes has noted.

    Empty where neither is known.
    """
    wanted = class_of(claim, classes)
    return next((each.provisioner for each in classes if each.name == wanted), claim.provisioner)


def class_of(claim: Claim, classes: Sequence[StorageClass] = ()) -> str | None:
    """Returns the claim's storage class, or the default one; None where there is neither."""
    if claim.storage_class is not None:
        return claim.storage_class
    return next((each.name for each in classes if each.default), None)


def claim_problem(cluster: Cluster, name: str) -> str:
    """Returns the claim's newest event that reports a problem; empty where there is none, or no right to read it."""
    fields = f"involvedObject.kind=PersistentVolumeClaim,involvedObject.name={name}"
    try:
        events = sorted(map(read_event, cluster.list(EVENT, fields=fields)), key=lambda event: event.time)
    except ForbiddenError:
        return ""
    problems = [event for event in events if event.reason not in _NORMAL]
    warnings = [event for event in problems if event.type == "Warning"]
    newest = next(reversed(warnings or problems), None)
    return f"{newest.reason}: {one_line(newest.message)[:300]}" if newest else ""


def waits_for_pod(claim: Claim, classes: Sequence[StorageClass]) -> bool:
    """Returns whether the claim is bound with its first pod, according to its class."""
    wanted = class_of(claim, classes)
    return any(each.waits_for_pod for each in classes if each.name == wanted)


def why_unbound(cluster: Cluster, claim: Claim, classes: Sequence[StorageClass] = ()) -> tuple[str, str]:
    """Returns why the claim has no volume, and the fix.

    Both are empty where it only waits for its first pod, or where nothing more is known.
    """
    provisioner = provisioner_of(claim, classes)
    if mode := unsupported_mode(claim, provisioner):
        name = class_of(claim, classes)
        maker = f"storage class '{name}' ({provisioner})" if name else provisioner
        return f"asks for {mode}, but {maker} makes volumes for one node only", mode_fix(claim.name, provisioner)
    problem = claim_problem(cluster, claim.name)
    return problem, f"kubectl describe pvc {claim.name}; kubectl get storageclass" if problem else ""


def missing_volume(cluster: Cluster, pod: Pod | None) -> Cause | None:
    """Returns why a pod without a node waits for its claims; None where they are bound, or cannot be read."""
    try:
        for name in pod.wanted_claims if pod else ():
            item = cluster.get(CLAIM, name)
            if item is None:
                return Cause(f"there is no claim '{name}'", "kubectl apply -k k8s/base; make doctor")
            claim = read_claim(item)
            if claim.phase == "Bound":
                continue
            reason, fix = why_unbound(cluster, claim, storage_classes(cluster) or ())
            if reason:
                return Cause(f"claim '{name}' has no volume: {reason}", fix)
    except ClusterError:
        pass
    return None


def storage_classes(cluster: Cluster) -> Sequence[StorageClass] | None:
    """Returns all storage classes; None where the caller has no right to list them."""
    try:
        return [read_storage_class(item) for item in cluster.list(STORAGE_CLASS)]
    except ForbiddenError:
        return None
