"""Trials that share a GPU, by MIG or time-slicing: each counts its part of the GPU, in status, budget and plan."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from katib.backend.cluster.causes import scheduling
from katib.backend.cluster.hours import hours
from katib.backend.cluster.model import read_search, read_trial
from katib.budget.estimate import plan
from katib.errors import SpecError
from katib.manifest.object import Manifest
from katib.manifest.render import render
from katib.site import Site, default_site
from katib.spec import load_spec

MIG = {"gpu_resource": "nvidia.com/mig-1g.10gb", "trials_per_gpu": 7}
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def experiment(**resources: Any) -> dict[str, Any]:
    site = yaml.safe_load(default_site().read_text())
    site["resources"] |= resources
    found: dict[str, Any] = yaml.safe_load(render(load_spec("dprnn"), Site.model_validate(site)))
    return {**found, "metadata": {**found["metadata"], "uid": "1"}}


@pytest.mark.parametrize(
    ("resources", "share"), [({}, 1.0), ({"gpus": 4}, 4.0), (MIG, 1 / 7), ({"gpu_claim_template": "two", "gpus": 2}, 2)]
)
def test_a_trial_counts_the_gpus_that_it_holds(resources: dict[str, Any], share: float) -> None:
    search = read_search(experiment(**resources))
    trial = read_trial(
        {
            "metadata": {"name": "a", "creationTimestamp": "2026-11-29T05:00:00Z"},
            "spec": {},
            "status": {
                "startTime": (NOW - timedelta(hours=7)).isoformat(),
                "completionTime": NOW.isoformat(),
                "conditions": [{"type": "Succeeded", "status": "True"}],
            },
        }
    )
    assert hours(trial, search, None, [], NOW) == pytest.approx(7 * share)
    assert Manifest.of(experiment(**resources)).gpu_need.share == share


def test_a_plan_puts_seven_trials_on_a_gpu_of_seven_slices() -> None:
    spec = load_spec("dprnn")
    alone = plan([spec], {}, gpus=1, gpus_per_trial=1, site_parallel=7)
    shared = plan([spec], {}, gpus=1, gpus_per_trial=1, site_parallel=7, trials_per_gpu=7)
    assert shared.gpu_hours == pytest.approx(alone.gpu_hours / 7)
    assert shared.days == pytest.approx(alone.days * 4 / spec.trials)  # 25 trials, seven at a time: four rounds
    with pytest.raises(SpecError, match="--gpus 1: a trial needs 2"):
        plan([spec], {}, gpus=1, gpus_per_trial=2, site_parallel=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0/3 nodes are available: 3 Insufficient nvidia.com/mig-1g.10gb.", "no GPU is free"),
        ("0/1 nodes are available: 1 cannot allocate all claims.", "no GPU is free"),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {nvidia.com/gpu: present}.", "add the taint"),
        ("0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints.", "topology_spread"),
        ("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", "affinity in k8s/site.yaml"),
    ],
)
def test_a_waiting_trial_says_what_it_waits_for(text: str, words: str) -> None:
    assert words in scheduling(text)
