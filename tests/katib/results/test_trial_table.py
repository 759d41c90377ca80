"""The trial table from recorded trials: order, values, gains."""

import json
from pathlib import Path

import pytest

from katib.errors import FolderError
from katib.local.record import Effort, Identity, Trial
from katib.results.formats import as_json
from katib.results.local_table import read_table, table


def identity(*, maximize: bool = True) -> Identity:
    return Identity("test", "val_si_snr", maximize, "max" if maximize else "min", {})


def trial(name: str, *values: float, state: str = "Succeeded") -> Trial:
    return Trial(1, name, {"lr": "0.001"}, state, effort=Effort(seconds=60.0), values=values)  # type: ignore[arg-type]


def test_the_best_trial_comes_first_and_those_without_a_value_last(tmp_path: Path) -> None:
    trials = [trial("none", state="Failed"), trial("low", 1.0, 2.0), trial("high", 1.0, 5.0, 4.0)]
    found = table(identity(), trials, tmp_path)
    assert [row.trial for row in found.rows] == ["high", "low", "none"]
    assert found.best is not None
    assert (found.best.value, found.best.best_epoch, found.best.epochs) == (5.0, 2, 3)
    assert found.counts == {"Succeeded": 2, "Failed": 1}
    found = table(identity(maximize=False), trials, tmp_path)
    assert [(row.trial, row.best_epoch) for row in found.rows if row.value is not None] == [
        ("low", 1),
        ("high", 1),
    ]


def test_values_that_are_not_finite_are_no_values(tmp_path: Path) -> None:
    found = table(identity(), [trial("nan", float("nan"), 1.0), trial("inf", float("inf"))], tmp_path)
    assert [(row.trial, row.value) for row in found.rows] == [("nan", 1.0), ("inf", None)]
    assert json.loads("".join(as_json(found)))[1]["val_si_snr"] is None


@pytest.mark.parametrize("summary", ["", "[]", '{"mixture_val_si_snr": "x"}', '{"mixture_val_si_snr": null}'])
def test_a_summary_that_says_nothing_is_no_obstacle(tmp_path: Path, summary: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "summary.json").write_text(summary)
    (row,) = table(identity(), [trial("a", 1.0)], tmp_path).rows
    assert row.gain is None


def test_the_gain_is_over_the_mixture_of_the_same_run(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "summary.json").write_text('{"mixture_val_si_snr": -2.0}')
    (row,) = table(identity(), [trial("a", 1.0)], tmp_path).rows
    assert row.gain == 3.0


def test_a_folder_without_experiments_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="make local"):
        read_table(tmp_path, "test")
