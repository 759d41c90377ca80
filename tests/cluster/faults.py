"""Faults that are put into the real cluster, each with the result that doctor must report."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import (
    CONFIG_MAP,
    DEFINITION,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EVENT,
    INJECTION_LABEL,
    LOCAL_QUEUE,
    MUTATING,
    NAMESPACE,
    NODE,
    POD,
    SECRET,
    VALIDATING,
    Kind,
    Object,
)
from katib.site import Site
from tests.cluster import rig
from tests.cluster.tools import NOWHERE, Tools, manifest

SYSTEM = "kubeflow"
ENFORCE = "pod-security.kubernetes.io/enforce"
Injection = Callable[[Tools, Site], AbstractContextManager[Cluster | None]]


@dataclass(frozen=True)
class Fault:
    """What is broken, and the check, status and fix that doctor must answer with."""

    name: str
    inject: Injection
    check: str
    status: str
    fix: str
    change: dict[str, Any] = field(default_factory=dict)
    """Of the site file."""


def away(kind: Kind, name: str, namespace: str | None = None) -> Injection:
    return lambda tools, site: _none(tools.without(kind, name, namespace))


def patched(kind: Kind, name: str, patch: Object, back: Object, namespace: str | None = None) -> Injection:
    return lambda tools, site: _none(tools.patched(kind, name, patch, back, namespace))


def made(*manifests: Object) -> Injection:
    """Creates objects in the test's own namespace, which disappear with it."""

    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[None]:
        for item in manifests:
            tools.make(item)
        yield None

    return inject


def removed(kind: Kind, name: str) -> Injection:
    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[None]:
        tools.kubectl("delete", kind.plural, name, "--timeout=300s")
        yield None

    return inject


def labelled(label: str, value: str | None) -> Injection:
    """Changes a label of the namespace; None removes it."""

    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[None]:
        tools.cluster.merge(NAMESPACE, tools.namespace, {"metadata": {"labels": {label: value}}})
        yield None

    return inject


def config(**runtime: list[dict[str, str]] | None) -> Injection:
    """Writes other services into katib-config."""

    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[None]:
        found = tools.cluster.get(CONFIG_MAP, "katib-config", SYSTEM)
        assert found is not None
        text = found["data"]["katib-config.yaml"]
        document = yaml.safe_load(text)
        document["runtime"] |= runtime
        changed = {"data": {"katib-config.yaml": yaml.safe_dump(document)}}
        with tools.patched(CONFIG_MAP, "katib-config", changed, {"data": {"katib-config.yaml": text}}, SYSTEM):
            yield None

    return inject


@contextmanager
def no_injected_context(tools: Tools, site: Site) -> Iterator[None]:
    found = tools.cluster.get(CONFIG_MAP, "katib-config", SYSTEM)
    assert found is not None
    text = found["data"]["katib-config.yaml"]
    changed = {
        "data": {"katib-config.yaml": text.replace("injectSecurityContext: true", "injectSecurityContext: false")}
    }
    tools.cluster.merge(NAMESPACE, tools.namespace, {"metadata": {"labels": {ENFORCE: "restricted"}}})
    with tools.patched(CONFIG_MAP, "katib-config", changed, {"data": {"katib-config.yaml": text}}, SYSTEM):
        yield None


@contextmanager
def unready(tools: Tools, site: Site) -> Iterator[None]:
    """Makes the controller's pod unready, which its deployment notices."""
    (pod,) = tools.cluster.list(POD, "katib.kubeflow.org/component=controller", SYSTEM)
    other = Tools(tools.kubeconfig, SYSTEM)
    down = {
        "status": {
            "conditions": [
                {"type": "Ready", "status": "False"},
                {"type": "ContainersReady", "status": "False"},
            ]
        }
    }
    other.cluster.merge(POD, f"{pod['metadata']['name']}/status", down)
    other.kubectl("wait", "--for=condition=Available=false", "deployment/katib-controller", "--timeout=300s")
    try:
        yield None
    finally:
        other.run(pod)
        other.kubectl("wait", "--for=condition=Available", "deployment/katib-controller", "--timeout=300s")


