"""Doctor on a cluster that is a dictionary of objects; tests/cluster/ has a real API server and all faults."""

import base64
import copy
from collections.abc import Sequence

import pytest
import yaml

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.doctor import DoctorContext, examine
from katib.backend.cluster.doctor.services import service_account
from katib.backend.cluster.kinds import (
    CLAIM,
    CLUSTER_QUEUE,
    CONFIG_MAP,
    DEFINITION,
    DEPLOYMENT,
    ENDPOINT_SLICE,
    EXPERIMENT,
    INJECTION_LABEL,
    KATIB_NAMESPACE,
    LOCAL_QUEUE,
    MUTATING,
    NAMESPACE,
    NODE,
    QUEUE_LABEL,
    QUOTA,
    SECRET,
    SERVICE_ACCOUNT,
    SUGGESTION,
    TRIAL,
    VALIDATING,
    Kind,
    Object,
)
from katib.gpus import GPU_RESOURCE
from katib.install.images import SERVICES_CONFIG
from katib.site import Site, load_site
from tests.katib.backend.cluster.test_plan_and_causes import manifest

SITE = load_site()


class Objects(Cluster):
    """A cluster that has these objects by kind and name, and grants every right and dry run."""

    server = "https://server"

    def __init__(self, objects: dict[tuple[Kind, str], Object]) -> None:
        self.objects = objects

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        return self.objects.get((kind, name))

    def list(self, kind: Kind, selector: str = "", namespace: str | None = None, fields: str = "") -> Sequence[Object]:
        return [item for (other, _), item in self.objects.items() if other is kind]

    def raw(self, path: str) -> Object:
        return {"gitVersion": "v1.31.0", "major": "1", "minor": "31+"}

    def allowed(
        self, verb: str, kind: Kind, *, subresource: str = "", name: str = "", namespace: str | None = None
    ) -> bool:
        return True

    def apply(self, kind: Kind, manifest: Object, *, dry_run: bool = False, force: bool = False) -> Object:
        assert dry_run
        return manifest

    def create(self, kind: Kind, body: Object, *, dry_run: bool = False) -> Object:
        assert dry_run
        return body


def labelled(name: str, labels: dict[str, str]) -> Object:
    return {"metadata": {"name": name, "labels": labels}}


def webhooks(*names: str) -> Object:
    client = {"caBundle": "x", "service": {"name": "katib-controller", "namespace": KATIB_NAMESPACE}}
    return {"webhooks": [{"name": f"{name}.katib.kubeflow.org", "clientConfig": client} for name in names]}


def fit_cluster() -> dict[tuple[Kind, str], Object]:
    """Returns the objects of a cluster that has everything that the searches need."""
    allocatable = {GPU_RESOURCE: "8", "memory": "512Gi", "cpu": "64"}
    claim = {"spec": {"accessModes": ["ReadWriteMany"]}, "status": {"phase": "Bound", "capacity": {"storage": "1Ti"}}}
    security = "pod-security.kubernetes.io/enforce"
    objects: dict[tuple[Kind, str], Object] = {
        (CONFIG_MAP, "katib-config"): {"data": {"katib-config.yaml": SERVICES_CONFIG.read_text()}},
        (NAMESPACE, KATIB_NAMESPACE): labelled(KATIB_NAMESPACE, {}),
        (NAMESPACE, SITE.namespace): labelled(SITE.namespace, {INJECTION_LABEL: "enabled", security: "baseline"}),
        (VALIDATING, "katib.kubeflow.org"): webhooks("validator.experiment"),
        (MUTATING, "katib.kubeflow.org"): webhooks("defaulter.experiment", "mutator.pod"),
        (ENDPOINT_SLICE, "x"): {"endpoints": [{"conditions": {"ready": True}}]},
        (SERVICE_ACCOUNT, "default"): {},
        (SERVICE_ACCOUNT, "sepsweep-services"): {},
        (SECRET, "wandb"): {"data": {"api-key": base64.b64encode(b"key").decode()}},
        (NODE, "gpu1"): labelled("gpu1", {}) | {"spec": {}, "status": {"allocatable": allocatable}},
        (QUOTA, "gpus"): labelled("gpus", {}) | {"spec": {"hard": {"pods": "100"}}, "status": {"used": {"pods": "9"}}},
    }
    objects |= {(CLAIM, name): claim | labelled(name, {}) for name in (SITE.claims.data, SITE.claims.runs)}
    for kind in (EXPERIMENT, TRIAL, SUGGESTION):
        versions = [{"name": "v1beta1", "served": True}]
        objects[DEFINITION, f"{kind.plural}.kubeflow.org"] = {"spec": {"versions": versions}}
    for name in ("katib-controller", "katib-db-manager"):
        containers = [{"image": f"ghcr.io/kubeflow/katib/{name}:v0.19.0"}]
        spec = {"template": {"spec": {"containers": containers}}}
        objects[DEPLOYMENT, name] = {"spec": spec, "status": {"availableReplicas": 1}}
    return objects


def problems(objects: dict[tuple[Kind, str], Object], site: Site = SITE) -> set[tuple[str, str]]:
    """Returns check and status of each result that is not ok."""
    results = examine(DoctorContext(Objects(objects), site, [manifest(site)]))
    assert all(result.effect and result.fix for result in results if result.status in ("warning", "error"))
    return {(result.check, result.status) for result in results if result.status != "ok"}


