"""Doctor's judgement of nodes, registries and pools, case by case: as the scheduler and the kubelet decide."""

import base64
import copy
import json
from collections.abc import Sequence
from typing import Any

import pytest

from katib.backend.cluster.answers import ForbiddenError
from katib.backend.cluster.doctor import DoctorContext, Result, examine
from katib.backend.cluster.doctor.nodes import usable
from katib.backend.cluster.doctor.pods import registry_of
from katib.backend.cluster.doctor.scheduler import scheduler
from katib.backend.cluster.kinds import CONFIG_MAP, DEFINITION, DEPLOYMENT, NAMESPACE, NODE, POD, SECRET, Kind, Object
from katib.backend.cluster.objects import Node
from katib.site import Site
from tests.katib.backend.cluster.test_doctor_checks import SITE, Objects, fit_cluster
from tests.katib.backend.cluster.test_plan_and_causes import manifest

LABELS = {"gpu": "a100", "memory": "40", "zone": "b"}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def found(objects: dict[tuple[Kind, str], Object], **changes: Any) -> dict[str, Result]:
    """Returns the results that are not ok, by check, on a site with `changes`."""
    site = Site.model_validate(SITE.model_dump() | changes)
    results = examine(DoctorContext(Objects(objects), site, [manifest(site)]))
    return {result.check: result for result in results if result.status != "ok"}


@pytest.mark.parametrize(
    ("key", "operator", "values", "fits"),
    [
        ("gpu", "In", ["a100", "h100"], True),
        ("gpu", "In", ["h100"], False),
        ("gpu", "NotIn", ["h100"], True),
        ("absent", "NotIn", ["x"], True),
        ("absent", "In", ["x"], False),
        ("gpu", "Exists", [], True),
        ("gpu", "DoesNotExist", [], False),
        ("absent", "DoesNotExist", [], True),
        ("memory", "Gt", ["39"], True),
        ("memory", "Gt", ["40"], False),
        ("memory", "Lt", ["41"], True),
        ("gpu", "Gt", ["1"], False),
        ("absent", "Lt", ["1"], False),
        ("memory", "Gt", [], False),
    ],
)
def test_a_node_meets_an_affinity_as_the_scheduler_decides(
    key: str, operator: str, values: list[str], fits: bool
) -> None:
    rule = {"key": key, "operator": operator, "values": values}
    node = Node("n", LABELS, cordoned=False, taints=(), allocatable={})
    never = {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["none"]}]}
    for terms in (
        [{"matchExpressions": [rule]}],
        [never, {"matchExpressions": [rule]}],
        [{}, {"matchExpressions": [rule]}],
    ):
        pod = {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}}
        assert (usable([node], pod)[0] is None) == fits


