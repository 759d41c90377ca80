"""The heartbeat of the real trainer: what it says within an epoch, when it is gone, and that it stops nothing."""

import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.training import Training
from trainer.run_files import HEARTBEAT, SUMMARY
from trainer.training import gpu_use, heartbeat, replica
from trainer.training.progress import Partial

LONG = ("--epochs", "500", "--batch-size", "1")


def beat(run_dir: Path, process: "subprocess.Popen[str]", holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Returns the first heartbeat for which `holds`."""
    end = time.monotonic() + 600
    while time.monotonic() < end and process.poll() is None:
        if (run_dir / HEARTBEAT).exists() and holds(found := json.loads((run_dir / HEARTBEAT).read_text())):
            return dict(found)
        time.sleep(0.05)
    raise AssertionError("no such heartbeat")


def test_a_training_tells_where_it_is_across_a_kill_and_takes_the_file_with_it(
    training: Training, tmp_path: Path
) -> None:
    begin = time.time()
    process = training.start(tmp_path, *LONG)
    left = beat(tmp_path, process, lambda found: found["stage"] == "training" and found["loss"] is not None)
    assert (left["epochs"], 0 < left["step"] <= left["steps"]) == (500, True)
    assert left["mixtures_per_second"] > 0 < left["grad_norm"]
    assert left["lr"] == 1e-3
    assert begin < left["time"] <= time.time()
    assert "gpu_memory" not in left
    process.kill()
    process.communicate()
    assert (tmp_path / HEARTBEAT).exists()
    process = training.start(tmp_path, *LONG)
    found = beat(tmp_path, process, lambda found: found["time"] > left["time"] and found["epoch_seconds"] is not None)
    assert found["epoch"] >= 1
    assert found["epoch_seconds"] > 0
    assert found["epoch_ends"] >= found["time"]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=600)
    assert process.returncode == 143
    assert not list(tmp_path.glob(f"{HEARTBEAT}*"))


def test_nothing_in_the_files_place_stops_a_training_and_of_several_processes_the_first_alone_beats(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "FIRST", 0.01)
    tried, write = [], heartbeat._write

    def noted(path: Path, content: dict[str, object]) -> None:
        tried.append(content)
        write(path, content)

    monkeypatch.setattr(heartbeat, "_write", noted)
    (tmp_path / HEARTBEAT).mkdir()
    assert training.here(tmp_path, "--epochs", "2") == 0
    assert tried
    assert json.loads((tmp_path / SUMMARY).read_text())["state"] == "finished"
    assert "beating" not in Path(replica.__file__).read_text()


def test_a_minute_is_a_line_of_output_only_after_a_step_and_without_the_metric(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(heartbeat, "LINE_SECONDS", 0.0)
    partial, use = Partial(), gpu_use.GpuUse(torch.device("cpu"))
    beating = heartbeat.Heartbeat(50)
    assert beating.content(use) == {}
    beating.train(3, time.monotonic() - 60, [range(4)] * 100, partial, validating=40, lr=1e-3)
    assert beating.content(use)["epoch_seconds"] is None
    beating.say()
    assert capsys.readouterr().out == ""
    time.sleep(0.02)
    partial.batches, partial.mixtures, partial.loss_sum, partial.steps, partial.norm_sum = 25, 100, -850.0, 25, 50.0
    found = beating.content(use)
    assert (found["step"], found["loss"], found["grad_norm"]) == (25, -8.5, 2.0)
    beating.say()
    beating.say()
    (text,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"\S+Z epoch 3/50: training step 25/100, \S+ mixtures/s, loss -8\.50 dB, gradient norm 2, lr 0\.001, "
        r"the epoch takes \d+ s",
        text,
    )
    assert "val_si_snr" not in text


def test_the_epochs_end_counts_the_validation_by_its_mixtures_and_then_by_the_last_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    partial, use = Partial(), gpu_use.GpuUse(torch.device("cpu"))
    beating = heartbeat.Heartbeat(2)
    beating.train(1, time.monotonic(), [range(1)] * 10, partial, validating=30, lr=1e-3)
    now += 1
    partial.batches = partial.mixtures = 5
    whole = beating.content(use)["epoch_seconds"]
    # Ten steps, and thirty mixtures of a third of their time each.
    assert whole == 4
    beating.validate(1, 3, [])
    now += 3
    beating.validated()
    beating.train(2, time.monotonic(), [range(1)] * 10, Partial(batches=9), validating=30, lr=1e-3)
    assert beating._validation == 3
    # Before its second step, an epoch is expected to take as long as the one before.
    assert beating.content(use)["epoch_seconds"] == 4


@pytest.mark.skipif(shutil.which("cc") is None, reason="builds a stand-in for the driver's library")
def test_the_driver_tells_the_use_of_a_gpu_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, library = tmp_path / "nvml.c", tmp_path / "libnvidia-ml.so.1"
    source.write_text(
        """#include <string.h>
        int nvmlInit_v2(void) { return 0; }
        int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
            *handle = (void *)0x7fffdeadbeef; return strcmp(uuid, "GPU-1-2"); }
        int nvmlDeviceGetUtilizationRates(void *handle, unsigned *rates) {
            if (handle != (void *)0x7fffdeadbeef) return 2;
            rates[0] = 97; rates[1] = 12; return 0; }"""
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    monkeypatch.setattr(gpu_use, "LIBRARY", str(library))
    ask = gpu_use._asking("1-2")
    assert ask is not None
    assert ask() == 0.97
    assert gpu_use._asking("another") is None
    monkeypatch.setattr(gpu_use, "LIBRARY", "libnothing.so")
    assert gpu_use._asking("1-2") is None
