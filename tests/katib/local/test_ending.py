"""What the end of a trial's process means, by the rules of a Kubernetes Job, of Katib, and of the trainer's exit codes."""

from dataclasses import replace

import pytest

from katib.experiment import Experiment, load_experiment
from katib.local.ending import End, Verdict, verdict
from katib.local.record import Effort, Trial
from katib.local.running import deadline
from tests.katib.local.rig import as_text, manifest

TRIAL = Trial(1, "test-a", {"x": "1"}, state="Running", values=(0.5, 0.9))


def experiment(backoff_limit: int = 1, **deadlines: int) -> Experiment:
    """Of a search with a program that is not ours."""
    return replace(load_experiment(as_text(manifest()), "test"), backoff_limit=backoff_limit, **deadlines)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 126, 127, 137, 255, -9, -15])
def test_any_exit_code_of_another_program_is_a_failed_try(code: int) -> None:
    """A Job has no other rule for them without a podFailurePolicy: another try up to its backoffLimit, then it has failed."""
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
    assert (
        verdict(stopped, End(0, "", ours=False, asked=True), experiment(), halted=False).state
        == "EarlyStopped"
    )


@pytest.mark.parametrize(
    ("job", "pod", "at", "whose"),
    [(5, None, 15, "Job"), (None, 5, 25, "pod"), (30, 5, 25, "pod"), (9, 5, 19, "Job")],
)
def test_a_job_counts_its_deadline_over_all_tries_a_pod_over_one(
    job: int | None, pod: int | None, at: int, whose: str
) -> None:
    """A second try at second 20 of a trial that began at second 10."""
    limits = replace(experiment(), job_deadline=job, pod_deadline=pod)
    found = deadline(limits, 10.0, 20.0)
    assert found is not None
    assert (found.at, found.for_good) == (at, whose == "Job")
    assert (
        found.reason
        == f"ran past its deadline (activeDeadlineSeconds {job if whose == 'Job' else pod} of the {whose})"
    )
    assert deadline(experiment(), 10.0, 20.0) is None


def test_a_trial_past_the_deadline_of_its_job_has_failed_whatever_it_exits_with() -> None:
    """Kubernetes fails the Job (DeadlineExceeded); a pod's deadline fails one try of it."""
    for code in (0, 143, -9):
        end = End(code, "saved", ours=False, asked=True, late="too long", late_for_good=True)
        assert verdict(TRIAL, end, experiment(6), halted=False) == Verdict("Failed", "too long")
        found = verdict(TRIAL, replace(end, late_for_good=False), experiment(6), halted=False)
        assert (found.state, found.failed_try) == ("Created", True)


def test_a_trial_that_failed_has_no_value() -> None:
    """Katib reads the metrics of a pod that completed, so that a failed trial has none (file-metricscollector.go)."""
    for state in ("Failed", "MetricsUnavailable"):
        assert replace(TRIAL, state=state).value("max") is None
    for state in ("Running", "Succeeded", "EarlyStopped"):
        assert replace(TRIAL, state=state).value("max") == 0.9
