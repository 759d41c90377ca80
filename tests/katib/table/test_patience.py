"""Trials that patience ended: named as such by their rows alone, on either backend and in everything that is said of a
search.
"""

import csv
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from katib.backend.local.table import table as local_table
from katib.budget.estimate import plan
from katib.manifest.object import Manifest
from katib.report.cost import cost, cost_figure
from katib.report.curves import curves
from katib.report.log import entry
from katib.spec import load_spec
from katib.table.formats import as_csv, as_json, markdown
from katib.table.patience import explained, reason
from katib.table.trial_table import TrialTable
from katib.trainer_contract import Flags
from katib.trial import Direction
from tests.katib.backend.cluster.test_cluster_table import katib_trial
from tests.katib.backend.cluster.test_cluster_table import made as on_cluster
from tests.katib.conclude.made import identity, made, manifest, trial
from tests.katib.services.rig import DbManager

ENDED = (1.0, 2.0, 3.0, *[2.5] * 10)
WHY = "patience: no better epoch than 3 in 10 epochs"


def trained(values: list[float], epochs: int, patience: int) -> tuple[int, int]:
    """Returns a plain training loop: the epochs that are run of `values`, and the best of them."""
    best, best_epoch, waited = -math.inf, 0, 0
    for epoch, value in enumerate(values[:epochs], 1):
        if value > best:
            best, best_epoch, waited = value, epoch, 0
        else:
            waited += 1
        if waited >= patience:
            return epoch, best_epoch
    return epochs, best_epoch


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.integers(-3, 3).map(float), min_size=12, max_size=12),
    st.integers(1, 12),
    st.integers(1, 5),
    st.booleans(),
)
def test_the_reason_is_that_of_a_plain_training_loop(
    values: list[float], epochs: int, patience: int, maximize: bool
) -> None:
    """Few different values, so that equal bests are common: the first counts, and an equal one is no better."""
    ran, best = trained(values, epochs, patience)
    reports = [value if maximize else -value for value in values[:ran]]
    found = reason(reports, epochs, patience, direction=Direction.of(maximize))
    many = f"{ran - best} epoch" + ("s" if ran - best != 1 else "")
    assert found == ("" if ran == epochs else f"patience: no better epoch than {best} in {many}")


@pytest.mark.parametrize("values", [(), (math.nan,) * 12, (1.0, math.nan, math.inf, 0.5), (1.0, 2.0)])
def test_a_trial_that_ended_for_another_cause_has_no_reason(values: tuple[float, ...]) -> None:
    assert reason(values, 50, 10) == ""


