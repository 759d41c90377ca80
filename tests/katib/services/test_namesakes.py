"""Experiments of one name in two namespaces: Katib mixes their trials in a request, each service keeps its own.

An answer with the namesake's trials in the request is compared with the answer to the same request without them.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import grpc
import pytest

from katib.services.early_stopping import EarlyStopping
from katib.services.server import start
from katib.services.stubs import pb, rpc
from katib.services.suggestion import HEALTH, Suggestion
from tests.katib.services.rig import (
    METRIC,
    Condition,
    DbManager,
    TrialServer,
    channel,
    double,
    experiment,
    point,
    trial,
)

NAME = "series3-sepformer"
GRID = (double("lr", "0.1", "0.4", step="0.1"), double("drop", "0", "0.5", step="0.25"))
POINT = {"lr": "0.001", "grad_clip_norm": "5", "layers": "8", "norm": "gLN"}
DONE, RUNS, FAILED = Condition.SUCCEEDED, Condition.RUNNING, Condition.FAILED


@pytest.fixture
def stub(cluster: TrialServer, db: DbManager) -> Iterator[Any]:
    service = Suggestion(db.address, cluster.api)
    server, port = start(0, HEALTH, lambda to: rpc.add_SuggestionServicer_to_server(service, to))
    with channel(port) as opened:
        yield rpc.SuggestionStub(opened)
    server.stop(None)


@pytest.fixture
def stopping(cluster: TrialServer, db: DbManager) -> Iterator[Any]:
    cluster.add_experiment(NAME, {"tolerance": "0", "start_step": "2"})
    cluster.add_trial(f"{NAME}-z", NAME, "Running")
    service = EarlyStopping(cluster.api, db.address)
    server, port = start(0, HEALTH, lambda to: rpc.add_EarlyStoppingServicer_to_server(service, to))
    with channel(port) as opened:
        yield rpc.EarlyStoppingStub(opened)
    server.stop(None)


def ask(stub: Any, search: Any, trials: Sequence[Any], count: int, total: int) -> list[dict[str, str]]:
    request = pb.GetSuggestionsRequest(
        experiment=search, trials=trials, current_request_number=count, total_request_number=total
    )
    return [point(item) for item in stub.GetSuggestions(request).parameter_assignments]


def refused(stub: Any, search: Any, trials: Sequence[Any], count: int, total: int) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as caught:
        ask(stub, search, trials, count, total)
    return caught.value.code(), caught.value.details() or ""


def at(lr: str) -> dict[str, str]:
    return {**POINT, "lr": lr}


OWN = [trial("own-a", at("0.001"), DONE, 3.5), trial("own-b", at("0.002"), RUNS)]
FOREIGN = {
    "as many as Katib has asked for in all": [trial("far-a", at("0.003"), DONE, 9.0)],
    "more than that": [trial(f"far-{index}", at(f"0.00{index + 3}"), DONE, index) for index in range(6)],
    "at the very points of one's own": [
        trial("far-a", at("0.001"), DONE, 9.0),
        trial("far-b", at("0.002"), FAILED),
    ],
    "another search under the same name": [trial("far-a", {"dropout": "0.1"}, DONE, 1.0)],
}


@pytest.mark.parametrize("algorithm", ["bayesianoptimization", "tpe", "random", "sobol"])
@pytest.mark.parametrize("which", FOREIGN)
def test_a_namesakes_trials_change_no_proposal(stub: Any, cluster: TrialServer, which: str, algorithm: str) -> None:
    """One trial of one's own has brought no metrics, which Katib leaves out of the request: so counts may match."""
    for name in ("own-a", "own-b", "own-hidden"):
        cluster.add_trial(name, NAME)
    search = experiment(NAME, algorithm)
    mixed = [FOREIGN[which][0], *OWN, *FOREIGN[which][1:]]
    assert ask(stub, search, mixed, 2, 5) == ask(stub, search, OWN, 2, 5)


@pytest.mark.parametrize("which", FOREIGN)
def test_a_finished_namesake_is_not_the_beginning_of_a_search(stub: Any, which: str) -> None:
    """The first request of a search, whose namespace has no trial yet."""
    search = experiment(NAME)
    assert ask(stub, search, FOREIGN[which], 2, 2) == ask(stub, search, [], 2, 2)


def test_a_grid_is_tried_whole_beside_a_namesake_that_has_tried_it(stub: Any, cluster: TrialServer) -> None:
    """Every point once, against the product of the values."""
    search = experiment(NAME, "grid", parameters=GRID, max_trials=12)
    points = [{"lr": lr, "drop": drop} for lr, drop in product(("0.1", "0.2", "0.3", "0.4"), ("0", "0.25", "0.5"))]
    foreign = [trial(f"far-{index}", found, DONE, 1.0) for index, found in enumerate(points)]
    own: list[Any] = []
    for index in range(12):
        (found,) = ask(stub, search, [*foreign, *own], 1, index + 1)
        cluster.add_trial(f"own-{index}", NAME)
        own.append(trial(f"own-{index}", found, DONE, 1.0))
        assert found in points
        points.remove(found)
    assert not points


