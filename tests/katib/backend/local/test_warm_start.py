"""Warm start on one machine: a search learns from earlier ones, whose folders lie beside its own."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from katib.backend.local.table import read_table
from katib.backend.local.warm_start import earlier_trials
from katib.manifest.experiment import load_experiment
from katib.table import export
from tests.katib.backend.local.rig import Rig, as_text, manifest


def warm(names: str, **spec: Any) -> dict[str, Any]:
    """Returns a search `next` by the Gaussian process, which is asked after three trials."""
    settings = {"warm_start": names, "n_initial_points": "3", "random_state": "1"}
    listed = [{"name": name, "value": value} for name, value in settings.items()]
    algorithm = {"algorithmName": "bayesianoptimization", "algorithmSettings": listed}
    search = manifest("--epochs", "2", name="next", algorithm=algorithm, maxTrialCount=1)
    search["spec"] |= spec
    return search


def begun(rig: Rig) -> None:
    """Runs the earlier search, in which a greater x is better."""
    assert rig.run(manifest("--epochs", "2", name="old", values=("1", "2", "4", "6", "8"))).returncode == 0


def test_the_first_trial_knows_the_earlier_search_from_its_study_or_its_exported_table(rig: Rig) -> None:
    begun(rig)
    done = rig.run(warm("old"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "note: warm_start: the search begins with 5 earlier trials" in done.stdout
    (row,) = read_table(rig.out, "next").rows
    assert float(row.assignments["x"]) > 6
    experiment = load_experiment(as_text(warm("old")), "next.yaml")
    from_study = earlier_trials(rig.out, experiment)
    export.write(read_table(rig.out, "old"), rig.out / "old")
    (rig.out / "old" / "study.db").unlink()
    from_table = earlier_trials(rig.out, experiment)
    assert sorted((t.assignments["x"], t.outcome, t.value, t.values) for t in from_table) == sorted(
        (t.assignments["x"], t.outcome, t.value, t.values) for t in from_study
    )
    shutil.rmtree(rig.out / "old")
    again = rig.run(warm("old", maxTrialCount=2))
    assert again.returncode == 0
    assert "no experiment 'old'" in again.stdout
    assert "the search has begun, and goes on without its trials" in again.stdout


def damaged(old: Path) -> None:
    (old / "study.db").write_bytes(b"SQLite format 3\0" + b"x" * 4000)


def damaged_table(old: Path) -> None:
    (old / "study.db").unlink()
    (old / "cluster-trials.json").write_text("{")


def without_trials(old: Path) -> None:
    table = read_table(old.parent, "old")
    export.write(type(table)(table.identity, ()), old)
    (old / "study.db").unlink()


BAD = {
    "a missing one": ("old,olds", None, "runs: no experiment 'olds': did you mean 'old'?"),
    "a path": ("../old", None, "no experiment '../old'"),
    "itself": ("next", None, "'next' is this search itself"),
    "a damaged study": ("old", damaged, "study.db: cannot be read"),
    "a damaged table": ("old", damaged_table, "is not a table that `make delete` wrote"),
    "one without trials": ("old", without_trials, "has no trial yet; leave 'old' out"),
    "too many": (",".join(map(str, range(21))), None, "21 experiments; 20 can be named"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_learned_from_is_one_line_before_anything_starts(rig: Rig, what: str) -> None:
    names, change, line = BAD[what]
    begun(rig)
    if change:
        change(rig.out / "old")
    done = rig.run(warm(names))
    assert (done.returncode, done.stdout) == (2, "")
    assert "warm_start: " in done.stderr
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (rig.out / "next").exists()


def test_a_search_of_another_objective_is_no_teacher(rig: Rig) -> None:
    begun(rig)
    done = rig.run(warm("old", objective={"type": "minimize", "objectiveMetricName": "val_si_snr"}))
    assert done.returncode == 2
    assert "'old' has the objective maximize val_si_snr, and this search minimize val_si_snr" in done.stderr
