"""What a change of a search is, and what the words of a cluster mean; without a cluster. tests/cluster/ has the rest."""

import copy
from typing import Any

import pytest
import yaml

from katib.cluster.causes import clean, why_failed, why_waiting
from katib.cluster.doctor.admission import trial_job
from katib.cluster.model import read_job, read_pod, read_trial
from katib.cluster.plan import plan, successor
from katib.errors import ClusterError
from katib.render import Overrides, render
from katib.site import Site, load_site
from katib.spec import load_spec


def manifest(site: Site | None = None, **overrides: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        render(load_spec("dprnn"), site or load_site(), Overrides(**overrides))
    )
    return found


def running(trials: int = 3, **spec: Any) -> dict[str, Any]:
    """As Katib keeps it: with its defaults filled in."""
    found = copy.deepcopy(manifest())
    found["metadata"]["uid"] = "u"
    found["spec"] |= spec
    found["spec"]["objective"]["additionalMetricNames"] = []
    found["status"] = {"trials": trials, "conditions": [{"type": "Running", "status": "True"}]}
    return found


def test_defaults_that_katib_fills_in_are_no_change() -> None:
    assert plan(manifest(), running()).action == "nothing"


def test_only_the_budget_changes_in_place() -> None:
    made = plan(manifest(trials=40), running())
    assert (made.action, [str(change) for change in made.changes]) == ("change", ["maxTrialCount: 25 -> 40"])


def test_a_key_that_is_gone_from_the_trial_is_a_change() -> None:
    found = running()
    found["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["priorityClassName"] = "high"
    with pytest.raises(ClusterError, match="priorityClassName: high -> nothing"):
        plan(manifest(), found)


def test_an_ended_search_goes_on_only_with_more_trials() -> None:
    found = running(trials=25)
    found["status"]["conditions"] = [{"type": "Succeeded", "status": "True"}]
    assert plan(manifest(trials=40), found).action == "change"
    found["status"]["conditions"] = [{"type": "Failed", "status": "True"}]
    with pytest.raises(ClusterError, match="has ended"):
        plan(manifest(trials=40), found)


@pytest.mark.parametrize(
    ("name", "follows"), [("series3-dprnn", "series3-dprnn-2"), ("a-2", "a-3"), ("x" * 40, "x" * 38 + "-2")]
)
def test_successor_is_a_name_that_katib_takes(name: str, follows: str) -> None:
    assert successor(name) == follows


def test_trial_job_has_no_placeholder_left() -> None:
    assert "${" not in yaml.safe_dump(trial_job(manifest()))


def test_katibs_prefix_is_taken_off_a_line() -> None:
    line = "2026-11-24T09:30:00.123456Z val_si_snr=5.1"
    assert clean(f"I1124 09:30:00.123456       1 main.go:139] {line}") == line
    assert clean(line) == line


def pod(**status: Any) -> Any:
    containers = [{"name": "trainer"}, {"name": "metrics-logger-and-collector"}]
    found = {"metadata": {"name": "p", "labels": {}}, "spec": {"containers": containers}, "status": status}
    return read_pod(found)


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason}}
    return {"phase": "Failed", "containerStatuses": [{"name": "trainer", "state": state}]}


TRIAL = read_trial(
    {"metadata": {"name": "t"}, "spec": {}, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}
)


@pytest.mark.parametrize(
    ("found", "log", "words"),
    [
        (pod(**ended(137, "OOMKilled")), [], "the kernel killed it"),
        (pod(**ended(4)), [], "out of GPU memory"),
        (pod(**ended(3)), [], "diverged"),
        (
            pod(**ended(1)),
            ["error: epoch 2, at a learning rate of 0.01: the loss is nan; lower --lr"],
            "diverged",
        ),
        (
            pod(**ended(1)),
            ["error: out of memory on cuda:0: dprnn with 2 x 4 s at once"],
            "out of GPU memory",
        ),
        (pod(**ended(2)), ["error: /data/x: no train/ in it"], "no train/ in it"),
        (pod(phase="Failed", reason="Evicted", message="node was low on disk"), [], "low on disk"),
        (pod(**ended(137)), [], "SIGKILL"),
    ],
)
def test_cause_of_a_failure(found: Any, log: list[str], words: str) -> None:
    cause = why_failed(TRIAL, None, [found], log)
    assert cause is not None
    assert words in str(cause)


@pytest.mark.parametrize(
    ("message", "rules", "words"),
    [
        ("best of epoch 4, 1.00 dB, is below x", [], "best of epoch 4, 1.00 dB, is below x"),
        (
            "Trial is early stopped",
            [{"name": "val_si_snr", "value": "3.5", "comparison": "less", "startStep": 4}],
            "stopped early: val_si_snr less than 3.5 at report 4",
        ),
        ("Trial is early stopped", [], "stopped early, by a rule that is not known any more"),
    ],
)
def test_an_early_stop_is_told_as_our_service_or_else_katibs_rule_has_it(
    message: str, rules: list[Any], words: str
) -> None:
    """From the Trial object alone: its pod and its Job are gone."""
    stopped = {"type": "EarlyStopped", "status": "True", "message": message}
    found = {
        "metadata": {"name": "t"},
        "spec": {"earlyStoppingRules": rules},
        "status": {"conditions": [stopped]},
    }
    assert str(why_failed(read_trial(found), None, [])) == words


def test_preemption_is_a_cause_of_its_own() -> None:
    gone = {"type": "DisruptionTarget", "status": "True", "message": "preempted by another pod"}
    cause = why_failed(TRIAL, None, [pod(**ended(143), conditions=[gone])])
    assert "preempted by another pod" in str(cause)


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.", "no GPU is free"),
        ("0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate.", "lower resources.cpu"),
        ("0/2 nodes are available: 2 node(s) had untolerated taint {x: y}.", "tolerations"),
        ("0/2 nodes are available: persistentvolumeclaim not found", "make doctor"),
        ("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", "node_selector"),
    ],
)
def test_unschedulable_pod_says_what_to_do(message: str, remedy: str) -> None:
    job = read_job({"metadata": {"name": "j"}, "spec": {}})
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    cause = why_waiting(job, [pod(phase="Pending", conditions=[condition])])
    assert cause is not None
    assert message[:40] in cause.what
    assert remedy in cause.remedy


def test_site_fields_of_the_trial_job_are_rendered() -> None:
    site = load_site().model_copy(
        update={"priority_class": "low", "pull_secrets": ["registry"], "kueue_queue": "gpus"}
    )
    job = trial_job(manifest(site))
    assert job["spec"]["template"]["spec"]["priorityClassName"] == "low"
    assert job["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert job["spec"]["podReplacementPolicy"] == "Failed"
    assert job["spec"]["ttlSecondsAfterFinished"] == 7 * 24 * 3600
