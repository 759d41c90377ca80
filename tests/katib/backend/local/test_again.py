"""again: failed trials of a search on this machine run anew, from what they have kept, in their own rows."""

import signal
from pathlib import Path
from typing import Any

import pytest

from katib.backend.local.store import Store
from tests.katib.backend.local.rig import Rig, job, manifest, pod, read_until


def failing(rig: Rig, *values: str, **spec: Any) -> dict[str, Any]:
    """Returns an Experiment of which one trial fails after its second epoch, once and for good."""
    search = manifest("--at", "2", "--exit", "1", "--once", str(rig.folder / "once"), values=values, **spec)
    job(search)["backoffLimit"] = 0
    return search


def failed(rig: Rig) -> str:
    """Returns the name of the one trial that has failed."""
    (row,) = [row for row in rig.results() if row["state"] == "Failed"]
    assert (row["epochs"], row["val_si_snr"], row["reason"]) == (2, None, "exit code 1: something is wrong")
    return str(row["trial"])


@pytest.mark.parametrize("by", ["name", "end of the name", "experiment"])
def test_a_failed_trial_goes_on_where_it_was_and_stays_one_row(rig: Rig, by: str) -> None:
    """The trial is no program of ours, so that its run folder starts nothing; the search's own file does."""
    search = failing(rig, "1", "2")
    assert rig.run(search).returncode == 0
    trial = failed(rig)
    words = {"name": (trial,), "end of the name": (trial.removeprefix("test-"),), "experiment": ("test", "--failed")}
    asked = rig.verb("again", *words[by], "--yes")
    assert asked.returncode == 0, asked.stderr
    assert f"  {trial}: exit code 1: something is wrong" in asked.stdout
    assert asked.stdout.endswith(f"run them with: make local FILE={rig.out / 'test' / 'experiment.yaml'}\n")
    done = rig.run(search)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert f"trial {trial}  runs again, after: exit code 1: something is wrong" in lines
    assert f"trial {trial}  Running  resumes after epoch 2" in lines
    rows = {row["trial"]: row for row in rig.results()}
    assert len(rows) == 2
    assert [rows[trial][key] for key in ("state", "epochs", "reason", "restarts")] == ["Succeeded", 3, "", 1]
    assert {len(starts) for starts in rig.starts().values()} == {1, 2}


def test_a_running_search_takes_a_failed_trial_up_when_a_slot_is_free(rig: Rig) -> None:
    search = failing(rig, "1", "2", "3", parallelTrialCount=1)
    mark = rig.folder / "asked"
    pod(search)["containers"][0]["command"] += ["--until", str(mark)]
    engine = rig.start(search)
    read_until(engine, "  Failed  ")
    trial = failed(rig)
    asked = rig.verb("again", trial, "--yes")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.endswith("the search is running, and takes them up when a slot is free\n")
    mark.touch()
    read_until(engine, f"trial {trial}  Succeeded")
    engine.communicate()
    assert {row["state"] for row in rig.results()} == {"Succeeded"}
    assert len(rig.results()) == 3


def test_a_search_that_failed_by_its_trials_goes_on_once_they_run_again(rig: Rig) -> None:
    """Without a finished epoch the next start would otherwise replace the whole search."""
    search = manifest("--at", "0", "--exit", "1", "--once", str(rig.folder / "once"), values=("1",))
    search["spec"]["maxFailedTrialCount"] = 1
    job(search)["backoffLimit"] = 0
    assert rig.run(search).returncode == 1
    (before,) = rig.results()
    assert rig.verb("again", "test", "--failed", "--yes").returncode == 0
    assert rig.run(search).returncode == 0
    (after,) = rig.results()
    assert (after["trial"], after["state"]) == (before["trial"], "Succeeded")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("tes",), "runs: no experiment or trial 'tes': did you mean 'test'?"),
        (
            ("test",),
            "experiment 'test' has 1 failed trial ({failed}): name one of them, or all with FAILED=1 (--failed)",
        ),
        (("{succeeded}",), "trial '{succeeded}' has not failed: it is Succeeded"),
        (("{failed}x",), "no experiment or trial '{failed}x': did you mean '{failed}'?"),
        (("",), "again: no TRIAL|EXPERIMENT given: a failed trial, or a search, with --failed"),
    ],
)
def test_what_cannot_run_again_is_one_line(rig: Rig, words: tuple[str, ...], problem: str) -> None:
    assert rig.run(failing(rig, "1", "2")).returncode == 0
    names = {row["state"].lower(): row["trial"] for row in rig.results()}
    asked = rig.verb("again", *(word.format(**names) for word in words), "--yes")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert problem.format(**names) in asked.stderr
    assert asked.stderr.count("\n") == 1


def test_a_trial_that_diverged_stays_as_it_is(rig: Rig) -> None:
    """Its checkpoint would lead it there again. work.py is no trainer of ours, so the reason is played."""
    assert rig.run(failing(rig, "1", "2")).returncode == 0
    trial, store = failed(rig), Store(rig.out / "test")
    (recorded,) = [one for one in store.trials() if one.name == trial]
    store.update(recorded, reason="diverged: the loss is NaN in epoch 3")
    store.close()
    asked = rig.verb("again", trial, "--yes")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert f"trial '{trial}' diverged, and would diverge again from its checkpoint; " in asked.stderr
    asked = rig.verb("again", "test", "--failed", "--yes")
    assert asked.returncode == 2
    assert "its 1 failed trial diverged, and would again; there is nothing to run again" in asked.stderr


@pytest.mark.long
def test_a_failed_training_of_ours_runs_again_at_once(rig: Rig, corpus: Path) -> None:
    """again starts the search itself, on the corpus that its runs have found."""
    flags = ("--data", str(corpus), "--trials", "1", "--epochs", "2", "--name", "test")
    engine = rig.start("demo", *flags)
    read_until(engine, "epoch 1 ")
    engine.send_signal(signal.SIGINT)
    engine.communicate()
    store = Store(rig.out / "test")
    (trial,) = store.trials()
    store.update(trial, state="Failed", reason="exit code 1: the volume was gone")
    store.close()
    done = rig.verb("again", "test", "--failed", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"trial {trial.name}  runs again, after: exit code 1: the volume was gone" in done.stdout
    (row,) = rig.results()
    assert [row[key] for key in ("trial", "state", "epochs", "restarts")] == [trial.name, "Succeeded", 2, 1]
