"""The trial table of a local search: order, values, gains, and what the runs' own files add."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from katib.backend.local.record import Effort, read
from katib.backend.local.table import read_table, table
from katib.errors import EngineError, FolderError
from katib.manifest.object import Manifest
from katib.table.formats import as_json
from katib.table.origin import budget, origin
from tests.katib.conclude.made import identity, made, trial

HISTORY = [
    {
        "epoch": epoch,
        "time": f"2026-11-24T09:3{epoch}:00.000000Z",
        "val_si_snr": 1.0 + epoch,
        "train_loss": -1.0 * epoch,
        "variants": {"SER": 2.0, "SE": 3.0},
    }
    for epoch in (1, 2)
]


def write_summary(folder: Path, name: str, content: object) -> None:
    (folder / name).mkdir()
    (folder / name / "summary.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_the_best_trial_comes_first_and_those_without_a_value_last(tmp_path: Path) -> None:
    trials = [trial("none", state="Failed"), trial("low", 1.0, 2.0), trial("high", 1.0, 5.0, 4.0)]
    found = table(identity(), trials, tmp_path)
    assert [row.trial for row in found.rows] == ["high", "low", "none"]
    assert found.best is not None
    assert (found.best.value, found.best.best_epoch, found.best.epochs) == (5.0, 2, 3)
    assert found.counted == "2 Succeeded, 1 Failed"
    found = table(identity(maximize=False), trials, tmp_path)
    assert [(row.trial, row.best_epoch) for row in found.rows if row.value is not None] == [
        ("low", 1),
        ("high", 1),
    ]


def test_values_that_are_not_finite_are_no_values(tmp_path: Path) -> None:
    found = made(tmp_path, trial("nan", float("nan"), 1.0), trial("inf", float("inf")))
    assert [(row.trial, row.value) for row in found.rows] == [("nan", 1.0), ("inf", None)]
    assert [(point.step, point.value) for point in found.rows[0].curve] == [(2, 1.0)]
    assert json.loads("".join(as_json(found)))[1]["val_si_snr"] is None


@pytest.mark.parametrize(
    "summary",
    [
        "",
        "[]",
        '{"mixture_val_si_snr": "x", "history": 1}',
        '{"mixture_val_si_snr": null, "history": [1, {}, {"epoch": "1"}]}',
        '{"history": [{"epoch": 1, "time": "x", "variants": 3, "val_si_snr": 9}]}',
    ],
)
def test_a_summary_that_says_nothing_is_no_obstacle(tmp_path: Path, summary: str) -> None:
    """The store's value stands, whatever the run wrote."""
    write_summary(tmp_path, "a", summary)
    (row,) = made(tmp_path, trial("a", 1.0)).rows
    assert row.gain is None
    assert [(point.step, point.value, point.time) for point in row.curve] == [(1, 1.0, None)]


def test_the_gain_is_over_the_mixture_of_the_same_run(tmp_path: Path) -> None:
    write_summary(tmp_path, "a", {"mixture_val_si_snr": -2.0})
    (row,) = made(tmp_path, trial("a", 1.0)).rows
    assert row.gain == 3.0


def test_every_metric_has_its_epoch_and_time_from_the_run_and_the_objective_from_the_store(
    tmp_path: Path,
) -> None:
    """The store has an epoch more than the summary, as while a trial runs."""
    write_summary(tmp_path, "a", {"history": HISTORY})
    (row,) = made(tmp_path, trial("a", 2.0, 3.0, 4.0)).rows
    assert set(row.metrics) == {"val_si_snr", "train_loss", "val_si_snr_SER", "val_si_snr_SE"}
    minute = 1795512600.0 + 60  # 2026-11-24T09:31:00Z
    assert [(p.step, p.value, p.time) for p in row.curve] == [
        (1, 2.0, minute),
        (2, 3.0, minute + 60),
        (3, 4.0, None),
    ]
    assert [(p.step, p.value) for p in row.metrics["train_loss"]] == [(1, -1.0), (2, -2.0)]


