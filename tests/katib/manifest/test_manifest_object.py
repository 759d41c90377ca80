"""What a manifest says of its search, whatever its form, however the trainer is started and beside which containers."""

import json
from typing import Any

import pytest

from katib.manifest.object import Manifest
from katib.metrics import DEFAULT_FILTER

WORDS = ["python", "-m", "trainer", "--model", "dprnn", "--epochs=7", "--lr", "${trialParameters.lr}"]


def spec(*containers: Any, primary: str = "train") -> dict[str, Any]:
    pod = {"template": {"spec": {"containers": list(containers)}}}
    return {"trialTemplate": {"primaryContainerName": primary, "trialSpec": {"spec": pod}}}


@pytest.mark.parametrize(
    "container",
    [
        {"command": WORDS}, {"command": WORDS[:3], "args": WORDS[3:]}, {"command": ["/usr/bin/env", *WORDS]},
        {"command": ["sh", "-c", " ".join(WORDS)]}, {"command": ["bash", "-c"], "args": ["exec " + " \\\n ".join(WORDS)]},
    ],
)  # fmt: skip
def test_flags_are_read_behind_a_shell_and_beside_other_containers(container: dict[str, Any]) -> None:
    beside = {"name": "proxy", "command": ["sh", "-c", "sleep 9"]}
    found = {"name": "train", **container}
    for made in (spec(found), spec(beside, found), spec(found, primary="other")):
        assert Manifest(made).trains_ours
        assert Manifest(made).flags == {"--model": ["dprnn"], "--epochs": ["7"], "--lr": ["${trialParameters.lr}"]}


@pytest.mark.parametrize(
    "made", [{}, {"trialTemplate": None}, spec(), spec({"name": "a"}, {"name": "b"}), spec("x", "y")]
)
def test_a_manifest_of_another_form_says_nothing(made: dict[str, Any]) -> None:
    assert not Manifest(made).trains_ours
    assert Manifest(made).flags == {}


def test_the_metrics_and_filters_of_an_experiment() -> None:
    """By the names of Katib's API (objective_types, metricscollector); the default filter where none is named."""
    spec = {
        "objective": {"objectiveMetricName": "acc", "additionalMetricNames": ["loss", "lr"]},
        "metricsCollectorSpec": {"source": {"filter": {"metricsFormat": ["(a)=(b)"]}}},
    }
    assert (Manifest(spec).metrics, Manifest(spec).filters) == (["acc", "loss", "lr"], ["(a)=(b)"])
    bare: list[dict[str, Any]] = [
        {},
        {"objective": None, "metricsCollectorSpec": None},
        {"objective": {"additionalMetricNames": None}, "metricsCollectorSpec": {"source": None}},
        {"metricsCollectorSpec": {"source": {"filter": None}}},
        {"metricsCollectorSpec": {"source": {"filter": {"metricsFormat": []}}}},
    ]
    for one in bare:
        assert (Manifest(one).metrics, Manifest(one).filters) == ([""], [DEFAULT_FILTER])


def test_another_container_takes_the_place_of_the_primary_one_alone() -> None:
    """The keys of the manifest, their order and the containers beside the primary one stay as they are."""
    made = spec({"name": "proxy"}, {"name": "train", "command": ["a"], "image": "b", "args": ["c"]}) | {"goal": 1}
    kept = spec({"name": "proxy"}, {"name": "train", "command": ["python", "x"], "image": "b"}) | {"goal": 1}
    changed = Manifest(made).with_container({"name": "train", "command": ["python", "x"], "image": "b"})
    assert json.dumps(changed.spec) == json.dumps(kept)
    assert changed.command == ["python", "x"]
    assert Manifest(made).command == ["a", "c"]
