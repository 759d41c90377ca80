"""Lists the kinds of Kubernetes objects that the cluster verbs use, their URL paths, and the labels that matter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
"""An object as the API server sends it."""


@dataclass(frozen=True)
class Kind:
    """A resource type; `name` is what messages call an object of it."""

    name: str
    plural: str
    version: str = "v1"
    group: str = ""
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "") -> str:
        """Returns the URL path of the object `name`, or of all objects of the kind.

        Without a namespace, it is that of all namespaces.
        """
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "")


KATIB = "kubeflow.org"
KATIB_NAMESPACE = "kubeflow"
"""The namespace of Katib, which its webhook and the collector's address are fixed to."""
KATIB_UI = "katib-ui:80"
"""The Service of Katib's UI and its port, as the API server's proxy and the roles name it."""
KUEUE = "kueue.x-k8s.io"
EXPERIMENT = Kind("experiment", "experiments", "v1beta1", KATIB)
TRIAL = Kind("trial", "trials", "v1beta1", KATIB)
SUGGESTION = Kind("suggestion", "suggestions", "v1beta1", KATIB)
JOB = Kind("job", "jobs", group="batch")
POD = Kind("pod", "pods")
EVENT = Kind("event", "events")
CLAIM = Kind("claim", "persistentvolumeclaims")
QUOTA = Kind("quota", "resourcequotas")
SERVICE = Kind("service", "services")
SECRET = Kind("secret", "secrets")
SERVICE_ACCOUNT = Kind("service account", "serviceaccounts")
CONFIG_MAP = Kind("config map", "configmaps")
DEPLOYMENT = Kind("deployment", "deployments", group="apps")
ENDPOINT_SLICE = Kind("endpoint slice", "endpointslices", group="discovery.k8s.io")
NAMESPACE = Kind("namespace", "namespaces", namespaced=False)
NODE = Kind("node", "nodes", namespaced=False)
STORAGE_CLASS = Kind("storage class", "storageclasses", group="storage.k8s.io", namespaced=False)
PRIORITY_CLASS = Kind("priority class", "priorityclasses", group="scheduling.k8s.io", namespaced=False)
RUNTIME_CLASS = Kind("runtime class", "runtimeclasses", group="node.k8s.io", namespaced=False)
CLAIM_TEMPLATE = Kind("claim template", "resourceclaimtemplates", group="resource.k8s.io")
DEVICE_CLASS = Kind("device class", "deviceclasses", group="resource.k8s.io", namespaced=False)
RESOURCE_SLICE = Kind("resource slice", "resourceslices", group="resource.k8s.io", namespaced=False)
DRA_VERSIONS = ("v1", "v1beta2", "v1beta1")
"""The versions of dynamic resource allocation, the newest first."""
DEFINITION = Kind("resource type", "customresourcedefinitions", group="apiextensions.k8s.io", namespaced=False)
VALIDATING = Kind(
    "validating webhook",
    "validatingwebhookconfigurations",
    group="admissionregistration.k8s.io",
    namespaced=False,
)
MUTATING = Kind(
    "mutating webhook",
    "mutatingwebhookconfigurations",
    group="admissionregistration.k8s.io",
    namespaced=False,
)
LOCAL_QUEUE = Kind("local queue", "localqueues", "v1beta2", KUEUE)
CLUSTER_QUEUE = Kind("cluster queue", "clusterqueues", "v1beta2", KUEUE, namespaced=False)
QUEUE_PRIORITY = Kind("workload priority class", "workloadpriorityclasses", "v1beta2", KUEUE, namespaced=False)
ADMISSION_CHECK = Kind("admission check", "admissionchecks", "v1beta2", KUEUE, namespaced=False)
ACCESS_REVIEW = Kind("access review", "selfsubjectaccessreviews", group="authorization.k8s.io", namespaced=False)
SELF_REVIEW = Kind("review of oneself", "selfsubjectreviews", group="authentication.k8s.io", namespaced=False)

MANAGER = "sepsweep"
OWNER_LABEL = "app.kubernetes.io/managed-by"
EXPERIMENT_LABEL = "katib.kubeflow.org/experiment"
TRIAL_LABEL = "katib.kubeflow.org/trial"
SUGGESTION_LABEL = "katib.kubeflow.org/suggestion"
INJECTION_LABEL = "katib.kubeflow.org/metrics-collector-injection"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PROPOSED_LABEL, PROPOSER = "sepsweep/proposed-by", "sepsweep"
"""The label that our suggestion service puts on every trial that it proposes (katib/services/suggestion.py)."""
SIDECAR = "metrics-logger-and-collector"
OURS = f"{OWNER_LABEL}={MANAGER}"


def name_of(item: Object) -> str:
    """Returns the name of an object."""
    return str(item["metadata"]["name"])


def labels_of(item: Object) -> Mapping[str, str]:
    """Returns the labels of an object."""
    return item["metadata"].get("labels") or {}


def annotations_of(item: Object) -> Mapping[str, str]:
    """Returns the annotations of an object; none where only its spec was saved."""
    return item.get("metadata", {}).get("annotations") or {}


def is_ours(item: Object) -> bool:
    """Returns whether the object carries our label; nothing without it is ever changed or deleted."""
    return labels_of(item).get(OWNER_LABEL) == MANAGER
