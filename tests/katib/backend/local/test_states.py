"""What becomes of a trial, and what of the search: states, reasons, retries, exit codes."""

import json
import platform
import re
from datetime import datetime
from pathlib import Path

import pytest

from tests.katib.backend.local.rig import Rig, manifest, medianstop


def states(rig: Rig) -> dict[str, str]:
    """x -> state."""
    return {row["assignments"]["x"]: row["state"] for row in rig.results()}


def test_a_search_runs_its_trials_and_names_the_best(rig: Rig) -> None:
    """Three points of a grid, two at a time; the table has the best on top and every field of the promised form."""
    done = rig.run(manifest(values=("1", "3", "2"), parallelTrialCount=2))
    assert (done.returncode, done.stderr) == (0, "")
    rows = rig.results()
    assert [row["assignments"]["x"] for row in rows] == ["3", "2", "1"]
    assert [row["val_si_snr"] for row in rows] == [6.0, 5.0, 4.0]
    assert {(row["state"], row["reason"], row["best_epoch"], row["epochs"]) for row in rows} == {
        ("Succeeded", "", 3, 3)
    }
    assert list(rows[0])[:8] == [
        "trial", "state", "reason", "assignments", "val_si_snr", "best_epoch", "epochs", "seconds"
    ]  # fmt: skip
    assert f"best: {rows[0]['trial']}, val_si_snr 6.00 dB" in done.stdout
    assert all(row["trial"].startswith("test-") and len(row["trial"]) == 13 for row in rows)
    line = f"trial {rows[0]['trial']}  epoch 3  val_si_snr 6.00 dB"
    assert line in done.stdout.splitlines()


def test_a_trial_below_the_median_is_stopped_at_the_epoch_where_it_fell_behind(rig: Rig) -> None:
    """Two good trials first; the third is worse at every epoch, and the rule looks from epoch 2 on."""
    search = manifest("--epochs", "50", "--seconds", "0.02", values=("8", "9", "1"), earlyStopping=medianstop(2, 2))
    done = rig.run(search)
    assert done.returncode == 0, done.stderr
    rows = {row["assignments"]["x"]: row for row in rig.results()}
    assert {x: row["state"] for x, row in rows.items()} == {
        "8": "Succeeded",
        "9": "Succeeded",
        "1": "EarlyStopped",
    }
    assert rows["1"]["epochs"] == 2
    assert rows["1"]["reason"] == ("best of epoch 2, 3.00 dB, is below the median of 2 other trials, 10.50 dB")
    assert len(rig.starts()[rows["1"]["trial"]]) == 1


def test_first_suggestions_are_the_first_trials_under_their_own_names(rig: Rig) -> None:
    """The engine is stopped by its budget after the first and started again with a larger one: the rest follow, in
    order.
    """
    points = [{"assignments": {"x": x}, "trial": name} for x, name in [("3", "old-b"), ("2", ""), ("5", "old-a")]]
    settings = [{"name": "first_suggestions", "value": json.dumps(points)}]
    algorithm = {"algorithmName": "random", "algorithmSettings": settings}
    for trials in (1, 4):
        done = rig.run(manifest("--epochs", "1", algorithm=algorithm, maxTrialCount=trials))
        assert done.returncode == 0, done.stderr
    rows = {row["trial"]: row["assignments"]["x"] for row in rig.results()}
    created = re.findall(r"trial (\S+)  Created", done.stdout)
    assert [rows[name] for name in created[:2]] == ["2", "5"]
    assert (rows["old-b"], rows["old-a"], len(rows)) == ("3", "5", 4)
    assert created[1] == "old-a"
    assert sorted(path.parent.name for path in rig.out.glob("test/*/starts")) == sorted(rows)


def test_a_trial_that_reports_nothing_is_metrics_unavailable(rig: Rig) -> None:
    done = rig.run(manifest("--metric", "other", values=("1",)))
    assert done.returncode == 0, done.stderr
    (row,) = rig.results()
    assert row["state"] == "MetricsUnavailable"
    assert row["reason"].startswith("no val_si_snr was reported; last line: ")
    assert (row["val_si_snr"], row["best_epoch"], row["epochs"]) == (None, None, 0)


