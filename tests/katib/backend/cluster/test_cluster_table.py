"""The trial table of a cluster: Katib's Trial objects and rows of a real DB manager over gRPC."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import EXPERIMENT, EXPERIMENT_LABEL, JOB, POD, TRIAL, TRIAL_LABEL
from katib.backend.cluster.status import Curves, progress_of
from katib.backend.cluster.table import link, logged, observed, table
from katib.errors import ClusterError
from katib.manifest.object import Manifest
from katib.metrics import MetricParser
from katib.table.smaller import smaller
from katib.table.trial_table import CLUSTER, TrialTable
from tests.katib.conclude.made import BEST, manifest
from tests.katib.services.rig import METRIC, START, DbManager, stamp

NAME = "series3-dprnn"


@pytest.fixture
def manager() -> Iterator[DbManager]:
    found = DbManager()
    yield found
    found.away()


def katib_trial(name: str, state: str, **observed: float) -> dict[str, Any]:
    """As Katib's controller leaves it: two hours, from START on."""
    conditions = [{"type": kind, "status": "True"} for kind in ("Created", "Running", state)]
    status: dict[str, Any] = {"conditions": conditions, "startTime": "2026-11-24T09:30:00Z"}
    if state != "Running":
        status["completionTime"] = "2026-11-24T11:30:00Z"
    if observed:
        metric = {"name": METRIC} | {key: str(value) for key, value in observed.items()}
        status["observation"] = {"metrics": [metric]}
    return {
        "metadata": {"name": name, "labels": {EXPERIMENT_LABEL: NAME}},
        "spec": {
            "objective": {"objectiveMetricName": METRIC},
            "parameterAssignments": [{"name": key, "value": value} for key, value in BEST.items()],
        },
        "status": status,
    }


def made(manager: DbManager, *trials: dict[str, Any]) -> TrialTable:
    experiment = manifest()
    experiment["metadata"]["uid"] = "1"
    objects = {EXPERIMENT: [experiment], TRIAL: list(trials), JOB: [], POD: []}
    (found,) = progress_of(cast(Cluster, None), objects, Curves(), NAME)  # without pods no log is read
    names = [trial["metadata"]["name"] for trial in trials]
    return table(found, observed(manager.address, names), Manifest.of(experiment))


def test_values_are_katibs_observation_and_curves_the_managers_rows(manager: DbManager) -> None:
    manager.put("a", [1.0, 4.0, 3.0])
    manager.put("b", [1.0, 5.0])
    found = made(manager, katib_trial("a", "Succeeded", max=4.0, min=1.0, latest=3.0), katib_trial("b", "Running"))
    assert [(row.trial, row.value, row.best_epoch, row.epochs) for row in found.rows] == [
        ("b", 5.0, 2, 2),  # it still runs: what it has reported counts
        ("a", 4.0, 2, 3),
    ]
    row = found.rows[1]
    assert [(p.step, p.value, p.time) for p in row.curve] == [
        (step, value, START.timestamp() + 60 * step) for step, value in enumerate([1.0, 4.0, 3.0], 1)
    ]
    assert (row.gpu_hours, row.seconds, row.started, row.ended) == (
        2.0,
        7200.0,
        START.timestamp(),
        START.timestamp() + 7200,
    )
    assert (found.venue, found.model, found.gpus) == (CLUSTER, "dprnn", 1)
    assert found.spec is not None
    assert found.budget is not None
    assert (found.budget.trials, found.budget.epochs) == (25, 100)


def test_a_history_that_is_reported_again_makes_no_new_epochs_and_what_is_no_number_no_value(
    manager: DbManager,
) -> None:
    """A resumed trial reports its epochs again with the times of old."""
    manager.put("a", [1.0, "nan", 2.0, "none"])
    manager.rows["a"] += manager.rows["a"][:2]
    manager.rows["a"].append((stamp(3), "train_loss", "-2.5"))
    (row,) = made(manager, katib_trial("a", "EarlyStopped", max=2.0)).rows
    assert [(point.step, point.value) for point in row.curve] == [(1, 1.0), (3, 2.0)]
    assert [point.value for point in row.metrics["train_loss"]] == [-2.5]


def test_a_configuration_is_one_row_with_all_its_continuations(manager: DbManager) -> None:
    """Each of them reports what was trained before it, which counts once; the last one reports a history to its end."""
    manager.put("a", [1.0, 2.0])
    manager.put("a-2", [1.0, 2.0, 6.0, 3.0])
    manager.put("a-10", [1.0, 2.0, 6.0, 3.0, 4.0])
    manager.put("a-11", [1.0, 2.0, 6.0])
    manager.put("b", [1.0, 3.0])
    paused = {"a": 2.0, "a-2": 6.0, "b": 3.0}
    trials = [katib_trial(name, "EarlyStopped", max=best) for name, best in paused.items()]
    trials += [katib_trial("a-10", "Succeeded", max=6.0), katib_trial("a-11", "Failed"), katib_trial("b-2", "Running")]
    for item in trials:
        if (first := item["metadata"]["name"].partition("-")[0]) != item["metadata"]["name"]:
            item["metadata"]["labels"]["sepsweep/continues"] = first
    best, other = made(manager, *trials).rows
    assert (best.trial, best.state, best.value, best.best_epoch, best.epochs) == ("a", "Succeeded", 6.0, 3, 5)
    assert (best.pauses, best.gpu_hours, best.seconds, best.restarts) == ((2, 4), 8.0, 4 * 7200.0, 0)
    assert best.continuations == ("a-2", "a-10", "a-11")
    assert (best.started, best.ended) == (START.timestamp(), START.timestamp() + 7200)
    assert (other.trial, other.state, other.value, other.epochs, other.pauses) == ("b", "Running", 3.0, 2, (2,))


