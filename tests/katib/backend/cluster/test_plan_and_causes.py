"""What deploying changes in a search, and the causes behind a cluster's messages; tests/cluster/ has the rest."""

import copy
from typing import Any

import pytest
import yaml

from katib.backend.cluster.causes import clean, why_failed, why_stuck, why_tried_again, why_waiting
from katib.backend.cluster.deploy_diff import diff, successor
from katib.backend.cluster.doctor.trial import trial_job
from katib.backend.cluster.model import read_job, read_search, read_trial
from katib.backend.cluster.pod import read_pod
from katib.errors import ClusterError
from katib.manifest.configurations import ANNOTATION as CONFIGURATIONS
from katib.manifest.gpu_hours import ANNOTATION
from katib.manifest.render import Overrides, render
from katib.site import Site, load_site
from katib.spec import load_spec
from katib.spec_parts import EarlyStopping


def manifest(site: Site | None = None, **overrides: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(render(load_spec("dprnn"), site or load_site(), Overrides(**overrides)))
    return found


def running(trials: int = 3, **spec: Any) -> dict[str, Any]:
    """Returns an Experiment as Katib stores it, with its defaults."""
    found = copy.deepcopy(manifest())
    found["metadata"]["uid"] = "u"
    found["spec"] |= spec
    found["spec"]["objective"]["additionalMetricNames"] = []
    found["status"] = {"trials": trials, "conditions": [{"type": "Running", "status": "True"}]}
    return found


def test_defaults_that_katib_adds_are_no_change() -> None:
    assert diff(manifest(), running()).action == "nothing"


def test_only_the_budget_changes_in_place() -> None:
    made = diff(manifest(trials=40), running())
    assert (made.action, [str(change) for change in made.changes]) == ("change", ["trials: 25 -> 40"])


def test_a_budget_in_gpu_hours_changes_in_place_and_stays_where_a_deployment_names_none() -> None:
    found = running(25)
    found["metadata"]["annotations"] = {ANNOTATION: "12"}
    raised = manifest(gpu_hours=20)
    made = diff(raised, found)
    assert (made.action, [str(change) for change in made.changes]) == ("change", ["gpu_hours: 12 -> 20"])
    assert made.manifest["metadata"]["annotations"] == {ANNOTATION: "20"}
    assert diff(manifest(gpu_hours=12), found).action == "nothing"
    kept = diff(manifest(trials=40), found)
    assert ([str(change) for change in kept.changes]) == ["trials: 25 -> 40"]
    assert kept.manifest["metadata"]["annotations"] == {ANNOTATION: "12"}


def promoting(**overrides: Any) -> dict[str, Any]:
    """Returns the Experiment of a search that pauses trials."""
    spec = load_spec("dprnn").model_copy(update={"early_stopping": EarlyStopping(name="promote")})
    found: dict[str, Any] = yaml.safe_load(render(spec, load_site(), Overrides(**overrides)))
    return found


def test_more_configurations_of_a_search_that_pauses_change_in_place_without_its_stop_rule() -> None:
    found, more = promoting(), promoting(trials=40)
    found["metadata"]["uid"] = "u"
    found["status"] = {"trials": 3, "conditions": [{"type": "Running", "status": "True"}]}
    made = diff(more, found)
    assert (made.action, made.manifest["metadata"]["annotations"]) == ("change", {CONFIGURATIONS: "40"})
    assert [str(change) for change in made.changes] == ["trials: 38 -> 61", "configurations: 25 -> 40"]
    applied = {**found, "spec": made.manifest["spec"], "metadata": found["metadata"] | made.manifest["metadata"]}
    assert applied["spec"] == found["spec"] | {"maxTrialCount": 61}
    assert (diff(more, applied).action, read_search(applied).configurations) == ("nothing", 40)
    fewer = diff(promoting(), applied)
    assert [str(change) for change in fewer.changes] == ["trials: 61 -> 38", "configurations: 40 -> 25"]
    assert fewer.manifest["metadata"]["annotations"] == {CONFIGURATIONS: "25"}
    applied["status"] = {"trials": 61, "conditions": [{"type": "Succeeded", "status": "True"}]}
    assert diff(promoting(trials=41), applied).action == "change"
    applied["status"]["conditions"] = found["status"]["conditions"]
    with pytest.raises(ClusterError, match="continuations included, is at least 62; name more TRIALS"):
        diff(promoting(), applied)
    applied["metadata"]["annotations"] = {CONFIGURATIONS: "many"}
    assert read_search(applied).configurations == 25


def test_another_eta_is_another_search() -> None:
    other = promoting(trials=40)
    other["spec"]["earlyStopping"]["algorithmSettings"][1]["value"] = "4"
    with pytest.raises(ClusterError, match=r"eta: 3 -> 4"):
        diff(other, running() | promoting() | {"status": {}} | {"metadata": running()["metadata"]})


@pytest.mark.parametrize("overrides", [{}, {"trials": 40}, {"epochs": 7}])
def test_a_search_whose_stop_has_not_come_to_its_end_is_not_deployed_over(overrides: dict[str, Any]) -> None:
    """The counts that stop has changed are no one else's change, which is what the API server would say."""
    found = running(3, maxFailedTrialCount=1)
    found["metadata"]["annotations"] = {"sepsweep/stopped": "ann at 2026-11-28T14:05:31Z"}
    said = "was stopped by ann at 2026-11-28 14:05 UTC and has not ended yet: make stop EXPERIMENT=series3-dprnn waits"
    with pytest.raises(ClusterError, match=said):
        diff(manifest(**overrides), found)
    found["status"]["conditions"] = [{"type": "Failed", "status": "True"}]
    if overrides != {"epochs": 7}:
        assert diff(manifest(**overrides), found).action == "continue"


def test_a_key_that_is_gone_from_the_trial_is_a_change() -> None:
    found = running()
    found["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["priorityClassName"] = "high"
    with pytest.raises(ClusterError, match="priorityClassName: high -> nothing"):
        diff(manifest(), found)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"epochs": 7}, "epochs: 100 -> 7"),
        ({"preset": "debug"}, "preset: paper -> debug"),
    ],
)
def test_another_search_is_named_as_it_was_typed(changed: dict[str, Any], text: str) -> None:
    """It is named by flags and spec keys: a manifest's path means nothing to someone who typed EPOCHS=7."""
    with pytest.raises(ClusterError) as error:
        diff(manifest(**changed), running())
    assert f"({text}" in str(error.value)
    assert not any(word in str(error.value) for word in ("trialTemplate", "command[", "containers", "spec."))


