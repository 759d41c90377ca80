"""What the end of a trial's process means, by the rules of a Kubernetes Job, of Katib, and of the trainer's exit codes."""

from dataclasses import replace
from math import nan
from typing import Any

import pytest

from katib.backend.local.ending import End, Verdict, failure_action, goal_reached, too_many_failures, verdict
from katib.backend.local.record import Effort, Trial
from katib.backend.local.running import deadline
from katib.manifest.experiment import Experiment, load_experiment
from katib.trial import Direction, State
from tests.katib.backend.local.rig import as_text, job, manifest, medianstop

TRIAL = Trial(1, "test-a", {"x": "1"}, state="Running", values=(0.5, 0.9))


def experiment(backoff_limit: int = 1, **deadlines: Any) -> Experiment:
    """Of a search with a program that is not ours."""
    made = load_experiment(as_text(manifest()), "test")
    return replace(made, template=replace(made.template, backoff_limit=backoff_limit, **deadlines))


@pytest.mark.parametrize("code", [1, 2, 3, 4, 126, 127, 137, 255, -9, -15])
def test_any_exit_code_of_another_program_is_a_failed_try(code: int) -> None:
    """A Job has no other rule for them without a podFailurePolicy: another try up to its backoffLimit, then it has
    failed.
    """
    end = End(code, "usage: train.py", ours=False)
    first = verdict(TRIAL, end, experiment(1), halted=False)
    assert (first.state, first.failed_try, first.halt) == ("Created", True, None)
    assert first.reason.endswith("usage: train.py; try 2 of 2")
    second = verdict(replace(TRIAL, effort=Effort(failures=1)), end, experiment(1), halted=False)
    assert (second.state, second.failed_try, second.halt) == ("Failed", True, None)


def test_the_trainers_own_exit_codes_say_more() -> None:
    """3 is a divergence, which the same settings would repeat; 2, 126 and 127 are no fault of a trial's settings."""
    diverged = verdict(TRIAL, End(3, "loss is NaN", ours=True), experiment(6), halted=False)
    assert diverged == Verdict("Failed", "diverged: loss is NaN")
    for code in (2, 126, 127):
        found = verdict(TRIAL, End(code, "data: no train/", ours=True), experiment(6), halted=False)
        assert (found.state, found.reason, found.failed_try) == ("Created", "interrupted", False)
        assert found.halt is not None
        assert (found.halt.code, found.halt.reason) == (2, "trial test-a: data: no train/")


def test_a_program_that_was_asked_to_end_and_exits_with_0_is_not_complete() -> None:
    """Of our trainer exit code 0 says that it has finished: interrupted it exits with 143."""
    for ours, state in ((False, "Created"), (True, "Succeeded")):
        found = verdict(TRIAL, End(0, "", ours=ours, asked=True), experiment(), halted=True)
        assert found.state == state
    stopped = replace(TRIAL, stop="below the median")
    assert verdict(stopped, End(0, "", ours=False, asked=True), experiment(), halted=False).state == "EarlyStopped"


def test_a_trial_without_a_result_says_what_it_printed_instead() -> None:
    other = verdict(replace(TRIAL, values=()), End(0, "loss=nan", ours=False), experiment(), halted=False)
    assert other == Verdict("MetricsUnavailable", "no val_si_snr was reported; last line: loss=nan")
    diverged = verdict(replace(TRIAL, values=(nan, nan)), End(0, "", ours=False), experiment(), halted=False)
    assert diverged.reason == "val_si_snr was nan, and a finite number in none of 2 epochs"


@pytest.mark.parametrize(
    ("job", "pod", "at", "whose"),
    [(5, None, 15, "Job"), (None, 5, 25, "pod"), (30, 5, 25, "pod"), (9, 5, 19, "Job")],
)
def test_a_job_counts_its_deadline_over_all_tries_a_pod_over_one(
    job: int | None, pod: int | None, at: int, whose: str
) -> None:
    """A second try at second 20 of a trial that began at second 10."""
    limits = replace(experiment().template, job_deadline=job, pod_deadline=pod)
    found = deadline(limits, 10.0, 20.0)
    assert found is not None
    assert (found.at, found.for_good) == (at, whose == "Job")
    assert (
        found.reason == f"ran past its deadline (activeDeadlineSeconds {job if whose == 'Job' else pod} of the {whose})"
    )
    assert deadline(experiment().template, 10.0, 20.0) is None


