"""The early-stopping service among pods that lie: no caller changes a decision, marks a trial or fills the memory.

Anybody in the namespace can send what Katib's controller and collectors send (suggestionclient.go,
file-metricscollector/main.go). What counts is what the API server and the one DB manager say.
"""

import gc
import logging
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from katib.services.early_stopping import HEALTH, EarlyStopping
from katib.services.log import to_stderr
from katib.services.observations import ObservationLogs
from katib.services.searches import MOST_SEARCHES, WatchedSearch
from katib.services.server import start
from katib.services.stubs import pb, rpc
from tests.katib.services.rig import METRIC, Condition, DbManager, TrialServer, channel, experiment, trial

NAME = "search"


@pytest.fixture
def stub(cluster: TrialServer, db: DbManager) -> Iterator[Any]:
    """Yields three trials at 5 dB that have succeeded, `low` at 1 dB and `high` at 9 dB that run.

    Looks from step 4 on.
    """
    cluster.add_experiment(NAME, {"tolerance": "0", "start_step": "4"})
    for letter in "abc":
        cluster.add_trial(f"{NAME}-{letter}", NAME, "Succeeded")
        db.put(f"{NAME}-{letter}", [5] * 6)
    for name, value in (("low", 1), ("high", 9)):
        cluster.add_trial(f"{NAME}-{name}", NAME, "Running")
        db.put(f"{NAME}-{name}", [value] * 4)
    service = EarlyStopping(cluster.api, db.address)
    server, port = start(0, HEALTH, lambda to: rpc.add_EarlyStoppingServicer_to_server(service, to))
    with channel(port) as opened:
        yield rpc.EarlyStoppingStub(opened)
    server.stop(None)


def rules(stub: Any, name: str, address: str = "") -> list[float]:
    """Returns the bars that the trial of that name is told to be below."""
    request = pb.GetEarlyStoppingRulesRequest(trials=[pb.Trial(name=name)], db_manager_address=address)
    return [float(rule.value) for rule in stub.GetEarlyStoppingRules(request).early_stopping_rules]


def tell(stub: Any, search: Any, *trials: Any, address: str = "") -> Any:
    """Returns what Katib's controller would ask."""
    request = pb.GetEarlyStoppingRulesRequest(experiment=search, trials=trials, db_manager_address=address)
    (rule,) = stub.GetEarlyStoppingRules(request).early_stopping_rules
    return rule


def mark(stub: Any, name: str, **how: Any) -> grpc.StatusCode:
    try:
        stub.SetTrialStatus(pb.SetTrialStatusRequest(trial_name=name), **how)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def conditions(cluster: TrialServer) -> dict[str, list[str]]:
    found = {key: item["status"]["conditions"] for key, item in cluster.objects.items() if "status" in item}
    return {key: [item["type"] for item in items] for key, items in found.items()}


def test_the_honest_way(stub: Any) -> None:
    """What the attacks below leave as it is: the low trial is below 5 dB and is marked, the high one is not."""
    assert (rules(stub, f"{NAME}-low"), rules(stub, f"{NAME}-high")) == ([5.0], [])
    assert mark(stub, f"{NAME}-low") == grpc.StatusCode.OK


@pytest.mark.parametrize("name", ["high", "a"])
def test_no_trial_is_marked_that_was_not_to_be_stopped(stub: Any, cluster: TrialServer, name: str) -> None:
    """A good one that runs, and one that has succeeded."""
    before = conditions(cluster)
    assert mark(stub, f"{NAME}-{name}") == grpc.StatusCode.FAILED_PRECONDITION
    assert conditions(cluster) == before


@pytest.mark.parametrize("name", ["invented", "../experiments/search", "a/status", "x" * 2_000, "a?b=c", "\u0000"])
def test_no_trial_is_marked_that_there_is_not(stub: Any, cluster: TrialServer, name: str) -> None:
    before = conditions(cluster)
    assert mark(stub, name) == grpc.StatusCode.UNAVAILABLE
    assert conditions(cluster) == before
    assert not [request for request in cluster.requests if request.startswith("PATCH")]


def test_a_trial_of_another_search_is_marked_by_its_own_rule_alone(stub: Any, cluster: TrialServer) -> None:
    """One without early stopping has no rule."""
    cluster.objects["experiments/plain"] = {
        "metadata": {"name": "plain"},
        "spec": {"objective": {"type": "maximize", "objectiveMetricName": METRIC}},
    }
    cluster.add_trial("plain-a", "plain", "Running")
    assert rules(stub, "plain-a") == []
    assert mark(stub, "plain-a") == grpc.StatusCode.FAILED_PRECONDITION


LIES: dict[str, dict[str, Any]] = {
    "a rule that stops everybody": {"stopping": {"start_step": "1", "min_trials_required": "1"}},
    "a rule that stops nobody": {"stopping": {"start_step": "1000"}},
    "a rule with another tolerance": {"stopping": {"tolerance": "100", "start_step": "4"}},
}