@pytest.mark.parametrize(("flag", "value"), [("--exit", "1"), ("--kill", "9"), ("--kill", "15")])
def test_a_trial_that_dies_once_goes_on_under_its_name_and_is_counted_once(
    rig: Rig, tmp_path: Path, flag: str, value: str
) -> None:
    """It dies after two epochs; the second process prints these again, and each is in the record once.

    Of a program that is not our trainer, what the try that failed has printed is forgotten, and so the second try's are
    reports like others.
    """
    search = manifest(flag, value, "--at", "2", "--once", str(tmp_path / "died"), values=("1",))
    done = rig.run(search)
    assert done.returncode == 0, done.stderr
    (row,) = rig.results()
    assert (row["state"], row["epochs"], row["val_si_snr"]) == ("Succeeded", 3, 4.0)
    assert [len(starts) for starts in rig.starts().values()] == [2]
    assert (row["restarts"], row["node"]) == (1, platform.node())
    times = row["metrics"]["val_si_snr"]["time"]
    assert row["metrics"]["val_si_snr"]["epoch"] == [1, 2, 3]
    assert times == sorted(times)
    assert datetime.fromisoformat(row["started"]).timestamp() < times[0]
    assert done.stdout.count("epoch 1  ") == 2
    assert "try 2 of 2" in done.stdout


def test_a_trial_fails_when_its_tries_are_spent(rig: Rig) -> None:
    """backoffLimit 1: two tries."""
    done = rig.run(manifest("--exit", "1", "--at", "1", values=("1",)))
    assert done.returncode == 0, done.stderr
    (row,) = rig.results()
    assert (row["state"], row["reason"]) == ("Failed", "exit code 1: something is wrong")
    assert [len(starts) for starts in rig.starts().values()] == [2]


def test_too_many_failures_end_the_experiment(rig: Rig) -> None:
    """maxFailedTrialCount 2: the third point of the grid is never tried; raised, the search goes on."""
    search = manifest("--exit", "1", "--at", "0", values=("1", "2", "3"), maxFailedTrialCount=2)
    done = rig.run(search)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "2 failed trials of 2 allowed" in line
    assert len(rig.results()) == 2
    search["spec"]["maxFailedTrialCount"] = 3
    assert rig.run(search).returncode == 1
    assert len(rig.results()) == 3


def test_a_goal_that_is_reached_ends_the_proposals(rig: Rig) -> None:
    objective = {"type": "maximize", "objectiveMetricName": "val_si_snr", "goal": 5.0}
    done = rig.run(manifest(values=("1", "2", "3"), objective=objective))
    assert done.returncode == 0, done.stderr
    assert states(rig) == {"1": "Succeeded", "2": "Succeeded"}
    assert "goal reached" in done.stdout


def test_a_command_that_this_machine_lacks_is_bad_input(rig: Rig) -> None:
    search = manifest()
    pod = search["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    pod["containers"][0]["command"][0] = "no-such-program"
    done = rig.run(search)
    assert done.returncode == 2
    assert "no-such-program" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_minimized_objectives_are_ranked_and_stopped_the_other_way_round(rig: Rig) -> None:
    """The curve rises, so each trial's best is its first value."""
    objective = {"type": "minimize", "objectiveMetricName": "val_si_snr"}
    search = manifest(
        "--epochs", "50", "--seconds", "0.02", values=("1", "2", "9"), objective=objective, earlyStopping=medianstop(3, 2)
    )  # fmt: skip
    assert rig.run(search).returncode == 0
    rows = rig.results()
    assert [row["assignments"]["x"] for row in rows] == ["1", "2", "9"]
    assert rows[0]["val_si_snr"] == 2.0
    assert (rows[2]["state"], rows[2]["epochs"]) == ("EarlyStopped", 3)
