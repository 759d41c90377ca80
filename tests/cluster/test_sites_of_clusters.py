"""Site files of clusters as they are found, each on a made cluster of its kind: doctor finds nothing where nothing is wrong."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.doctor import DoctorContext, examine
from katib.backend.cluster.kinds import EXPERIMENT, LOCAL_QUEUE, NODE, Kind, Object, name_of
from katib.manifest.claims import claim_manifests
from katib.site import Site, load_site
from tests.cluster.conftest import Verb
from tests.cluster.faults import queue
from tests.cluster.site_faults import everywhere, storage_class
from tests.cluster.tools import Tools, manifest

FOLDER = Path(__file__).parent / "sites"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml") if "." not in path.stem)
NAMESPACED = ("Secret", "ServiceAccount", "ResourceClaimTemplate")


class World(Cluster):
    """The real API server, of whose nodes only those of this world exist."""

    nodes: frozenset[str] = frozenset()

    def list(self, kind: Kind, selector: str = "", namespace: str | None = None, fields: str = "") -> Sequence[Object]:
        found = super().list(kind, selector, namespace, fields)
        return [item for item in found if name_of(item) in self.nodes] if kind is NODE else found


@contextmanager
def made(tools: Tools, site: Site, objects: list[Object]) -> Iterator[World]:
    """Creates the objects of a cluster, and removes those afterwards that no namespace takes along."""
    nodes = [item for item in objects if item["kind"] == "Node"]
    world = World(tools.namespace, config_file=tools.kubeconfig)
    world.nodes = frozenset(map(name_of, nodes))
    renamed = [_in_namespace(item, tools.namespace) for item in objects]
    remaining = [item for item in objects if item["kind"] not in (*NAMESPACED, "Namespace")]
    try:
        tools.make(_list([*renamed, *claim_manifests(site)]))
        for item in nodes:
            ready = {"type": "Ready", "status": "True", "reason": "Made", "message": "", "lastHeartbeatTime": None}
            tools.status(NODE, name_of(item), {**item["status"], "conditions": [ready]})
            # A new node has the taint `not ready` until a controller removes it a moment later.
            tools.cluster.merge(NODE, name_of(item), {"spec": {"taints": item["spec"]["taints"] or None}})
        yield world
    finally:
        tools.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", stdin=json.dumps(_list(remaining)))


def _list(items: list[Object]) -> Object:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _in_namespace(item: Object, namespace: str) -> Object:
    """Returns the object, a Namespace under the name of the test's own."""
    if item["kind"] != "Namespace":
        return item
    return {**item, "metadata": {**item["metadata"], "name": namespace}}


@pytest.mark.parametrize("name", NAMES)
def test_a_site_of_this_kind_has_nothing_to_fix(name: str, tools: Tools) -> None:
    site = load_site(FOLDER / f"{name}.yaml").model_copy(update={"namespace": tools.namespace})
    objects: list[Any] = list(yaml.safe_load_all((FOLDER / f"{name}.cluster.yaml").read_text()))
    with made(tools, site, objects) as world:
        if site.kueue_queue:
            with queue(exists=True)(tools, site):
                tools.status(LOCAL_QUEUE, "gpus", {"conditions": [{"type": "Active", "status": "True"}]})
                results = examine(DoctorContext(world, site, [manifest(site)]))
        else:
            results = examine(DoctorContext(world, site, [manifest(site)]))
    assert [result for result in results if result.status != "ok"] == []


MIG = {"gpu_resource": "nvidia.com/mig-1g.10gb"}
RWX = {"claims": {"data": "polsess-data", "runs": "new"}, "storage": {"runs": {"size": "1Gi", "storage_class": "gp3"}}}
WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"resources": MIG},
        "GPUs: no node has nvidia.com/mig-1g.10gb; nodes have nvidia.com/gpu; resources.gpu_resource: ",
    ),
    ({"resources": {"gpu_claim_template": "one"}}, "GPU claim: no ResourceClaimTemplate 'one' (there: none); kubectl"),
    (RWX, "runs claim: storage class 'gp3' (ebs.csi.aws.com) makes volumes for one node only, not ReadWriteMany; "),
]


@pytest.mark.parametrize(("change", "line"), WRONG, ids=["resource", "claim template", "access mode"])
def test_deploy_applies_nothing_to_a_cluster_that_the_site_misnames(
    change: dict[str, Any], line: str, tools: Tools, site: Site, verb: Verb, site_file: Path
) -> None:
    document = site.model_dump()
    document["resources"] |= change.get("resources", {})
    site_file.write_text(yaml.safe_dump(document | {key: change[key] for key in change if key != "resources"}))
    with everywhere(storage_class("gp3", "ebs.csi.aws.com"))(tools, site):
        code, _, err = verb("deploy", "dprnn", "--yes", "--wait", "0")
    assert code != 0
    assert f"error: nothing was applied: {line}" in err.replace("\n", " ")
    assert tools.cluster.list(EXPERIMENT) == []
