"""What a spec declares of its command becomes a script that repeats, varies and continues runs, as Katib starts it."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from katib.manifest.declaration import Declaration
from katib.ranges import Range

WORDS = ("echo", "{rate}", "{seed}", "{epochs}", "{run_dir}")
RATE = Range(min=0.1, max=0.9, distribution="uniform", why="x")


def ran(declared: Declaration, choice: str, runs: dict[str, dict[str, str]], folder: Path, epochs: int | None) -> str:
    """Returns what the command printed, and whether it ended well, as Katib's shell line notes it."""
    script = declared.script(choice, runs, epochs)
    line = f"{script} 1>metrics.log 2>&1 && echo completed > pid"  # pod/utils.go, wrapWorkerContainer
    for file in ("metrics.log", "pid"):
        (folder / file).unlink(missing_ok=True)
    subprocess.run(["sh", "-c", line], cwd=folder, check=False, capture_output=True)
    printed, ended = folder / "metrics.log", folder / "pid"
    return (printed.read_text() if printed.exists() else "") + ("ended" if ended.exists() else "")


@pytest.fixture
def declared(tmp_path: Path) -> Declaration:
    return Declaration(WORDS, {"rate": RATE}, 42, epochs=5, run_dir=f"{tmp_path}/new run")


def test_a_script_fills_in_the_run_that_its_word_names(declared: Declaration, tmp_path: Path) -> None:
    runs = {f"rate={rate},seed=7": {"rate": rate, "seed": "7"} for rate in ("0.1", "0.2")}
    assert ran(declared, "rate=0.2,seed=7", runs, tmp_path, None) == f"0.2 7 5 {tmp_path}/new run\nended"


def test_a_run_that_goes_on_has_a_copy_of_its_source_made_once(declared: Declaration, tmp_path: Path) -> None:
    source = tmp_path / "old"
    source.mkdir()
    for name in ("weights", ".hidden", "output.log", "process.lock"):
        (source / name).write_text(name)
    word = f"rate=0.2,seed=7,continue_from={source}"
    runs = {word: {"rate": "0.2", "seed": "7", "continue_from": str(source)}}
    expected = f"0.2 7 9 {tmp_path}/new run\nended"
    assert ran(declared, word, runs, tmp_path, 9) == expected
    new = tmp_path / "new run"
    assert sorted(path.name for path in new.iterdir()) == [".continued", ".hidden", "weights"]
    (new / "weights").write_text("trained further")
    assert ran(declared, word, runs, tmp_path, 9) == expected
    assert (new / "weights").read_text() == "trained further"


def test_without_its_source_a_run_does_not_start_from_nothing(declared: Declaration, tmp_path: Path) -> None:
    word = f"rate=0.2,seed=7,continue_from={tmp_path}/absent"
    runs = {word: {"rate": "0.2", "seed": "7", "continue_from": f"{tmp_path}/absent"}}
    assert ran(declared, word, runs, tmp_path, 9) == ""


def test_a_run_must_have_declared_settings(declared: Declaration) -> None:
    varied = replace(declared, varied={"width": ["2", "4"], "rate": ["3"]})
    assert varied.problem({"rate": "0.2", "seed": "1", "width": "4"}) == ""
    assert varied.problem({"rate": "3", "seed": "1", "width": "4"}) == ""
    assert varied.problem({"rate": "4", "seed": "1", "width": "4"}) == "rate is 4, and its range is from 0.1 to 0.9"
    assert varied.problem({"rate": "0.2", "seed": "1", "width": "8"}) == "width is 8, and its values are 2, 4"
    assert varied.problem({"rate": "0.2", "seed": "1"}) == "width is missing"
    assert declared.problem({"rate": "0.2", "seed": "$(x)"}) == "it has no seed"