def test_another_space_and_algorithm_are_named_by_the_keys_of_a_spec() -> None:
    found = running()
    found["spec"]["parameters"][0]["feasibleSpace"]["max"] = "0.1"
    found["spec"]["algorithm"]["algorithmName"] = "tpe"
    with pytest.raises(ClusterError, match=r"search\.lr\.max: 0\.1 -> 0\.01 and 1 more") as error:
        diff(manifest(), found)
    assert "parameters[" not in str(error.value)


def test_an_ended_search_continues_only_with_more_trials() -> None:
    found = running(trials=25)
    found["status"]["conditions"] = [{"type": "Succeeded", "status": "True"}]
    assert diff(manifest(trials=40), found).action == "change"


def test_a_failed_search_continues_where_it_is_the_same_search() -> None:
    """Budget and site may differ: more trials, another image, a larger claim; what is trained may not."""
    found = running(trials=25)
    found["status"]["conditions"] = [{"type": "Failed", "status": "True"}]
    elsewhere = load_site().model_copy(update={"image": "host/trainer:2", "node_selector": {"disk": "large"}})
    assert diff(manifest(), found).action == "continue"
    assert diff(manifest(elsewhere, trials=40), found).action == "continue"
    words = found["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["command"]
    words[words.index("--room-minutes") + 1] = "5"  # how long a full volume is waited for
    assert diff(manifest(), found).action == "continue"
    del words[words.index("--room-minutes") : words.index("--room-minutes") + 2]
    assert diff(manifest(), found).action == "continue"
    with pytest.raises(ClusterError, match=r"has ended \(Failed\) with another search"):
        diff(manifest(epochs=7), found)


def test_a_changed_site_file_does_not_keep_a_search_from_growing() -> None:
    """The trials stay as they are, since Katib accepts no other template, and the diff says so."""
    elsewhere = load_site().model_copy(update={"image": "host/trainer:2"})
    found = running()
    made = diff(manifest(elsewhere, trials=40), found)
    assert made.action == "change"
    assert [str(change) for change in made.changes] == ["trials: 25 -> 40"]
    assert [change.after for change in made.kept] == ["host/trainer:2"]
    assert made.manifest["spec"]["trialTemplate"] == found["spec"]["trialTemplate"]
    with pytest.raises(ClusterError, match="another search"):
        diff(manifest(elsewhere), found)


@pytest.mark.parametrize(
    ("name", "follows"), [("series3-dprnn", "series3-dprnn-2"), ("a-2", "a-3"), ("x" * 40, "x" * 38 + "-2")]
)
def test_successor_is_a_name_that_katib_takes(name: str, follows: str) -> None:
    assert successor(name) == follows


def test_trial_job_has_no_placeholder_left() -> None:
    assert "${trial" not in yaml.safe_dump(trial_job(manifest()))


def test_katibs_prefix_is_removed_from_a_line() -> None:
    line = "2026-11-24T09:30:00.123456Z val_si_snr=5.1"
    assert clean(f"I1124 09:30:00.123456       1 main.go:139] {line}") == line
    assert clean(line) == line


def pod(line: str = "python -m trainer --model dprnn", **status: Any) -> Any:
    """Returns a pod as Katib's webhook leaves it: the command is one line for a shell."""
    shell = {"command": ["sh", "-c"], "args": [f"{line} 1>/var/log/katib/metrics.log 2>&1"]}
    containers = [{"name": "trainer", **shell}, {"name": "metrics-logger-and-collector"}]
    found = {"metadata": {"name": "p", "labels": {}}, "spec": {"containers": containers}, "status": status}
    return read_pod(found)


def ended(code: int, reason: str = "Error") -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason}}
    return {"phase": "Failed", "containerStatuses": [{"name": "trainer", "state": state}]}


