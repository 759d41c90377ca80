"""Searches with the stop rule promote through both services over gRPC: pauses, continuations, and the end of a search."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from katib.manifest.configurations import ANNOTATION
from katib.services import reruns
from katib.services.early_stopping import EarlyStopping
from katib.services.server import start
from katib.services.stubs import pb, rpc
from katib.services.suggestion import HEALTH, Suggestion
from katib.stop_settings import katib_trials
from tests.katib.services.rig import METRIC, DbManager, TrialServer, channel, double, experiment, point

NAME = "sweep"
EPOCHS, RUNGS, CONFIGURATIONS, PARALLEL = 5, "1,3", 6, 2
SPACE = (double("lr", "0.1", "0.9"),)
MOST = katib_trials(CONFIGURATIONS, 2, 2.0)
SETTINGS = {"rung_epochs": RUNGS, "eta": "2", "configurations": str(CONFIGURATIONS)}


class Katib:
    """Katib's controllers and the trials' pods, an epoch at a time; what a configuration trains is kept by its name."""

    def __init__(self, suggestion: Any, stopping: Any, cluster: TrialServer, db: DbManager) -> None:
        self.suggestion, self.stopping, self.cluster, self.db = suggestion, stopping, cluster, db
        self.search = experiment(NAME, "sobol", {"random_state": "1"}, SPACE, SETTINGS, max_trials=MOST, rule="promote")
        cluster.add_experiment(NAME, SETTINGS, rule="promote")
        self.points: dict[str, dict[str, str]] = {}
        self.first: dict[str, str] = {}
        """The run directory of each trial: its configuration's first trial."""
        self.trained: dict[str, list[float]] = {}
        """The values of the epochs in each run directory."""
        self.running: dict[str, int] = {}
        """The epochs that each running trial has reported."""
        self.epochs = 0

    def ask(self, count: int) -> list[str]:
        """Asks for so many trials and begins them; returns their names."""
        request = pb.GetSuggestionsRequest(
            experiment=self.search, current_request_number=count, total_request_number=len(self.points) + count
        )
        reply = self.suggestion.GetSuggestions(request, timeout=600)
        self.stopping.GetEarlyStoppingRules(pb.GetEarlyStoppingRulesRequest(experiment=self.search))
        return [self.begin(item) for item in reply.parameter_assignments]

    def begin(self, item: Any) -> str:
        """Creates the trial, its Job and its pod, which trains in the run directory that its label names."""
        name = item.trial_name or f"{NAME}-{len(self.points):08}"
        first = item.labels.get("sepsweep/continues", "")
        assert first not in [self.first[other] for other in self.running], "two pods write one run directory"
        assert name not in self.points
        self.points[name] = point(item)
        self.first[name] = first or name
        self.trained.setdefault(self.first[name], [])
        tree = self.cluster.add_trial(name, NAME, "Running")
        tree["metadata"]["labels"] |= dict(item.labels)
        tree["spec"] = {"parameterAssignments": [{"name": k, "value": v} for k, v in point(item).items()]}
        self.cluster.objects[f"jobs/{name}"] = {"status": {}}
        self.running[name] = 0
        return name

    def train(self, name: str) -> None:
        """Lets a trial report its history or train an epoch, and asks as its collector does."""
        trained, lr = self.trained[self.first[name]], float(self.points[name]["lr"])
        if self.running[name] == len(trained) < EPOCHS:
            trained.append(len(trained) + 1 - 9 * abs(lr - 0.4))
            self.epochs += 1
        self.running[name] = len(trained)
        self.db.put(name, trained)
        objective = pb.ObjectiveSpec(type=pb.MAXIMIZE, objective_metric_name=METRIC)
        question = pb.GetEarlyStoppingRulesRequest(
            experiment=pb.Experiment(spec=pb.ExperimentSpec(objective=objective)), trials=[pb.Trial(name=name)]
        )
        rules = self.stopping.GetEarlyStoppingRules(question, timeout=600).early_stopping_rules
        if any(max(trained) < float(rule.value) and rule.start_step == len(trained) for rule in rules):
            self.stopping.SetTrialStatus(pb.SetTrialStatusRequest(trial_name=name))
            self.end(name)
        elif len(trained) == EPOCHS:
            self.cluster.objects[f"trials/{name}"]["status"]["conditions"].append(
                {"type": "Succeeded", "status": "True"}
            )
            self.end(name)

    def end(self, name: str) -> None:
        """Ends a trial's pod, and with it the Job."""
        del self.running[name]
        self.cluster.objects[f"jobs/{name}"]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}

    def state(self, name: str) -> str:
        return str(self.cluster.objects[f"trials/{name}"]["status"]["conditions"][-1]["type"])


