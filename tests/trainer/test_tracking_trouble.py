"""What is wrong with wandb itself is one warning, and the training finishes."""

from pathlib import Path

import pytest

from tests.trainer.test_tracking import OFFLINE, _no_wandb_of_the_user, tracked  # noqa: F401
from tests.trainer.training import Training


@pytest.mark.parametrize("kind", ["missing", "a folder of runs", "broken"])
def test_wandb_that_cannot_be_imported_is_one_warning(kind: str, training: Training, tmp_path: Path) -> None:
    """WANDB_PROJECT asks for it, and it is not installed, or a folder of its runs stands in its place, or its import
    fails.
    """
    place = tmp_path / "modules"
    (place / "wandb").mkdir(parents=True)
    if kind == "broken":
        (place / "wandb" / "__init__.py").write_text("raise ImportError('protobuf is too old')")
    hide = (
        "import sys, importlib.util; find = importlib.util.find_spec\n"
        f"kind = {kind!r}\n"
        "def hidden(name, *rest):\n"
        "    if name != 'wandb' or kind == 'broken': return find(name, *rest)\n"
        "    if kind == 'missing': return None\n"
        "    return importlib.util.spec_from_loader('wandb', None, is_package=True)\n"
        "importlib.util.find_spec = hidden\n"
    )
    (place / "sitecustomize.py").write_text(hide)
    run = training.run(tmp_path / "trial", "--epochs", "1", env=OFFLINE | {"PYTHONPATH": str(place)})
    assert run.returncode == 0
    (line,) = run.stderr.splitlines()
    assert line.startswith("warning: ")
    assert ("protobuf is too old" if kind == "broken" else "wandb is not installed") in line
    assert "training continues without" in line


@pytest.mark.parametrize("trouble", ["a file in its place", "an invalid project", "a project that is too long"])
def test_what_is_wrong_with_wandb_is_a_warning(
    trouble: str,
    training: Training,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is said in a line, and the training finishes."""
    run_dir = tmp_path / "trial"
    tracked(monkeypatch, OFFLINE)
    if trouble == "a file in its place":
        run_dir.mkdir()
        (run_dir / "wandb").write_text("")
    elif trouble == "an invalid project":
        monkeypatch.setenv("WANDB_PROJECT", "team/project?")
    else:
        monkeypatch.setenv("WANDB_PROJECT", "p" * 200)
    assert training.here(run_dir, "--epochs", "1") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: W&B")