@contextmanager
def uninstalled(tools: Tools, site: Site) -> Iterator[None]:
    other = Tools(tools.kubeconfig, SYSTEM)
    with tools.without(DEPLOYMENT, "katib-db-manager", SYSTEM):
        yield None
    for pod in other.cluster.list(POD, "katib.kubeflow.org/component=db-manager"):
        if "deletionTimestamp" in pod["metadata"]:
            other.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
    component = "katib.kubeflow.org/component=db-manager"
    other.run(other.first(POD, component, lambda pod: "deletionTimestamp" not in pod["metadata"]))
    other.kubectl("rollout", "status", "deployment/katib-db-manager", "--timeout=300s")


@contextmanager
def old_version(tools: Tools, site: Site) -> Iterator[None]:
    def image(tag: str) -> Object:
        container = {"name": "katib-controller", "image": f"ghcr.io/kubeflow/katib/katib-controller:{tag}"}
        return {"spec": {"paused": tag != "v0.19.0", "template": {"spec": {"containers": [container]}}}}

    with tools.patched(DEPLOYMENT, "katib-controller", image("v0.17.0"), image("v0.19.0"), SYSTEM):
        yield None


@contextmanager
def full_quota(tools: Tools, site: Site) -> Iterator[None]:
    """Creates a quota with room for one trial, and a pod that uses it."""
    quota = {"hard": {"requests.nvidia.com/gpu": "1"}}
    tools.make({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "gpus"}, "spec": quota})
    tools.kubectl("wait", "--for=jsonpath={.status.hard}", "quota/gpus", "--timeout=300s")
    limits = {"limits": {"nvidia.com/gpu": "1"}}
    container = {"name": "busy", "image": "other/thing:1", "resources": limits}
    tools.make({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "busy"}, "spec": {"containers": [container]}})
    path = "--for=jsonpath={.status.used.requests\\.nvidia\\.com/gpu}=1"
    tools.kubectl("wait", path, "quota/gpus", "--timeout=300s")
    yield None


def quota(**hard: str) -> Injection:
    limits = {key.replace("__", "/").replace("_", "."): value for key, value in hard.items()}

    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[None]:
        tools.make({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": limits}})
        tools.kubectl("wait", "--for=jsonpath={.status.hard}", "quota/q", "--timeout=300s")
        yield None

    return inject


def claim(use: str, **spec: Any) -> Injection:
    """Replaces a claim by another one."""

    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[None]:
        name = getattr(site.claims, use)
        tools.kubectl("delete", "pvc", name)
        if "modes" in spec:
            tools.kubectl("delete", "pv", f"{tools.namespace}-{name}")
            tools.claims({name: NOWHERE}, spec["modes"])
        else:
            wanted = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
            tools.make(
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": {"name": name},
                    "spec": wanted,
                }
            )
        yield None

    return inject


@contextmanager
def one_node_class(tools: Tools, site: Site) -> Iterator[None]:
    """Creates a class as kind has it: its volumes are made with the first pod, and for one node."""
    storage = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local-path"},
        "provisioner": "rancher.io/local-path",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    tools.make(storage)
    try:
        with claim("runs", storageClassName="local-path")(tools, site):
            yield None
    finally:
        tools.kubectl("delete", "storageclass", "local-path")


@contextmanager
def failed_volume(tools: Tools, site: Site) -> Iterator[None]:
    """Creates a claim without a class, for which the real controller reports that there is no volume."""
    with claim("runs", storageClassName="")(tools, site):
        tools.first(EVENT, "", lambda found: found.get("reason") == "FailedBinding")
        yield None


def denied(*rules: tuple[str, str, str]) -> Injection:
    """Makes the caller a user who has only these rights: (group, resource, verb)."""

    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[Cluster]:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "visitor"}}
        allowed = [{"apiGroups": [group], "resources": [resource], "verbs": [verb]} for group, resource, verb in rules]
        kinds = "rbac.authorization.k8s.io/v1"
        tools.make(account)
        tools.make({"apiVersion": kinds, "kind": "Role", "metadata": {"name": "visitor"}, "rules": allowed})
        tools.kubectl(
            "create",
            "rolebinding",
            "visitor",
            "--role=visitor",
            f"--serviceaccount={tools.namespace}:visitor",
        )
        yield with_token(tools, tools.kubectl("create", "token", "visitor").strip())

    return inject