@pytest.mark.parametrize("code", [2, 3, 4])
@pytest.mark.parametrize("line", ["python train.py --trainer x", "sh -c 'exit 3'", "python -m trainers"])
def test_exit_codes_of_another_program_mean_nothing_but_failure(line: str, code: int) -> None:
    """argparse exits with 2, and a Job only distinguishes 0 from other exit codes."""
    for log, words in (
        ([], f"exit code {code}"),
        (["error: no such flag"], f"no such flag (exit code {code})"),
    ):
        assert words in str(why_failed(TRIAL, None, [pod(line, **ended(code))], log))


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
        (
            pod(**ended(1)),
            [
                "error: out of memory on cuda:0: dprnn with 8 x 4 s at once (--batch-size 8, --precision fp32);"
                " --micro-batch 4 fits and gives the same result: the next start takes it, or --precision bf16"
            ],
            "out of memory with 8 mixtures at once, goes on with 4 (--micro-batch), the result stays the same; where it"
            " has failed for good, make again TRIAL=… CLUSTER=1 lets it",
        ),
        (pod(**ended(2)), ["error: /data/x: no train/ in it"], "no train/ in it"),
        (pod(phase="Failed", reason="Evicted", message="node was low on disk"), [], "low on disk"),
        (pod(**ended(137)), [], "killed by signal 9 (SIGKILL)"),
        (pod(**ended(135)), [], "resources.shared_memory"),
        (
            pod(**ended(1)),
            [
                "Traceback (most recent call last):",
                "PermissionError: [Errno 13] Permission denied: '/runs/a'",
                "",
            ],
            "PermissionError: [Errno 13] Permission denied: '/runs/a' (exit code 1); the runs volume must be writable",
        ),
        (pod(phase="Failed", reason="NodeLost", message="node n is gone"), [], "NodeLost: node n is gone"),
        (pod(**ended(6)), ["epoch 1"], "exit code 6"),
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
        ("Trial is early stopped", [], "stopped early, by a rule that is no longer known"),
    ],
)
def test_an_early_stop_reads_as_our_service_or_else_katibs_rule_describes_it(
    message: str, rules: list[Any], words: str
) -> None:
    """The Trial object is enough: its pod and its Job are gone."""
    stopped = {"type": "EarlyStopped", "status": "True", "message": message}
    found = {
        "metadata": {"name": "t"},
        "spec": {"earlyStoppingRules": rules},
        "status": {"conditions": [stopped]},
    }
    assert str(why_failed(read_trial(found), None, [])) == words


