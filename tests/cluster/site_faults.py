"""Faults of what a site says of its cluster: GPUs by name or claim, pods, storage, registries, queues.

Each is put into the real API server; the result is what doctor must report.
"""

import base64
import copy
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import NAMESPACE, NODE, Object
from katib.site import Site
from tests.cluster.faults import QUEUE_TYPE, Fault, Injection, made, patched, quota, secret
from tests.cluster.tools import Tools

MIG = "nvidia.com/mig-1g.10gb"
RESOURCES = {"gpus": 1, "cpu": "8", "memory": "32Gi", "shared_memory": "8Gi"}
RUNS = {"data": "polsess-data", "runs": "new-runs"}


def nothing(tools: Tools, site: Site) -> Any:
    return nullcontext()


def resources(**changes: Any) -> Object:
    return {"resources": RESOURCES | changes}


def storage(**volume: str) -> Object:
    return {"claims": RUNS, "storage": {"runs": {"size": "50Gi", **volume}}}


def both(*injections: Injection) -> Injection:
    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[Cluster | None]:
        with ExitStack() as stack:
            for each in injections:
                stack.enter_context(each(tools, site))
            yield None

    return inject


def everywhere(*manifests: Object) -> Injection:
    """Creates objects of the whole cluster, and removes them afterwards."""

    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[None]:
        try:
            for item in manifests:
                tools.make(item)
            yield None
        finally:
            for item in manifests:
                tools.kubectl("delete", item["kind"], item["metadata"]["name"], "--ignore-not-found")

    return inject


def uid_range(text: str) -> Injection:
    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[None]:
        notes = {"openshift.io/sa.scc.uid-range": text}
        tools.cluster.merge(NAMESPACE, tools.namespace, {"metadata": {"annotations": notes}})
        yield None

    return inject


def claim_template(count: int = 1, device_class: str = "gpu.example.com") -> Object:
    request = {"name": "gpu", "exactly": {"deviceClassName": device_class, "count": count}}
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": "single-gpu"},
        "spec": {"spec": {"devices": {"requests": [request]}}},
    }


DEVICE_CLASS: Object = {
    "apiVersion": "resource.k8s.io/v1",
    "kind": "DeviceClass",
    "metadata": {"name": "gpu.example.com"},
    "spec": {},
}
SLICE: Object = {
    "apiVersion": "resource.k8s.io/v1",
    "kind": "ResourceSlice",
    "metadata": {"name": "gpu-node-gpus"},
    "spec": {
        "driver": "gpu.example.com",
        "nodeName": "gpu-node",
        "pool": {"name": "gpu-node", "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": "gpu-0"}],
    },
}


def storage_class(name: str, provisioner: str) -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer",
    }


NFS = storage_class("nfs", "nfs.csi.k8s.io")
SMALL_CLAIMS: Object = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "claims"},
    "spec": {"limits": [{"type": "PersistentVolumeClaim", "max": {"storage": "10Gi"}}]},
}


def pull_secret(name: str, host: str) -> Object:
    config = json.dumps({"auths": {host: {"auth": base64.b64encode(b"me:secret").decode()}}})
    data = {".dockerconfigjson": base64.b64encode(config.encode()).decode()}
    kind = "kubernetes.io/dockerconfigjson"
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": data}


@contextmanager
def policy(tools: Tools, site: Site) -> Iterator[None]:
    """Creates a policy, as administrators have them, that wants a label on each pod of the namespace."""
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    only = {"matchLabels": {"kubernetes.io/metadata.name": tools.namespace}}
    group, name = "admissionregistration.k8s.io/v1", f"teams-{tools.namespace}"
    checks = [
        {"expression": "has(object.metadata.labels) && 'team' in object.metadata.labels", "message": "name a team"}
    ]
    tools.make(
        {
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {"matchConstraints": {"resourceRules": rules}, "validations": checks},
        }
    )
    tools.make(
        {
            "apiVersion": group,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": only},
            },
        }
    )
    try:
        _until_denied(tools)
        yield None
    finally:
        tools.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", name)


def _until_denied(tools: Tools) -> None:
    """Waits until the API server has learnt of the policy, which takes it a second."""
    words = ("run", "probe", "--image=x", "--restart=Never", "--dry-run=server")
    for _ in range(300):
        try:
            tools.kubectl(*words)
        except RuntimeError:
            return
    raise AssertionError("the policy is not enforced")


def ready(status: str) -> Object:
    return {"status": {"conditions": [{"type": "Ready", "status": status, "reason": "Made", "message": ""}]}}


