"""A budget in GPU-hours on Katib: once it is spent nothing is proposed and what runs pauses; with more it goes on."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from katib.manifest.gpu_hours import ANNOTATION, HOURS_BEFORE
from katib.services import searches
from katib.services.early_stopping import EarlyStopping
from katib.services.server import start
from katib.services.stubs import pb, rpc
from katib.services.suggestion import HEALTH, Suggestion
from tests.katib.services.rig import METRIC, DbManager, TrialServer, channel, double, experiment

NAME, RUNNING = "sweep", "sweep-c"
SEARCH = experiment(NAME, "sobol", {}, (double("lr", "0.1", "0.9"),), {})


class Stubs:
    """Both services of a search with three trials of two GPUs, which have used 8 GPU-hours, and 1.5 in an earlier one."""

    def __init__(self, suggestion: Any, stopping: Any, cluster: TrialServer) -> None:
        self.suggestion, self.stopping, self.cluster = suggestion, stopping, cluster
        cluster.add_experiment(NAME, {})
        limits = {"resources": {"limits": {"nvidia.com/gpu": 2}}}
        pod = {"spec": {"template": {"spec": {"containers": [{"name": "trainer", **limits}]}}}}
        self.experiment = cluster.objects[f"experiments/{NAME}"]
        self.experiment["spec"]["trialTemplate"] = {"primaryContainerName": "trainer", "trialSpec": pod}
        now = datetime.now(UTC)
        self.add("sweep-a", f"{stamp(now, 9)}/{stamp(now, 7)}", "Succeeded")
        self.add("sweep-b", "", "EarlyStopped")["status"] |= {
            "startTime": stamp(now, 5),
            "completionTime": stamp(now, 4),
        }
        self.add(RUNNING, f"{stamp(now, 1)}/")

    def add(self, name: str, span: str, *conditions: str) -> Any:
        tree = self.cluster.add_trial(name, NAME, "Running", *conditions)
        if span:
            tree["status"]["conditions"][0]["message"] = f"Trial is running; tries: abcde {span}"
        return tree

    def allow(self, hours: str) -> None:
        """Sets the annotation, as `kubectl annotate` does."""
        self.experiment["metadata"]["annotations"] = {ANNOTATION: hours, HOURS_BEFORE: '{"sweep-old": 1.5}'}

    def ask(self) -> Any:
        return self.suggestion.GetSuggestions(
            pb.GetSuggestionsRequest(experiment=SEARCH, current_request_number=1, total_request_number=4), timeout=600
        )

    def stops(self) -> bool:
        """Whether the collector of the running trial is told to stop it, at its second epoch."""
        objective = pb.ObjectiveSpec(type=pb.MAXIMIZE, objective_metric_name=METRIC)
        question = pb.GetEarlyStoppingRulesRequest(
            experiment=pb.Experiment(spec=pb.ExperimentSpec(objective=objective)), trials=[pb.Trial(name=RUNNING)]
        )
        rules = self.stopping.GetEarlyStoppingRules(question, timeout=600).early_stopping_rules
        for rule in rules:
            # The value of the trial is 2.
            assert (rule.name, rule.comparison, rule.start_step, float(rule.value) > 2) == (METRIC, pb.LESS, 2, True)
        return bool(rules)


def stamp(now: datetime, hours_ago: float) -> str:
    return (now - timedelta(hours=hours_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def stubs(cluster: TrialServer, db: DbManager, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubs]:
    monkeypatch.setattr(searches, "BUDGET_SECONDS", 0.0)
    db.put(RUNNING, [1, 2])
    suggestion, stopping = Suggestion(db.address, cluster.api), EarlyStopping(cluster.api, db.address)
    first, port = start(0, HEALTH, lambda to: rpc.add_SuggestionServicer_to_server(suggestion, to))
    second, other = start(0, HEALTH, lambda to: rpc.add_EarlyStoppingServicer_to_server(stopping, to))
    with channel(port) as one, channel(other) as two:
        yield Stubs(rpc.SuggestionStub(one), rpc.EarlyStoppingStub(two), cluster)
    first.stop(None)
    second.stop(None)


def refusal(stubs: Stubs, code: grpc.StatusCode) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        stubs.ask()
    assert caught.value.code() == code
    return str(caught.value.details())


def test_it_pauses_what_runs_and_proposes_nothing_until_it_is_raised(stubs: Stubs) -> None:
    assert not stubs.stops()
    assert len(stubs.ask().parameter_assignments) == 1
    stubs.allow("9.6")
    assert not stubs.stops()
    stubs.allow("9")
    spent = "budget spent: 9.5 of 9 GPU-hours"
    assert refusal(stubs, grpc.StatusCode.UNAVAILABLE).startswith(f"{spent}; raise the experiment's annotation")
    assert stubs.stops()
    stubs.stopping.SetTrialStatus(pb.SetTrialStatusRequest(trial_name=RUNNING))
    assert stubs.cluster.objects[f"trials/{RUNNING}"]["status"]["conditions"][-1]["message"] == spent
    stubs.allow("20")
    assert len(stubs.ask().parameter_assignments) == 1
    assert not stubs.stops()


def test_a_budget_that_is_no_number_is_told_and_stops_no_trial(stubs: Stubs) -> None:
    stubs.allow("twelve")
    line = f"annotation {ANNOTATION} 'twelve': is no number of GPU-hours above 0, such as 12.5"
    assert refusal(stubs, grpc.StatusCode.INVALID_ARGUMENT) == line
    assert not stubs.stops()
    with pytest.raises(grpc.RpcError, match="is no number of GPU-hours"):
        stubs.suggestion.ValidateAlgorithmSettings(pb.ValidateAlgorithmSettingsRequest(experiment=SEARCH))


def test_a_spent_budget_does_not_fail_an_experiment_that_begins(stubs: Stubs) -> None:
    """Katib fails an experiment for good whose validation is answered with an error."""
    stubs.allow("1")
    stubs.suggestion.ValidateAlgorithmSettings(pb.ValidateAlgorithmSettingsRequest(experiment=SEARCH))
