"""Several processes that train together: the result of one, one that prints and writes, and no process that is left."""

import contextlib
import io
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from tests.tiny_corpus import write_subset
from tests.trainer.test_resume import assert_same, metric_lines, state
from tests.trainer.training import Training
from tests.verbs import SECONDS
from trainer.__main__ import main
from trainer.command_line import parse
from trainer.config import Run
from trainer.data.sampling import Share, select
from trainer.errors import TrainerError
from trainer.training import epoch, train
from trainer.training.fit import Fit
from trainer.training.group import DATA, MEMORY, OTHER, Group, failure
from trainer.training.memory import is_out_of_memory
from trainer.training.replicas import Start, given

SHORT = ("--epochs", "2", "--validate", "SER", "SE")


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a corpus whose last batch of 4 has one mixture, so that other processes have none of it."""
    root = tmp_path_factory.mktemp("corpora") / "PolSESS_uneven"
    write_subset(root, "train", 9, 0.3, seed=1)
    write_subset(root, "val", 5, 0.3, seed=2)
    return root


@pytest.fixture(scope="module")
def two(uneven: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Returns the run directory of an undisturbed training in two processes, and its output."""
    run_dir, output = tmp_path_factory.mktemp("runs") / "run", io.StringIO()
    with contextlib.redirect_stdout(output):
        assert Training(uneven).here(run_dir, *SHORT, "--gpus", "2") == 0
    return run_dir, output.getvalue()


def weights(run_dir: Path) -> torch.Tensor:
    """Returns all weights of the last checkpoint as one vector."""
    return torch.cat([value.double().flatten() for value in state(run_dir)["model"].values()])


def children(pid: int) -> list[int]:
    """Returns the processes that train with process `pid`."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "trainer.training.replica" in line]


def has_ended(pid: int) -> bool:
    """Returns whether a process runs no longer."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def killed_in_epoch_2(argv: list[str], noted: Path) -> None:
    """Trains in a process of its own, which notes the other process and dies before the second step of epoch 2."""
    torch.set_num_threads(1)
    step, steps = Fit._step, iter(range(1, 1000))

    def dying(*arguments: Any) -> None:
        if next(steps) == 5:
            noted.write_text(str(*children(os.getpid())))
            os.kill(os.getpid(), signal.SIGKILL)
        step(*arguments)

    Fit._step = dying  # type: ignore[assignment, method-assign]
    os._exit(main(argv))


def test_two_processes_train_as_one_does(uneven: Path, two: tuple[Path, str], tmp_path: Path) -> None:
    """Losses, scores and weights after two epochs agree to 1e-5; the last batch has a mixture for one of them only."""
    assert Training(uneven).here(tmp_path / "one", *SHORT) == 0
    alone, together = weights(tmp_path / "one"), weights(two[0])
    assert (alone - together).norm() < 1e-5 * alone.norm()
    for one, other in zip(*(state(path)["progress"]["history"] for path in (tmp_path / "one", two[0])), strict=True):
        assert other["train_loss"] == pytest.approx(one["train_loss"], rel=1e-5)
        assert other["val_si_snr"] == pytest.approx(one["val_si_snr"], rel=1e-5)
        assert other["variants"] == pytest.approx(one["variants"], rel=1e-5)
        assert (other["mixtures"], other["lr"]) == (one["mixtures"], one["lr"])


def test_one_process_prints_and_writes(two: tuple[Path, str]) -> None:
    """There is one metric line an epoch, and each mixture counts once."""
    run_dir, output = two
    assert [line.count("=") for line in metric_lines(output)] == [1, 1]
    assert "2 processes with 2 mixtures each" in output
    assert [epoch["mixtures"] for epoch in json.loads((run_dir / "summary.json").read_text())["history"]] == [9, 9]
    assert {path.name for path in run_dir.iterdir()} == {
        "best.pt", "config.json", "last.pt", "previous.pt", "summary.json",
    }  # fmt: skip