def test_a_node_may_be_required_by_its_name() -> None:
    nodes = [Node(name, {}, cordoned=False, taints=(), allocatable={}) for name in ("a", "b")]
    fields = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]
    pod = {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": fields}}}}
    assert [node.name for node in usable(nodes, pod)[1]] == ["b"]


@pytest.mark.parametrize(
    ("image", "host"),
    [
        ("sepsweep/trainer:1", "docker.io"),
        ("trainer:1", "docker.io"),
        ("ghcr.io/lab/trainer:1", "ghcr.io"),
        ("localhost/trainer:1", "localhost"),
        ("host:5000/trainer@sha256:0", "host:5000"),
    ],
)
def test_the_registry_of_an_image_is_what_the_kubelet_asks(image: str, host: str) -> None:
    assert registry_of(image) == host


@pytest.mark.parametrize(
    ("entry", "fits"),
    [
        ("registry.lab.example", True),
        ("https://registry.lab.example/v2/", True),
        ("*.lab.example", True),
        ("lab.example", False),
        ("https://index.docker.io/v1/", False),
    ],
)
def test_a_pull_secret_is_for_the_registries_that_it_names(entry: str, fits: bool) -> None:
    objects = fit_cluster()
    config = base64.b64encode(json.dumps({"auths": {entry: {"auth": "x"}}}).encode()).decode()
    kind = "kubernetes.io/dockerconfigjson"
    objects[SECRET, "registry"] = {"type": kind, "data": {".dockerconfigjson": config}}
    problems = found(objects, image="registry.lab.example/trainer:1", pull_secrets=["registry"])
    assert ("pull secrets" not in problems) == fits


@pytest.mark.parametrize("data", ["", "no base64", "bm8ganNvbg==", "W10="])
def test_a_damaged_pull_secret_is_no_crash(data: str) -> None:
    objects = fit_cluster()
    objects[SECRET, "registry"] = {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": data}}
    assert set(found(objects, image="registry.lab.example/trainer:1", pull_secrets=["registry"])) == set()


@pytest.mark.parametrize(
    ("text", "inside"),
    [("1000/10", True), ("1001/10", False), ("900-1000", True), ("900-999", False), ("nonsense", True), ("", True)],
)
def test_a_user_id_lies_in_the_range_that_openshift_tells(text: str, inside: bool) -> None:
    objects = fit_cluster()
    place = copy.deepcopy(objects[NAMESPACE, SITE.namespace])
    place["metadata"]["annotations"] = {"openshift.io/sa.scc.uid-range": text}
    objects[NAMESPACE, SITE.namespace] = place
    assert ("user" not in found(objects)) == inside


SHARED = {**SITE.resources.model_dump(), "trials_per_gpu": 4}


@pytest.mark.parametrize(
    ("replicas", "strategy", "resources", "status", "words"),
    [
        ("4", "time-slicing", SHARED, "warning", "by time-slicing, 4 on each, 21 GB for each"),
        ("", "", SHARED, "warning", "by time-slicing, unless an administrator says MPS"),
        ("4", "mps", SHARED, "ok", "by MPS, 4 on each, each with its part of the memory"),
        (
            "8",
            "mps",
            SHARED,
            "warning",
            "nodes offer each GPU 8 times (nvidia.com/gpu.replicas), and trials_per_gpu is 4",
        ),
        ("4", "mps", SITE.resources.model_dump(), "warning", "offer each GPU 4 times"),
        ("1", "none", SITE.resources.model_dump(), "", ""),
        ("0", "none", SITE.resources.model_dump(), "", ""),
        ("nonsense", "", SITE.resources.model_dump(), "", ""),
        ("", "", SHARED | {"gpu_resource": "nvidia.com/mig-1g.10gb"}, "", ""),
    ],
)
def test_what_trials_share_a_gpu_by_is_told(
    replicas: str, strategy: str, resources: Any, status: str, words: str
) -> None:
    """By time-slicing a trial may take the memory of the others; MPS and MIG keep it apart."""
    objects, site = fit_cluster(), Site.model_validate(SITE.model_dump() | {"resources": resources})
    labels = {"replicas": replicas, "sharing-strategy": strategy, "memory": "81920"}
    node = copy.deepcopy(objects[NODE, "gpu1"])
    node["metadata"]["labels"] = {f"nvidia.com/gpu.{name}": text for name, text in labels.items() if text}
    results = examine(DoctorContext(Objects({**objects, (NODE, "gpu1"): node}), site, [manifest(site)]))
    told = next((each for each in results if each.check == "GPU sharing"), None)
    assert (told.status if told else "", words in (told.problem if told else "")) == (status, True)


def test_a_pool_without_nodes_is_no_error_where_something_adds_them() -> None:
    objects = fit_cluster()
    del objects[NODE, "gpu1"]
    assert found(objects)["nodes"].status == "error"
    assert found(objects, autoscaled=True) == {}
    for kind, name, who in (
        (CONFIG_MAP, "cluster-autoscaler-status", "the cluster autoscaler"),
        (DEFINITION, "nodepools.karpenter.sh", "Karpenter"),
    ):
        grown = found({**objects, (kind, name): {"data": {}}})["nodes"]
        assert grown.status == "warning"
        assert who in grown.effect


def test_a_gpu_on_nodes_that_a_trial_may_not_run_on_is_named() -> None:
    objects = fit_cluster()
    objects[NODE, "gpu1"] = copy.deepcopy(objects[NODE, "gpu1"])
    objects[NODE, "gpu1"]["spec"]["taints"] = [{"key": "a", "effect": "NoSchedule"}]
    objects[NODE, "cpu1"] = {
        "metadata": {"name": "cpu1", "labels": {}},
        "spec": {},
        "status": {"allocatable": {"memory": "512Gi", "cpu": "64"}},
    }
    problem = found(objects)["GPUs"]
    assert problem.problem == "nvidia.com/gpu is on nodes that a trial may not run on: gpu1"
    assert "tolerations" in problem.fix


@pytest.mark.parametrize(
    ("pods", "deployments", "found_one"),
    [
        ([{"spec": {"nodeName": "gpu1"}}], [], True),
        ([{"spec": {}, "status": {"conditions": [{"type": "PodScheduled", "status": "False"}]}}], [], True),
        ([], [("volcano-scheduler", 1)], True),
        ([], [], False),
        ([{"spec": {}}], [], False),
        ([], [("volcano-scheduler", 0), ("yunikorn-scheduler", 1)], False),
    ],
)
def test_a_scheduler_exists_where_it_has_judged_a_pod_or_a_deployment_is_called_like_it(
    pods: list[Object], deployments: list[tuple[str, int]], found_one: bool
) -> None:
    objects = fit_cluster()
    objects |= {(POD, str(number)): pod for number, pod in enumerate(pods)}
    for name, replicas in deployments:
        objects[DEPLOYMENT, name] = {"metadata": {"name": name}, "status": {"availableReplicas": replicas}}
    problem = found(objects, scheduler="volcano").get("scheduler")
    assert (problem is None) == found_one
    assert problem is None or problem.status == "warning"


@pytest.mark.parametrize("name", [None, "default-scheduler"])
def test_the_scheduler_of_the_cluster_itself_is_not_looked_for(name: str | None) -> None:
    assert "scheduler" not in found(fit_cluster(), scheduler=name)


def test_who_may_not_see_the_pods_of_others_is_told_that_the_scheduler_is_unknown() -> None:
    class Mine(Objects):
        def list(
            self, kind: Kind, selector: str = "", namespace: str | None = None, fields: str = ""
        ) -> Sequence[Object]:
            if namespace == "" and kind in (POD, DEPLOYMENT):
                raise ForbiddenError("pods is forbidden")
            return super().list(kind, selector, namespace, fields)

    site = SITE.model_copy(update={"scheduler": "volcano"})
    (result,) = scheduler(DoctorContext(Mine(fit_cluster()), site, [manifest(site)]))
    assert result.status == "unknown"