@pytest.mark.parametrize("lie", [*LIES, "the other side", "another metric", "another rule"])
def test_settings_that_a_caller_names_change_nothing(stub: Any, lie: str) -> None:
    """Before anybody else has asked, and afterwards."""
    search = experiment(NAME, stopping={}) if lie not in LIES else experiment(NAME, **LIES[lie])
    if lie == "the other side":
        search.spec.objective.type = pb.MINIMIZE
    elif lie == "another metric":
        search.spec.objective.objective_metric_name = "loss"
    elif lie == "another rule":
        search.spec.early_stopping.algorithm_name = "successivehalving"
    for _ in range(2):
        tell(stub, search)
        assert (rules(stub, f"{NAME}-low"), rules(stub, f"{NAME}-high")) == ([5.0], [])


def test_trials_that_a_caller_names_change_nothing(stub: Any, db: DbManager) -> None:
    """Ten invented ones with better curves, and states that real ones are not in."""
    invented = [trial(f"{NAME}-x{index}", {}, Condition.SUCCEEDED, 99) for index in range(10)]
    for item in invented:
        db.put(item.name, [99] * 6)
    real = [trial(f"{NAME}-{letter}", {}, Condition.FAILED) for letter in "abc"]
    tell(stub, experiment(NAME, stopping={"tolerance": "0"}), *invented, *real)
    assert (rules(stub, f"{NAME}-low"), rules(stub, f"{NAME}-high")) == ([5.0], [])


def test_an_invented_trial_gets_no_rule_and_does_not_count(stub: Any, db: DbManager) -> None:
    """Under a name like those that Katib gives to trials of the search."""
    for index in range(10):
        db.put(f"{NAME}-x{index:07}", [99] * 6)
        assert rules(stub, f"{NAME}-x{index:07}") == []
    assert rules(stub, f"{NAME}-low") == [5.0]


def test_no_db_manager_is_asked_but_that_of_the_setting(stub: Any, db: DbManager) -> None:
    """A caller's own has curves by which the good trial would be stopped."""
    foreign = DbManager()
    for letter in "abc":
        foreign.put(f"{NAME}-{letter}", [99] * 6)
    tell(stub, experiment(NAME, stopping={}), address=foreign.address)
    assert rules(stub, f"{NAME}-high", foreign.address) == []
    assert rules(stub, f"{NAME}-low", foreign.address) == [5.0]
    assert foreign.asked == 0
    foreign.away()


def test_the_reason_of_a_mark_is_the_services_own(stub: Any, cluster: TrialServer) -> None:
    """Whatever a caller sends beside the call."""
    assert rules(stub, f"{NAME}-low")
    mark(stub, f"{NAME}-low", metadata=(("sepsweep-reason-bin", b"\x1b[31mfree text"),))
    *_, last = cluster.objects[f"trials/{NAME}-low"]["status"]["conditions"]
    assert last["message"] == "best of epoch 4, 1.00 dB, is below the median of 4 other trials, 5.00 dB"


def remembered() -> int:
    gc.collect()
    return sum(type(item) is WatchedSearch for item in gc.get_objects())


def test_experiments_that_there_are_not_are_not_remembered(stub: Any) -> None:
    before = remembered()
    for index in range(50):
        tell(stub, experiment(f"invented-{index}", stopping={}))
        rules(stub, f"invented-{index}-abcdefgh")
    assert remembered() == before


def test_of_those_that_there_are_only_so_many_are(stub: Any, cluster: TrialServer) -> None:
    """The service's own is forgotten with the others and read again."""
    before = remembered()
    for index in range(3 * MOST_SEARCHES):
        cluster.add_experiment(f"real-{index}", {})
        tell(stub, experiment(f"real-{index}", stopping={}))
    assert remembered() - before == MOST_SEARCHES
    assert rules(stub, f"{NAME}-low") == [5.0]


def test_a_curve_is_read_as_far_as_there_is_room_for_it(db: DbManager) -> None:
    """Anybody in the cluster may report rows of any trial; Katib's database asks nobody who they are."""
    db.put("t", [0.5] * 3_000)
    logs = ObservationLogs(db.address)
    found = logs.curves(["t"], METRIC, 1_000)["t"]
    assert found == (0.5,) * 1_000
    logs.close()


def test_trials_are_listed_by_pages(cluster: TrialServer) -> None:
    """A trial has some 10 KB: 5 000 at once would not fit into the memory of the service."""
    for index in range(250):
        cluster.add_trial(f"many-{index}", "many", "Running")
    assert len(list(cluster.api.trials("many"))) == 250
    assert cluster.requests.count("GET trials") == 3


def test_a_line_of_the_log_is_one_line_whatever_a_caller_names(capsys: pytest.CaptureFixture[str]) -> None:
    """As `kubectl logs` shows it; the root logger is put back."""
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        to_stderr("%(message)s")
        logging.getLogger("sepsweep").warning("trial %s", "a\x1b[2J\r\nb\u202e")
    finally:
        root.handlers = before
    assert capsys.readouterr().err == "trial a [2J b \n"
