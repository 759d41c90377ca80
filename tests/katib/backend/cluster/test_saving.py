"""What is saved before a search is deleted, from which source, and what is refused where a curve is nowhere.

No cluster.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from katib.backend.cluster import saving
from katib.backend.cluster.run_directories import RunDirectory
from katib.backend.cluster.table import Gathered
from katib.errors import ClusterError
from katib.table import export
from katib.table.run_folder import history
from katib.table.trial_table import CLUSTER, Budget, TrialRow, TrialTable
from tests.katib.conclude.made import BEST, identity, manifest

METRIC = "val_si_snr"


def summary(*values: float, state: str = "stopped") -> dict[str, Any]:
    """As the trainer writes it."""
    times = (f"2026-11-28T10:{minute:02}:00Z" for minute in range(60))
    return {
        "state": state,
        "history": [
            {"epoch": epoch, "time": time, METRIC: value, "train_loss": -value}
            for epoch, (value, time) in enumerate(zip(values, times, strict=False), 1)
        ],
    }


def row(name: str, *values: float, state: Any = "Failed") -> TrialRow:
    metrics = history(summary(*values), METRIC)
    return TrialRow(
        name,
        state,
        "",
        BEST,
        max(values, default=None),
        None,
        len(values),
        1.0,
        objective=METRIC,
        metrics=metrics,
    )


def table(*rows: TrialRow) -> TrialTable:
    notes = ("katib-db-manager does not answer (x)",)
    return TrialTable(identity(), rows, venue=CLUSTER, budget=Budget(25, 100, None), notes=notes)


def gathered(
    monkeypatch: pytest.MonkeyPatch, directories: Any, *rows: TrialRow, doubtful: str = "", finished: Any = None
) -> saving.Saving:
    """Returns what `saving` says where the DB manager and logs gave `rows`, and run directories are `directories`."""
    found = Gathered(table(*rows), manifest(), tuple(doubtful), finished or {}, "it is away")

    def read(*_: object) -> list[RunDirectory]:
        if isinstance(directories, Exception):
            raise directories
        return [RunDirectory(name, 1, content) for name, content in directories.items()]

    monkeypatch.setattr(saving, "gather", lambda *_, **__: found)
    monkeypatch.setattr(saving, "read", read)
    return saving.saving(None, "x", lambda _: None)  # type: ignore[arg-type]


def test_epochs_of_the_run_directory_reach_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    made = gathered(
        monkeypatch,
        {"a": summary(1.0, 3.0, 2.0), "b": summary(5.0)},
        row("a", state="EarlyStopped"),
        row("b", 5.0, 6.0, state="EarlyStopped"),
        doubtful="ab",
    )
    rows = {row.trial: row for row in made.table.rows}
    assert made.unsaved == ()
    assert [point.value for point in rows["a"].curve] == [1.0, 3.0, 2.0]
    assert (rows["a"].value, rows["a"].best_epoch, rows["a"].epochs) == (3.0, 2, 3)
    assert [point.value for point in rows["a"].metrics["train_loss"]] == [-1.0, -3.0, -2.0]
    assert [point.value for point in rows["b"].curve] == [5.0, 6.0]  # the log knew more
    assert made.table.rows[0].trial == "b"
    assert made.table.notes == (
        "katib-db-manager does not answer (it is away); curves are from pods' logs and run directories",
    )


def test_a_trial_without_a_run_directory_has_finished_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gathered(monkeypatch, {}, row("a"), doubtful="a").unsaved == ()


@pytest.mark.parametrize("directories", [{}, {"a": {}}, {"a": summary(1.0)}], ids=["none", "empty", "behind"])
def test_a_directory_that_knows_less_than_katib_saves_nothing(
    monkeypatch: pytest.MonkeyPatch, directories: Any
) -> None:
    """The Trial has an observation, or its record says two epochs: they were there, and are not in the directory."""
    made = gathered(monkeypatch, directories, row("a"), doubtful="a", finished={"a": 2})
    assert made.unsaved == (f"a: {len(directories.get('a', {}).get('history', ()))} of up to 100 epochs",)
    assert "a has finished at least 2 epochs" in made.why
    assert gathered(monkeypatch, {"a": summary(1.0, 2.0)}, row("a"), doubtful="a", finished={"a": 2}).unsaved == ()


def test_what_is_nowhere_is_named_with_its_epochs_and_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made = gathered(
        monkeypatch,
        ClusterError("no room for the job"),
        row("a", 1.0, 2.0),
        row("b"),
        row("c", 1.0),
        doubtful="ab",
    )
    assert made.unsaved == ("a: 2 of up to 100 epochs", "b: 0 of up to 100 epochs")
    with pytest.raises(ClusterError) as error:
        made.require_whole("experiment 'x' is not deleted")
    text = str(error.value)
    for words in (
        "experiment 'x' is not deleted: 2 of 3 trials",
        "it is away",
        "no room for the job",
        "UNSAVED=1",
        "make doctor",
    ):
        assert words in text


def test_a_summary_that_cannot_be_read_saves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Gathered(table(row("a")), manifest(), ("a",), {}, "away")
    monkeypatch.setattr(saving, "gather", lambda *_, **__: found)
    monkeypatch.setattr(saving, "read", lambda *_: [RunDirectory("a", 1, {}, "Input/output error")])
    made = saving.saving(None, "x", lambda _: None)  # type: ignore[arg-type]
    assert made.unsaved == ("a: 0 of up to 100 epochs",)
    assert "Input/output error" in made.why


def test_nothing_is_looked_for_where_every_curve_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gathered(monkeypatch, AssertionError("read"), row("a", 1.0)).unsaved == ()


def test_an_earlier_table_with_other_trials_is_kept(tmp_path: Path) -> None:
    """A search that was deleted, deployed and deleted again had two sets of trials."""
    first, second = table(row("a", 1.0)), table(row("b", 2.0))
    for one in (first, second, replace(second, rows=(*second.rows, row("c", 1.0)))):
        export.write(one, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cluster-trials-1.csv",
        "cluster-trials-1.json",
        "cluster-trials.csv",
        "cluster-trials.json",
    ]
    assert '"trial": "a"' in (tmp_path / "cluster-trials-1.json").read_text()
    assert [row.trial for row in export.read(tmp_path).rows] == ["b", "c"]