def test_of_two_trials_with_one_name_that_of_this_namespace_counts(stub: Any, cluster: TrialServer) -> None:
    """Where both name a trial by hand; Katib's request has them one behind the other in either order."""
    cluster.add_trial("same", NAME)["spec"] = {
        "parameterAssignments": [{"name": key, "value": value} for key, value in at("0.002").items()]
    }
    search, theirs, ours = (
        experiment(NAME),
        trial("same", at("0.001"), DONE, 9.0),
        trial("same", at("0.002"), DONE, 1.0),
    )
    alone = ask(stub, search, [ours], 2, 3)
    assert ask(stub, search, [theirs, ours], 2, 3) == alone
    assert ask(stub, search, [ours, theirs], 2, 3) == alone


def test_trials_that_are_being_deleted_are_an_earlier_searchs(stub: Any, cluster: TrialServer) -> None:
    """Of an experiment that was deleted a moment ago and deployed again under its name."""
    cluster.add_trial("old", NAME)["metadata"]["deletionTimestamp"] = "2026-11-28T10:00:00Z"
    search = experiment(NAME)
    assert ask(stub, search, [trial("old", at("0.001"), DONE, 9.0)], 2, 2) == ask(stub, search, [], 2, 2)


def test_a_silent_api_server_is_asked_again_rather_than_guessed_for(stub: Any, cluster: TrialServer) -> None:
    """Katib asks again after UNAVAILABLE; without any trial in the request there is nothing to tell apart."""
    search = experiment(NAME)
    cluster.close()
    assert len(ask(stub, search, [], 2, 2)) == 2
    code, line = refused(stub, search, OWN, 2, 5)
    assert (code, "no answer of the Kubernetes API" in line) == (grpc.StatusCode.UNAVAILABLE, True)


def test_without_the_right_to_list_trials_too_many_of_them_are_refused_with_the_way_out(
    stub: Any, cluster: TrialServer
) -> None:
    cluster.forbid_lists = True
    search = experiment(NAME)
    assert len(ask(stub, search, OWN, 2, 4)) == 2
    code, line = refused(stub, search, [*OWN, *FOREIGN["more than that"]], 2, 4)
    assert (code, "services-rbac.yaml" in line) == (grpc.StatusCode.INVALID_ARGUMENT, True)


def rule_of(stopping: Any, db: DbManager, trials: Sequence[Any]) -> list[Any]:
    """Returns what the collector of own-z is told after the controller has named `trials`."""
    search = experiment(NAME, stopping={"tolerance": "0", "start_step": "2"})
    named = pb.GetEarlyStoppingRulesRequest(experiment=search, trials=trials, db_manager_address=db.address)
    stopping.GetEarlyStoppingRules(named)
    objective = pb.ObjectiveSpec(type=pb.MAXIMIZE, objective_metric_name=METRIC)
    request = pb.GetEarlyStoppingRulesRequest(
        experiment=pb.Experiment(spec=pb.ExperimentSpec(objective=objective)),
        trials=[pb.Trial(name=f"{NAME}-z")],
        db_manager_address=db.address,
    )
    return list(stopping.GetEarlyStoppingRules(request).early_stopping_rules)


def test_a_namesakes_curves_stop_nobody(stopping: Any, cluster: TrialServer, db: DbManager) -> None:
    """Three better curves of a namesake are no three trials to be compared with; three of one's own are."""
    better = [trial(f"{NAME}-{letter}", POINT, DONE, 9.0) for letter in "abc"]
    for found in better:
        db.put(found.name, [9, 9, 9])
    db.put(f"{NAME}-z", [1, 1])
    assert rule_of(stopping, db, better) == []
    for found in better:
        cluster.add_trial(found.name, NAME, "Succeeded")
    assert float(rule_of(stopping, db, better)[0].value) == 9


def test_while_the_api_server_is_away_trials_that_are_known_count_and_others_do_not(
    stopping: Any, cluster: TrialServer, db: DbManager
) -> None:
    own = [trial(f"{NAME}-{letter}", POINT, DONE, 5.0) for letter in "abc"]
    for found in own:
        cluster.add_trial(found.name, NAME, "Succeeded")
        db.put(found.name, [5, 5, 5])
    db.put(f"{NAME}-z", [1, 1])
    assert float(rule_of(stopping, db, own)[0].value) == 5
    foreign = [trial(f"{NAME}-far{index}", POINT, DONE, 9.0) for index in range(9)]
    for found in foreign:
        db.put(found.name, [9, 9, 9])
    cluster.close()
    assert float(rule_of(stopping, db, [*own, *foreign])[0].value) == 5
