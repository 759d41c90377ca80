"""The early-stopping service over gRPC: the rule of katib/search at each epoch, over live rows.

Katib's status, set once.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from katib.services.early_stopping import HEALTH, EarlyStopping
from katib.services.kubernetes_api import KubernetesApi
from katib.services.server import Server, start
from katib.services.stubs import pb, rpc
from tests.katib.services.rig import (
    METRIC,
    Condition,
    DbManager,
    TrialServer,
    channel,
    experiment,
    stamp,
    trial,
)

EXPERIMENT = "series3-dprnn"
CURVES = {"a": [1, 2, 3, 4, 5, 6], "b": [2, 3, 4, 5, 6, 7], "c": [3, 4, 5, 6, 7, 8]}
Stub = Any


CONDITIONS = {
    Condition.RUNNING: ("Running",),
    Condition.SUCCEEDED: ("Running", "Succeeded"),
    Condition.FAILED: ("Running", "Failed"),
    Condition.EARLYSTOPPED: ("Running", "EarlyStopped"),
}
"""How the API server has the states of Katib's requests (trial_types.go)."""


def serving(api: KubernetesApi | None, db_manager: str = "127.0.0.1:1") -> tuple[Server, int]:
    service = EarlyStopping(api, db_manager)
    return start(0, HEALTH, lambda server: rpc.add_EarlyStoppingServicer_to_server(service, server))


@pytest.fixture
def stub(cluster: TrialServer, db: DbManager) -> Iterator[Stub]:
    server, port = serving(cluster.api, db.address)
    with channel(port) as opened:
        made = rpc.EarlyStoppingStub(opened)
        made.cluster = cluster
        yield made
    server.stop(None)


@pytest.fixture
def running(stub: Stub, db: DbManager, cluster: TrialServer) -> Stub:
    """Returns three trials known to the controller, of each end; their rows are in the DB."""
    states = (Condition.SUCCEEDED, Condition.RUNNING, Condition.EARLYSTOPPED)
    for name, values in CURVES.items():
        db.put(named(name), values)
    for letter in "yz":
        cluster.add_trial(named(letter), EXPERIMENT, "Running")
    controller(stub, db, [trial(named(name), {}, state) for name, state in zip(CURVES, states, strict=True)])
    return stub


def named(letter: str) -> str:
    return f"{EXPERIMENT}-{letter * 8}"


def controller(stub: Stub, db: DbManager, trials: Sequence[Any], **settings: str) -> Any:
    """Returns the question of Katib's controller before it creates a trial: the rule that this one is made with.

    The experiment and the trials are those of the API server, where the controller has them from.
    """
    stub.cluster.add_experiment(EXPERIMENT, {"tolerance": "0", **settings})
    for item in trials:
        stub.cluster.add_trial(item.name, EXPERIMENT, *CONDITIONS[item.status.condition])
    request = pb.GetEarlyStoppingRulesRequest(
        experiment=experiment(EXPERIMENT, stopping={"tolerance": "0", **settings}),
        trials=trials,
        db_manager_address=db.address,
    )
    (rule,) = stub.GetEarlyStoppingRules(request).early_stopping_rules
    return rule


def collector(stub: Stub, db: DbManager, name: str) -> list[Any]:
    """Returns the question of the collector beside a trial, after an epoch."""
    objective = pb.ObjectiveSpec(type=pb.MAXIMIZE, objective_metric_name=METRIC)
    request = pb.GetEarlyStoppingRulesRequest(
        experiment=pb.Experiment(spec=pb.ExperimentSpec(objective=objective)),
        trials=[pb.Trial(name=name)],
        db_manager_address=db.address,
    )
    return list(stub.GetEarlyStoppingRules(request, timeout=600).early_stopping_rules)


def refused(call: Callable[[], object], code: grpc.StatusCode) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() == code
    return str(caught.value.details())


def test_the_controller_gets_a_rule_that_never_fires(stub: Stub, db: DbManager) -> None:
    """From the first trial on, since Katib's wrapper forgives a stop only where a rule was given; no DB needed."""
    db.away()
    rule = controller(stub, db, [])
    assert (rule.name, float(rule.value), rule.comparison, rule.start_step) == (METRIC, -1e30, pb.LESS, 1)