def stop_rule_trial(state: str, **status: Any) -> Any:
    """Returns a trial that may be stopped early, so that Katib's wrapper turns every failing exit code into 1."""
    conditions = [{"type": state, "status": "True", **status}]
    rules = [{"name": "val_si_snr", "value": "-1e30", "comparison": "less", "startStep": 1}]
    return read_trial(
        {
            "metadata": {"name": "t"},
            "spec": {"earlyStoppingRules": rules},
            "status": {"conditions": conditions},
        }
    )


def test_a_trainer_that_was_killed_four_times_reads_as_killed_behind_katibs_wrapper() -> None:
    """It printed no message, and the wrapper's exit code is 1."""
    tries = [pod(**ended(1)) for _ in range(4)]
    job = read_job({"metadata": {"name": "t"}, "spec": {}, "status": {"failed": 4}})
    cause = why_failed(stop_rule_trial("Failed"), job, tries, ["epoch 3/8: validation -1.26 dB"])
    assert cause is not None
    assert "killed by signal 9 (SIGKILL)" in cause.problem
    assert cause.problem.endswith("epoch 3/8: validation -1.26 dB (4 tries)")
    tries = [pod(**ended(1, "OOMKilled")) for _ in range(4)]
    assert "the kernel killed it) (4 tries)" in str(why_failed(stop_rule_trial("Failed"), job, tries))


def test_a_lost_node_is_reported_while_its_pod_cannot_end() -> None:
    """Kubernetes deletes the pod and waits for the node, which may never answer again."""
    lost = {
        "type": "DisruptionTarget",
        "status": "True",
        "message": "Taint manager: deleting due to NoExecute taint",
    }
    found = {
        "metadata": {"name": "p", "labels": {}, "deletionTimestamp": "2026-11-28T10:00:00Z"},
        "spec": {"containers": [{"name": "trainer"}], "nodeName": "node7"},
        "status": {"phase": "Running", "conditions": [lost]},
    }
    cause = why_waiting(read_job({"metadata": {"name": "j"}, "spec": {}}), [read_pod(found)])
    assert cause is not None
    assert "removed from its node 'node7': Taint manager" in cause.problem
    assert "--force" in cause.fix


def test_the_failure_of_a_try_is_reported_while_the_next_one_runs() -> None:
    tries = [pod(**ended(1)), pod(phase="Running")]
    cause = why_tried_again(stop_rule_trial("Running"), tries, {"p": ["OSError: [Errno 5] Input/output error"]})
    assert str(cause) == "try 1 ended: OSError: [Errno 5] Input/output error (exit code 1)"
    assert why_tried_again(stop_rule_trial("Running"), tries[1:], {}) is None
    assert why_tried_again(stop_rule_trial("Succeeded"), tries, {}) is None


def test_a_full_volume_is_reported_until_there_is_room_again() -> None:
    waits = "waits for room: /runs/a/last.pt cannot be written (No space left on device); tries again every 30 s"
    running_pod = pod(phase="Running")
    cause = why_stuck(running_pod, ["epoch 1", waits])
    assert cause is not None
    assert (cause.problem, "make room" in cause.fix) == (waits, True)
    assert why_stuck(running_pod, [waits, "room again: /runs/a/last.pt is written"]) is None


def test_a_dead_collector_is_reported_with_the_fix() -> None:
    end = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    states = [
        {"name": "trainer", "state": {"running": {}}},
        {"name": "metrics-logger-and-collector", "state": end},
    ]
    cause = why_stuck(pod(phase="Running", containerStatuses=states), [])
    assert cause is not None
    assert "its metrics collector has ended (OOMKilled)" in cause.problem
    assert "kubectl delete pod p" in cause.fix
    # The trainer has failed, which the kubelet has not reported yet: the collector only followed it.
    words = ["error: --run-dir /runs/a: cannot be written (Permission denied)"]
    assert why_stuck(pod(phase="Running", containerStatuses=states), words) is None