def test_no_signal_leaves_a_process_or_changes_the_result(
    uneven: Path, two: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kill -9 and then SIGTERM, two processes end bitwise where an undisturbed training does, and one nearly."""
    training, run_dir = Training(uneven), tmp_path / "run"
    argv, noted = training.arguments(run_dir, *SHORT, "--gpus", "2"), tmp_path / "other"
    process = multiprocessing.get_context("forkserver").Process(target=killed_in_epoch_2, args=(argv, noted))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    end = time.monotonic() + SECONDS
    while not has_ended(int(noted.read_text())):
        assert time.monotonic() < end
        time.sleep(0.05)
    with monkeypatch.context() as patched:
        patched.setattr(epoch, "select", lambda *given: os.kill(os.getpid(), signal.SIGTERM) or select(*given))
        assert training.here(run_dir, *SHORT, "--gpus", "2") == 143
    assert not children(os.getpid())
    assert state(run_dir)["progress"]["partial"]["batches"] == 1
    shutil.copytree(run_dir, tmp_path / "run1")
    assert training.here(run_dir, *SHORT, "--gpus", "2") == 0
    assert_same(run_dir, two[0])
    assert training.here(tmp_path / "run1", *SHORT) == 0
    assert (weights(tmp_path / "run1") - weights(two[0])).norm() < 1e-5 * weights(two[0]).norm()


def test_the_death_of_another_process_ends_all(
    uneven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The exit code is that of the process that died."""
    monkeypatch.setattr(train, "_announce", lambda *_: os.kill(children(os.getpid())[0], signal.SIGKILL))
    assert Training(uneven).here(tmp_path / "run", *SHORT, "--gpus", "2") == 128 + signal.SIGKILL
    assert capfd.readouterr().err == (
        "error: process 1 of the training's 2 was ended by SIGKILL, and so all end; the same command resumes\n"
    )


def test_a_file_that_another_process_cannot_read_ends_all_as_it_ends_one(
    uneven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The second validation batch is the other process's. The error is that of one process, and the epoch is saved."""
    corpus, run_dir = Path(shutil.copytree(uneven, tmp_path / uneven.name)), tmp_path / "run"
    file = corpus / "val" / "mix" / "002_mixFile.wav"
    monkeypatch.setattr(train, "_announce", lambda *_: file.write_bytes(b""))
    assert Training(corpus).here(run_dir, *SHORT, "--gpus", "2") == 5
    error = capfd.readouterr().err
    assert str(file) in error
    assert error.count("\n") == 1
    assert json.loads((run_dir / "summary.json").read_text())["state"] == "data fault"
    assert state(run_dir)["progress"]["partial"]["batches"] == 3


def test_another_process_has_all_settings_of_the_first(corpus: Path, tmp_path: Path) -> None:
    """Those of the model's config, too, whose class is made in each process."""
    run = parse(Training(corpus).arguments(tmp_path / "run", "--model", "dprnn", "--hidden-size", "8", "--gpus", "2"))
    assert isinstance(run, Run)
    start = Start(given(run), given(run.training), Share(1, 2), torch.device("cpu"), tmp_path)
    assert repr(pickle.loads(pickle.dumps(start)).run) == repr(run)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_what_a_model_freezes_or_does_not_use_stays_as_it_is(requires_grad: bool, tmp_path: Path) -> None:
    """A gradient of zeros would be enough for weight decay, which Adam turns into whole steps."""
    still = torch.nn.Linear(2, 2).requires_grad_(requires_grad=requires_grad)
    trained = torch.nn.Linear(2, 1)
    network = torch.nn.Sequential(still, trained)
    before = [layer.weight.clone() for layer in (still, trained)]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1, weight_decay=0.1)
    trained(torch.ones(1, 2)).sum().backward()
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        Group(Share(0, 2)).add_gradients(network)
    finally:
        dist.destroy_process_group()
    optimizer.step()
    assert torch.equal(still.weight, before[0])
    assert not torch.equal(trained.weight, before[1])


@pytest.mark.parametrize(("kind", "code"), [(DATA, 5), (OTHER, 1)])
def test_a_failure_elsewhere_has_the_exit_code_that_it_would_have_here(kind: str, code: int) -> None:
    """A lack of memory is told as one, so that the first process looks for a batch that fits."""
    error = failure(1, kind, "what was wrong")
    assert isinstance(error, TrainerError)
    assert error.exit_code == code
    assert "what was wrong" in str(error)
    assert is_out_of_memory(failure(1, MEMORY, ""))


@pytest.mark.parametrize(
    ("flags", "answer"),
    [
        (
            ("--gpus", "3"),
            "--gpus: 3 does not divide the 4 of --batch-size, choose among 1, 2, 4",
        ),
        (("--gpus", "0"), "--gpus: 0 does not fit, expected 1 to 64 GPUs"),
        (
            ("--gpus", "2", "--device", "cuda:1"),
            "--gpus 2: --device cuda:1 is one GPU; --device cuda takes the first 2",
        ),
        (("--gpus", "4", "--device", "cuda"), "--gpus 4: this machine has 1 usable GPU; name at most that many"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_before_anything_begins(
    flags: tuple[str, ...],
    answer: str,
    training: Training,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, one line, and no run directory."""
    monkeypatch.setattr("trainer.device._gpus", lambda: 1)
    assert training.here(tmp_path / "run", *flags) == 2
    assert capsys.readouterr().err == f"error: {answer}\n"
    assert not (tmp_path / "run").exists()


def test_without_a_gpu_several_are_refused_and_not_replaced(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One process would need many times the time that was planned."""
    monkeypatch.setattr("trainer.device._gpus", lambda: 0)
    assert training.here(tmp_path / "run", "--gpus", "2", "--device", "auto") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --gpus 2: no GPU is usable here: ")
    assert error.endswith("; --device cpu trains in 2 processes without\n")


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("model", ["convtasnet", "dprnn", "sepformer", "spmamba", "dpmamba", "tfgridnet"])
def test_two_gpus_train_as_one_does(model: str, corpus: Path, tmp_path: Path) -> None:
    """With recorded steps and our kernels, which each GPU runs for its own share."""
    training, flags = Training(corpus), ("--model", model, "--device", "cuda", "--deterministic", "--epochs", "2")
    for gpus in ("1", "2"):
        assert training.run(tmp_path / gpus, *flags, "--gpus", gpus).returncode == 0
    one, two = (state(tmp_path / gpus)["progress"]["history"] for gpus in ("1", "2"))
    assert [epoch["val_si_snr"] for epoch in two] == pytest.approx([epoch["val_si_snr"] for epoch in one], rel=1e-2)
    assert (weights(tmp_path / "1") - weights(tmp_path / "2")).norm() < 1e-2 * weights(tmp_path / "1").norm()