def test_a_trial_is_judged_at_its_own_step_against_the_median(running: Stub, db: DbManager) -> None:
    """The others' bests up to step 4 are 4, 5 and 6; later values of theirs do not count, nor an earlier step."""
    db.put(named("z"), [4.9, 4, 4])
    assert collector(running, db, named("z")) == []
    db.put(named("z"), [4.9, 4, 4, 4])
    (rule,) = collector(running, db, named("z"))
    assert (rule.name, float(rule.value), rule.comparison, rule.start_step) == (METRIC, 5, pb.LESS, 4)
    db.put(named("z"), [5.1, 4, 4, 4])
    assert collector(running, db, named("z")) == []


@pytest.mark.parametrize("restarted", [False, True])
def test_a_trial_that_patience_ended_counts_at_later_steps_as_well(
    cluster: TrialServer, stub: Stub, db: DbManager, restarted: bool
) -> None:
    """Of four with 3 epochs, three succeeded and one was stopped early: the median at step 5 is that of the three, 6.

    After a restart the states come from the API server, where Katib gives the stopped one both conditions.
    """
    cluster.add_experiment(EXPERIMENT, {"tolerance": "0"})
    trials = []
    for letter in "abcd":
        state = Condition.EARLYSTOPPED if letter == "d" else Condition.SUCCEEDED
        trials.append(trial(named(letter), {}, state))
        cluster.add_trial(named(letter), EXPERIMENT, "Succeeded", *(["EarlyStopped"] * (letter == "d")))
        db.put(named(letter), [4, 9 if letter in "cd" else 6, 5])
    cluster.add_trial(named("z"), EXPERIMENT, "Running")
    db.put(named("z"), [1, 2, 3, 4, 5])
    if not restarted:
        controller(stub, db, trials)
    (rule,) = collector(stub, db, named("z"))
    assert (float(rule.value), rule.start_step) == (6, 5)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_trial_that_failed_is_compared_with_nothing(
    cluster: TrialServer, stub: Stub, db: DbManager, restarted: bool
) -> None:
    """Of four others one failed after values of 9: the median of the rest is 5, with it it would be 5.5."""
    cluster.add_experiment(EXPERIMENT, {"tolerance": "0"})
    trials = []
    for letter, value in {"a": 4, "b": 5, "c": 6, "d": 9}.items():
        state = Condition.FAILED if letter == "d" else Condition.SUCCEEDED
        trials.append(trial(named(letter), {}, state))
        cluster.add_trial(named(letter), EXPERIMENT, "Failed" if letter == "d" else "Succeeded")
        db.put(named(letter), [value] * 4)
    cluster.add_trial(named("z"), EXPERIMENT, "Running")
    db.put(named("z"), [1, 1, 1, 1])
    if not restarted:
        controller(stub, db, trials)
    (rule,) = collector(stub, db, named("z"))
    assert float(rule.value) == 5


def test_each_question_sees_what_the_others_have_reported_since(running: Stub, db: DbManager) -> None:
    """A running trial's rows count as of its own last question, an ended one's to its end."""
    db.put(named("z"), [5.1, 4, 4, 4])
    assert collector(running, db, named("z")) == []
    db.put(named("b"), [9, 9, 9, 9, 9])
    assert collector(running, db, named("b")) == []
    db.put(named("z"), [5.1, 5.2, 5.3, 5.4, 5.5])
    (rule,) = collector(running, db, named("z"))
    assert float(rule.value) == 7


def test_a_question_reads_one_curve(running: Stub, db: DbManager) -> None:
    """However many trials there are: the asking one's. What has ended is read once."""
    db.put(named("z"), [9] * 6)
    collector(running, db, named("z"))
    before = db.asked
    collector(running, db, named("z"))
    assert db.asked == before + 1


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ["unavailable"],
        ["", "nan", "inf", "-inf"],
        ["1e400", "5", "2", "3"],
        ["\x00", "5,5", "four"],
    ],
)
def test_odd_rows_stop_nothing_and_break_nothing(running: Stub, db: DbManager, rows: list[str]) -> None:
    """Missing, empty, not finite, no numbers: of the asking trial and of the others."""
    db.put(named("y"), rows)
    assert collector(running, db, named("y")) == []
    db.put(named("z"), [4.9] * 4)
    assert float(collector(running, db, named("z"))[0].value) == 5


def test_repeated_rows_are_one_step(running: Stub, db: DbManager) -> None:
    """Those of a collector that reports a resumed trial's history again."""
    db.put(named("z"), [4.9, 4, 4])
    db.rows[named("z")] *= 2
    assert collector(running, db, named("z")) == []
    db.rows[named("z")].append((stamp(4), METRIC, "4"))
    assert collector(running, db, named("z"))[0].start_step == 4


