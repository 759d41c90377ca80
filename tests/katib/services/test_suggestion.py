"""The suggestion service over gRPC: each answer hangs on the request alone, and no point comes twice."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from katib.search.history import Observation
from katib.services import requests
from katib.services.server import Server, start
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

GRID = (double("lr", "0.1", "0.4", step="0.1"), double("drop", "0", "0.5", step="0.25"))
ALGORITHMS = ("bayesianoptimization", "tpe", "multivariate-tpe", "random", "sobol", "grid")
Ask = Callable[..., Any]


def serving(service: Suggestion) -> tuple[Server, int]:
    return start(0, HEALTH, lambda server: rpc.add_SuggestionServicer_to_server(service, server))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server, bound = serving(Suggestion())
    yield bound
    server.stop(None)


@pytest.fixture(scope="module")
def stub(port: int) -> Iterator[Any]:
    with channel(port) as opened:
        yield rpc.SuggestionStub(opened)


def ask(stub: Any, search: Any, trials: list[Any], count: int = 1, total: int | None = None) -> list[dict[str, str]]:
    reply = stub.GetSuggestions(
        pb.GetSuggestionsRequest(
            experiment=search,
            trials=trials,
            current_request_number=count,
            total_request_number=len(trials) + count if total is None else total,
        )
    )
    assert all(item.labels == {"sepsweep/proposed-by": "sepsweep"} for item in reply.parameter_assignments)
    return [point(item) for item in reply.parameter_assignments]


def search_for(algorithm: str, **settings: str) -> Any:
    parameters: dict[str, Any] = {"parameters": GRID, "max_trials": 12} if algorithm == "grid" else {}
    return experiment(algorithm=algorithm, settings=settings, **parameters)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    details = caught.value.details()
    assert details
    assert "\n" not in details
    return str(details)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_whole_search_has_no_point_twice(stub: Any, algorithm: str) -> None:
    """12 trials, two at a time, with every end that Katib knows.

    Trials without metrics are missing from the request.
    """
    search = search_for(algorithm)
    trials: list[Any] = []
    points: list[dict[str, str]] = []
    ends = [
        (Condition.SUCCEEDED, 3.5),
        (Condition.FAILED, None),
        (Condition.EARLYSTOPPED, 1.0),
        (Condition.SUCCEEDED, "nan"),
        (Condition.SUCCEEDED, "unavailable"),
        (Condition.KILLED, None),
        (Condition.SUCCEEDED, 4.0),
        (Condition.RUNNING, None),
        (Condition.CREATED, None),
        (Condition.SUCCEEDED, None),
        (Condition.RUNNING, None),
        (Condition.SUCCEEDED, 2.0),
    ]
    hidden = 0 if algorithm == "grid" else 3  # a grid goes on with the first point that is in no trial
    for index in range(0, 12, 2):
        found = ask(stub, search, trials, count=2, total=len(points) + 2)
        assert len(found) == 2
        for offset, chosen in enumerate(found):
            points.append(chosen)
            condition, value = ends[index + offset]
            if index + offset != hidden or not hidden:
                trials.append(trial(f"t{index + offset}", chosen, condition, value))
    assert len({tuple(chosen.items()) for chosen in points}) == 12


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_answer_is_a_function_of_the_request(stub: Any, algorithm: str) -> None:
    """Asked twice, by another process and with the trials in another order; another experiment gets another answer."""
    search = search_for(algorithm)
    trials = [
        trial(f"t{index}", chosen, Condition.SUCCEEDED, 3 + index % 5)
        for index, chosen in enumerate(ask(stub, search, [], count=11))
    ]
    first = ask(stub, search, trials)
    server, other = serving(Suggestion())
    with channel(other) as opened:
        assert ask(rpc.SuggestionStub(opened), search, trials[::-1]) == first
    server.stop(None)
    assert ask(stub, search, trials) == first
    if algorithm != "grid":
        search.name = "another"
        assert ask(stub, search, trials) != first


def test_history_has_every_outcome_in_the_searchs_terms() -> None:
    """Early-stopped trials come with the curve up to their end; a result that is no number is none."""
    chosen = {"lr": "0.1", "drop": "0"}
    search = requests.search_of(experiment(algorithm="grid", parameters=GRID))
    request = pb.GetSuggestionsRequest(
        trials=[
            trial("done", chosen, Condition.SUCCEEDED, "4.5"),
            trial("stopped", chosen, Condition.EARLYSTOPPED, "2.5"),
            trial("failed", chosen, Condition.FAILED, "9"),
            trial("nan", chosen, Condition.SUCCEEDED, "nan"),
            trial("empty", chosen, Condition.SUCCEEDED, ""),
            trial("silent", chosen, Condition.SUCCEEDED),
            trial("new", chosen, Condition.CREATED),
            trial("runs", chosen, Condition.RUNNING),
            trial("odd", chosen, Condition.UNKNOWN),
        ]
    )
    assert requests.history(request, search, {"stopped": (1.0, 2.5)}) == [
        Observation(chosen, "completed", 4.5),
        Observation(chosen, "stopped", 2.5, (1.0, 2.5)),
        *(Observation(chosen, "failed"),) * 1,
        *(Observation(chosen, "failed", None),) * 3,
        *(Observation(chosen, "running"),) * 3,
    ]


def test_curves_of_stopped_trials_come_from_the_db_manager(db: DbManager, stub: Any) -> None:
    """They change the proposal; a manager that is away does not end the search, but counts best values alone."""
    search = experiment(settings={"random_state": "1"})
    chosen = ask(stub, search, [], count=14)
    trials = []
    for index, assignments in enumerate(chosen):
        stopped = index % 2
        trials.append(
            trial(
                f"t{index}",
                assignments,
                Condition.EARLYSTOPPED if stopped else Condition.SUCCEEDED,
                2 + index,
            )
        )
        db.put(f"t{index}", [2 + index / 2, 2 + index] if stopped else [index, 1 + index, 2 + index])
    server, port = serving(Suggestion(db.address))
    with channel(port) as opened:
        curves = ask(rpc.SuggestionStub(opened), search, trials, count=5)
        assert db.asked == 14
        db.away()
        assert ask(rpc.SuggestionStub(opened), search, trials, count=5) == ask(stub, search, trials, count=5)
    server.stop(None)
    assert curves != ask(stub, search, trials, count=5)


def test_first_suggestions_come_first_and_once(stub: Any) -> None:
    """The baseline is the first point, also where its trial brought no metrics and Katib hides it."""
    baseline = '[{"lr": 0.001, "grad_clip_norm": 5, "layers": 8, "norm": "gLN"}]'
    search = experiment(settings={"first_suggestions": baseline})
    first, second = ask(stub, search, [], count=2)
    assert first == {"lr": "0.001", "grad_clip_norm": "5", "layers": "8", "norm": "gLN"}
    assert second != first
    assert first not in ask(stub, search, [], count=1, total=2)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_first_suggestions_reach_katib_with_their_trials_names(stub: Any, algorithm: str) -> None:
    """Two at a time, with one trial in the request.

    A name reaches the reply, and Katib invents one where it is empty.
    """
    space = GRID if algorithm == "grid" else None
    fits = {"lr": "0.2", "drop": "0"} if space else {"lr": "0.001", "grad_clip_norm": "5", "layers": "8", "norm": "gLN"}
    others = [fits | {"lr": lr} for lr in (("0.3", "0.4") if space else ("0.002", "0.003"))]
    points = [{"assignments": fits, "trial": "old-abcd1234"}, {"assignments": others[0]}]
    points.append({"assignments": others[1], "trial": "old-efgh5678"})
    listed: dict[str, Any] = {"parameters": space, "max_trials": 12} if space else {}
    search = experiment(algorithm=algorithm, settings={"first_suggestions": json.dumps(points)}, **listed)
    seen: list[Any] = []
    trials: list[Any] = []
    for _ in range(2):
        reply = stub.GetSuggestions(
            pb.GetSuggestionsRequest(
                experiment=search,
                trials=trials,
                current_request_number=2,
                total_request_number=len(trials) + 2,
            )
        )
        for item in reply.parameter_assignments:
            seen.append((item.trial_name, point(item)))
            trials.append(trial(item.trial_name or f"new-{len(trials)}", point(item), Condition.RUNNING))
    assert seen[:3] == [("old-abcd1234", fits), ("", others[0]), ("old-efgh5678", others[1])]
    assert seen[3][0] == ""
    assert seen[3][1] not in [fits, *others]


def test_warm_start_takes_the_trials_of_earlier_experiments(cluster: TrialServer, stub: Any) -> None:
    """The model is asked from the first proposal on, and goes where the earlier search was best."""
    for index in range(20):
        share = index / 19
        earlier = cluster.add_trial(f"old-{index}", "old", "Running", "Succeeded")
        values = {
            "lr": f"{0.0001 * 100**share}",
            "grad_clip_norm": "5",
            "layers": "8",
            "norm": "gLN",
        }
        earlier["spec"] = {"parameterAssignments": [{"name": k, "value": v} for k, v in values.items()]}
        score = str(5 - 30 * (share - 0.8) ** 2)
        earlier["status"]["observation"] = {"metrics": [{"name": METRIC, "min": "0", "max": score, "latest": "0"}]}
    server, port = serving(Suggestion(api=cluster.api))
    with channel(port) as opened:
        warm = rpc.SuggestionStub(opened)
        search = experiment(settings={"warm_start": "old", "random_state": "3"})
        assert 0.001 < float(ask(warm, search, [])[0]["lr"]) < 0.01
        unknown = experiment(settings={"warm_start": "old,older"})
        assert "'older'" in refusal(lambda: ask(warm, unknown, []))
    server.stop(None)
    assert "no access" in refusal(lambda: ask(stub, search, []))


BAD_SEARCHES: dict[str, dict[str, Any]] = {
    "unknown 'bayes'": {"algorithm": "bayes"},
    "unknown setting 'random_sate': did you mean 'random_state'?": {"settings": {"random_sate": "1"}},
    "'gibbs'; it has one of gp_hedge": {"settings": {"acq_func": "gibbs"}},
    "min '2' does not lie below max '1'": {"parameters": (double("lr", "2", "1"),)},
    "needs min above 0": {"parameters": (double("lr", "0", "1", pb.LOG_UNIFORM),)},
    "min 'nan' is not a number": {"parameters": (double("lr", "nan", "1"),)},
    "max '1e400' is not": {"parameters": (double("lr", "0", "1e400"),)},
    "step '1e-999999999' is not": {"parameters": (double("lr", "0", "1", step="1e-999999999"),)},
    "two are called 'lr'": {"parameters": (double("lr", "0", "1"), double("lr", "0", "1"))},
    "parameterType is unknown; valid: categorical": {"parameters": (pb.ParameterSpec(name="lr"),)},
    "list is empty": {"parameters": (pb.ParameterSpec(name="a", parameter_type=pb.CATEGORICAL),)},
    "there is none": {"parameters": ()},
    "12 points in all and maxTrialCount 13": {
        "algorithm": "grid",
        "parameters": GRID,
        "max_trials": 13,
    },
    "12 points in all and maxTrialCount is missing": {
        "algorithm": "grid",
        "parameters": GRID,
        "max_trials": 0,
    },
    "no parameter 'lrr': did you mean 'lr'?": {
        "settings": {"first_suggestions": '[{"lrr": 1, "grad_clip_norm": 1, "layers": 2, "norm": "BN"}]'}
    },
}


@pytest.mark.parametrize("problem", BAD_SEARCHES)
def test_a_bad_search_is_refused_with_what_is_wrong(stub: Any, problem: str) -> None:
    """With the status upon which Katib fails the experiment and shows the message."""
    settings: Mapping[str, Any] = BAD_SEARCHES[problem]
    request = pb.ValidateAlgorithmSettingsRequest(experiment=experiment(**settings))
    assert problem in refusal(lambda: stub.ValidateAlgorithmSettings(request))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_search_is_taken(stub: Any, algorithm: str) -> None:
    """With settings of Katib's own service, also those without effect here."""
    settings = {"bayesianoptimization": {"acq_func": "EI", "n_initial_points": "4", "random_state": "1"}}
    request = pb.ValidateAlgorithmSettingsRequest(experiment=search_for(algorithm, **settings.get(algorithm, {})))
    assert stub.ValidateAlgorithmSettings(request) == pb.ValidateAlgorithmSettingsReply()


