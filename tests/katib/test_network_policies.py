"""Who reaches whom in the namespace of the trials: the policies of k8s/base, read as Kubernetes defines them.

A pod that a policy selects is reached, and reaches, by what some rule of some policy lets through; a peer without a
namespace is one of the policy's own (kubernetes.io/docs/concepts/services-networking/network-policies). Whether a
cluster enforces them is its network plugin's affair.
"""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

FILE = Path(__file__).parents[2] / "k8s" / "base" / "network-policy.yaml"
NAMESPACE = "sepsweep"
POLICIES: list[dict[str, Any]] = [item["spec"] for item in yaml.safe_load_all(FILE.read_text())]


class Pod(NamedTuple):
    """A pod, or a host outside the cluster where there is no namespace."""

    namespace: str
    labels: Mapping[str, str] = {}
    address: str = "10.1.2.3"


TRIAL = Pod(NAMESPACE, {"katib.kubeflow.org/trial": "t", "katib.kubeflow.org/experiment": "e"})
SERVICES = Pod(NAMESPACE, {"katib.kubeflow.org/suggestion": "e", "katib.kubeflow.org/experiment": "e"})
JOB = Pod(NAMESPACE, {"app.kubernetes.io/managed-by": "sepsweep", "batch.kubernetes.io/job-name": "read-e"})
CONTROLLER = Pod("kubeflow", {"katib.kubeflow.org/component": "controller"})
DB_MANAGER = Pod("kubeflow", {"katib.kubeflow.org/component": "db-manager"})
MYSQL = Pod("kubeflow", {"katib.kubeflow.org/component": "mysql"})
UI = Pod("kubeflow", {"katib.kubeflow.org/component": "ui"})
DNS = Pod("kube-system", {"k8s-app": "kube-dns"})
STRANGER = Pod("elsewhere", {**TRIAL.labels, **CONTROLLER.labels, **SERVICES.labels})
WANDB = Pod("", address="35.186.228.49")
METADATA = Pod("", address="169.254.169.254")
PRIVATE = Pod("", address="192.168.1.1")


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "Exists"
        if rule["key"] not in labels:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def is_peer(peer: Mapping[str, Any], pod: Pod) -> bool:
    if "ipBlock" in peer:
        address = ip_address(pod.address)
        inside = [address in ip_network(block) for block in peer["ipBlock"].get("except", [])]
        return address in ip_network(peer["ipBlock"]["cidr"]) and not any(inside)
    if "namespaceSelector" in peer:
        if not selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": pod.namespace}):
            return False
    elif pod.namespace != NAMESPACE:
        return False
    return selects(peer.get("podSelector", {}), pod.labels)


def lets(direction: str, pod: Pod, other: Pod, port: int, protocol: str) -> bool:
    """Returns whether `pod` may be reached by `other` (Ingress), or reach it (Egress)."""
    if pod.namespace != NAMESPACE:
        return True
    chosen = [policy for policy in POLICIES if selects(policy["podSelector"], pod.labels)]
    chosen = [policy for policy in chosen if direction in policy["policyTypes"]]
    side = "from" if direction == "Ingress" else "to"
    rules = [rule for policy in chosen for rule in policy.get(direction.lower(), [])]
    return not chosen or any(
        (side not in rule or any(is_peer(peer, other) for peer in rule[side]))
        and any((entry["protocol"], entry["port"]) == (protocol, port) for entry in rule["ports"])
        for rule in rules
    )


def reaches(source: Pod, target: Pod, port: int, protocol: str = "TCP") -> bool:
    return lets("Egress", source, target, port, protocol) and lets("Ingress", target, source, port, protocol)


NEEDED = {
    "Katib's controller asks for proposals": (CONTROLLER, SERVICES, 6789, "TCP"),
    "Katib's controller asks for stop rules": (CONTROLLER, SERVICES, 6788, "TCP"),
    "a trial's collector asks whether to stop": (TRIAL, SERVICES, 6788, "TCP"),
    "a trial's collector reports": (TRIAL, DB_MANAGER, 6789, "TCP"),
    "the services read curves": (SERVICES, DB_MANAGER, 6789, "TCP"),
    "the services ask the API server": (SERVICES, PRIVATE, 6443, "TCP"),
    "a trial finds names": (TRIAL, DNS, 53, "UDP"),
    "the services find names": (SERVICES, DNS, 53, "TCP"),
    "a trial is tracked": (TRIAL, WANDB, 443, "TCP"),
}


@pytest.mark.parametrize("what", NEEDED)
def test_what_a_search_needs_goes_through(what: str) -> None:
    source, target, port, protocol = NEEDED[what]
    assert reaches(source, target, port, protocol)


REFUSED = {
    "a trial asks for proposals": (TRIAL, SERVICES, 6789),
    "a trial asks the other ports of the services": (TRIAL, SERVICES, 22),
    "a trial asks another trial": (TRIAL, TRIAL, 6788),
    "a trial asks a job": (TRIAL, JOB, 443),
    "a trial asks the cloud for its node's keys": (TRIAL, METADATA, 80),
    "a trial asks the cloud for its node's keys over TLS": (TRIAL, METADATA, 443),
    "a trial asks a host of the private network": (TRIAL, PRIVATE, 443),
    "a trial asks Katib's database": (TRIAL, MYSQL, 3306),
    "a trial asks Katib's UI": (TRIAL, UI, 8080),
    "a trial speaks plain HTTP to the world": (TRIAL, WANDB, 80),
    "a trial asks the API server": (TRIAL, PRIVATE, 6443),
    "a job asks the services": (JOB, SERVICES, 6788),
    "a job asks the world": (JOB, WANDB, 443),
    "a job asks the DB manager": (JOB, DB_MANAGER, 6789),
    "a pod without labels asks the services": (Pod(NAMESPACE), SERVICES, 6789),
    "another namespace's pod under every name asks for stop rules": (STRANGER, SERVICES, 6788),
    "another namespace's pod under every name asks for proposals": (STRANGER, SERVICES, 6789),
    "another namespace's pod asks a trial": (STRANGER, TRIAL, 6788),
    "Katib's controller asks another port": (CONTROLLER, SERVICES, 8080),
    "Katib's UI asks the services": (UI, SERVICES, 6788),
    "the services ask a trial": (SERVICES, TRIAL, 443),
    "the services ask Katib's database": (SERVICES, MYSQL, 3306),
    "the services speak plain HTTP to the world": (SERVICES, WANDB, 80),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_search_needs_does_not(what: str) -> None:
    assert not reaches(*REFUSED[what])


def test_nothing_is_let_through_on_every_port_or_beside_every_policy() -> None:
    """A rule without ports would be all of them, an empty rule anybody.

    And one policy selects every pod for both ways.
    """
    for policy in POLICIES:
        for rule in [*policy.get("ingress", []), *policy.get("egress", [])]:
            assert rule["ports"]
        for rule in policy.get("ingress", []):
            assert rule["from"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in POLICIES
