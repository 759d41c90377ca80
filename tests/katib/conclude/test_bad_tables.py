"""Experiments from which little can be concluded: results and log say so in one line and still print what they can."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks.systems.made_experiment import make_experiment
from katib.__main__ import main
from katib.backend.local.record import Effort, Trial
from katib.backend.local.store import Store
from katib.backend.local.table import read_table
from katib.manifest.experiment import parameters_of
from katib.search.space import Space
from katib.table import export
from katib.trial import Identity, State
from tests.katib.conclude.made import BEST, identity

METRIC = "val_si_snr"


def store(runs: Path, *trials: tuple[State, list[float], str], of: Identity | None = None) -> str:
    """Returns a store as the engine writes it, with a trial a state, values and reason; the experiment's name."""
    about = of or identity()
    (runs / about.name).mkdir(parents=True)
    made = Store.create(runs / about.name, about)
    space = Space.of(parameters_of(about.spec, about.name))
    for number, (state, values, reason) in enumerate(trials):
        found: Trial = made.add(f"trial-{number}", BEST | {"lr": f"0.00{number + 1}"}, space)
        for step, value in enumerate(values, 1):
            found = made.report(found, step, value)
        effort = Effort(seconds=10.0, starts=1)
        made.update(found, state=state, reason=reason, effort=effort)
    made.close()
    return about.name


def printed(capsys: pytest.CaptureFixture[str], runs: Path, name: str) -> tuple[str, list[str]]:
    """Returns what `results` prints, and its notes; `log` has the same notes, and an entry."""
    log = runs / "LOG.md"
    assert main(["log", name, "--out", str(runs), "--file", str(log)]) == 0
    noted = capsys.readouterr().err.splitlines()
    assert f"## {name}" in log.read_text() or f"## {read_table(runs, name).identity.name}" in log.read_text()
    assert main(["results", name, "--out", str(runs)]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == noted
    return out, noted


def test_no_trial(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = store(tmp_path)
    assert printed(capsys, tmp_path, name) == ("", [f"note: {name}: no trial yet"])
    assert main(["results", name, "--out", str(tmp_path), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_no_finished_trial(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = store(tmp_path, ("Running", [1.0, 2.0], ""), ("Created", [], ""))
    out, notes = printed(capsys, tmp_path, name)
    assert notes == [f"note: {name}: no trial has run to its end; values are those so far"]
    assert "2.00 dB" in out


def test_no_value_yet(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = store(tmp_path, ("Running", [], ""))
    out, notes = printed(capsys, tmp_path, name)
    assert notes == [f"note: {name}: no trial has reported {METRIC} yet"]
    assert "trial-0" in out


def test_one_trial(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = store(tmp_path, ("Succeeded", [1.0, 2.0], ""))
    out, notes = printed(capsys, tmp_path, name)
    assert notes == [f"note: {name}: one trial has a value, with nothing to compare it with"]
    assert "2.00 dB" in out


def test_all_failed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    failed: tuple[State, list[float], str] = ("Failed", [1.0], "diverged: the loss is nan")
    name = store(tmp_path, failed, failed)
    out, notes = printed(capsys, tmp_path, name)
    assert len(notes) == 1
    assert "all 2 trials failed, trial-0: diverged: the loss is nan; its hyperparameters are to blame" in notes[0]
    assert out.count("diverged") == 2
    assert "1.00 dB" not in out  # a trial that failed has no result


def test_all_equal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    equal: tuple[State, list[float], str] = ("Succeeded", [1.0, 2.0], "")
    name = store(tmp_path, equal, equal, equal)
    out, notes = printed(capsys, tmp_path, name)
    assert len(notes) == 1
    assert "all 3 values are 2.00 dB, so that none is better" in notes[0]
    assert out.count("2.00 dB") == 3


def test_a_missing_baseline_is_told_in_the_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = store(tmp_path, ("Succeeded", [1.0], ""), ("Succeeded", [2.0], ""), of=identity("demo"))
    assert main(["log", name, "--out", str(tmp_path), "--file", str(tmp_path / "LOG.md")]) == 0
    assert "No baseline in spec 'demo'." in (tmp_path / "LOG.md").read_text()


def test_metrics_that_are_partly_missing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One run has lost its summary, and one epoch of another was no number."""
    folder = make_experiment(tmp_path, 4, 5)
    (folder / "made-00000001" / "summary.json").unlink()
    assert main(["results", "made", "--out", str(tmp_path), "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert "1 trial of 4 lack train_loss, lr, grad_norm" in line
    assert line.endswith("made-00000001 for one")
    assert len(out.splitlines()) == 5
    name = store(tmp_path, ("Succeeded", [1.0, float("nan"), 2.0], ""), ("Succeeded", [2.5], ""))
    assert main(["results", name, "--out", str(tmp_path), "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert "1 trial with epochs whose val_si_snr is no finite number: trial-0" in err
    (record,) = [one for one in json.loads(out) if one["trial"] == "trial-0"]
    assert record["metrics"][METRIC]["epoch"] == [1, 3]


def test_two_experiments_of_one_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A copy under another folder's name, and a search of the same name that a cluster had."""
    name = store(tmp_path, ("Succeeded", [1.0], ""), ("Succeeded", [2.0], ""))
    shutil.copytree(tmp_path / name, tmp_path / "copy")
    assert main(["results", "copy", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err == f"note: {tmp_path / 'copy'}: holds an experiment that was run as '{name}'; it may be a copy\n"
    assert "2.00 dB" in out
    for experiment in (name, "copy"):
        assert main(["log", experiment, "--out", str(tmp_path), "--file", str(tmp_path / "log.md")]) == 0
        assert f"entry of '{experiment}' added" in capsys.readouterr().out
    assert main(["report", "copy", "--out", str(tmp_path)]) == 0
    assert f"report: {tmp_path / 'copy' / 'report.html'} (" in capsys.readouterr().out
    assert not (tmp_path / name / "report.html").exists()
    export.write(read_table(tmp_path, name), tmp_path / name)
    assert main(["results", name, "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "a search on a cluster had the same name; this is the local one" in err
    assert "2.00 dB" in out


@pytest.mark.parametrize("damage", ["away", "torn", "emptied"])
def test_a_database_that_is_away_or_damaged_leaves_what_the_runs_have_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, damage: str
) -> None:
    folder = make_experiment(tmp_path, 3, 5)
    for run in folder.glob("made-*"):
        (run / "config.json").write_text(json.dumps({"lr": 0.002, "weight_decay": 1e-5}))
    before = read_table(tmp_path, "made")
    database = folder / "study.db"
    content = database.read_bytes()
    database.unlink() if damage == "away" else database.write_bytes(content[:5000] if damage == "torn" else b"")
    out, notes = printed(capsys, tmp_path, "made")
    assert "cannot be read" in notes[0]
    assert "what its runs have written themselves" in notes[0]
    after = read_table(tmp_path, "made")
    assert [(row.trial, row.value) for row in after.rows] == [(row.trial, row.value) for row in before.rows]
    assert after.rows[0].assignments == {"lr": "0.002", "weight_decay": "1e-05"}
    assert after.rows[0].trial in out


def test_a_database_that_is_damaged_with_nothing_beside_it_is_an_error_of_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "study.db").write_text("nothing")
    assert main(["results", "x", "--out", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "cannot be read (file is not a database); put it back from a copy, or move" in err


def test_a_name_that_is_not_there_names_the_nearest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = store(tmp_path)
    for verb in ("results", "log"):
        assert main([verb, name[:-1], "--out", str(tmp_path)]) == 2
        assert f"did you mean '{name}'?" in capsys.readouterr().err