def test_looks_once_is_katibs_own_way(stub: Stub, db: DbManager) -> None:
    """Compared at the start step and never again."""
    for name, values in CURVES.items():
        db.put(named(name), values)
    trials = [trial(named(name), {}, Condition.RUNNING) for name in [*CURVES, "z"]]
    controller(stub, db, trials, looks="once", start_step="2")
    db.put(named("z"), [0, 0])
    assert collector(stub, db, named("z"))[0].start_step == 2
    db.put(named("z"), [0, 0, 0])
    assert collector(stub, db, named("z")) == []


def test_after_a_restart_the_search_comes_back_from_the_cluster(
    db: DbManager, cluster: TrialServer, stub: Stub
) -> None:
    """A trial of an experiment that nobody has told of: settings, trials and rows are looked up, once."""
    cluster.add_experiment(EXPERIMENT, {"start_step": "2", "min_trials_required": "2"})
    cluster.add_trial("of-another", "another")
    for name, values in {**CURVES, "z": [0, 0]}.items():
        cluster.add_trial(named(name), EXPERIMENT, "Created", "Running", *(["Succeeded"] * (name == "a")))
        db.put(named(name), values)
    assert float(collector(stub, db, named("z"))[0].value) == 3
    asked = len(cluster.requests)
    assert float(collector(stub, db, named("z"))[0].value) == 3
    assert len(cluster.requests) == asked
    assert collector(stub, db, "of-another") == []


def test_a_trial_that_a_first_suggestion_named_belongs_to_the_experiment_that_lists_it(
    running: Stub, db: DbManager, cluster: TrialServer
) -> None:
    """Its name begins like another experiment's, whose run directory it continues; the API server is not asked."""
    states = (Condition.SUCCEEDED, Condition.RUNNING, Condition.EARLYSTOPPED)
    trials = [trial(named(name), {}, state) for name, state in zip(CURVES, states, strict=True)]
    cluster.add_trial("ended-before-abcd1234", EXPERIMENT)
    controller(running, db, [*trials, trial("ended-before-abcd1234", {}, Condition.RUNNING)])
    db.put("ended-before-abcd1234", [4.9, 4, 4, 4])
    asked = len(cluster.requests)
    (rule,) = collector(running, db, "ended-before-abcd1234")
    assert (float(rule.value), rule.start_step) == (5, 4)
    assert len(cluster.requests) == asked


def test_a_trial_that_nobody_knows_goes_on(stub: Stub, db: DbManager) -> None:
    """Neither the controller has named it nor the cluster has it."""
    assert collector(stub, db, "stranger-aaaaaaaa") == []


def test_nothing_is_carried_from_one_experiment_to_another(running: Stub, db: DbManager, cluster: TrialServer) -> None:
    """Another experiment, and one of the same name that was created again."""
    other = f"{EXPERIMENT}-2"
    db.put(f"{other}-zzzzzzzz", [0] * 6)
    cluster.add_experiment(other, {})
    cluster.add_trial(f"{other}-zzzzzzzz", other, "Running")
    running.GetEarlyStoppingRules(pb.GetEarlyStoppingRulesRequest(experiment=experiment(other, stopping={})))
    assert collector(running, db, f"{other}-zzzzzzzz") == []
    for name in CURVES:
        del cluster.objects[f"trials/{named(name)}"]
    controller(running, db, [])
    db.put(named("z"), [0] * 6)
    assert collector(running, db, named("z")) == []


def test_sixteen_collectors_at_once_get_the_answers_of_one(running: Stub, db: DbManager) -> None:
    """Half of them ask for a trial below the median, half for one above."""
    for index in range(16):
        running.cluster.add_trial(f"{EXPERIMENT}-{index:08}", EXPERIMENT, "Failed")
        db.put(f"{EXPERIMENT}-{index:08}", [index % 2 * 9] * 6)

    def asks(index: int) -> bool:
        return bool(collector(running, db, f"{EXPERIMENT}-{index:08}"))

    with ThreadPoolExecutor(16) as pool:
        for _ in range(4):
            found = list(pool.map(asks, range(16)))
    assert found == [index % 2 == 0 for index in range(16)]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("held", [(), ("Created", "Running")])
