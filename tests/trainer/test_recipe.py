"""How a training is run: in parts, with patience, compiled, and when memory is at its end."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainer.test_resume import assert_same
from tests.trainer.training import Training, summary
from trainer.data.sampling import Batch


@pytest.mark.parametrize("model", ["convtasnet", "dprnn", "sepformer"])
def test_a_batch_computed_in_parts_gives_the_same_training(
    model: str, training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of 5, 5 and 2 mixtures, whole and in parts of 2, which divides none but the last: in float64 every
    epoch's loss, gradient norm and validation agree to 1e-9.
    """

    def in_float64(batch: Batch, device: torch.device) -> Batch:
        return Batch(batch.mixtures.to(device, torch.float64), batch.targets.to(device, torch.float64))

    monkeypatch.setattr(Batch, "to", in_float64)
    histories: list[Any] = []
    torch.set_default_dtype(torch.float64)
    try:
        for flags in ((), ("--micro-batch", "2")):
            run_dir = tmp_path / str(len(histories))
            arguments = ["--model", model, "--batch-size", "5", "--epochs", "2", *flags]
            assert training.here(run_dir, *arguments) == 0
            histories.append(summary(run_dir)["history"])
    finally:
        torch.set_default_dtype(torch.float32)
    for whole, parts in zip(*histories, strict=True):
        for name in ("train_loss", "grad_norm", "val_si_snr"):
            assert parts[name] == pytest.approx(whole[name], rel=1e-9), name


def test_a_hopeless_training_ends_and_stays_ended(
    training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An untrained network is far below its input. Started again the run is finished, and replays its epochs; without
    the flag it goes on, bit for bit as one that never had it.
    """
    flags = ["--lr", "1e-12", "--epochs", "4"]
    assert training.here(tmp_path / "trial", *flags, "--hopeless", "2") == 0
    first, reported = capsys.readouterr().out, summary(tmp_path / "trial")
    reason = "hopeless: still below the unprocessed mixtures after 2 epochs"
    assert (reported["state"], reported["reason"], len(reported["history"])) == ("finished", reason, 2)
    assert reported["best_val_si_snr"] < reported["mixture_val_si_snr"]
    assert f"{reason}; a larger --hopeless continues it" in first.splitlines()[-1]
    assert training.here(tmp_path / "trial", *flags, "--hopeless", "2") == 0
    lines = [[line for line in text.splitlines() if "val_si_snr=" in line] for text in (first, capsys.readouterr().out)]
    assert lines[0] == lines[1]
    assert summary(tmp_path / "trial") == reported
    assert training.here(tmp_path / "trial", *flags, "--hopeless", "4") == 0
    assert "note: --hopeless 4 has no effect" in capsys.readouterr().out
    (tmp_path / "at once").mkdir()
    assert training.here(tmp_path / "at once" / "trial", *flags) == 0
    assert_same(tmp_path / "trial", tmp_path / "at once" / "trial")
    assert summary(tmp_path / "trial")["reason"] is None


def test_patience_ends_a_training_that_no_longer_improves(
    training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A learning rate so small that nothing changes: after the best epoch come as many as patience lets pass.

    Started again the run is already finished, and without patience it continues.
    """
    flags = ["--lr", "1e-12", "--epochs", "9"]
    assert training.here(tmp_path / "trial", *flags, "--patience", "2") == 0
    reported = summary(tmp_path / "trial")
    done = len(reported["history"])
    assert done < 9
    assert (done - reported["best_epoch"], reported["state"]) == (2, "finished")
    capsys.readouterr()
    assert training.here(tmp_path / "trial", *flags, "--patience", "2") == 0
    assert f"finished, {done} epochs are done" in capsys.readouterr().out
    assert training.here(tmp_path / "trial", *flags) == 0
    assert len(summary(tmp_path / "trial")["history"]) == 9


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler: apt-get install g++")
def test_a_compiled_training_gives_the_same_checkpoint(training: Training, tmp_path: Path) -> None:
    """The same numbers, and weights under the same names, as without."""
    flags = ["--model", "sepformer", "--epochs", "1", "--train-limit", "4", "--validation-limit", "2"]
    assert training.here(tmp_path / "plain", *flags) == 0
    assert training.here(tmp_path / "compiled", *flags, "--compile") == 0
    plain, compiled = (torch.load(tmp_path / name / "last.pt") for name in ("plain", "compiled"))
    assert list(compiled["model"]) == list(plain["model"])
    for name in ("train_loss", "grad_norm", "val_si_snr"):
        first, second = (state["progress"]["history"][0][name] for state in (plain, compiled))
        assert second == pytest.approx(first, rel=1e-4), name


def test_deterministic_kernels_are_only_used_where_asked_for(training: Training, tmp_path: Path) -> None:
    """And every model has them."""
    for model in ("convtasnet", "dprnn", "sepformer"):
        run_dir = tmp_path / model
        assert training.here(run_dir, "--model", model, "--epochs", "1", "--deterministic") == 0
        assert torch.are_deterministic_algorithms_enabled()
    assert training.here(tmp_path / "plain", "--epochs", "1") == 0
    assert not torch.are_deterministic_algorithms_enabled()


LIMITED = """
import resource, sys
from pathlib import Path
import torch, trainer.training.train
from trainer.__main__ import main
torch.set_num_threads(1)
(now,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (1024 * int(now.split()[1]) + int(6e8),) * 2)
sys.exit(main(sys.argv[1:]))
"""


def test_out_of_memory_names_a_setting_that_fits(corpus: Path, tmp_path: Path) -> None:
    """Six mixtures of the published DPRNN need more than the 0.6 GB that the process may take: exit code 4 and one
    line. The same command goes on once with the setting that the line names.
    """

    def run(*flags: str) -> "subprocess.CompletedProcess[str]":
        arguments = ["--model", "dprnn", "--data-dir", str(corpus), "--run-dir", str(tmp_path / "trial")]
        arguments += [
            "--batch-size",
            "6",
            "--train-limit",
            "6",
            "--epochs",
            "1",
            "--device",
            "cpu",
            "--curriculum",
            "all",
            *flags,
        ]
        # A fixed threshold: large blocks are given back when they are freed, and no heap is left in splinters.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
        command = [sys.executable, "-c", LIMITED, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    failed = run()
    assert failed.returncode == 4, failed.stderr
    (line,) = failed.stderr.splitlines()
    assert all(part in line for part in ("out of memory on cpu", "--batch-size 6", "--precision fp32"))
    assert summary(tmp_path / "trial")["state"] == "out of memory"
    named = re.search(r"--micro-batch (\d+) fits and gives the same result: the next start takes it", line)
    assert named is not None, line
    assert json.loads((tmp_path / "trial" / "micro_batch.json").read_text()) == {
        "micro_batch": int(named[1]),
        "failed": 6,
    }
    again = run()
    assert f"note: --micro-batch {named[1]}, since 6 at once ran out of memory" in again.stdout
    assert again.returncode == 0, again.stderr
