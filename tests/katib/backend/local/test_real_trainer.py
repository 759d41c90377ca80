"""The engine with the real trainer, on a rendered Experiment: the whole main path on this machine."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import yaml

from katib.backend.local.table import read_table
from katib.manifest.render import Overrides, render
from katib.site import load_site
from katib.spec import load_spec
from tests.katib.backend.local.rig import Rig, ended, manifest, read_until


def metric_lines(log: Path) -> list[str]:
    return [line for line in log.read_text().splitlines() if " val_si_snr=" in line]


def test_the_demo_trains_stops_and_ranks(rig: Rig, corpus: Path) -> None:
    """Every report of the table stands in the trainer's own summary.

    The gain over the mixture is printed beside the value.
    """
    flags = ("--data", str(corpus), "--trials", "4", "--epochs", "3", "--name", "test")
    done = ended(rig.start("demo", *flags, "--trackers", "tensorboard"))
    assert (done.returncode, done.stderr) == (0, "")
    rows = rig.results()
    assert len(rows) == 4
    assert {row["state"] for row in rows} <= {"Succeeded", "EarlyStopped"}
    for row in rows:
        summary = json.loads((rig.out / "test" / row["trial"] / "summary.json").read_text())
        assert len(list((rig.out / "test" / row["trial"] / "tensorboard").iterdir())) == 1
        # A trial that is told to stop may finish one more epoch, which counts for nobody but itself.
        values = [record["val_si_snr"] for record in summary["history"]][: row["epochs"]]
        assert round(max(values), 4) == row["val_si_snr"]
        assert summary["best_epoch"] == row["best_epoch"]
    gain = json.loads((rig.out / "test" / rows[0]["trial"] / "summary.json").read_text())["improvement_db"]
    assert f"({gain:+.2f} dB over the unprocessed mixture)" in done.stdout


@pytest.mark.long
def test_training_goes_on_from_its_checkpoint_after_engine_and_trainer_are_killed(rig: Rig, corpus: Path) -> None:
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


def test_a_running_trial_tells_the_table_the_pace_of_its_epoch(rig: Rig, corpus: Path) -> None:
    """The pace is that of the trainer's own file, and is gone with the trial."""
    engine = rig.start("demo", "--data", str(corpus), "--trials", "1", "--epochs", "2000", "--name", "test")
    read_until(engine, "Running")
    end, paces = time.monotonic() + 600, tuple[float, ...]()
    while not paces and time.monotonic() < end:
        time.sleep(0.2)
        paces = read_table(rig.out, "test").paces
    assert len(paces) == 1
    assert paces[0] > 0
    engine.send_signal(signal.SIGTERM)
    ended(engine)
    assert read_table(rig.out, "test").paces == ()


def test_a_seed_decides_the_whole_search(rig: Rig) -> None:
    """One trial at a time, twice under two names: the same assignments in the same order, and so the same results."""
    settings = [{"name": "random_state", "value": "5"}, {"name": "n_initial_points", "value": "2"}]
    algorithm = {"algorithmName": "bayesianoptimization", "algorithmSettings": settings}
    for name in ("one", "two"):
        assert rig.run(manifest(name=name, algorithm=algorithm, maxTrialCount=6)).returncode == 0
    first, second = ([(row["assignments"], row["val_si_snr"]) for row in rig.results(name)] for name in ("one", "two"))
    assert first == second


def test_a_trial_that_patience_ended_says_so_in_the_trainers_own_words(rig: Rig, corpus: Path) -> None:
    """One epoch without a better one ends it, long before 60: the table's reason, read off its rows, is that of
    summary.json.
    """
    data = yaml.safe_load(render(load_spec("demo"), load_site(), Overrides(name="test", trials=1, epochs=60)))
    point = {"lr": "0.01", "weight_decay": "1e-05", "grad_clip_norm": "5", "lr_factor": "0.5"}
    first = json.dumps([{"assignments": point, "trial": "test-control"}])
    # PyYAML would write 1e-06 without quotes, and kubectl read a number.
    data["spec"]["parameters"][1]["feasibleSpace"] |= {"min": "0.000001", "max": "0.0001"}
    data["spec"]["algorithm"]["algorithmSettings"] = [{"name": "first_suggestions", "value": first}]
    command = data["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["command"]
    command[command.index("--patience") + 1] = "1"
    command[3 + command[3:].index("/data/PolSESS_C_both")] = "/data"
    done = rig.run(data, "--data", str(corpus))
    assert done.returncode == 0, done.stderr
    (row,) = rig.results()
    summary = json.loads((rig.out / "test" / "test-control" / "summary.json").read_text())
    assert (row["trial"], row["state"], row["assignments"]) == ("test-control", "Succeeded", point)
    assert row["epochs"] < 60
    assert row["reason"] == summary["reason"]
    assert row["reason"] == f"patience: no better epoch than {row['epochs'] - 1} in 1 epoch"