def test_a_stopped_trial_is_marked_once_and_in_utc(
    running: Stub, db: DbManager, cluster: TrialServer, held: tuple[str, ...], restarted: bool
) -> None:
    """As Katib's controller and UI read it, beside the conditions that are there; also against a write in between.

    A service that was started between its decision and the mark decides again, also where one more epoch came
    meanwhile.
    """
    made = cluster.add_trial(named("z"), EXPERIMENT, *held)
    db.put(named("z"), [4.9, 4, 4, 4])
    assert collector(running, db, named("z"))
    cluster.write_before_patch = 2
    server, port = serving(cluster.api, db.address)
    with channel(port) as opened:
        stub = rpc.EarlyStoppingStub(opened) if restarted else running
        db.put(named("z"), [4.9, 4, 4, 4, 9.9])
        for _ in range(2):
            stub.SetTrialStatus(pb.SetTrialStatusRequest(trial_name=named("z")))
    server.stop(None)
    *before, last = made["status"]["conditions"]
    assert [item["type"] for item in before] == list(held)
    assert (last["type"], last["status"], last["reason"]) == ("EarlyStopped", "True", "TrialEarlyStopped")
    assert last["message"] == "best of epoch 4, 4.90 dB, is below the median of 3 other trials, 5.00 dB"
    when = datetime.strptime(last["lastTransitionTime"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - when) < timedelta(minutes=1)


def test_what_is_away_is_said_and_nothing_falls(running: Stub, db: DbManager) -> None:
    """The DB manager, the API's trial, a service outside a cluster: UNAVAILABLE, and the trial continues."""
    unavailable = grpc.StatusCode.UNAVAILABLE
    db.away()
    assert "DB manager" in refused(lambda: collector(running, db, named("a")), unavailable)
    unknown = pb.SetTrialStatusRequest(trial_name="t")
    assert "trials/t not found" in refused(lambda: running.SetTrialStatus(unknown), unavailable)
    server, port = serving(None)
    with channel(port) as opened:
        outside = rpc.EarlyStoppingStub(opened)
        assert "outside a cluster" in refused(lambda: outside.SetTrialStatus(unknown), unavailable)
    server.stop(None)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"start_stop": "4"}, "did you mean 'start_step'?"),
        ({"start_step": "0"}, "start_step"),
        ({"min_trials_required": "-1"}, "min_trials_required"),
        ({"looks": "twice"}, "one of every, once"),
    ],
)
def test_a_bad_setting_is_refused_with_what_is_wrong(stub: Stub, settings: dict[str, str], problem: str) -> None:
    """With the status upon which Katib fails the experiment and shows the message."""
    spec = experiment(stopping=settings).spec.early_stopping
    request = pb.ValidateEarlyStoppingSettingsRequest(early_stopping=spec)
    bad = grpc.StatusCode.INVALID_ARGUMENT
    assert problem in refused(lambda: stub.ValidateEarlyStoppingSettings(request), bad)


@pytest.mark.parametrize("name", ["medianstop", "successivehalving"])
def test_both_rules_are_taken(stub: Stub, name: str) -> None:
    """Under the names of earlyStopping.algorithmName."""
    request = pb.ValidateEarlyStoppingSettingsRequest()
    request.early_stopping.algorithm_name = name
    assert stub.ValidateEarlyStoppingSettings(request) is not None


def test_the_settings_of_promote_are_checked(stub: Stub) -> None:
    """It has no default rungs: they depend on the epochs, which no request holds."""
    request = pb.ValidateEarlyStoppingSettingsRequest()
    request.early_stopping.algorithm_name = "promote"
    bad = grpc.StatusCode.INVALID_ARGUMENT
    assert "needs the setting 'rung_epochs'" in refused(lambda: stub.ValidateEarlyStoppingSettings(request), bad)
    request.early_stopping.algorithm_settings.add(name="rung_epochs", value="6,18,50")
    assert stub.ValidateEarlyStoppingSettings(request) == pb.ValidateEarlyStoppingSettingsReply()
    request.early_stopping.algorithm_settings.add(name="eta", value="1")
    assert "eta" in refused(lambda: stub.ValidateEarlyStoppingSettings(request), bad)


def test_a_bad_question_is_refused_with_what_is_wrong(stub: Stub) -> None:
    """No trial, no objective."""
    bad = grpc.StatusCode.INVALID_ARGUMENT
    empty = pb.GetEarlyStoppingRulesRequest()
    assert "one trial" in refused(lambda: stub.GetEarlyStoppingRules(empty), bad)
    search = experiment(stopping={})
    search.spec.objective.objective_metric_name = ""
    request = pb.GetEarlyStoppingRulesRequest(experiment=search)
    assert "objectiveMetricName" in refused(lambda: stub.GetEarlyStoppingRules(request), bad)
    assert "no trial" in refused(lambda: stub.SetTrialStatus(pb.SetTrialStatusRequest()), bad)