def test_a_manifest_without_patience_explains_nothing() -> None:
    """Its command, and one with the flag in one word, as people write it too."""
    spec = manifest()["spec"]
    assert Manifest(spec).number(Flags.PATIENCE) == 10
    command = spec["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["command"]
    place = command.index("--patience")
    command[place : place + 2] = ["--patience=7"]
    assert Manifest(spec).number(Flags.PATIENCE) == 7
    del command[place]
    assert Manifest(spec).number(Flags.PATIENCE) is None
    assert explained([], Manifest(spec), direction=Direction.MAXIMIZE) == []


@pytest.fixture
def manager() -> Iterator[DbManager]:
    found = DbManager()
    yield found
    found.away()


def test_both_backends_say_that_patience_ended_a_trial(manager: DbManager, tmp_path: Path) -> None:
    """A trial that was stopped early, one that ran all epochs and one that still runs are left as they are."""
    curves: dict[str, tuple[str, tuple[float, ...]]] = {
        "patient": ("Succeeded", ENDED),
        "whole": ("Succeeded", (3.0, *[1.0] * 99)),
        "stopped": ("EarlyStopped", ENDED),
        "runs": ("Running", ENDED),
    }
    local = made(tmp_path, *(trial(name, *values, state=state) for name, (state, values) in curves.items()))
    for name, (_, values) in curves.items():
        manager.put(name, list(values))
    cluster = on_cluster(
        manager, *(katib_trial(name, state, max=max(values)) for name, (state, values) in curves.items())
    )
    for table in (local, cluster):
        found = {row.trial: row.reason for row in table.rows}
        assert (found["patient"], found["whole"]) == (WHY, "")
        assert not any(found[name].startswith("patience") for name in ("stopped", "runs"))
        (row,) = [row for row in table.rows if row.trial == "patient"]
        assert (row.state, row.value, row.best_epoch, row.epochs) == ("Succeeded", 3.0, 3, 13)


@pytest.fixture
def table(tmp_path: Path) -> TrialTable:
    """Patience ended two of four trials, after 13 and 27 epochs; one ran all 100, one was stopped after 20."""
    return made(
        tmp_path,
        trial("a", *ENDED),
        trial("b", *(float(epoch) for epoch in range(17)), *[0.0] * 10),
        trial("c", *(epoch / 10 for epoch in range(100))),
        trial("d", *[0.0] * 20, state="EarlyStopped", reason="the median", stop="the median"),
    )


def test_a_hopeless_trial_is_told_from_its_epochs_and_the_command(tmp_path: Path) -> None:
    """Both backends have these rows. One that patience ended at that epoch, one above the mixtures and one that ran on
    are not hopeless; every verb shows the reason, and log and report the epochs.
    """
    spec = manifest()["spec"]
    spec["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["command"] += ["--hopeless", "13"]
    search = replace(identity(), spec=spec)
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "summary.json").write_text('{"mixture_val_si_snr": 2.0}')
    rising = [epoch / 10 for epoch in range(100)]
    trials = [trial("bad", *rising[:13]), trial("patient", *ENDED), trial("on", *rising)]
    trials.append(trial("good", *(5 + value for value in rising[:13])))
    found = local_table(search, trials, tmp_path)
    why = "hopeless: still below the unprocessed mixtures after 13 epochs"
    assert {row.trial: row.reason for row in found.rows} == {"bad": why, "patient": WHY, "on": "", "good": ""}
    assert next(row.value for row in found.rows if row.trial == "bad") == 1.2
    assert why in "".join(markdown(found))
    said = "patience ended 1 trial, after 13 of 100 epochs on average; hopelessness ended 1 trial, after 13 of 100"
    assert said in entry(found, "abc", None)
    assert said[1:] in cost_figure(found).finding


def test_the_reason_stands_in_every_form_of_the_table(table: TrialTable) -> None:
    listed: list[dict[str, Any]] = json.loads("".join(as_json(table)))
    assert {record["trial"]: record["reason"] for record in listed}["a"] == WHY
    lines = list(csv.DictReader(io.StringIO("".join(as_csv(table)), newline="")))
    assert {line["trial"]: line["reason"] for line in lines}["b"] == ("patience: no better epoch than 17 in 10 epochs")
    assert WHY in "".join(markdown(table))


def test_log_and_report_hold_the_epochs_that_patience_left_against_the_planned_ones(
    table: TrialTable,
) -> None:
    said = "patience ended 2 trials, after 20 of 100 epochs on average"
    assert said in entry(table, "abc", None)
    for figure in (curves(table), cost_figure(table)):
        assert said[1:] in figure.finding


def test_a_stopped_trial_spared_what_others_ran_and_not_what_patience_would_have_ended(
    table: TrialTable,
) -> None:
    """The three that ran to their own end did so after 13, 27 and 100 epochs: 140 / 3, less its own 20, of 90 s."""
    assert cost(table).saved == pytest.approx((140 / 3 - 20) * 90 / 3600)


def test_the_plan_expects_what_the_searchs_own_trials_ran(table: TrialTable) -> None:
    made = plan([load_spec("dprnn")], {"series3-dprnn": table}, gpus=1, gpus_per_trial=1, site_parallel=2)
    (model,) = made.models
    assert model.epochs_patience == pytest.approx(140 / 3)
    assert model.epochs_expected == pytest.approx(160 / 4)
    assert model.gpu_hours_patience == pytest.approx(25 * 140 / 3 * 90 / 3600)
    assert model.gpu_hours == pytest.approx(62.5)