def test_a_trial_past_the_deadline_of_its_job_has_failed_whatever_it_exits_with() -> None:
    """Kubernetes fails the Job (DeadlineExceeded); a pod's deadline fails one try of it."""
    for code in (0, 143, -9):
        end = End(code, "saved", ours=False, asked=True, late="too long", late_for_good=True)
        assert verdict(TRIAL, end, experiment(6), halted=False) == Verdict("Failed", "too long")
        found = verdict(TRIAL, replace(end, late_for_good=False), experiment(6), halted=False)
        assert (found.state, found.failed_try) == ("Created", True)


@pytest.mark.parametrize("said", ["No space left on device", "tee: out: Disk quota exceeded", "File too large"])
def test_a_full_disk_is_believed_of_our_trainer_alone(said: str) -> None:
    """Another program may mean any disk, or quote a log.

    Where this machine's is full, the engine's own writes say so.
    """
    foreign = verdict(TRIAL, End(1, said, ours=False), experiment(), halted=False)
    assert (foreign.state, foreign.failed_try, foreign.halt) == ("Created", True, None)
    ours = verdict(TRIAL, End(1, said, ours=True), experiment(), halted=False)
    assert (ours.state, ours.failed_try) == ("Created", False)
    assert ours.halt is not None
    assert (ours.halt.code, ours.halt.reason) == (1, f"trial test-a: {said}")


def rules(*listed: dict[str, object], **spec: Any) -> Experiment:
    search = manifest(**spec)
    job(search)["podFailurePolicy"] = {"rules": [*listed]}
    job(search)["backoffLimit"] = 3
    return load_experiment(as_text(search), "test")


def on(action: str, operator: str, *values: int, container: str | None = "trial") -> dict[str, object]:
    named = {"containerName": container} if container else {}
    return {"action": action, "onExitCodes": {"operator": operator, "values": [*values], **named}}


DISRUPTED = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


@pytest.mark.parametrize(
    ("listed", "code", "action"),
    [
        ([], 42, "Count"), ([DISRUPTED], 42, "Count"), ([on("FailJob", "In", 42, 43)], 42, "FailJob"),
        ([on("FailJob", "In", 42)], 41, "Count"), ([on("FailJob", "NotIn", 42)], 41, "FailJob"),
        ([on("FailJob", "NotIn", 42)], 42, "Count"), ([on("Ignore", "In", 42), on("FailJob", "NotIn", 1)], 42, "Ignore"),
        ([on("Count", "In", 42), on("FailJob", "NotIn", 1)], 42, "Count"), ([on("FailJob", "In", 137)], -9, "FailJob"),
        ([on("FailJob", "In", 42, container="other")], 42, "Count"), ([on("FailJob", "In", 42, container=None)], 42, "FailJob"),
        ([on("FailJob", "NotIn", 42, container=None)], 42, "FailJob"), ([on("Ignore", "In", 255, container=None)], 42, "Ignore"),
    ],
)  # fmt: skip
def test_the_first_rule_of_a_pod_failure_policy_that_matches_counts(
    listed: list[dict[str, object]], code: int, action: str
) -> None:
    """k8s.io/kubernetes, pkg/controller/job/pod_failure_policy.go, matchPodFailurePolicy.

    Without a container's name the rule sees Katib's collector too, which exits with 255 beside a trainer that failed.
    """
    policy = rules(*listed)
    assert failure_action(code, policy) == action
    found = verdict(TRIAL, End(code, "", ours=False), policy, halted=False)
    state, counts = {"Count": ("Created", True), "FailJob": ("Failed", True), "Ignore": ("Created", False)}[action]
    assert (found.state, found.failed_try) == (state, counts)


