"""k8s/base's network policies, enforced on the node by kube-router: who reaches whom, port by port."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from katib.backend.cluster.kinds import EXPERIMENT_LABEL, SUGGESTION_LABEL, TRIAL_LABEL, Object
from tests.cluster import rig
from tests.cluster.pods import policies
from tests.cluster.tools import Tools

POLICIES = Path(__file__).parents[3] / "k8s/base/network-policy.yaml"
COMPONENT = "katib.kubeflow.org/component"
PUBLIC = "203.0.113.7"
"""An address of this machine meanwhile, from a range that belongs to nobody (RFC 5737)."""
PORTS, OUTSIDE_PORTS = (443, 6443, 6788, 6789, 8080), (443, 6789)
OUTSIDE = {"public": PUBLIC, "private": rig.HOST}
Target = tuple[str, int]
DNS, API = ("DNS", 53), ("API server", 443)
SERVE = """
import selectors, socket
waiting = selectors.DefaultSelector()
for port in {ports}:
    waiting.register(socket.create_server(("", port)), selectors.EVENT_READ)
print("serves", flush=True)
while True:
    for key, _ in waiting.select():
        key.fileobj.accept()[0].close()
"""
TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def reaches(target):
    try:
        socket.create_connection(target, 2).close()
    except OSError:
        return False
    return True
targets = [tuple(target) for target in json.loads(sys.argv[1])]
with ThreadPoolExecutor(64) as pool:
    print(json.dumps(list(pool.map(reaches, targets))))
"""


@pytest.fixture
def enforced(node: None, kubeconfig: Path) -> Iterator[None]:
    """Enforces network policies meanwhile, and gives this machine a public address."""
    if reason := policies.missing():
        pytest.skip(reason)
    with policies.enforced():
        rig.run("ip", "address", "add", f"{PUBLIC}/32", "dev", "kveth0")
        yield
        rig.run("ip", "address", "del", f"{PUBLIC}/32", "dev", "kveth0")


@pytest.fixture
def addresses(tools: Tools, enforced: None) -> Iterator[dict[str, str]]:
    """Yields the addresses of pods that serve all PORTS, by what they are."""
    tools.kubectl("apply", "-f", "-", stdin=_policies(tools.namespace))
    kubeflow = Tools(tools.kubeconfig, "kubeflow")
    places = {
        "trial": (tools, {TRIAL_LABEL: "pods-a", EXPERIMENT_LABEL: "pods"}),
        "trial2": (tools, {TRIAL_LABEL: "pods-b", EXPERIMENT_LABEL: "pods"}),
        "suggestion": (tools, {SUGGESTION_LABEL: "pods"}),
        "job": (tools, {"app.kubernetes.io/managed-by": "sepsweep"}),
        "db-manager": (kubeflow, {COMPONENT: "db-manager"}),
        "controller": (kubeflow, {COMPONENT: "controller"}),
        "stranger": (kubeflow, {"app": "stranger"}),
    }
    for name, (place, labels) in places.items():
        place.make(_pod(name, labels))
    found = {}
    for name, (place, _) in places.items():
        place.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=300s")
        found[name] = place.kubectl("get", "pod", name, "-o", "jsonpath={.status.podIP}")
    yield found
    kubeflow.kubectl("delete", "pod", "db-manager", "controller", "stranger", "--grace-period=1")


def test_trials_and_services_reach_what_they_need_and_nothing_else(tools: Tools, addresses: dict[str, str]) -> None:
    """Each pod tries each other one, the API server, the DNS, and this machine under a public and a private address."""
    targets = {(name, port): (address, port) for name, address in addresses.items() for port in PORTS}
    targets |= {DNS: ("10.96.0.10", 53), API: ("10.96.0.1", 443)}
    targets |= {(name, port): (place, port) for name, place in OUTSIDE.items() for port in OUTSIDE_PORTS}
    unguarded = {target for target in targets if target[0] in (*OUTSIDE, "db-manager", "controller", "stranger")}
    of_the_api = {target for target in unguarded if target[1] in (443, 6443)}
    expected: dict[str, set[Target]] = {
        "trial": {DNS, ("db-manager", 6789), ("suggestion", 6788), ("public", 443)},
        "suggestion": {DNS, API, ("db-manager", 6789)} | of_the_api,
        "job": set(),
        "controller": {DNS, API, ("suggestion", 6788), ("suggestion", 6789)} | unguarded,
        "stranger": {DNS, API} | unguarded,
    }
    with ExitStack() as stack:
        for address in OUTSIDE.values():
            for port in OUTSIDE_PORTS:
                stack.enter_context(socket.create_server((address, port)))
        for name, reached in expected.items():
            place = Tools(tools.kubeconfig, "kubeflow") if name in ("controller", "stranger") else tools
            wanted = {target for target in reached if target[0] != name}
            end = time.monotonic() + 60  # a new pod's rules come a moment after it
            while (found := _reached(place, name, targets)) != wanted and time.monotonic() < end:
                time.sleep(1)
            assert found == wanted, name


def _reached(place: Tools, name: str, targets: dict[Target, Target]) -> set[Target]:
    """Returns what a pod can connect to, apart from itself."""
    words = ("exec", name, "--", "python3", "-c", TRY, json.dumps([*targets.values()]))
    answers = zip(targets, json.loads(place.kubectl(*words)), strict=True)
    return {target for target, reached in answers if reached and target[0] != name}


def _policies(namespace: str) -> str:
    """Returns the policies of k8s/base for another namespace."""
    return POLICIES.read_text().replace("metadata:\n", f"metadata:\n  namespace: {namespace}\n")


def _pod(name: str, labels: dict[str, str]) -> Object:
    """Returns a pod that serves all PORTS."""
    container = {"name": "serve", "image": "local/base:dev", "command": ["python3", "-c", SERVE.format(ports=PORTS)]}
    spec = {"nodeName": "node1", "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