def test_of_any_other_trainer_the_metrics_are_what_its_filters_find_in_the_output(tmp_path: Path) -> None:
    """A resumed trial prints its history again, which makes no new epochs."""
    lines = [f"2026-11-24T09:30:0{step}Z acc={step} loss={9 - step}" for step in (1, 2)]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "output.log").write_text("\n".join([*lines, "noise", *lines, "2026-11-24T09:31:00Z acc=3"]))
    spec = {
        "objective": {"objectiveMetricName": "acc", "additionalMetricNames": ["loss"]},
        "metricsCollectorSpec": {"source": {"filter": {"metricsFormat": [r"(\w+)=(\d+)"]}}},
    }
    foreign = replace(identity(), metric="acc", spec=spec)
    (row,) = table(foreign, [trial("a", 1.0, 2.0, 3.0)], tmp_path).rows
    assert [(p.step, p.value) for p in row.metrics["loss"]] == [(1, 8.0), (2, 7.0)]
    assert [p.value for p in row.curve] == [1.0, 2.0, 3.0]
    assert all(p.time is not None for p in row.curve)
    assert table(foreign, [], tmp_path).budget is None


def test_hours_restarts_machine_and_link_come_from_the_record(tmp_path: Path) -> None:
    (tmp_path / "a" / "wandb").mkdir(parents=True)
    (tmp_path / "a" / "wandb" / "url").write_text("https://wandb.example.org/me/sweeps/runs/a\n")
    effort = Effort(failures=1, seconds=7200.0, starts=3, node="box")
    (row,) = made(tmp_path, trial("a", 1.0, effort=effort, proposed=10.0, ended=7210.0)).rows
    assert (row.gpu_hours, row.restarts, row.node) == (2.0, 2, "box")
    assert (row.started, row.ended) == (10.0, 7210.0)
    assert row.wandb == "https://wandb.example.org/me/sweeps/runs/a"


@pytest.mark.parametrize(
    ("state", "reason", "fix"),
    [
        ("Succeeded", "", ""),
        ("EarlyStopped", "best of epoch 2 is below", ""),
        ("Failed", "diverged: the loss is nan", "hyperparameters"),
        ("Failed", "exit code 4: CUDA out of memory", "batch_size"),
        ("Failed", "killed by SIGKILL (out of memory?)", "PARALLEL="),
        ("Failed", "exit code 1: KeyError", "output.log"),
        ("MetricsUnavailable", "no val_si_snr was reported", "make check"),
    ],
)
def test_a_failure_comes_with_what_to_do(tmp_path: Path, state: str, reason: str, fix: str) -> None:
    (row,) = made(tmp_path, trial("a", state=state, reason=reason)).rows
    assert fix in row.fix
    assert bool(row.fix) == bool(fix)


def test_a_search_is_known_by_its_command_not_by_its_name() -> None:
    """Another name or fewer epochs are still the search of the spec; another preset is none."""
    found = identity("convtasnet", name="mine", epochs=10)
    source = origin(Manifest(found.spec))
    assert source is not None
    assert (source.name, budget(Manifest(found.spec), source).hours_per_run) == ("series3-convtasnet", 9 * 10 / 50)  # type: ignore[union-attr]
    demo = origin(Manifest(identity("demo").spec))
    assert demo is not None
    assert demo.baseline is None
    debug = identity("convtasnet", preset="debug")
    assert origin(Manifest(debug.spec)) is None
    assert budget(Manifest(debug.spec), None).hours_per_run is None  # type: ignore[union-attr]


def test_a_folder_without_experiments_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="make local"):
        read_table(tmp_path, "test")


def test_a_database_of_another_program_or_a_torn_one_is_named(tmp_path: Path) -> None:
    import sqlite3

    for name, content in (
        ("text", b"nothing"),
        ("torn", b"SQLite format 3\0" + b"\xff" * 200),
        ("empty", b""),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.db").write_bytes(content)
        with pytest.raises(EngineError, match="cannot be read"):
            read(tmp_path / name)
    (tmp_path / "other").mkdir()
    with sqlite3.connect(tmp_path / "other" / "study.db") as database:
        database.execute("CREATE TABLE studies (study_id INTEGER)")
    with pytest.raises(EngineError, match="holds no search of this engine"):
        read(tmp_path / "other")
