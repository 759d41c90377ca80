"""Finds the nodes that a trial's pod may run on, as the scheduler would, and says why where there are none. Pure."""

from collections.abc import Sequence

from katib.backend.cluster.doctor.result import Result, error
from katib.backend.cluster.objects import Node, Taint
from katib.tree import Tree, at, items_at, labels_at, text_at, texts_at

WAIT_FOR_EVER = "trial pods wait for ever"
OF_KUBERNETES = "node.kubernetes.io/"
"""The beginning of the taints by which Kubernetes itself keeps pods away from a node that is not well."""
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def usable(nodes: Sequence[Node], pod: Tree) -> tuple[Result | None, Sequence[Node]]:
    """Returns the nodes that the pod may run on; where there are none, also the result that says why."""
    if not nodes:
        return error("nodes", "the cluster has no nodes", "no pod can start", "kubectl get nodes"), ()
    selector, show = labels_at(pod, "nodeSelector"), "kubectl get nodes --show-labels"
    labelled = [node for node in nodes if selector.items() <= node.labels.items()]
    if not labelled:
        wanted = ", ".join(f"{key}={value}" for key, value in selector.items())
        fix = f"{show}; correct node_selector in k8s/site.yaml"
        return error("node selector", f"no node has {wanted}", WAIT_FOR_EVER, fix), ()
    liked = [node for node in labelled if _has_affinity(node, pod)]
    if not liked:
        problem, fix = "no node meets the required nodeAffinity", f"{show}; correct affinity in k8s/site.yaml"
        return error("node affinity", problem, WAIT_FOR_EVER, fix), ()
    schedulable = [node for node in liked if not node.cordoned]
    if not schedulable:
        problem = f"all {len(liked)} that could take a trial are cordoned"
        return error("nodes", problem, "no trial pod can start", "kubectl get nodes; kubectl uncordon NODE"), ()
    ready = [node for node in schedulable if node.ready]
    if not ready:
        problem, first = f"none of the {len(schedulable)} that could take a trial is ready", schedulable[0].name
        return error("nodes", problem, "no trial pod can start", f"kubectl describe node {first}"), ()
    tolerated = [node for node in ready if untolerated(node, pod) is None]
    if not tolerated:
        return _tainted(ready, pod), ()
    return _unspreadable(tolerated, pod), tolerated


def untolerated(node: Node, pod: Tree) -> Taint | None:
    """Returns the first taint of the node that keeps the pod away."""
    tolerations = items_at(pod, "tolerations")
    hard = (taint for taint in node.taints if taint.effect != "PreferNoSchedule")
    return next((taint for taint in hard if not any(_tolerates(each, taint) for each in tolerations)), None)


def _tainted(nodes: Sequence[Node], pod: Tree) -> Result:
    """Returns the result for nodes of which each has a taint; one of Kubernetes' own is no matter of tolerations."""
    named = [(node.name, taint) for node in nodes if (taint := untolerated(node, pod))]
    name, taint = next((pair for pair in named if not pair[1].key.startswith(OF_KUBERNETES)), named[0])
    fix = "add it to tolerations in k8s/site.yaml"
    if taint.key.startswith(OF_KUBERNETES):
        fix = f"kubectl describe node {name}; mend what it reports (no toleration helps)"
    return error("taints", f"every such node has a taint like {taint}", WAIT_FOR_EVER, fix)


def _unspreadable(nodes: Sequence[Node], pod: Tree) -> Result | None:
    """Returns the result for a topology that no node has, though pods must be spread over it."""
    for spread in items_at(pod, "topologySpreadConstraints"):
        key = text_at(spread, "topologyKey")
        if text_at(spread, "whenUnsatisfiable") == "DoNotSchedule" and not any(key in node.labels for node in nodes):
            fix = "kubectl get nodes --show-labels; correct topology_spread in k8s/site.yaml"
            return error("topology spread", f"no node has the label {key}", WAIT_FOR_EVER, fix)
    return None


def _tolerates(toleration: Tree, taint: Taint) -> bool:
    key, exists = text_at(toleration, "key"), text_at(toleration, "operator") == "Exists"
    if text_at(toleration, "effect") not in ("", taint.effect):
        return False
    return key in ("", taint.key) if exists else key == taint.key and text_at(toleration, "value") == taint.value


def _has_affinity(node: Node, pod: Tree) -> bool:
    """Returns whether the node meets the pod's required nodeAffinity: one of its terms, with all of its rules."""
    required = at(pod, "affinity", "nodeAffinity", _REQUIRED)
    terms = items_at(required, "nodeSelectorTerms")
    fields = {"metadata.name": node.name}
    return not required or any(
        all(_matches(rule, node.labels) for rule in items_at(term, "matchExpressions"))
        and all(_matches(rule, fields) for rule in items_at(term, "matchFields"))
        for term in terms
        if term
    )


def _matches(rule: Tree, labels: Tree) -> bool:
    value, values, operator = labels.get(text_at(rule, "key")), texts_at(rule, "values"), text_at(rule, "operator")
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    if operator in ("In", "NotIn"):
        return (value in values) == (operator == "In")
    try:
        amount, limit = int(str(value)), int(values[0])
    except (ValueError, IndexError):
        return False
    return amount > limit if operator == "Gt" else amount < limit