def test_a_bad_question_is_refused_with_what_is_wrong(stub: Any) -> None:
    """A count that is none, a space that is used up, trials of a namesake in another namespace."""
    search, grid = experiment(), experiment(algorithm="grid", parameters=GRID, max_trials=12)
    assert "0 assignments are asked for" in refusal(lambda: ask(stub, search, [], count=0))
    assert "1001 assignments" in refusal(lambda: ask(stub, search, [], count=1001))
    done = [trial(f"t{index}", found, Condition.SUCCEEDED, 1) for index, found in enumerate(ask(stub, grid, [], 11))]
    assert "1 of the space are left untried" in refusal(lambda: ask(stub, grid, done, count=2))
    foreign = [trial("other-abcdefgh", {"dropout": "0.1"}, Condition.SUCCEEDED, 1)]
    assert "namesake" in refusal(lambda: ask(stub, search, foreign))
    assert "only 3 were asked for" in refusal(lambda: ask(stub, grid, done, count=1, total=3))


def test_a_thousand_calls_at_once_are_answered_each_for_itself(port: int) -> None:
    """16 clients, two experiments of other spaces: each gets its count, its parameters and its own points."""
    searches = [
        experiment("a", "random", {"random_state": "1"}),
        experiment("b", "random", {"random_state": "2"}, GRID[:1], max_trials=4),
    ]

    def client(number: int) -> list[tuple[int, list[dict[str, str]]]]:
        with channel(port) as opened:
            stub = rpc.SuggestionStub(opened)
            return [(turn % 2, ask(stub, searches[turn % 2], [], count=1 + (number + turn) % 3)) for turn in range(63)]

    with ThreadPoolExecutor(16) as pool:
        answers = [answer for found in pool.map(client, range(16)) for answer in found]
    assert len(answers) == 1008
    for which, names in enumerate(({"lr", "grad_clip_norm", "layers", "norm"}, {"lr"})):
        given = [points for search, points in answers if search == which]
        longest = max(given, key=len)
        assert len(longest) == 3
        assert all(points == longest[: len(points)] for points in given)
        assert all(chosen.keys() == names for chosen in longest)


def test_katibs_probe_finds_it_healthy(port: int) -> None:
    """By the name that the controller writes into the pod's probes."""
    with channel(port) as opened:
        reply = health_pb2_grpc.HealthStub(opened).Check(
            health_pb2.HealthCheckRequest(service="manager.v1beta1.Suggestion")
        )
    assert reply.status == health_pb2.HealthCheckResponse.SERVING