def test_trials_that_have_reported_nothing_are_rows_all_the_same(manager: DbManager) -> None:
    found = made(manager, katib_trial("a", "MetricsUnavailable"), katib_trial("b", "Failed"))
    assert [(row.trial, row.value, row.epochs) for row in found.rows] == [("a", None, 0), ("b", None, 0)]
    assert "make check tests the filter" in found.rows[0].fix


def test_many_trials_are_asked_for_at_once(manager: DbManager) -> None:
    names = [f"t{number}" for number in range(120)]
    for name in names:
        manager.put(name, [1.0, 2.0])
    assert {name: len(found[METRIC]) for name, found in observed(manager.address, names).items()} == dict.fromkeys(
        names, 2
    )


def test_a_manager_that_is_away_is_a_cluster_error(manager: DbManager) -> None:
    manager.away()
    with pytest.raises(ClusterError, match="UNAVAILABLE"):
        observed(manager.address, ["a"])


class Logs:
    """The API server's answers to who asks for the log of a pod."""

    namespace = "sweeps"

    def log(self, pod: str, container: str, limit_bytes: int) -> str:
        if pod == "b-pod":
            raise ClusterError("the node is silent")
        lines = [f"{stamp(step)} {METRIC}={step}.5" for step in (1, 2)]
        return "\n".join(["W&B: https://wandb.example.org/me/sweeps/runs/a", *lines, *lines])


def test_logs_of_pods_stand_in_for_the_manager_and_name_the_run_on_wandb() -> None:
    """One pod has its log, whose history comes twice, one is on a silent node, and of one trial there is no pod any
    more.
    """
    experiment = manifest()
    experiment["metadata"]["uid"] = "1"
    pods = [
        {
            "metadata": {"name": f"{name}-pod", "labels": {TRIAL_LABEL: name}},
            "spec": {"nodeName": "node1", "containers": [{"name": "trainer"}]},
            "status": {"phase": "Running"},
        }
        for name in "ab"
    ]
    trials = [
        katib_trial("a", "Running"),
        katib_trial("b", "Running"),
        katib_trial("c", "Succeeded", max=1.0),
    ]
    cluster = cast(Cluster, Logs())
    (found,) = progress_of(cluster, {EXPERIMENT: [experiment], TRIAL: trials, JOB: [], POD: pods}, Curves(), NAME)
    parser = MetricParser(Manifest.of(experiment).filters, Manifest.of(experiment).metrics)
    metrics, whole, problem = logged(cluster, found.rows, parser)
    assert whole == {"a"}
    assert {name: [(p.step, p.value) for p in of[METRIC]] for name, of in metrics.items()} == {
        "a": [(1, 1.5), (2, 2.5)]
    }
    assert problem == "the node is silent"
    assert link(cluster, found) == "https://wandb.example.org/me/sweeps/runs/"
    rows = {row.trial: row for row in table(found, metrics, Manifest.of(experiment)).rows}
    assert (rows["a"].value, rows["a"].best_epoch, rows["a"].node) == (2.5, 2, "node1")
    assert (rows["c"].value, rows["c"].curve) == (1.0, ())


def test_a_trial_that_went_on_with_smaller_batches_says_so(manager: DbManager) -> None:
    """Its first pod ran out of memory; the second one took what that had found to fit, and the trial succeeded."""
    experiment = manifest()
    experiment["metadata"]["uid"] = "1"
    manager.put("a", [1.0, 2.0])
    words = (
        "dprnn with 8 x 4 s at once (--batch-size 8); --micro-batch 4 fits and gives the same result: the next start"
    )

    class Printed:
        """A cluster whose only log is that of the failed pod."""

        def log(self, pod: str, *_: object) -> str:
            assert pod == "a-1"
            return f"error: out of memory on cuda:0: {words} takes it\n"

    pods = [
        {
            "metadata": {
                "name": name,
                "labels": {TRIAL_LABEL: "a"},
                "creationTimestamp": f"2026-11-24T09:3{name[-1]}:00Z",
            },
            "spec": {"containers": [{"name": "trainer"}]},
            "status": {"phase": phase},
        }
        for name, phase in (("a-1", "Failed"), ("a-2", "Succeeded"))
    ]
    trial = katib_trial("a", "Succeeded", max=2.0)
    running = trial["status"]["conditions"][1]
    running["message"] = "Trial is running; tries: 1 2026-11-24T09:30:00Z/2026-11-24T09:31:00Z; 2 epochs, last 2"
    objects = {EXPERIMENT: [experiment], TRIAL: [trial], JOB: [], POD: pods}
    (found,) = progress_of(cast(Cluster, Printed()), objects, Curves(), NAME)
    (row,) = table(found, observed(manager.address, ["a"]), Manifest.of(experiment)).rows
    assert row.reason == smaller(8, 4)
    assert (row.state, row.restarts) == ("Succeeded", 1)