def test_under_early_stopping_every_failure_is_exit_code_1() -> None:
    """The shell line of Katib's webhook ends with `exit 1` then (pod/utils.go, getEarlyStoppingCommand)."""
    policy = rules(on("FailJob", "In", 42), on("Ignore", "In", 1), earlyStopping=medianstop(2, 1))
    assert failure_action(42, policy) == "Ignore"


def test_a_text_in_the_place_of_a_number_is_said() -> None:
    """Katib keeps it, and takes the latest such trial for the best; here trials are ranked by numbers."""
    trial = replace(TRIAL, values=())
    said = verdict(trial, End(0, "", ours=False, text="Genotype(" + 60 * "x"), experiment(), halted=False)
    assert said.state == "MetricsUnavailable"
    silent = verdict(trial, End(0, "", ours=False), experiment(), halted=False)
    assert silent == Verdict("MetricsUnavailable", "no val_si_snr was reported; no output")
    assert said.reason == f"val_si_snr was 'Genotype({31 * 'x'}…', which is not a number"


@pytest.mark.parametrize(
    ("maximize", "goal", "values", "state", "reached"),
    [
        (True, 0.9, (0.5, 0.9), "Succeeded", True), (True, 0.91, (0.5, 0.9), "Succeeded", False),
        (True, 0.9, (0.5, 0.9), "EarlyStopped", True), (True, 0.9, (0.9,), "Failed", False),
        (True, 0.9, (0.9,), "Running", False), (False, 0.5, (0.5,), "Succeeded", True), (False, 0.4, (0.5,), "Succeeded", False),
        (True, None, (0.9,), "Succeeded", False), (True, 0.0, (), "Succeeded", False),
    ],
)  # fmt: skip
def test_a_goal_is_reached_by_a_trial_that_has_ended_with_a_result(
    maximize: bool, goal: float | None, values: tuple[float, ...], state: State, reached: bool
) -> None:
    """experiment/util/status_util.go, updateTrialsSummary: at least the goal, of each trial with an observation."""
    made = replace(experiment(), strategy="max" if maximize else "min", goal=goal)
    made = replace(made, search=replace(made.search, direction=Direction.of(maximize)))
    assert goal_reached([replace(TRIAL, state=state, values=values)], made) is reached


@pytest.mark.parametrize(
    ("limit", "states", "fails"),
    [
        (None, "FFF", False), (0, "S", False), (0, "SF", True), (1, "SF", True), (2, "SF", False), (2, "FSM", True),
        (2, "FER", False),
    ],
)  # fmt: skip
def test_a_search_fails_by_its_failed_trials(limit: int | None, states: str, fails: bool) -> None:
    """experiment/util/status_util.go: at least one, and as many as maxFailedTrialCount, those without metrics among
    them. A search that has reached its goal has succeeded before they are counted.
    """
    names: dict[str, State] = {
        "F": "Failed", "S": "Succeeded", "M": "MetricsUnavailable", "E": "EarlyStopped", "R": "Running",
    }  # fmt: skip
    trials = [replace(TRIAL, state=names[letter], reason="exit code 1") for letter in states]
    halt = too_many_failures(trials, replace(experiment(), max_failed_trials=limit))
    assert (halt is not None) is fails
    if halt:
        assert halt.code == 1
        assert f" of {limit} allowed; test-a: exit code 1; to continue, raise maxFailed" in str(halt)
    reached = replace(experiment(), max_failed_trials=limit, goal=0.9)
    assert (too_many_failures(trials, reached) is not None) is (fails and "S" not in states)
    untrained = [replace(trial, values=()) for trial in trials]
    if untrained_halt := too_many_failures(untrained, replace(experiment(), max_failed_trials=limit)):
        assert str(untrained_halt).endswith("; fix that, then run the same command to start anew")


def test_a_trial_that_failed_has_no_value() -> None:
    """Katib reads the metrics of a pod that completed, so that a failed trial has none (file-metricscollector.go)."""
    without: tuple[State, ...] = ("Failed", "MetricsUnavailable")
    valued: tuple[State, ...] = ("Running", "Succeeded", "EarlyStopped")
    for state in without:
        assert replace(TRIAL, state=state).value("max") is None
    for state in valued:
        assert replace(TRIAL, state=state).value("max") == 0.9