@pytest.fixture
def katib(cluster: TrialServer, db: DbManager) -> Iterator[Katib]:
    suggestion, stopping = Suggestion(db.address, cluster.api), EarlyStopping(cluster.api, db.address)
    first, port = start(0, HEALTH, lambda to: rpc.add_SuggestionServicer_to_server(suggestion, to))
    second, other = start(0, HEALTH, lambda to: rpc.add_EarlyStoppingServicer_to_server(stopping, to))
    with channel(port) as one, channel(other) as two:
        yield Katib(rpc.SuggestionStub(one), rpc.EarlyStoppingStub(two), cluster, db)
    first.stop(None)
    second.stop(None)


def refusal(katib: Katib, count: int = 1) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        katib.ask(count)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    return str(caught.value.details())


def test_a_whole_search_pauses_goes_on_and_ends(katib: Katib) -> None:
    """Every configuration begins once, nothing is trained twice, and the best one is complete.

    Katib runs exactly maxTrialCount trials; what is too many of them reports the history of the best, and ends.
    """
    while katib.running or len(katib.points) < MOST:
        free = min(PARALLEL, MOST - len(katib.points) + len(katib.running)) - len(katib.running)
        if free > 0:
            began(katib, free)
        for name in list(katib.running):
            katib.train(name)
    firsts = dict.fromkeys(katib.first.values())
    assert len(katib.points) == MOST
    assert len(firsts) == len({katib.points[name]["lr"] for name in katib.points}) == CONFIGURATIONS
    assert all(katib.points[name] == katib.points[first] for name, first in katib.first.items())
    for first in firsts:
        family = [name for name in katib.points if katib.first[name] == first]
        assert family == [first, *(f"{first}-{number}" for number in range(2, len(family) + 1))]
    assert katib.epochs == sum(map(len, katib.trained.values())) < CONFIGURATIONS * EPOCHS
    best = min(firsts, key=lambda name: abs(float(katib.points[name]["lr"]) - 0.4))
    assert len(katib.trained[best]) == EPOCHS
    went_on = [
        name
        for name in katib.points
        if name != katib.first[name] and "Succeeded" not in [katib.state(o) for o in before(katib, name)]
    ]
    assert went_on, "no paused configuration went on"


def began(katib: Katib, count: int) -> bool:
    """Whether so many trials were proposed; nothing is proposed only while something runs."""
    try:
        return bool(katib.ask(count))
    except grpc.RpcError as error:
        if not katib.running or "until a running trial reports" not in str(error.details()):
            raise
        return False


def before(katib: Katib, name: str) -> list[str]:
    """The earlier trials of the same configuration."""
    names = list(katib.points)
    return [other for other in names[: names.index(name)] if katib.first[other] == katib.first[name]]


def paused(katib: Katib) -> tuple[str, str]:
    """Two trials of which the first one pauses at the first rung, and deserves to go on once the second has paused."""
    good, bad = katib.ask(2)
    for name in (good, bad):
        katib.points[name]["lr"] = "0.4" if name == good else "0.8"
        katib.train(name)
    assert katib.state(good) == katib.state(bad) == "EarlyStopped"
    return good, bad


