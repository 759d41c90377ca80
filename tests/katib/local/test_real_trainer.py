"""The engine with the real trainer, on a rendered Experiment: the whole main path on this machine."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.katib.local.rig import Rig, ended, manifest, read_until


def metric_lines(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if " val_si_snr=" in line]


def test_the_demo_trains_stops_and_ranks(rig: Rig, corpus: Path) -> None:
    """Every report of the table stands in the trainer's own summary; the gain over the mixture is printed beside the value."""
    flags = ("--data", str(corpus), "--trials", "4", "--epochs", "3", "--name", "test")
    done = ended(rig.start("demo", *flags))
    assert (done.returncode, done.stderr) == (0, "")
    rows = rig.results()
    assert len(rows) == 4
    assert {row["state"] for row in rows} <= {"Succeeded", "EarlyStopped"}
    for row in rows:
        summary = json.loads((rig.out / "test" / row["trial"] / "summary.json").read_text())
        assert round(summary["best_val_si_snr"], 4) == row["val_si_snr"]
        assert summary["best_epoch"] == row["best_epoch"]
    gain = json.loads((rig.out / "test" / rows[0]["trial"] / "summary.json").read_text())["improvement_db"]
    assert f"({gain:+.2f} dB over the unprocessed mixture)" in done.stdout


@pytest.mark.long
def test_training_goes_on_from_its_checkpoint_after_engine_and_trainer_are_killed(
    rig: Rig, corpus: Path
) -> None:
    """First the trainer dies, then the engine; the epochs that were done are trained once, as their times tell."""
    flags = ("--data", str(corpus), "--trials", "1", "--epochs", "6", "--name", "test")
    engine = rig.start("demo", *flags)
    read_until(engine, "epoch 2 ")
    ((trial),) = [path.parent for path in (rig.out / "test").glob("*/trainer.pid")]
    os.kill(int((trial / "trainer.pid").read_text()), signal.SIGKILL)
    lines = read_until(engine, "epoch 4 ")
    assert any("try 2 of 4" in line for line in lines)
    engine.kill()
    engine.communicate()
    done = rig.run("demo", *flags)
    assert done.returncode == 0, done.stderr
    (row,) = rig.results()
    assert (row["trial"], row["state"], row["epochs"]) == (trial.name, "Succeeded", 6)
    history = json.loads((trial / "summary.json").read_text())["history"]
    times = [record["time"] for record in history]
    assert {line.split()[0] for line in metric_lines(trial / "output.log")} == set(times)


def test_a_seed_decides_the_whole_search(rig: Rig) -> None:
    """One trial at a time, twice under two names: the same assignments in the same order, and so the same results."""
    settings = [{"name": "random_state", "value": "5"}, {"name": "n_initial_points", "value": "2"}]
    algorithm = {"algorithmName": "bayesianoptimization", "algorithmSettings": settings}
    for name in ("one", "two"):
        assert rig.run(manifest(name=name, algorithm=algorithm, maxTrialCount=6)).returncode == 0
    first, second = (
        [(row["assignments"], row["val_si_snr"]) for row in rig.results(name)] for name in ("one", "two")
    )
    assert first == second