def taint(key: str) -> tuple[Object, Object]:
    return {"spec": {"taints": [{"key": key, "effect": "NoSchedule"}]}}, {"spec": {"taints": None}}


def replicas(number: str, strategy: str) -> tuple[Object, Object]:
    """Returns the labels by which GPU feature discovery says how GPUs are shared, and what removes them."""
    labels = {"nvidia.com/gpu.replicas": number, "nvidia.com/gpu.sharing-strategy": strategy}
    return {"metadata": {"labels": labels}}, {"metadata": {"labels": dict.fromkeys(labels)}}


OF_THE_CLUSTER = {
    "ClusterQueue": "clusterqueues",
    "AdmissionCheck": "admissionchecks",
    "WorkloadPriorityClass": "workloadpriorityclasses",
}


def _queue_type(kind: str) -> Object:
    """Returns one of Kueue's types that belong to no namespace."""
    plural, found = OF_THE_CLUSTER[kind], copy.deepcopy(QUEUE_TYPE)
    found["metadata"]["name"] = f"{plural}.kueue.x-k8s.io"
    names = {"kind": kind, "plural": plural, "singular": kind.lower()}
    found["spec"] |= {"scope": "Cluster", "names": names}
    return found


def queues(**quotas: str) -> Injection:
    """Installs Kueue's types, and a queue with these quotas; __ and _ of a name are / and ."""
    named = {name.replace("__", "/").replace("_", "."): amount for name, amount in quotas.items()}
    amounts = [{"name": name, "nominalQuota": amount} for name, amount in named.items()]
    group = {"coveredResources": [*named], "flavors": [{"name": "any", "resources": amounts}]}

    @contextmanager
    def inject(tools: Tools, site: Site) -> Iterator[None]:
        with everywhere(QUEUE_TYPE, *(_queue_type(kind) for kind in OF_THE_CLUSTER))(tools, site):
            tools.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=300s")
            version = f"kueue.x-k8s.io/{QUEUE_TYPE['spec']['versions'][0]['name']}"
            local = {"metadata": {"name": "gpus"}, "spec": {"clusterQueue": "all"}}
            tools.make({"apiVersion": version, "kind": "LocalQueue", **local})
            queue = {"metadata": {"name": "all"}, "spec": {"resourceGroups": [group], "admissionChecks": ["nodes"]}}
            tools.make({"apiVersion": version, "kind": "ClusterQueue", **queue})
            check = {"metadata": {"name": "nodes"}, "spec": {"controllerName": "kueue.x-k8s.io/provisioning-request"}}
            tools.make({"apiVersion": version, "kind": "AdmissionCheck", **check})
            yield None

    return inject


