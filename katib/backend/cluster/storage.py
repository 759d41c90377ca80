"""Which volumes a storage class makes, by its provisioner, and why a claim has none yet.

The table is of provisioners whose volumes are attached to one node; each refuses a file system that several nodes write
to (ReadWriteMany), as its own documentation of access modes says. What is not in it is not judged before its events say
something.
"""

from collections.abc import Mapping, Sequence

from katib.backend.cluster.answers import ForbiddenError, one_line
from katib.backend.cluster.causes import Cause
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import CLAIM, EVENT, STORAGE_CLASS, Object
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
"""By provisioner, what else that platform has for many nodes."""
A_FOLDER_A_NODE = (
    "k8s.io/minikube-hostpath",
    "docker.io/hostpath",
    "microk8s.io/hostpath",
    "hostpath.csi.k8s.io",
)
"""They take every access mode, and give each node a folder of its own."""
_READ_ONLY_TOO = ("pd.csi.storage.gke.io", "kubernetes.io/gce-pd")
_PROVISIONER = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
_WELL = ("WaitForFirstConsumer", "WaitForPodScheduled", "Provisioning", "ProvisioningSucceeded")
"""Events of a claim that wait for nothing but the first pod, or for a moment."""


def never_made(claim: Object, provisioner: str) -> str:
    """Returns the access mode of the claim for which `provisioner` makes no volume.

    Empty where nothing is known against it.
    """
    modes = claim["spec"].get("accessModes") or []
    if provisioner not in ONE_NODE or claim["spec"].get("volumeMode") == "Block":
        return ""
    if READ_WRITE_MANY in modes:
        return READ_WRITE_MANY
    return READ_ONLY_MANY if READ_ONLY_MANY in modes and provisioner not in _READ_ONLY_TOO else ""


def way_out(name: str, provisioner: str) -> str:
    """Returns what to do about a claim for which `provisioner` makes no volume.

    Its access modes cannot be changed in place.
    """
    other = ONE_NODE.get(provisioner, _ANY)
    return (
        f"kubectl delete pvc {name}; then, where one node runs all trials, kubectl apply -k k8s/one-node (ReadWriteOnce) and"
        " node_selector kubernetes.io/hostname: NODE in k8s/site.yaml; else name a storage class of"
        f" {other} in k8s/base/claims.yaml and kubectl apply -k k8s/base"
    )


def provisioner_of(claim: Object, classes: Sequence[Object] = ()) -> str:
    """Returns who makes the claim's volume: by its storage class, or as Kubernetes noted on the claim.

    Empty where nobody says.
    """
    wanted = class_of(claim, classes)
    for found in classes:
        if found["metadata"]["name"] == wanted:
            return str(found.get("provisioner", ""))
    annotations = claim["metadata"].get("annotations") or {}
    return next((str(annotations[key]) for key in _PROVISIONER if key in annotations), "")


def class_of(claim: Object, classes: Sequence[Object] = ()) -> str | None:
    """Returns the claim's storage class, or the default one; None where there is neither."""
    named = claim["spec"].get("storageClassName")
    if named is not None:
        return str(named)
    return next((str(item["metadata"]["name"]) for item in classes if _is_default(item)), None)


def trouble(cluster: Cluster, name: str) -> str:
    """Returns what the claim's own events say against it: the newest that is no mere waiting for the first pod.

    Else empty.
    """
    fields = f"involvedObject.kind=PersistentVolumeClaim,involvedObject.name={name}"
    try:
        events = sorted(cluster.list(EVENT, fields=fields), key=_time)
    except ForbiddenError:
        return ""
    bad = [event for event in events if event.get("reason") not in _WELL]
    warnings = [event for event in bad if event.get("type") == "Warning"]
    return next((f"{event['reason']}: {_line(event)}" for event in reversed(warnings or bad)), "")


def waits_for_a_pod(claim: Object, classes: Sequence[Object]) -> bool:
    """Returns whether the claim is bound with its first pod, as its class says."""
    wanted = class_of(claim, classes)
    return any(
        item["metadata"]["name"] == wanted and item.get("volumeBindingMode") == "WaitForFirstConsumer"
        for item in classes
    )


def why_unbound(cluster: Cluster, name: str, claim: Object, classes: Sequence[Object] = ()) -> tuple[str, str]:
    """Returns why the claim has no volume, and the way out.

    Empty where it only waits for its first pod, or nothing says more.
    """
    provisioner = provisioner_of(claim, classes)
    if mode := never_made(claim, provisioner):
        named = class_of(claim, classes)
        of = f"storage class '{named}' ({provisioner})" if named else provisioner
        return f"asks for {mode}, and {of} makes volumes for one node alone", way_out(name, provisioner)
    said = trouble(cluster, name)
    return said, f"kubectl describe pvc {name}; kubectl get storageclass" if said else ""


def lacking_volume(cluster: Cluster, pod: Pod | None) -> Cause | None:
    """Returns why a pod without a node waits for its claims; None where they are bound, or may not be read."""
    try:
        for name in pod.wanted_claims if pod else ():
            claim = cluster.get(CLAIM, name)
            if claim is None:
                return Cause(f"there is no claim '{name}'", "kubectl apply -k k8s/base; make doctor")
            if (claim.get("status") or {}).get("phase") == "Bound":
                continue
            reason, fix = why_unbound(cluster, name, claim, storage_classes(cluster) or ())
            if reason:
                return Cause(f"claim '{name}' has no volume: {reason}", fix)
    except ClusterError:
        pass
    return None


def storage_classes(cluster: Cluster) -> Sequence[Object] | None:
    """Returns all storage classes; None where the caller may not look."""
    try:
        return cluster.list(STORAGE_CLASS)
    except ForbiddenError:
        return None


def _is_default(found: Object) -> bool:
    annotations = found["metadata"].get("annotations") or {}
    return bool(annotations.get("storageclass.kubernetes.io/is-default-class") == "true")


def _time(event: Object) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((str(time) for time in times if time), "")


def _line(event: Object) -> str:
    return one_line(event.get("message", ""))[:300]
