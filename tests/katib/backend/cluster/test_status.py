"""What status makes of objects and logs; without a cluster."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import yaml

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import EXPERIMENT, EXPERIMENT_LABEL, JOB, POD, TRIAL, TRIAL_LABEL
from katib.backend.cluster.status import LOGS, Curves, progress_of
from katib.backend.cluster.table import table
from katib.backend.cluster.view import Line, headline, lines, records
from katib.budget.estimate import plan
from katib.manifest.object import Manifest
from katib.manifest.render import render
from katib.search.promotion import Promote
from katib.search.spending import expected_part
from katib.site import load_site
from katib.spec import load_spec
from katib.spec_parts import EarlyStopping
from katib.trainer_contract import METRIC
from katib.trial import CONTINUES_LABEL, Direction
from tests.katib.backend.cluster.test_plan_and_causes import running


class Logs(Cluster):
    """A cluster that has only logs."""

    def __init__(self, text: str) -> None:
        self.text, self.namespace = text, "test"

    def log(self, pod: str, container: str, limit_bytes: int) -> str:
        return self.text


def search(trials: int) -> dict[Any, list[dict[str, Any]]]:
    """Returns an experiment whose `trials` trials all run."""
    experiment = running(trials)
    name = experiment["metadata"]["name"]
    made: dict[Any, list[dict[str, Any]]] = {EXPERIMENT: [experiment], TRIAL: [], JOB: [], POD: []}
    for number in range(trials):
        trial = f"{name}-{number:08}"
        metadata = {"name": trial, "labels": {EXPERIMENT_LABEL: name, TRIAL_LABEL: trial}}
        state = {"conditions": [{"type": "Running", "status": "True"}]}
        made[TRIAL].append({"metadata": metadata, "spec": {}, "status": state})
        made[JOB].append({"metadata": metadata, "spec": {}})
        made[POD].append(
            {
                "metadata": metadata,
                "spec": {"containers": [{"name": "trainer"}]},
                "status": {"phase": "Running"},
            }
        )
    return made


def text(made: Sequence[Line]) -> str:
    """Returns the lines as they stand on the screen."""
    return "\n".join("".join(part for part, _ in line) for line in made)


def test_a_configuration_is_one_row_with_its_continuations_and_may_go_on_while_the_search_runs() -> None:
    """Of five configurations one goes on after a pause, and one has paused."""
    objects = search(3)
    rule = {"rung_epochs": "2", "eta": "2", "configurations": "5"}
    objects[EXPERIMENT][0]["spec"]["earlyStopping"] = {
        "algorithmName": "promote",
        "algorithmSettings": [{"name": name, "value": value} for name, value in rule.items()],
    }
    first, other, goes_on = objects[TRIAL]
    for trial in (first, other):
        trial["status"]["conditions"].append({"type": "EarlyStopped", "status": "True"})
    goes_on["metadata"]["labels"] |= {CONTINUES_LABEL: first["metadata"]["name"]}
    (found,) = progress_of(Logs("epoch 1 begins"), objects, Curves())
    shown = text(lines([found], None, "test"))
    (record,) = records([found])
    rows = {row["trial"]: (row["state"], row["continuations"]) for row in record["rows"]}  # type: ignore[attr-defined]
    assert rows == {
        first["metadata"]["name"]: ("Running", [goes_on["metadata"]["name"]]),
        other["metadata"]["name"]: ("Paused", []),
    }
    assert "2 of 5 configurations" in shown


def test_only_logs_that_were_not_read_are_called_so() -> None:
    """A trial in its first epoch has a log without a value, but the log was read."""
    objects, curves = search(LOGS + 2), Curves()
    (found,) = progress_of(Logs("epoch 1 begins"), objects, curves)
    assert found.unread == 2
    (found,) = progress_of(Logs("epoch 1 begins"), objects, curves)
    assert found.unread == 0


@pytest.mark.parametrize(("ago", "silent"), [(20, False), (1200, True)])
def test_the_last_line_within_an_epoch_is_shown_and_a_silence_after_it_is_a_cause(ago: int, silent: bool) -> None:
    objects = search(1)
    said = (datetime.now(UTC) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    log = f"{said} epoch 1/50: training step 45/100, 4 mixtures/s, loss -1.00 dB, the epoch takes 1800 s"
    (found,) = progress_of(Logs(f"it begins\n{log}\nanother line"), objects, Curves())
    (record,) = records([found])
    (row,) = cast(list[dict[str, Any]], record["rows"])
    assert (row["progress"]["step"], row["progress"]["epoch_seconds"]) == (45, 1800.0)
    assert row["cause"] == ("no step for 20 min, after step 45 of 100 of epoch 1" if silent else "")
    assert " 0.4 " in text(lines([found], None, "test"))
    # plan reads the pace from the table.
    assert table(found, {}, Manifest.of(objects[EXPERIMENT][0])).paces == (1800.0,)
    objects[POD][0]["status"]["phase"] = "Succeeded"
    (found,) = progress_of(Logs(log), objects, Curves())
    assert found.rows[0].heartbeat is None


def test_a_trial_that_was_just_stopped_early_has_the_best_of_its_log() -> None:
    """Katib has marked it, but adds its observation only when its Job has ended, perhaps after the search's end."""
    objects = search(1)
    objects[TRIAL][0]["status"]["conditions"].append({"type": "EarlyStopped", "status": "True"})
    log = "\n".join(f"2026-11-26T21:28:0{second}.000000Z val_si_snr={value}" for second, value in ((1, 0.5), (2, 0.25)))
    (found,) = progress_of(Logs(log), objects, Curves())
    assert [(row.state, row.best, row.epoch) for row in found.rows] == [("EarlyStopped", 0.5, 2)]


