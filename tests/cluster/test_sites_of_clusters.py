"""Site files of clusters as they are found, each on a made cluster of its kind: doctor finds nothing where nothing is wrong."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.doctor import DoctorContext, examine
from katib.backend.cluster.kinds import NODE, Kind, Object, name_of
from katib.manifest.claims import claim_manifests
from katib.site import Site, load_site
from tests.cluster.faults import queue
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
    world = World(tools.namespace, config_file=tools.kubeconfig)
    world.nodes = frozenset(name_of(item) for item in objects if item["kind"] == "Node")
    try:
        for item in objects:
            if item["kind"] == "Node":
                _node(tools, item)
            elif item["kind"] == "Namespace":
                tools.make({**item, "metadata": {**item["metadata"], "name": tools.namespace}})
            else:
                tools.make(item)
        for claim in claim_manifests(site):
            tools.make(claim)
        yield world
    finally:
        for item in objects:
            if item["kind"] not in (*NAMESPACED, "Namespace"):
                tools.kubectl("delete", item["kind"], name_of(item), "--ignore-not-found", "--wait=false")


def _node(tools: Tools, item: Object) -> None:
    name = name_of(item)
    tools.node(name, item["status"]["allocatable"])
    tools.cluster.merge(NODE, name, {"metadata": {"labels": item["metadata"]["labels"]}})
    if item["spec"]["taints"]:
        tools.cluster.merge(NODE, name, {"spec": {"taints": item["spec"]["taints"]}})


@pytest.mark.parametrize("name", NAMES)
def test_a_site_of_this_kind_has_nothing_to_fix(name: str, tools: Tools) -> None:
    site = load_site(FOLDER / f"{name}.yaml").model_copy(update={"namespace": tools.namespace})
    objects: list[Any] = list(yaml.safe_load_all((FOLDER / f"{name}.cluster.yaml").read_text()))
    with made(tools, site, objects) as world:
        if site.kueue_queue:
            with queue(exists=True)(tools, site):
                active = '{"status": {"conditions": [{"type": "Active", "status": "True"}]}}'
                tools.kubectl("patch", "localqueue", "gpus", "--subresource=status", "--type=merge", "-p", active)
                results = examine(DoctorContext(world, site, [manifest(site)]))
        else:
            results = examine(DoctorContext(world, site, [manifest(site)]))
    assert [result for result in results if result.status != "ok"] == []
