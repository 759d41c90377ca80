"""Stopped or killed at any instant, a search loses nothing and goes on where it was."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.katib.backend.local.rig import Rig, as_text, manifest, medianstop, read_until

KILLED = """
import os, signal, sys
from pathlib import Path
from katib.__main__ import main

folder, file, *words = sys.argv[1:]
looks = False


def look(event, details):
    # The search for the file is an event, too.
    global looks
    if not looks:
        looks = True
        if any(Path(folder).glob(file)):
            os.kill(os.getpid(), signal.SIGKILL)
        looks = False


sys.addaudithook(look)
sys.exit(main(words))
"""
"""A verb that is killed by itself, at the first event (a file opened, a process started ...) after a file is there."""


def alive(process_id: int) -> bool:
    """Returns whether the process is there and is not only waiting to be collected."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def kill(engine: "subprocess.Popen[str]") -> None:
    engine.kill()
    engine.communicate()


def assert_complete(rig: Rig, values: tuple[str, ...], epochs: int = 3) -> None:
    """Each point once, each epoch once, and no process left."""
    rows = rig.results()
    assert sorted(row["assignments"]["x"] for row in rows) == sorted(values)
    assert {(row["state"], row["epochs"]) for row in rows} == {("Succeeded", epochs)}
    assert {row["val_si_snr"] for row in rows} == {float(value) + epochs for value in values}
    assert not [process for starts in rig.starts().values() for process in starts if alive(process)]


@pytest.mark.parametrize("lines", [1, 3, 4, 6, 8])
def test_a_search_killed_at_any_line_is_completed_by_the_next_start(rig: Rig, lines: int) -> None:
    """kill -9 of the engine after so many lines of its output, with two trials at work."""
    values = ("1", "2", "3")
    search = manifest("--seconds", "0.05", values=values, parallelTrialCount=2)
    engine = rig.start(search)
    read_until(engine, "", times=lines)
    kill(engine)
    done = rig.run(search)
    assert done.returncode == 0, done.stderr
    assert_complete(rig, values)


@pytest.mark.parametrize("file", ["engine.lock", "experiment.yaml", "study.db.new", "study.db", "*/process.lock"])
def test_a_search_killed_while_it_begins_is_completed_by_the_next_start(rig: Rig, file: str) -> None:
    """kill -9 as soon as the file is there: the store half built, the trial just born."""
    search = manifest(values=("1", "2"))
    (rig.folder / "test.yaml").write_text(as_text(search))
    words = [str(rig.out / "test"), file, "local", str(rig.folder / "test.yaml"), "--out", str(rig.out)]
    engine = subprocess.run([sys.executable, "-c", KILLED, *words], check=False, stdout=subprocess.DEVNULL)
    assert engine.returncode == -signal.SIGKILL
    done = rig.run(search)
    assert done.returncode == 0, done.stderr
    assert_complete(rig, ("1", "2"))


def test_a_trial_that_outlived_its_engine_is_ended_and_goes_on(rig: Rig, tmp_path: Path) -> None:
    """It hangs after two epochs; the next engine finds it, ends it, and starts it again under its name."""
    search = manifest("--hang", "--at", "2", "--once", str(tmp_path / "hung"), values=("1", "2"))
    engine = rig.start(search)
    read_until(engine, "epoch 2")
    kill(engine)
    ((trial, (orphan,)),) = rig.starts().items()
    assert alive(orphan)
    done = rig.run(search)
    assert done.returncode == 0, done.stderr
    assert not alive(orphan)
    assert f"trial {trial}  was still running" in done.stdout
    assert len(rig.starts()[trial]) == 2
    assert f"trial {trial}  epoch 1" not in done.stdout
    assert_complete(rig, ("1", "2"))