def test_nobody_goes_on_while_the_pod_before_still_runs(katib: Katib, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while its Job may start another pod. A pod that may end yet is waited for, and one that runs on is not."""
    monkeypatch.setattr(reruns, "WAIT_SECONDS", 0.0)
    good, _ = paused(katib)
    ended, labels = katib.cluster.objects.pop(f"jobs/{good}"), {"katib.kubeflow.org/trial": good}
    katib.cluster.pods = [{"metadata": {"name": "p", "labels": labels}, "status": {"phase": "Running"}}]
    assert f"trial '{good}' goes on once its last pod has ended" in refusal(katib)
    monkeypatch.setattr(reruns, "END_SECONDS", 0.0)
    (other,) = katib.ask(1)
    assert katib.first[other] == other
    katib.cluster.pods[0]["status"]["phase"] = "Succeeded"
    katib.cluster.objects[f"jobs/{good}"] = {"status": {"active": 1}}
    (other,) = katib.ask(1)
    assert katib.first[other] == other
    katib.cluster.objects[f"jobs/{good}"] = ended
    assert katib.ask(1) == [f"{good}-2"]


def test_a_free_slot_waits_where_only_a_report_can_give_it_something_to_do(katib: Katib) -> None:
    """All configurations have begun, and the paused one does not deserve to go on yet."""
    for setting in katib.search.spec.early_stopping.algorithm_settings:
        setting.value = "2" if setting.name == "configurations" else setting.value
    good, bad = katib.ask(2)
    katib.points[good]["lr"], katib.points[bad]["lr"] = "0.4", "0.8"
    katib.train(good)
    assert "until a running trial reports" in refusal(katib)
    katib.train(bad)
    assert katib.ask(1) == [f"{good}-2"]


def test_a_proposal_that_katib_has_not_begun_is_waited_for(katib: Katib) -> None:
    """It may be the continuation, which would be proposed again under the same name."""
    paused(katib)
    request = pb.GetSuggestionsRequest(experiment=katib.search, current_request_number=1, total_request_number=4)
    with pytest.raises(grpc.RpcError, match="1 of the proposed trials do not exist yet"):
        katib.suggestion.GetSuggestions(request)
    replies = [
        katib.suggestion.GetSuggestions(
            pb.GetSuggestionsRequest(experiment=katib.search, current_request_number=1, total_request_number=3)
        )
        for _ in range(2)
    ]
    assert replies[0] == replies[1]


def test_a_continuation_is_not_asked_about_what_was_trained_before(katib: Katib) -> None:
    """It reports its history first; at the rung at which it paused it goes on, and at the next it pauses."""
    good, _ = paused(katib)
    (name,) = katib.ask(1)
    katib.train(name)
    assert (katib.running[name], katib.state(name)) == (1, "Running")
    katib.train(name)
    assert (katib.running[name], katib.state(name)) == (2, "Running")
    katib.train(name)
    assert (katib.state(name), katib.trained[good]) == ("EarlyStopped", katib.trained[good][:3])
    assert "of epoch 3" in katib.cluster.objects[f"trials/{name}"]["status"]["conditions"][-1]["message"]


def test_one_that_starts_anew_counts_once_it_has_come_as_far(katib: Katib) -> None:
    """Its checkpoint was lost, so that its rows have other times and values."""
    good, _ = paused(katib)
    (name,) = katib.ask(1)
    katib.trained[good] = []
    katib.points[name]["lr"] = "0.5"
    katib.train(name)
    assert katib.state(name) == "Running"


def test_the_experiment_may_have_more_configurations_than_its_rule(katib: Katib) -> None:
    assert len(katib.ask(CONFIGURATIONS)) == CONFIGURATIONS
    annotations = katib.cluster.objects[f"experiments/{NAME}"]["metadata"]["annotations"] = {ANNOTATION: "no number"}
    assert not began(katib, 1)
    annotations[ANNOTATION] = str(CONFIGURATIONS + 1)
    assert began(katib, 1)
    assert not began(katib, 1)
    assert len(set(katib.first.values())) == CONFIGURATIONS + 1


def test_without_what_continuations_need_the_search_is_refused(katib: Katib) -> None:
    """When it begins, with what to do."""
    request = pb.ValidateAlgorithmSettingsRequest(experiment=katib.search)
    katib.suggestion.ValidateAlgorithmSettings(request)
    katib.cluster.forbid_jobs = True
    with pytest.raises(grpc.RpcError, match=r"services-rbac\.yaml"):
        katib.suggestion.ValidateAlgorithmSettings(request)
    server, port = start(0, HEALTH, lambda to: rpc.add_SuggestionServicer_to_server(Suggestion(), to))
    with channel(port) as opened, pytest.raises(grpc.RpcError, match="no access to the cluster's trials"):
        rpc.SuggestionStub(opened).ValidateAlgorithmSettings(request)
    server.stop(None)


def test_without_the_db_manager_nothing_is_proposed(katib: Katib) -> None:
    """Best values alone would let the wrong configuration go on; Katib asks again."""
    paused(katib)
    katib.db.away()
    assert "the DB manager does not answer" in refusal(katib)