def with_token(tools: Tools, token: str, server: str | None = None) -> Cluster:
    """Returns the cluster as the bearer of `token` sees it."""
    found = json.loads(rig.kubectl("config", "view", "--raw", "-o", "json", kubeconfig=tools.kubeconfig))
    found["users"] = [{"name": "u", "user": {"token": token}}]
    found["contexts"] = [{"name": "c", "context": {"cluster": "k", "user": "u"}}]
    if server:
        found["clusters"][0]["cluster"]["server"] = server
    path = tools.kubeconfig.parent / "visitor.conf"
    path.write_text(json.dumps(found))
    return Cluster(tools.namespace, config_file=path)


@contextmanager
def expired(tools: Tools, site: Site) -> Iterator[Cluster]:
    yield with_token(tools, "e30.e30.e30")


@contextmanager
def unreachable(tools: Tools, site: Site) -> Iterator[Cluster]:
    yield with_token(tools, "x", f"https://{rig.API}:1")


@contextmanager
def nobody_there(tools: Tools, site: Site) -> Iterator[None]:
    """Removes the webhook's endpoints, as when the controller's pod is gone."""
    endpoints = [{"addresses": [rig.HOST]}]
    with tools.patched(ENDPOINT_SLICE, "katib-controller", {"endpoints": []}, {"endpoints": endpoints}, SYSTEM):
        yield None


def bare(kind: Kind) -> Injection:
    """Removes the certificate from a webhook configuration."""

    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[None]:
        found = tools.cluster.get(kind, "katib.kubeflow.org")
        assert found is not None
        without = json.loads(json.dumps(found["webhooks"]))
        for hook in without:
            hook["clientConfig"]["caBundle"] = None
        with tools.patched(kind, "katib.kubeflow.org", {"webhooks": without}, {"webhooks": found["webhooks"]}):
            yield None

    return inject


@contextmanager
def other_namespace(tools: Tools, site: Site) -> Iterator[None]:
    other = Tools(tools.kubeconfig, f"{tools.namespace}-x")
    other.make(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": other.namespace, "labels": {INJECTION_LABEL: "enabled"}},
        }
    )
    other.make(manifest(site.model_copy(update={"namespace": other.namespace})))
    yield None
    other.end()


@contextmanager
def namesake_of_stock(tools: Tools, site: Site) -> Iterator[None]:
    with (
        config(suggestions=[{"algorithmName": "bayesianoptimization", "image": STOCK}])(tools, site),
        other_namespace(tools, site),
    ):
        yield None


@contextmanager
def taken(tools: Tools, site: Site) -> Iterator[None]:
    theirs = manifest(site)
    theirs["metadata"]["labels"] = {"owner": "somebody"}
    tools.make(theirs)
    yield None


@contextmanager
def missing_place(tools: Tools, site: Site) -> Iterator[Cluster]:
    """Makes doctor examine a namespace that was never created."""
    yield Cluster(site.namespace, config_file=tools.kubeconfig)


def _none(manager: AbstractContextManager[Any]) -> AbstractContextManager[None]:
    return manager


def secret(name: str, **data: str) -> Object:
    values = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": values}


