"""Checks the claims of the corpus and of the run directories.

Each must be bound, or about to be, and usable from as many nodes as trials run on.
"""

from collections.abc import Iterator

from katib.backend.cluster.answers import ForbiddenError, RefusedError
from katib.backend.cluster.doctor.namespace import BASE
from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, warning
from katib.backend.cluster.kinds import CLAIM, NODE
from katib.backend.cluster.objects import Claim, read_claim
from katib.backend.cluster.storage import (
    A_FOLDER_A_NODE,
    ONE_NODE,
    READ_ONLY_MANY,
    READ_WRITE_MANY,
    class_of,
    provisioner_of,
    storage_classes,
    unsupported_mode,
    waits_for_pod,
    why_unbound,
)
from katib.manifest.claims import claim_manifest
from katib.site_pods import Volume
from katib.tree import labels_at

HOSTNAME = "kubernetes.io/hostname"
FOR_EVER = "trial pods wait for it for ever"


def data_claim(context: DoctorContext) -> Iterator[Result]:
    """Checks the claim of the corpus, which several trials may read at once."""
    return _claim(context, "data", context.site.claims.data)


def runs_claim(context: DoctorContext) -> Iterator[Result]:
    """Checks the claim of the run directories, which several trials may write to at once."""
    return _claim(context, "runs", context.site.claims.runs)


def _claim(context: DoctorContext, use: str, name: str) -> Iterator[Result]:
    check = f"{use} claim"
    item = context.cluster.get(CLAIM, name)
    if item is None and (volume := getattr(context.site.storage, use)):
        yield _to_make(context, use, name, volume)
        return
    if item is None:
        yield error(check, f"no claim '{name}'", FOR_EVER, f"{BASE}, or name yours in k8s/site.yaml (claims.{use})")
        return
    claim = read_claim(item)
    if claim.phase == "Lost":
        yield error(check, f"'{name}' has lost its volume", FOR_EVER, f"kubectl describe pvc {name}")
    elif claim.phase != "Bound":
        yield _unbound(context, check, claim)
    else:
        yield _bound(context, check, use, claim)


def _to_make(context: DoctorContext, use: str, name: str, volume: Volume) -> Result:
    """Returns the result for a claim that does not exist, and that the site says how to make."""
    check, classes = f"{use} claim", storage_classes(context.cluster)
    claim = Claim(name, "Pending", (volume.access,), False, volume.storage_class, "", volume.size)
    wanted, nothing = class_of(claim, classes or ()), f"'{name}' could not be made"
    if classes is not None and wanted not in {each.name for each in classes}:
        there = ", ".join(each.name for each in classes) or "none"
        problem = f"no storage class '{wanted}'" if wanted else "there is no default storage class"
        return error(check, f"{problem} (there: {there})", nothing, f"storage.{use}.storage_class in k8s/site.yaml")
    provisioner = provisioner_of(claim, classes or ())
    if mode := unsupported_mode(claim, provisioner):
        problem = f"storage class '{wanted}' ({provisioner}) makes volumes for one node only, not {mode}"
        fix = f"storage.{use}.storage_class of {ONE_NODE[provisioner]} in k8s/site.yaml; or access: ReadWriteOnce there"
        return error(
            check, problem, FOR_EVER, f"{fix}, and node_selector {HOSTNAME}: NODE, where one node runs all trials"
        )
    try:
        context.cluster.create(CLAIM, claim_manifest(context.site, name, volume), dry_run=True)
    except RefusedError as cause:
        return error(
            check, str(cause), nothing, f"kubectl describe quota,limitrange; storage.{use}.size in k8s/site.yaml"
        )
    except ForbiddenError:
        pass
    return error(check, f"no claim '{name}' yet", FOR_EVER, "make claims | kubectl apply -f -")


def _unbound(context: DoctorContext, check: str, claim: Claim) -> Result:
    """Returns the result for a claim that waits: for its first pod, which is fine, or for a volume."""
    classes, name = storage_classes(context.cluster), claim.name
    wanted = class_of(claim, classes or ())
    show = "kubectl get storageclass"
    if classes is not None and wanted is None:
        fix = f"name a storage class in k8s/base/claims.yaml; {show}"
        return error(check, f"'{name}' waits, and there is no default storage class", FOR_EVER, fix)
    if classes is not None and wanted and wanted not in {each.name for each in classes}:
        problem = f"'{name}' waits for storage class '{wanted}', which does not exist"
        return error(check, problem, FOR_EVER, show)
    reason, fix = why_unbound(context.cluster, claim, classes or ())
    if reason:
        return error(check, f"'{name}' has no volume: {reason}", FOR_EVER, fix)
    if classes is None or waits_for_pod(claim, classes):
        return ok(check, f"'{name}' is bound with the first pod{f' ({wanted})' if wanted else ''}")
    fix = f"kubectl describe pvc {name}"
    return error(check, f"'{name}' waits for a volume", "trial pods wait until it is bound", fix)


def _bound(context: DoctorContext, check: str, use: str, claim: Claim) -> Result:
    """Returns the result for a bound claim: as many trials as run at a time must be able to mount it."""
    name, modes = claim.name, claim.modes
    shared = READ_WRITE_MANY in modes or (use == "data" and READ_ONLY_MANY in modes)
    pinned = HOSTNAME in labels_at(context.pod, "nodeSelector")
    provisioner = provisioner_of(claim, storage_classes(context.cluster) or ())
    if "ReadWriteOncePod" in modes and context.parallel > 1:
        fix = f"a claim with {READ_WRITE_MANY}, or PARALLEL=1"
        return error(check, f"'{name}' is ReadWriteOncePod", "only one trial at a time can start", fix)
    if provisioner in A_FOLDER_A_NODE and not pinned and _nodes(context) > 1:
        problem = f"'{name}' is made by {provisioner}, which gives each node a folder of its own"
        effect = "a trial that starts on another node finds neither the corpus nor its checkpoint"
        fix = f"node_selector {HOSTNAME}: NODE in k8s/site.yaml, or a storage class for many nodes"
        return warning(check, problem, effect, fix)
    if not shared and not pinned and context.parallel > 1:
        fix = f"a claim with {READ_WRITE_MANY}, or node_selector {HOSTNAME}: NODE in k8s/site.yaml"
        return warning(check, f"'{name}' is {', '.join(modes)}", "parallel trials only start on one node", fix)
    return ok(check, f"'{name}' {', '.join(modes)}, {claim.capacity}".rstrip(", "))


def _nodes(context: DoctorContext) -> int:
    """Returns the number of nodes; 1 where the caller has no right to list them."""
    try:
        return len(context.cluster.list(NODE))
    except ForbiddenError:
        return 1
