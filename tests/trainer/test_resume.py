"""A training that is killed, stopped, starved of disk or given more epochs continues as if nothing had happened."""

import json
import os
import re
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.training import Training
from trainer.training.stop import StopRequest

FILTER = re.compile(r"^\S+ (val_si_snr)=([-+]?\d+(?:\.\d+)?)$")
EPOCHS = 3


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the run directory of an undisturbed training."""
    training, run_dir = Training(corpus), tmp_path_factory.mktemp("runs") / "undisturbed"
    assert training.run(run_dir).returncode == 0
    return run_dir


def state(run_dir: Path) -> dict[str, Any]:
    """Returns everything in the last checkpoint except times."""
    content: dict[str, Any] = torch.load(run_dir / "last.pt", weights_only=True)
    for record in content["progress"]["history"]:
        del record["time"], record["seconds"], record["waited"]
    del content["progress"]["partial"]["seconds"], content["progress"]["partial"]["waited"]
    return content


def assert_same(run_dir: Path, undisturbed: Path) -> None:
    """Asserts bitwise equality of weights, optimiser, scheduler, random numbers and history, and of the best epoch."""
    torch.testing.assert_close(flat(state(run_dir)), flat(state(undisturbed)), rtol=0, atol=0)
    best, expected = (torch.load(path / "best.pt", weights_only=True) for path in (run_dir, undisturbed))
    torch.testing.assert_close(flat(best), flat(expected), rtol=0, atol=0)


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Nested state as path -> tensor; what is no tensor becomes one, or part of the path."""
    if isinstance(value, dict):
        return {k: v for key, inner in value.items() for k, v in flat(inner, f"{path}/{key}").items()}
    if isinstance(value, list | tuple):
        return {k: v for key, inner in enumerate(value) for k, v in flat(inner, f"{path}/{key}").items()}
    if isinstance(value, torch.Tensor):
        return {path: value}
    if isinstance(value, bool | int | float):
        return {path: torch.tensor(value, dtype=torch.float64)}
    return {f"{path}={value}": torch.tensor(0)}


def metric_lines(output: str) -> list[str]:
    """Returns the lines that name the metric at all, because Katib's collector looks at each of them."""
    return [line for line in output.splitlines() if "val_si_snr" in line]


def read_until(process: "subprocess.Popen[str]", part: str) -> list[str]:
    """Returns the lines of stdout up to the first that contains `part`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if part in line:
            return lines
    raise AssertionError(f"no line with {part!r} came: {lines}")


def test_sigterm_saves_in_the_middle_of_an_epoch_and_exits_143(training: Training, tmp_path: Path) -> None:
    """Stopped after its first epoch; what comes out in the end is bitwise the undisturbed run."""
    run_dir = tmp_path / "stopped" / "trial"
    process = training.start(run_dir, "--epochs", "1000")
    read_until(process, "val_si_snr")
    assert (run_dir / "trainer.pid").read_text() == f"{process.pid}\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert (process.returncode, err) == (143, "")
    assert json.loads((run_dir / "summary.json").read_text())["state"] == "stopped"
    assert not (run_dir / "trainer.pid").exists()
    epochs = ("--epochs", str(len(state(run_dir)["progress"]["history"]) + 1))
    assert training.here(run_dir, *epochs) == 0
    assert training.here(tmp_path / "undisturbed" / "trial", *epochs) == 0
    assert_same(run_dir, tmp_path / "undisturbed" / "trial")


def test_sigterm_is_answered_with_the_delay_that_the_collector_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that only sleeping moves stands 2.5 s later when the delay is over."""
    clock = [100.0]
    monkeypatch.setattr("trainer.training.stop.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("trainer.training.stop.time.sleep", lambda seconds: clock.append(clock.pop() + seconds))
    stop = StopRequest()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        stop.delay_exit(2.5)
    assert (stop.exit_code, clock) == (143, [102.5])


def test_a_finished_run_replays_its_history_with_the_original_times(
    training: Training, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line matches the collector's filter; nothing is trained."""
    summary = json.loads((undisturbed / "summary.json").read_text())
    before = (undisturbed / "last.pt").read_bytes()
    assert training.here(undisturbed) == 0
    lines = metric_lines(capsys.readouterr().out)
    assert lines == [f"{record['time']} val_si_snr={record['val_si_snr']:.4f}" for record in summary["history"]]
    assert all(FILTER.match(line) for line in lines)
    assert (undisturbed / "last.pt").read_bytes() == before
    assert json.loads((undisturbed / "summary.json").read_text()) == summary


def test_more_epochs_go_on_as_if_they_had_been_asked_for_at_once(
    training: Training, tmp_path: Path, undisturbed: Path
) -> None:
    """How long a run lasts is no part of what defines it: 2 epochs, then 3, are the run of 3."""
    run_dir = tmp_path / "undisturbed"
    assert training.here(run_dir, "--epochs", "2") == 0
    assert json.loads((run_dir / "summary.json").read_text())["state"] == "finished"
    assert training.here(run_dir, "--epochs", "3") == 0
    assert_same(run_dir, undisturbed)


def test_a_full_disk_loses_no_finished_epoch(
    training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit on the file size takes the place of the disk: no checkpoint fits any more after the first epoch."""
    run_dir = tmp_path / "trial"
    process = training.start(run_dir, "--epochs", "1000")
    first = read_until(process, "val_si_snr")[-1]
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (50_000, 50_000))
    out, err = process.communicate()
    assert process.returncode == 1
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert "cannot be written" in line
    assert not list(run_dir.glob("*.tmp"))
    finished = [first, *metric_lines(out)]
    assert training.here(run_dir, "--epochs", str(len(finished) + 1)) == 0
    assert metric_lines(capsys.readouterr().out)[:-1] == finished


def test_a_run_directory_of_another_run_is_refused(
    training: Training, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names each field that differs, with both values, and the directory is left as it was."""
    before = {path.name: path.read_bytes() for path in undisturbed.iterdir()}
    assert training.here(undisturbed, "--lr", "0.005", "--seed", "7") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "lr 0.001 (requested: 0.005)" in line
    assert "seed 42 (requested: 7)" in line
    assert {path.name: path.read_bytes() for path in undisturbed.iterdir()} == before


def test_two_trainings_never_share_a_run_directory(
    training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An orphan of a killed engine still trains; the second process names it and leaves its files alone."""
    process = training.start(tmp_path / "trial", "--epochs", "1000")
    read_until(process, "val_si_snr")
    assert training.here(tmp_path / "trial", "--epochs", "1000") == 2
    assert f"process {process.pid} is training there" in capsys.readouterr().err
    assert (tmp_path / "trial" / "trainer.pid").exists()
    assert process.poll() is None


def test_a_trainer_whose_reader_is_gone_ends_without_a_trace(training: Training, tmp_path: Path) -> None:
    """The engine was killed: the next line has no reader, the epoch before it is on the disk."""
    process = training.start(tmp_path / "trial", "--epochs", "1000")
    read_until(process, "val_si_snr")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait() == 1
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