TERM = {"matchExpressions": [{"key": "gpu.model", "operator": "In", "values": ["a100"]}]}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
SPREAD = {"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
HUB = {"HF_TOKEN": {"secret": "hub", "key": "token"}}
DRA = resources(gpu_claim_template="single-gpu")

SITE_FAULTS = [
    Fault("GPU resource that no node has", nothing, "GPUs", "error", "gpu_resource: nvidia.com/gpu", resources(gpu_resource=MIG)),
    Fault("several MIG slices", nothing, "GPU sharing", "error", "resources.gpus: 1", resources(gpu_resource=MIG, gpus=2)),
    Fault("several replicas", nothing, "GPU sharing", "warning", "trials_per_gpu", resources(gpu_resource="nvidia.com/gpu.shared", gpus=2)),
    Fault("time-slicing", nothing, "GPU sharing", "warning", "python -m trainer describe", resources(trials_per_gpu=4)),
    Fault("replicas that the site does not know", patched(NODE, "gpu-node", *replicas("4", "mps")), "GPU sharing", "warning", "resources.trials_per_gpu: 4"),
    Fault("claim template missing", nothing, "GPU claim", "error", "resources.gpu_claim_template", DRA),
    Fault("device class missing", made(claim_template()), "GPU claim", "error", "kubectl get deviceclasses", DRA),
    Fault("no device offered", both(everywhere(DEVICE_CLASS), made(claim_template())), "GPU claim", "error", "kubectl get resourceslices", DRA),
    Fault("claim template of two", both(everywhere(DEVICE_CLASS, SLICE), made(claim_template(2))), "GPU claim", "warning", "resources.gpus: 2", DRA),
    Fault("quota of the device class", both(everywhere(DEVICE_CLASS, SLICE), made(claim_template()), quota(gpu_example_com_deviceclass_resource_k8s_io__devices="0")), "quota", "error", "kubectl describe quota", DRA),
    Fault("runtime class missing", nothing, "runtime class", "error", "kubectl get runtimeclasses", {"runtime_class": "nvidia"}),
    Fault("scheduler unknown", nothing, "scheduler", "warning", "scheduler: null in k8s/site.yaml", {"scheduler": "volcanoo"}),
    Fault("runtime class missing, pod", nothing, "trial pod dry run", "error", "kubectl get runtimeclasses", {"runtime_class": "nvidia"}),
    Fault("Secret of the environment missing", nothing, "environment", "error", "create secret generic hub --from-file=token", {"secret_environment": HUB}),
    Fault("Secret of the environment without key", made(secret("hub", other="x")), "environment", "error", "is one of: other", {"secret_environment": HUB}),
    Fault("account of the trials missing", nothing, "service account", "error", "create serviceaccount trainer", {"service_account": "trainer"}),
    Fault("pull secret of another registry", made(pull_secret("registry", "ghcr.io")), "pull secrets", "warning", "--docker-server=docker.io", {"pull_secrets": ["registry"]}),
    Fault("pull secret not of the services", made(pull_secret("registry", "https://index.docker.io/v1/")), "pull secrets", "warning", "patch serviceaccount", {"pull_secrets": ["registry"]}),
    Fault("affinity matches none", nothing, "node affinity", "error", "affinity in k8s/site.yaml", {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [TERM]}}}}),
    Fault("affinity misspelt", nothing, "trial pod dry run", "error", "affinity or topology_spread", {"affinity": {"nodeAffinity": {"required": {"nodeSelectorTerms": [TERM]}}}}),
    Fault("no such topology", nothing, "topology spread", "error", "topology_spread in k8s/site.yaml", {"topology_spread": [SPREAD]}),
    Fault("node not ready", patched(NODE, "gpu-node/status", ready("False"), ready("True")), "nodes", "error", "kubectl describe node gpu-node"),
    Fault("node out of service", patched(NODE, "gpu-node", *taint("node.kubernetes.io/out-of-service")), "taints", "error", "kubectl describe node gpu-node"),
    Fault("claim not made yet", everywhere(NFS), "runs claim", "error", "make claims | kubectl apply -f -", storage(storage_class="nfs")),
    Fault("storage class missing", nothing, "runs claim", "error", "storage.runs.storage_class", storage(storage_class="fast")),
    Fault("storage class without the access mode", everywhere(storage_class("gp3", "ebs.csi.aws.com")), "runs claim", "error", "EFS (efs.csi.aws.com)", storage(storage_class="gp3")),
    Fault("storage over the quota", both(everywhere(NFS), quota(requests_storage="20Gi")), "runs claim", "error", "storage.runs.size", storage(storage_class="nfs")),
    Fault("storage over the limit range", both(everywhere(NFS), made(SMALL_CLAIMS)), "runs claim", "error", "storage.runs.size", storage(storage_class="nfs")),
    Fault("user id outside OpenShift's range", uid_range("1000680000/10000"), "user", "warning", "user: {uid: 1000680000, gid: 1000680000}"),
    Fault("policy wants a label", policy, "trial pod dry run", "error", "labels, annotations"),
    Fault("Katib in another namespace", nothing, "katib-controller", "error", "katib_namespace: kubeflow", {"katib_namespace": "katib"}),
    Fault("Kueue has no such resource", queues(cpu="64", memory="512Gi", nvidia_com__gpu="8"), "Kueue quota", "error", "kubectl edit clusterqueue all", {"kueue_queue": "gpus", **resources(gpu_resource="amd.com/gpu")}),
    Fault("Kueue has too little", queues(cpu="64", memory="16Gi", nvidia_com__gpu="8"), "Kueue quota", "error", "kubectl edit clusterqueue all", {"kueue_queue": "gpus"}),
    Fault("Kueue has no such priority", queues(cpu="64", memory="512Gi", nvidia_com__gpu="8"), "Kueue priority", "error", "kueue_priority", {"kueue_queue": "gpus", "kueue_priority": "night"}),
    Fault("pool at zero, Kueue asks for nodes", queues(cpu="64", memory="512Gi", amd_com__gpu="8"), "GPUs", "warning", "gpu_resource", {"kueue_queue": "gpus", **resources(gpu_resource="amd.com/gpu")}),
    Fault("shared memory takes all", nothing, "shared memory", "warning", "resources.shared_memory", resources(shared_memory="32Gi")),
]  # fmt: skip
