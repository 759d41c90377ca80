"""The heartbeat of a training, as its readers take it: from its file or its last line, and never from a damaged one."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from katib.heartbeat import Heartbeat, last_line, read_heartbeat
from katib.trainer_contract import HEARTBEAT

CONTENT: dict[str, Any] = {
    "time": 1000.0,
    "stage": "training",
    "epoch": 4,
    "epochs": 50,
    "step": 1680,
    "steps": 4000,
    "last_step": 995.0,
    "step_seconds": 0.25,
    "mixtures_per_second": 15.9,
    "loss": -8.5,
    "grad_norm": 2.0,
    "lr": 0.001,
    "epoch_seconds": 1100.0,
    "epoch_ends": 1700.0,
    "gpu_memory": 34_000_000_000,
    "gpu_memory_total": 150_000_000_000,
    "gpu_use": 0.97,
}
FOUND = Heartbeat(4, 50, 1680, 4000, False, 995.0, 0.25, 15.9, 1100.0)


def kept(folder: Path, text: str) -> Path:
    (folder / HEARTBEAT).write_text(text)
    return folder


def test_a_file_is_read_unless_it_is_of_an_earlier_process(tmp_path: Path) -> None:
    assert read_heartbeat(tmp_path, 0.0) is None
    kept(tmp_path, json.dumps(CONTENT))
    assert read_heartbeat(tmp_path, 1000.0) == FOUND
    assert read_heartbeat(tmp_path, 1000.1) is None


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 51},
        {"epoch": 4.5},
        {"epochs": 10**12},
        {"step": -1},
        {"step": 4001},
        {"steps": 0, "step": 0},
        {"steps": "many"},
        {"last_step": None},
        {"last_step": float("nan")},
        {"time": "now"},
        {"stage": ["training"]},
    ],
    ids=str,
)
def test_a_file_with_a_wrong_value_is_none(change: dict[str, object], tmp_path: Path) -> None:
    assert read_heartbeat(kept(tmp_path, json.dumps(CONTENT | change)), 0.0) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 5000, '{"time": 1}', " " * 100_000, "\x00\xff"])
def test_a_damaged_file_is_none(text: str, tmp_path: Path) -> None:
    assert read_heartbeat(kept(tmp_path, text), 0.0) is None


def test_what_is_no_file_is_none_and_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / HEARTBEAT)
    assert read_heartbeat(tmp_path, 0.0) is None
    (tmp_path / HEARTBEAT).unlink()
    (tmp_path / HEARTBEAT).mkdir()
    assert read_heartbeat(tmp_path, 0.0) is None


def test_unknown_or_impossible_paces_are_unknown(tmp_path: Path) -> None:
    found = read_heartbeat(kept(tmp_path, json.dumps(CONTENT | {"epoch_seconds": -1, "step_seconds": None})), 0.0)
    assert found is not None
    assert (found.epoch_seconds, found.step_seconds) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "epoch 4/50: training step 1/2",
        "2026-13-24T09:30:00.123456Z epoch 4/50: training step 1/2",
        "2026-11-24T09:30:00.123456Z epoch 4/50: training step 3/2",
        "2026-11-24T09:30:00.123456Z epoch 0/50: training step 0/2",
        "2026-11-24T09:30:00.123456Z val_si_snr=5.1234",
        "2026-11-24T09:30:00.123456Z epoch 4/50: training step 1/2" + ", x" * 20_000 + "\n",
    ],
)
def test_another_line_is_none(text: str) -> None:
    assert last_line([text]) is None


def test_an_epoch_that_is_under_way_is_a_decimal() -> None:
    assert (FOUND.epochs_after(3), FOUND.epochs_after(4), FOUND.epochs_after(0)) == ("3.4", "4", "")
    assert Heartbeat(1, 2, 5, 5, False, 0.0, None, None, None).epochs_after(0) == "0.9"
    assert Heartbeat(1, 2, 1, 5, True, 0.0, None, None, None).epochs_after(0) == "0.9"


def test_silence_is_told_from_slowness() -> None:
    assert FOUND.silence(995.0 + 180) == ""
    assert FOUND.silence(995.0 + 720) == "no step for 12 min, after step 1680 of 4000 of epoch 4"
    slow = Heartbeat(4, 50, 16, 40, True, 995.0, 120.0, None, None)
    assert slow.silence(995.0 + 1200) == ""
    assert slow.silence(995.0 + 1260) == "no step for 21 min, after validation step 16 of 40 of epoch 4"