def test_a_stop_that_was_decided_stands_after_kill(rig: Rig) -> None:
    """The engine is killed between the median rule's verdict and the end of the trial; it is not started again."""
    search = manifest("--seconds", "0.02", "--epochs", "9", values=("9", "1"), earlyStopping=medianstop(2, 1))
    engine = rig.start(search)
    read_until(engine, "stopping")
    kill(engine)
    assert rig.run(search).returncode == 0
    rows = {row["assignments"]["x"]: row for row in rig.results()}
    assert (rows["9"]["state"], rows["1"]["state"]) == ("Succeeded", "EarlyStopped")
    assert "is below the median" in rows["1"]["reason"]
    assert len(rig.starts()[rows["1"]["trial"]]) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_lets_the_trials_save_and_the_next_start_goes_on(
    rig: Rig, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """One line says how to go on; no trial is left running and none counts as failed."""
    search = manifest("--hang", "--at", "2", "--once", str(tmp_path / "hung"), values=("1", "2"))
    engine = rig.start(search)
    read_until(engine, "epoch 2")
    engine.send_signal(number)
    _, err = engine.communicate()
    assert engine.returncode == code
    (line,) = err.splitlines()
    assert line.startswith(f"stopped by {number.name}")
    assert "run the same command to resume" in line
    assert [(row["state"], row["epochs"]) for row in rig.results()] == [("Created", 2)]
    assert not [process for starts in rig.starts().values() for process in starts if alive(process)]
    assert rig.run(search).returncode == 0
    assert_complete(rig, ("1", "2"))


def test_a_second_interrupt_kills_trials_that_do_not_end(rig: Rig, tmp_path: Path) -> None:
    """A trial that does not heed SIGTERM."""
    search = manifest()
    pod = search["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    deaf = tmp_path / "deaf.py"
    deaf.write_text(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('t val_si_snr=1', flush=True); "
        "signal.pause()"
    )
    pod["containers"][0]["command"][1] = str(deaf)
    engine = rig.start(search)
    read_until(engine, "epoch 1")
    engine.send_signal(signal.SIGINT)
    read_until(engine, "Ctrl-C kills them")
    engine.send_signal(signal.SIGINT)
    engine.communicate()
    assert engine.returncode == 130
    assert [row["state"] for row in rig.results()] == ["Created"]


def test_two_engines_never_work_on_one_experiment(rig: Rig, tmp_path: Path) -> None:
    search = manifest("--hang", "--at", "1", "--once", str(tmp_path / "hung"), values=("1",))
    first = rig.start(search)
    read_until(first, "epoch 1")
    second = rig.run(search)
    assert second.returncode == 2
    (line,) = second.stderr.splitlines()
    assert "this experiment is already running (process" in line
    assert first.poll() is None


def spec_change(search: dict[str, Any]) -> dict[str, Any]:
    search["spec"]["parameters"][0]["feasibleSpace"]["max"] = "20"
    return search


def test_another_search_under_the_same_name_is_refused(rig: Rig) -> None:
    """The line names the key as a spec has it, and both values; what is there stays as it is."""
    search = manifest(maxTrialCount=1)
    assert rig.run(search).returncode == 0
    before = rig.results()
    done = rig.run(spec_change(search))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "search.x.max: 10 became 20" in line
    assert rig.results() == before


def test_a_search_is_extended_by_a_larger_budget(rig: Rig) -> None:
    """maxTrialCount may change; what was tried is not tried again."""
    search = manifest(maxTrialCount=1)
    assert rig.run(search).returncode == 0
    (first,) = rig.results()
    search["spec"]["maxTrialCount"] = 3
    assert rig.run(search).returncode == 0
    assert first in rig.results()
    assert len(rig.results()) == 3
    assert {len(starts) for starts in rig.starts().values()} == {1}


def test_a_finished_search_started_again_runs_nothing(rig: Rig) -> None:
    search = manifest(maxTrialCount=2)
    assert rig.run(search).returncode == 0
    before = rig.results()
    done = rig.run(search)
    assert done.returncode == 0
    assert "best: " in done.stdout
    assert rig.results() == before


def test_a_full_disk_ends_the_search_in_one_line_and_loses_nothing(rig: Rig, tmp_path: Path) -> None:
    """A limit on the file size takes the place of the disk: the engine can write nothing any more after the first
    trial.
    """
    values = ("1", "2", "3")
    search = manifest("--hang", "--at", "1", "--once", str(tmp_path / "hung"), values=values, parallelTrialCount=2)
    engine = rig.start(search)
    read_until(engine, "epoch 3")
    resource.prlimit(engine.pid, resource.RLIMIT_FSIZE, (0, 0))
    (process,) = [starts[0] for starts in rig.starts().values() if alive(starts[0])][:1]
    os.kill(process, signal.SIGTERM)
    _, err = engine.communicate()
    assert engine.returncode == 1
    (line,) = err.splitlines()
    assert "cannot be written" in line
    assert "make room" in line
    assert not [one for starts in rig.starts().values() for one in starts if alive(one)]
    assert rig.run(search).returncode == 0
    assert_complete(rig, values)