def test_a_fit_cluster_has_nothing_to_fix() -> None:
    assert problems(fit_cluster()) == set()


@pytest.mark.parametrize(
    ("kind", "name", "check"),
    [
        (CONFIG_MAP, "katib-config", "katib-config"),
        (VALIDATING, "katib.kubeflow.org", "validating webhook"),
        (MUTATING, "katib.kubeflow.org", "mutating webhook"),
        (DEFINITION, "trials.kubeflow.org", "Katib's types"),
        (DEPLOYMENT, "katib-controller", "katib-controller"),
        (NAMESPACE, SITE.namespace, "namespace"),
        (SERVICE_ACCOUNT, "default", "service account"),
        (CLAIM, SITE.claims.runs, "runs claim"),
        (NODE, "gpu1", "nodes"),
    ],
)
def test_an_object_that_is_missing_is_an_error_of_its_check(kind: Kind, name: str, check: str) -> None:
    objects = fit_cluster()
    del objects[kind, name]
    assert (check, "error") in problems(objects)


def test_one_node_that_is_too_small_cordoned_or_tainted_is_an_error() -> None:
    for change, check in (
        ({"status": {"allocatable": {GPU_RESOURCE: "0", "memory": "512Gi", "cpu": "64"}}}, "GPUs"),
        ({"status": {"allocatable": {GPU_RESOURCE: "8", "memory": "1Gi", "cpu": "64"}}}, "memory"),
        ({"spec": {"unschedulable": True}}, "nodes"),
        ({"spec": {"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}]}}, "taints"),
    ):
        objects = fit_cluster()
        objects[NODE, "gpu1"] = objects[NODE, "gpu1"] | copy.deepcopy(change)
        assert problems(objects) == {(check, "error")}


@pytest.mark.parametrize(
    ("used", "status"), [("9", None), ("99", "warning"), ("100", "error")], ids=["room", "room for one", "full"]
)
def test_a_quota_has_room_for_all_for_some_or_for_none(used: str, status: str | None) -> None:
    objects = fit_cluster()
    objects[QUOTA, "gpus"]["status"] = {"used": {"pods": used}}
    assert problems(objects) == ({("quota", status)} if status else set())


@pytest.mark.parametrize("role", ["suggestion", "collector"])
def test_promote_with_a_service_of_katibs_own_beside_ours_is_an_error(role: str) -> None:
    """Each of them alone would run; together no trial pauses, or none goes on."""
    objects, search = fit_cluster(), manifest(SITE)
    config = yaml.safe_load(SERVICES_CONFIG.read_text())
    for entry in config["runtime"]["suggestions" if role == "suggestion" else "metricsCollectors"]:
        entry["image"] = "ghcr.io/kubeflow/katib/x:v0.19.0"
    objects[CONFIG_MAP, "katib-config"] = {"data": {"katib-config.yaml": yaml.safe_dump(config)}}
    assert (f"{role} service", "error") not in problems(objects)
    search["spec"]["earlyStopping"]["algorithmName"] = "promote"
    found = examine(DoctorContext(Objects(objects), SITE, [search]))
    assert [result.check for result in found if "pause" in result.effect] == [f"{role} service"]


@pytest.mark.parametrize(("there", "errors"), [(True, ["service account"]), (False, [])])
def test_an_account_is_missed_only_where_its_namespace_is_there(there: bool, errors: list[str]) -> None:
    """Without the namespace nothing could be created in it, and another check says that first."""
    objects = fit_cluster()
    del objects[SERVICE_ACCOUNT, "sepsweep-services"]
    if not there:
        del objects[NAMESPACE, SITE.namespace]
    context = DoctorContext(Objects(objects), SITE, [manifest()])
    assert [result.check for result in service_account(context) if result.status == "error"] == errors


class Queueing(Objects):
    """A cluster whose Kueue puts each Job that names no queue into the one called default."""

    def raw(self, path: str) -> Object:
        return {"versions": [{"version": "v1beta2"}]} if path.startswith("/apis/kueue") else super().raw(path)

    def create(self, kind: Kind, body: Object, *, dry_run: bool = False) -> Object:
        labels = {QUEUE_LABEL: "default", **body["metadata"].get("labels", {})}
        return {**super().create(kind, body, dry_run=dry_run), "metadata": {**body["metadata"], "labels": labels}}


def test_the_queue_is_checked_into_which_kueue_puts_trials_that_name_none() -> None:
    quota = {"flavors": [{"resources": [{"name": "cpu", "nominalQuota": "64"}]}], "coveredResources": ["cpu"]}
    queues: dict[tuple[Kind, str], Object] = {
        (LOCAL_QUEUE, "default"): {"spec": {"clusterQueue": "all"}},
        (CLUSTER_QUEUE, "all"): {"spec": {"resourceGroups": [quota]}},
    }
    results = examine(DoctorContext(Queueing(fit_cluster() | queues), SITE, [manifest(SITE)]))
    assert [(result.status, result.problem) for result in results if "Kueue" in result.check] == [
        ("ok", "default (v1beta2), into which Kueue puts each Job that names none"),
        ("error", "ClusterQueue 'all' covers cpu, and not memory"),
    ]
    assert not [
        result
        for result in examine(DoctorContext(Objects(fit_cluster()), SITE, [manifest(SITE)]))
        if "Kueue" in result.check
    ]