@pytest.mark.parametrize(
    ("container", "file"), [("trainer", "k8s/site.yaml"), ("metrics-logger-and-collector", "katib-config")]
)
def test_an_image_that_cannot_be_pulled_is_to_be_checked_where_it_is_named(container: str, file: str) -> None:
    state = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
    waits = pod(phase="Pending", containerStatuses=[{"name": container, "state": state}])
    cause = why_waiting(read_job({"metadata": {"name": "j"}, "spec": {}}), [waits])
    assert cause is not None
    assert "ErrImagePull: not found" in cause.problem
    assert file in cause.fix


@pytest.mark.parametrize(
    ("ended_at", "words"),
    [
        ("2026-11-28T14:05:40Z", "stopped by somebody at 2026-11-28 14:05 UTC"),
        ("2026-11-28T12:00:00Z", "ran past its deadline"),
    ],
)
def test_after_stop_trials_read_stopped_by_whom_and_when_and_not_past_their_deadline(ended_at: str, words: str) -> None:
    """The Trial is enough, its Job and pods are gone; a trial that had ended before had another reason."""
    found = running()
    found["metadata"]["annotations"] = {"sepsweep/stopped": "somebody at 2026-11-28T14:05:31Z"}
    found["status"]["conditions"] = [{"type": "Failed", "status": "True"}]
    reason = "TrialFailed. Job reason: DeadlineExceeded"
    trial = stop_rule_trial("Failed", reason=reason, lastTransitionTime=ended_at)
    assert words in str(why_failed(trial, None, [], search=read_search(found)))


@pytest.mark.parametrize(
    ("resumed", "paused"),
    [
        ("", "paused by ann at 2026-11-28 14:05 UTC"),
        ("bob at 2026-11-28T14:00:00Z", "paused by ann at 2026-11-28 14:05 UTC"),
        ("bob at 2026-11-28T15:00:00Z", ""),
        ("bob at noon", "paused by ann at 2026-11-28 14:05 UTC"),
    ],
)
def test_a_search_says_who_paused_it_until_somebody_resumes_it(resumed: str, paused: str) -> None:
    found = running()
    notes = {"sepsweep/paused": "ann at 2026-11-28T14:05:31Z", "sepsweep/resumed": resumed}
    found["metadata"]["annotations"] = notes
    assert read_search(found).paused == paused
    assert not read_search(found).stopped


def test_an_extended_search_runs_once_it_runs_again() -> None:
    """Katib leaves the condition Restarting true to the end (experiments/v1beta1/util.go)."""
    found = running()
    restarting = {"type": "Restarting", "status": "True"}
    for more, state in (
        ([{"type": "Running", "status": "False"}], "Restarting"),
        ([{"type": "Running", "status": "True"}], "Running"),
        ([{"type": "Running", "status": "False"}, {"type": "Succeeded", "status": "True"}], "Succeeded"),
    ):
        found["status"]["conditions"] = [{"type": "Created", "status": "True"}, restarting, *more]
        assert read_search(found).state == state


def test_preemption_is_a_cause_of_its_own() -> None:
    gone = {"type": "DisruptionTarget", "status": "True", "message": "preempted by another pod"}
    cause = why_failed(TRIAL, None, [pod(**ended(143), conditions=[gone])])
    assert "preempted by another pod" in str(cause)


@pytest.mark.parametrize(
    ("message", "fix"),
    [
        ("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.", "no GPU is free"),
        ("0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate.", "lower resources.cpu"),
        ("0/2 nodes are available: 2 node(s) had untolerated taint {x: y}.", "tolerations"),
        ("0/2 nodes are available: persistentvolumeclaim not found", "make doctor"),
        ("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", "node_selector"),
    ],
)
def test_unschedulable_pod_says_what_to_do(message: str, fix: str) -> None:
    job = read_job({"metadata": {"name": "j"}, "spec": {}})
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    cause = why_waiting(job, [pod(phase="Pending", conditions=[condition])])
    assert cause is not None
    assert message[:40] in cause.problem
    assert fix in cause.fix


def test_site_fields_of_the_trial_job_are_rendered() -> None:
    site = load_site().model_copy(update={"priority_class": "low", "pull_secrets": ["registry"], "kueue_queue": "gpus"})
    job = trial_job(manifest(site))
    assert job["spec"]["template"]["spec"]["priorityClassName"] == "low"
    assert job["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert job["spec"]["podReplacementPolicy"] == "Failed"
    assert job["spec"]["ttlSecondsAfterFinished"] == 7 * 24 * 3600