CORDONED = {"spec": {"unschedulable": True}}, {"spec": {"unschedulable": None}}
TAINT = {"key": "team", "value": "vision", "effect": "NoSchedule"}
NO_GPUS = (
    {"status": {"allocatable": {"nvidia.com/gpu": "0"}}},
    {"status": {"allocatable": {"nvidia.com/gpu": "4"}}},
)
STOCK = "ghcr.io/kubeflow/katib/suggestion-skopt:v0.19.0"
RESEARCHER_LESS_PATCH = (("kubeflow.org", "experiments", "get"), ("kubeflow.org", "experiments", "create"))
QUEUE_TYPE: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "localqueues.kueue.x-k8s.io"},
    "spec": {
        "group": "kueue.x-k8s.io", "scope": "Namespaced",
        "names": {"kind": "LocalQueue", "plural": "localqueues", "singular": "localqueue"},
        "versions": [{"name": "v1beta2", "served": True, "storage": True, "subresources": {"status": {}},
                      "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}],
    },
}  # fmt: skip


def queue(*, exists: bool, version: str = "v1beta2") -> Injection:
    """Installs Kueue's type, with a queue that does not exist or is not active."""

    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[None]:
        tools.make(json.loads(json.dumps(QUEUE_TYPE).replace("v1beta2", version)))
        tools.kubectl("wait", "--for=condition=Established", "crd/localqueues.kueue.x-k8s.io", "--timeout=300s")
        if exists:
            inactive = {
                "type": "Active",
                "status": "False",
                "message": "no ClusterQueue",
                "reason": "x",
                "lastTransitionTime": None,
            }
            tools.make(
                {
                    "apiVersion": f"kueue.x-k8s.io/{version}",
                    "kind": "LocalQueue",
                    "metadata": {"name": "gpus"},
                    "spec": {},
                }
            )
            tools.status(replace(LOCAL_QUEUE, version=version), "gpus", {"conditions": [inactive]})
        yield None
        tools.kubectl("delete", "crd", "localqueues.kueue.x-k8s.io")

    return inject


FAULTS = [
    Fault("server unreachable", unreachable, "API server", "error", "kubectl cluster-info"),
    Fault("credentials expired", expired, "API server", "error", "log in again"),
    Fault("trials unknown", away(DEFINITION, "trials.kubeflow.org"), "Katib's types", "error", "make install-katib"),
    Fault("controller down", unready, "katib-controller", "error", "kubectl -n kubeflow describe deployment "
        "katib-controller"),
    Fault("DB manager absent", uninstalled, "katib-db-manager", "error", "make install-katib"),
    Fault("old Katib", old_version, "katib-controller", "warning", "make install-katib"),
    Fault(
        "Katib locks itself out",
        patched(NAMESPACE, SYSTEM, {"metadata": {"labels": {INJECTION_LABEL: "enabled"}}}, {"metadata": {"labels": {INJECTION_LABEL: None}}}),
        "Katib's namespace", "warning", f"kubectl label namespace kubeflow {INJECTION_LABEL}-",
    ),
    Fault("validating webhook absent", away(VALIDATING, "katib.kubeflow.org"), "validating webhook", "error", "make install-katib"),
    Fault("mutating webhook absent", away(MUTATING, "katib.kubeflow.org"), "mutating webhook", "error", "make install-katib"),
    Fault("webhook without certificate", bare(VALIDATING), "validating webhook", "error", "rollout restart deployment "
        "katib-controller"),
    Fault("webhook away", nobody_there, "mutating webhook", "error", "kubectl -n kubeflow get pods"),
    Fault("webhook away, experiment", nobody_there, "experiment dry run", "error", "rollout status deployment "
        "katib-controller"),
    Fault("katib-config absent", away(CONFIG_MAP, "katib-config", SYSTEM), "katib-config", "error", "make install-katib"),
    Fault("algorithm unknown", config(suggestions=[{"algorithmName": "random", "image": "x"}]), "suggestion service", "error", "make install-katib"),
    Fault("early stopper unknown", config(earlyStoppings=None), "early stopping service", "error", "make install-katib"),
    Fault("stock suggestion", config(suggestions=[{"algorithmName": "bayesianoptimization", "image": STOCK}]), "suggestion service", "warning", "make install-katib"),
    Fault("account of the services missing", config(suggestions=[{"algorithmName": "bayesianoptimization", "image": "x", "serviceAccountName": "sepsweep-services"}]), "service account", "error", "k8s/base/services-rbac.yaml"),
    Fault("collector unknown", config(metricsCollectors=[]), "collector service", "error", "make install-katib"),
    Fault("namespace missing", missing_place, "namespace", "error", "kubectl apply -k k8s/base", {"namespace": "never-made"}),
    Fault("label missing", labelled(INJECTION_LABEL, None), "namespace label", "error", "kubectl label --overwrite "
        "namespace"),
    Fault("pod security restricted", labelled(ENFORCE, "restricted"), "pod security", "error", "enforce=baseline"),
    Fault("pod security absent", labelled(ENFORCE, None), "pod security", "warning", "enforce=baseline"),
    Fault("data claim missing", removed(Kind("claim", "persistentvolumeclaims"), "polsess-data"), "data claim", "error", "kubectl apply -k k8s/base"),
    Fault("wrong claim", lambda tools, site: nullcontext(), "runs claim", "error", "claims.runs", {"claims": {"data": "polsess-data", "runs": "runz"}}),
    Fault("runs claim unbound", claim("runs", storageClassName="fast"), "runs claim", "error", "kubectl get "
        "storageclass"),
    Fault("runs claim without class", claim("runs"), "runs claim", "error", "kubectl get storageclass"),
    Fault("runs claim for one node", claim("runs", modes=("ReadWriteOnce",)), "runs claim", "warning", "ReadWriteMany", {"node_selector": {}}),
    Fault("runs claim for many nodes of a class for one", one_node_class, "runs claim", "error", "k8s/one-node"),
    Fault("runs claim with a failed volume", failed_volume, "runs claim", "error", "kubectl describe pvc"),
    Fault("runs claim for one pod", claim("runs", modes=("ReadWriteOncePod",)), "runs claim", "error", "PARALLEL=1"),
    Fault("W&B secret missing", removed(SECRET, "wandb"), "W&B secret", "warning", "create secret generic wandb"),
    Fault("W&B secret without key", made(secret("tracking", key="x")), "W&B secret", "warning", "--from-file=api-key", {"wandb": {"project": "p", "secret": "tracking"}}),
    Fault("W&B key empty", made(secret("tracking", api_key="")), "W&B secret", "error", "--from-file=api-key", {"wandb": {"project": "p", "secret": "tracking"}}),
    Fault("pull secret missing", lambda tools, site: nullcontext(), "pull secrets", "error", "create secret "
        "docker-registry registry", {"pull_secrets": ["registry"]}),
    Fault("priority class missing", lambda tools, site: nullcontext(), "priority class", "error", "kubectl create "
        "priorityclass low", {"priority_class": "low"}),
    Fault("priority class missing, pod", lambda tools, site: nullcontext(), "trial pod dry run", "error", "", {"priority_class": "low"}),
    Fault("quota full", full_quota, "quota", "error", "kubectl describe quota gpus"),
    Fault("quota full, pod", full_quota, "trial pod dry run", "error", "kubectl describe quota"),
    Fault("site asks for more than the quota", quota(requests_memory="16Gi"), "quota", "error", "k8s/site.yaml"),
    Fault("quota for one trial", quota(requests_memory="40Gi"), "quota", "warning", "PARALLEL=1"),
    Fault("no pods allowed", quota(pods="0"), "quota", "error", "kubectl describe quota"),
    Fault("node cordoned", patched(NODE, "gpu-node", *CORDONED), "nodes", "error", "kubectl get nodes"),
    Fault("node selector matches none", lambda tools, site: nullcontext(), "node selector", "error", "node_selector", {"node_selector": {"gpu": "a100"}}),
    Fault("taint not tolerated", patched(NODE, "gpu-node", {"spec": {"taints": [TAINT]}}, {"spec": {"taints": None}}), "taints", "error", "tolerations"),
    Fault("no GPUs", patched(NODE, "gpu-node/status", *NO_GPUS), "GPUs", "error", "GPU device plugin"),
    Fault("fewer GPUs than trials", lambda tools, site: nullcontext(), "GPUs", "warning", "PARALLEL=4", {"parallel_trials": 6}),
    Fault("memory larger than any node", lambda tools, site: nullcontext(), "memory", "error", "k8s/site.yaml", {"resources": {"gpus": 1, "cpu": "8", "memory": "512Gi", "shared_memory": "8Gi"}}),
    Fault("Kueue absent", lambda tools, site: nullcontext(), "Kueue queue", "error", "kueue_queue: null", {"kueue_queue": "gpus"}),
    Fault("Kueue queue absent", queue(exists=False), "Kueue queue", "error", "kubectl get localqueues", {"kueue_queue": "gpus"}),
    Fault("Kueue of v1beta1 alone", queue(exists=False, version="v1beta1"), "Kueue queue", "error", "kubectl kustomize k8s/kueue | sed s/v1beta2/v1beta1/ | kubectl apply -f -", {"kueue_queue": "gpus"}),
    Fault("Kueue queue inactive, v1beta1", queue(exists=True, version="v1beta1"), "Kueue queue", "error", "kubectl describe localqueue gpus", {"kueue_queue": "gpus"}),
    Fault("Kueue queue inactive", queue(exists=True), "Kueue queue", "error", "kubectl describe localqueue gpus", {"kueue_queue": "gpus"}),
    Fault("no rights", denied(), "rights", "error", "create rolebinding"),
    Fault("rights without pause", denied(*RESEARCHER_LESS_PATCH, ("kubeflow.org", "experiments", "patch")), "rights", "warning", "create rolebinding"),
    Fault("name taken", taken, "name", "error", "NAME=series3-dprnn-2"),
    Fault("name in another namespace", namesake_of_stock, "name", "warning", "NAME=series3-dprnn-2"),
    Fault(
        "limit range below the trial",
        made({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}}),
        "trial pod dry run", "error", "kubectl describe limitrange",
    ),
]  # fmt: skip
