"""A trial that really trains on a node that dies, with our collector, goes on from its checkpoint on another node."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from katib.backend.cluster.kinds import JOB, NODE, POD
from katib.site import Site
from tests.cluster import rig
from tests.cluster.pods import services
from tests.cluster.pods.conftest import Services
from tests.cluster.pods.test_chaos import require_each_epoch_once
from tests.cluster.pods.trial import NAME, PATIENCE, begin
from tests.cluster.tools import Tools
from tests.katib.services.rig import DbManager

GONE = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "", "lastHeartbeatTime": None}
"""What the node controller writes of a node that has sent no heartbeat for 50 s; here it waits for a day."""
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"


@pytest.fixture
def site(site: Site) -> Site:
    """Returns a site whose trials may run on either real node."""
    return site.model_copy(update={"node_selector": {"node-role.kubernetes.io/worker": ""}})


@pytest.fixture
def second(running: Services, db: DbManager) -> Iterator[Tools]:
    """Yields the namespace, whose services run on node1, while every new pod goes to node2."""
    with rig.second_node() as socket:
        services.image(socket)
        running.tools.kubectl("cordon", "node1")
        yield running.tools
        running.tools.kubectl("uncordon", "node1")


def test_a_trial_of_a_node_that_dies_goes_on_elsewhere(second: Tools, db: DbManager, site: Site, runs: Path) -> None:
    """An administrator has said that the node is gone, by which Kubernetes knows that nothing writes there any more."""
    katib, trial = begin(second, site)
    first = katib.pod(trial)["metadata"]["name"]
    db.wait_for(trial, 3, PATIENCE)
    assert (second.cluster.get(POD, first) or {})["spec"]["nodeName"] == "node2"
    second.kubectl("uncordon", "node1")
    rig.lose_second_node()
    epochs = len(db.values(trial))
    second.status(NODE, "node2", {"conditions": [GONE]})
    second.kubectl("taint", "nodes", "node2", OUT_OF_SERVICE)
    successor = katib.pod(trial, after=first)["metadata"]["name"]
    db.wait_for(trial, epochs + 3, PATIENCE)
    assert (second.cluster.get(POD, successor) or {})["spec"]["nodeName"] == "node1"
    assert not (second.cluster.get(JOB, trial) or {})["status"].get("failed")
    second.kubectl("delete", "pod", successor, "--timeout=300s")
    require_each_epoch_once(db, runs / NAME / trial, least=epochs + 3)
