"""What a cluster does to a training: kill -9 at any instant, signals in every phase, damaged checkpoints, data that
goes bad, a run directory that cannot be written.
"""

import contextlib
import json
import multiprocessing
import os
import pkgutil
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.killed import killed_training
from tests.trainer.test_resume import assert_same, metric_lines, read_until, state
from tests.trainer.training import Training
from trainer.errors import DamagedCheckpointError
from trainer.training import checkpoint
from trainer.training.run_directory import hold

EVERY_STEP = ("--checkpoint-minutes", "0")


@pytest.fixture(scope="module")
def undisturbed(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the run directory of an undisturbed training."""
    run_dir = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert Training(corpus).here(run_dir) == 0
    return run_dir


@pytest.mark.long
def test_kill_9_at_twenty_random_instants_changes_nothing(training: Training, tmp_path: Path) -> None:
    """Killed twelve times after a random amount of work, eight times at a random step of writing a file, and then run
    to its end. Weights, history and best value are bitwise those of an undisturbed run, and each epoch was
    reported with one time only: no finished epoch was trained twice.
    """
    # Forked from a process that has imported torch, which takes longer than the training.
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["trainer.training.train", "trainer.models.convtasnet", "killed"])
    run_dir, output, draw = tmp_path / "killed" / "trial", tmp_path / "output.log", random.Random(6)

    def run(epochs: int, cpu_seconds: float, file_step: int) -> int | None:
        argv = training.arguments(run_dir, *EVERY_STEP, "--epochs", str(epochs))
        process = forks.Process(target=killed_training, args=(argv, str(output), cpu_seconds, file_step))
        process.start()
        process.join()
        return process.exitcode

    kills = [(draw.uniform(0.02, 0.8), -1) for _ in range(12)] + [(0.0, draw.randrange(30)) for _ in range(8)]
    draw.shuffle(kills)
    for cpu_seconds, file_step in kills:
        assert run(1000, cpu_seconds, file_step) in (-signal.SIGPROF, -signal.SIGKILL)
        assert all(json.loads(file.read_text()) for file in run_dir.glob("*.json"))
    epochs = len(state(run_dir)["progress"]["history"]) + 1
    assert epochs > 2
    assert run(epochs, 0.0, -1) == 0
    assert training.here(tmp_path / "undisturbed" / "trial", "--epochs", str(epochs)) == 0
    assert_same(run_dir, tmp_path / "undisturbed" / "trial")
    names = {path.name for path in run_dir.iterdir()}
    assert names == {"config.json", "last.pt", "previous.pt", "best.pt", "summary.json"}
    times = [record["time"] for record in torch.load(run_dir / "last.pt")["progress"]["history"]]
    assert sorted({line.split()[0] for line in metric_lines(output.read_text())}) == times


PHASES = {
    "data": ("trainer.data.readers.survey.stamp", 5),
    "fingerprint": ("trainer.data.readers.survey.soundfile.read", 30),
    "unprocessed mixtures": ("trainer.training.fit.si_snr", 0),
    "step": ("trainer.training.fit.clip_grad_norm_", 4),
    "validation": ("trainer.training.gradients.Gradients.estimate", 1),
    "checkpoint": ("trainer.training.fit.dump", 1),
    "best checkpoint": ("trainer.training.fit.dump_best", 0),
    "tracking": ("trainer.tracking.NoTracker.best_epoch", 0),
}
"""Phase -> what the trainer calls in it, and the how many-th call is interrupted."""


@pytest.mark.parametrize("phase", PHASES)
def test_sigterm_in_every_phase_saves_and_exits_143(
    phase: str,
    training: Training,
    tmp_path: Path,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The signal comes while the real function works; the run that is started again is bitwise the undisturbed one.

    Nothing is said on stderr.
    """
    target, count = PHASES[phase]
    owner, name = target.rsplit(".", 1)
    holder = pkgutil.resolve_name(owner)
    real, calls = getattr(holder, name), iter(range(sys.maxsize))

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == count:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*args, **kwargs)

    run_dir = tmp_path / "undisturbed"
    with monkeypatch.context() as patch:
        patch.setattr(holder, name, interrupted)
        assert training.here(run_dir) == 143
    assert capsys.readouterr().err == ""
    assert not (run_dir / "trainer.pid").exists()
    assert training.here(run_dir) == 0
    assert_same(run_dir, undisturbed)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_wav_that_goes_bad_in_the_middle_ends_with_5_and_loses_nothing(
    workers: str,
    training: Training,
    broken: Path,
    tmp_path: Path,
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A recording is cut short after the first epoch, or removed.

    One line names it; once the data is fixed, the run continues and is bitwise the undisturbed one.
    """
    run_dir, flags = tmp_path / "undisturbed", ("--workers", workers)
    file = broken / "train" / "clean" / "004_speaker1File.wav"
    content = file.read_bytes()
    damages: list[Callable[[], object]] = [lambda: file.write_bytes(content[:3000]), file.unlink]
    for damage, epochs in zip(damages, ("2", "3"), strict=True):
        if epochs == "2":
            assert training.here(run_dir, *flags, "--epochs", "1", data=broken) == 0
        with monkeypatch.context() as patch:
            # After the check of all headers: the damage comes while the training runs.
            patch.setattr("trainer.training.train.hold", _after(damage))
            assert training.here(run_dir, *flags, "--epochs", epochs, data=broken) == 5
        (line,) = capsys.readouterr().err.splitlines()
        assert all(part in line for part in ("error: ", "004_speaker1File.wav", "line 6", "copy it again"))
        assert '"data fault"' in (run_dir / "summary.json").read_text()
        file.write_bytes(content)
        assert training.here(run_dir, *flags, "--epochs", epochs, data=broken) == 0
    assert_same(run_dir, undisturbed)


def _after(damage: Callable[[], object]) -> Callable[..., Any]:
    def hold_damaged(*args: Any) -> Any:
        damage()
        return hold(*args)

    return hold_damaged


def test_a_worker_that_dies_is_a_data_fault(training: Training, tmp_path: Path) -> None:
    """Ended by the kernel, for example because memory is short: exit code 5, one line that says what to try."""
    process = training.start(tmp_path / "trial", "--workers", "1", "--epochs", "1000")
    read_until(process, "val_si_snr")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        for child in children.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == 5, err
    (line,) = err.splitlines()
    assert "a reading process has died" in line
    assert "--workers" in line


def damaged(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    training: Training, tmp_path: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One bit of the last one flips: the run says so, resumes from the one before, and is in the end bitwise the
    undisturbed run.
    """
    run_dir = Path(shutil.copytree(undisturbed, tmp_path / "undisturbed"))
    damaged(run_dir / "last.pt")
    assert training.here(run_dir) == 0
    printed = capsys.readouterr()
    assert "last.pt: is damaged, its checksum is wrong; resumes from previous.pt" in printed.out
    assert printed.err == ""
    assert len(metric_lines(printed.out)) == 3
    assert_same(run_dir, undisturbed)


def test_without_a_whole_checkpoint_the_run_is_refused(
    training: Training, tmp_path: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both are named; nothing is trained over them."""
    run_dir = Path(shutil.copytree(undisturbed, tmp_path / "undisturbed"))
    damaged(run_dir / "last.pt")
    (run_dir / "previous.pt").write_bytes((run_dir / "previous.pt").read_bytes()[:1000])
    before = {path.name: path.read_bytes() for path in run_dir.iterdir()}
    assert training.here(run_dir) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in ("last.pt", "previous.pt", "--run-dir"))
    assert {path.name: path.read_bytes() for path in run_dir.iterdir()} == before


def test_a_checkpoint_of_another_training_is_refused(
    training: Training, tmp_path: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Copied into a directory of a run with another learning rate: the field is named with both values."""
    run_dir = tmp_path / "other"
    run_dir.mkdir()
    shutil.copy(undisturbed / "last.pt", run_dir)
    assert training.here(run_dir, "--lr", "0.005") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "last.pt: belongs to another training, with lr 0.001 (requested: 0.005)" in line


def test_a_run_goes_on_only_with_its_own_corpus(
    training: Training, tmp_path: Path, broken: Path, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under another path it is the same corpus; with other sound it is another, and refused."""
    run_dir = Path(shutil.copytree(undisturbed, tmp_path / "undisturbed"))
    moved = broken.rename(broken.with_name("data"))
    assert training.here(run_dir, data=moved) == 0
    mix = moved / "train" / "mix" / "011_mixFile.wav"
    soundfile.write(mix, soundfile.read(mix)[0] / 2, 8000, subtype="PCM_16")
    capsys.readouterr()
    assert training.here(run_dir, data=moved) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds another run, with corpus " in line


@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_checkpoint_with_any_byte_changed_or_cut_off_is_never_read(
    place: float, change: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the damage, the loader names it and raises its own error."""
    content = bytearray(checkpoint._dump({"model": {"weight": torch.arange(99.0)}, "epoch": 7}))
    file = tmp_path_factory.getbasetemp() / "damaged.pt"
    file.write_bytes(content)
    assert checkpoint.read(file)["epoch"] == 7
    index = int(place * len(content))
    if cut:
        del content[index:]
    else:
        content[index] ^= change
    file.write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match=r"damaged\.pt: "):
        checkpoint.read(file)


@given(body=st.binary(max_size=300))
@settings(deadline=None)
def test_any_content_with_a_right_checksum_is_still_checked(
    body: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What another program has written, checksum included, is no checkpoint."""
    file = tmp_path_factory.getbasetemp() / "foreign.pt"
    file.write_bytes(body + checkpoint._comment(body))
    with pytest.raises(DamagedCheckpointError, match=r"foreign\.pt: "):
        checkpoint.read(file)


@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv: apt-get install util-linux")
def test_a_read_only_run_directory_is_refused(corpus: Path, tmp_path: Path) -> None:
    """Without the power of root to write where nobody may: one line, exit code 2, before anything is trained."""
    (tmp_path / "trial").mkdir(mode=0o555)
    drop = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
    arguments = Training(corpus).arguments(tmp_path / "trial")
    run = subprocess.run([*drop, sys.executable, "-m", "trainer", *arguments], capture_output=True, text=True)
    assert run.returncode == 2, run.stderr
    (line,) = run.stderr.splitlines()
    assert "--run-dir" in line
    assert "cannot be written (Permission denied)" in line
    assert not list((tmp_path / "trial").iterdir())