def test_a_narrow_terminal_does_not_cut_a_trials_name_and_values() -> None:
    """The screen has 80 columns; names and values are compared as a whole."""
    log = "\n".join(f"2026-11-24T09:30:0{second}Z {METRIC}=-11.5{second}00" for second in range(3))
    found = progress_of(Logs(log), search(2), Curves())
    printed = text(lines(found, 80, "test"))
    for row in found[0].rows:
        assert f"\n{row.trial.name.removeprefix(found[0].search.name + '-')} " in printed
    assert printed.count("-11.52 dB  -11.50 dB") == 2


def test_epochs_are_found_by_the_manifests_own_filter_and_metric() -> None:
    """Somebody else's trainer has another metric, another form of line, and a second metric that is no epoch."""
    objects = search(1)
    spec = objects[EXPERIMENT][0]["spec"]
    spec["objective"] = {"type": "minimize", "objectiveMetricName": "loss", "additionalMetricNames": ["acc"]}
    spec["metricsCollectorSpec"]["source"]["filter"]["metricsFormat"] = [r"(\w+): ([-+]?\d+\.\d+)"]
    log = "step 1 loss: 0.50 acc: 0.9\nstep 2 loss: 0.25 acc: 0.8\nstep 3 loss: 0.75 acc: 0.7"
    (found,) = progress_of(Logs(log), objects, Curves())
    assert [(row.epoch, row.current, row.best) for row in found.rows] == [(3, 0.75, 0.25)]


def test_a_history_that_is_printed_again_makes_no_new_epochs() -> None:
    """Each time stands for one epoch, as in Katib's database."""
    lines = [f"2026-11-26T21:28:0{second}Z val_si_snr={second}.5" for second in (1, 2, 3)]
    (found,) = progress_of(Logs("\n".join([*lines[:2], *lines])), search(1), Curves())
    assert [(row.epoch, row.current) for row in found.rows] == [(3, 3.5)]


def test_a_paused_trial_shows_the_epoch_of_its_record() -> None:
    """Its pod is gone with its log."""
    objects = search(1)
    tries = "abcde 2026-11-28T10:00:00Z/2026-11-28T11:30:00Z, bcdef 2026-11-28T12:00:00Z/2026-11-28T12:30:00Z"
    message = f"Trial is running; tries: {tries}; 12 epochs, last 3.25"
    objects[TRIAL][0]["status"]["conditions"] = [{"type": "Running", "status": "True", "message": message}]
    objects[JOB][0]["spec"]["suspend"] = True
    objects[POD] = []
    (found,) = progress_of(Logs(""), objects, Curves())
    (row,) = found.rows
    assert (row.state, row.epoch, row.current, row.hours, row.restarts) == ("Paused", 12, 3.25, 2.0, 1)


def test_leftovers_of_an_earlier_experiment_of_the_same_name_are_not_shown() -> None:
    """It is deleted in the background, where trial, Job and pod last for a while; their owners tell them apart."""
    objects = search(2)
    for number, uid in enumerate(("u", "of the one before")):
        objects[TRIAL][number]["metadata"] = {
            **objects[TRIAL][number]["metadata"],
            "ownerReferences": [{"kind": "Experiment", "uid": uid, "controller": True}],
        }
    (found,) = progress_of(Logs(""), objects, Curves())
    assert [row.trial.name[-1] for row in found.rows] == ["0"]


@pytest.mark.parametrize("minutes", [0, 5, 720])
def test_a_trial_may_wait_for_room_and_still_train_as_long_and_the_plan_is_that_of_the_training(
    minutes: int,
) -> None:
    """DPRNN's estimate is 2.5 hours: its Job may take three times that plus the wait, which planned hours exclude."""
    site = load_site().model_copy(update={"room_minutes": minutes})
    found = yaml.safe_load(render(load_spec("dprnn"), site))
    job = found["spec"]["trialTemplate"]["trialSpec"]["spec"]
    assert job["activeDeadlineSeconds"] == 3 * 2.5 * 3600 + 60 * minutes
    found["metadata"]["uid"] = "1"
    objects = {EXPERIMENT: [found], TRIAL: [], JOB: [], POD: []}
    (search,) = progress_of(cast(Cluster, None), objects, Curves())
    assert search.hours_planned == 25 * 2.5


def test_under_promote_the_planned_hours_are_what_the_rule_is_expected_to_spend_as_plan_says() -> None:
    spec = load_spec("dprnn").model_copy(update={"early_stopping": EarlyStopping(name="promote")})
    found = yaml.safe_load(render(spec, load_site()))
    found["metadata"]["uid"] = "1"
    (search,) = progress_of(cast(Cluster, None), {EXPERIMENT: [found], TRIAL: [], JOB: [], POD: []}, Curves())
    assert (search.search.max_trials, search.search.configurations) == (38, 25)
    whole = spec.model_copy(update={"epochs_with_patience": None})  # a manifest does not say what patience leaves
    (planned,) = plan([whole], {}, gpus=2, gpus_per_trial=1, site_parallel=2).models
    assert search.hours_planned == pytest.approx(25 * planned.epochs_expected * 2.5 / 100, rel=0.05)
    assert search.hours_planned < 0.4 * 25 * 2.5
    assert "0.00 of about 10 GPU-hours" in headline(search, time.time())


def test_planned_hours_are_soon_known_of_a_manifest_with_many_rungs() -> None:
    """A simulation of so many configurations and rungs would not end."""
    rule = Promote(Direction.MAXIMIZE, tuple(range(1, 500)), eta=1.01)
    assert 0.5 < expected_part(rule, 10**9, 1000, 2) < 1
