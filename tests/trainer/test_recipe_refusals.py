"""Recipes that do not fit, each refused in one line before anything is written."""

from pathlib import Path

import pytest

from tests.trainer.training import Training


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--scheduler cosine", "--scheduler cosine: give --cosine-epochs, after which the learning rate is zero"),
        (
            "--scheduler cosine --cosine-epochs 2",
            "--epochs: 3 does not fit, expected at most the 2 of --cosine-epochs",
        ),
        (
            "--loss-threshold 30",
            "--loss-threshold: 30.0 does not fit, expected a loss between -200 and 0 dB, such as -30",
        ),
        ("--dropout 0.1", "--dropout: convtasnet has no such field (dprnn, sepformer have it); its fields: "),
        ("--model dprnn --dropout 1", "--dropout: 1.0 does not fit, expected a number from 0 to below 1"),
        ("--model dprnn --dropout 0.1 --gpus 2", "--gpus: 2 would draw other random numbers than one for --dropout"),
        ("--average-best 0", "--average-best: 0 does not fit, expected 1 to 100 epochs"),
        ("--warmup-steps -1", "--warmup-steps: -1 does not fit, expected 0 or more steps"),
    ],
)
def test_a_recipe_that_does_not_fit_is_one_line(
    flags: str, message: str, training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert training.here(tmp_path / "trial", *flags.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "trial").exists()


def test_a_directory_of_another_recipe_is_refused(
    training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line that names the option, although the directory's config.json does not."""
    assert training.here(tmp_path / "trial", "--epochs", "1") == 0
    assert training.here(tmp_path / "trial", "--epochs", "1", "--optimizer", "adamw") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "optimizer adam (requested: adamw)" in line
