"""A run that begins with another run's checkpoints goes on as if it had had more epochs from the start, or says why not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trainer.test_resume import assert_same
from tests.trainer.training import Training

# The validation gets worse on its way, so that the learning rate falls: the scheduler counts, and patience, too.
SETTINGS = ("--curriculum", "all", "--lr", "0.3", "--weight-decay", "0.9", "--lr-patience", "0", "--patience", "9")


@pytest.fixture(scope="module")
def four(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the run directory of a training of four epochs."""
    run_dir = tmp_path_factory.mktemp("runs") / "four"
    assert Training(corpus).here(run_dir, *SETTINGS, "--epochs", "4") == 0
    return run_dir


def test_four_epochs_and_two_more_are_bitwise_six(
    corpus: Path, four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training, six, extended = Training(corpus), tmp_path / "six", tmp_path / "extended"
    before = {path.name: path.read_bytes() for path in four.iterdir() if path.is_file()}
    assert training.here(six, *SETTINGS, "--epochs", "6") == 0
    capsys.readouterr()
    # What is no checkpoint of its own yet, such as the engine's log, stays.
    extended.mkdir()
    (extended / "output.log").write_text("")
    assert training.here(extended, *SETTINGS, "--epochs", "6", "--continue-from", str(four)) == 0
    output = capsys.readouterr().out
    assert_same(extended, six)
    rates = [record["lr"] for record in json.loads((extended / "summary.json").read_text())["history"]]
    assert len(rates) == 6
    assert rates[-1] < rates[0]
    assert output.count("done before") == 4
    assert output.count(" val_si_snr=") == 6
    assert {path.name: path.read_bytes() for path in four.iterdir() if path.is_file()} == before
    # Started again, it has checkpoints of its own, wherever the others are now.
    assert training.here(extended, *SETTINGS, "--epochs", "6", "--continue-from", str(tmp_path / "gone")) == 0


def _without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def _cut(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-1])


def _all_cut(folder: Path) -> None:
    for name in ("last.pt", "previous.pt"):
        _cut(name)(folder)


@pytest.mark.parametrize(
    ("spoil", "flags", "message"),
    [
        (shutil.rmtree, (), "there is no last.pt; name the run directory of a run that has its checkpoints"),
        (_all_cut, (), "is damaged, it has no checksum at its end"),
        (_without("best.pt"), (), "best.pt: cannot be read (No such file or directory)"),
        (_cut("best.pt"), (), "best.pt: is damaged"),
        (lambda folder: None, ("--seed", "7"), "holds another training, with seed 42 (requested: 7)"),
    ],
)
def test_what_cannot_be_continued_is_refused_in_one_line(
    spoil: Callable[[Path], object],
    flags: tuple[str, ...],
    message: str,
    corpus: Path,
    four: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, run_dir = tmp_path / "source", tmp_path / "extended"
    shutil.copytree(four, source)
    spoil(source)
    assert Training(corpus).here(run_dir, *SETTINGS, "--continue-from", str(source), *flags) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --continue-from")
    assert message in error
    assert error.count("\n") == 1
    assert not run_dir.exists()


def test_a_damaged_last_checkpoint_costs_an_epoch_and_no_bit(
    corpus: Path, four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, run_dir = tmp_path / "source", tmp_path / "extended"
    shutil.copytree(four, source)
    _cut("last.pt")(source)
    assert Training(corpus).here(run_dir, *SETTINGS, "--epochs", "4", "--continue-from", str(source)) == 0
    output = capsys.readouterr().out
    assert "takes over previous.pt, the one before" in output
    assert output.count("done before") == 3
    assert_same(run_dir, four)
