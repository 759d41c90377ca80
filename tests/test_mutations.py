"""What the tool that changes modules finds of a toy module and toy tests (benchmarks/robustness/mutations.py)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.robustness.mutants import mutants

ROOT = Path(__file__).parent.parent
TOY = '''"""A toy."""


def least(values: list[int], floor: int = 3) -> int:
    """Returns the least value, or the floor."""
    return min(floor, *values)
'''
TESTS = """
import pathlib, subprocess, sys
from toy import least

def test_a_process_of_its_own_sees_the_change():
    said = subprocess.check_output([sys.executable, "-c", "import toy; print(toy.least([5, 1]))"], text=True)
    assert said == "1\\n"

def test_the_floor():
    assert least([4]) > 2
"""


def python(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_what_toy_tests_do_not_notice(tmp_path: Path) -> None:
    """The floor may be 4, and nobody looks at the accepted change; the tree itself stays as it is."""
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_toy.py").write_text(TESTS)
    accepted = tmp_path / "benchmarks" / "robustness" / "mutations.yaml"
    accepted.parent.mkdir(parents=True)
    accepted.write_text(
        'toy.py:\n- {line: "def least(values: list[int], floor: int = 3) -> int:", change: 3 -> 2, why: none}\n'
        "- {line: gone, change: 1 -> 2, why: none}\n"
    )
    assert python(
        tmp_path, "-m", "benchmarks.robustness.mutations", "toy.py", "--tests", "tests/test_toy.py"
    ).splitlines() == [
        "benchmarks/robustness/mutations.yaml: toy.py has no such change any more: gone: 1 -> 2",
        "toy.py: 2 of 3 noticed, 1 without effect: 66.7 %",
        "toy.py:4: 3 -> 4",
    ]
    assert (tmp_path / "toy.py").read_text() == TOY


def test_an_endless_loop_ends_and_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "test_endless.py").write_text("def test_endless():\n    while True:\n        pass\n")
    assert python(tmp_path, "-c", "from benchmarks.robustness.mutations import run; print(run(['.'], 0.5))") == "-9\n"


CHANGES = {
    "x = a < 1": ["a < 1 -> a <= 1", "a < 1 -> a >= 1", "1 -> 2", "1 -> 0"],
    "x = not a in b": ["not a in b -> a in b", "a in b -> a not in b"],
    "x = a and 'b' or True": [
        "a and 'b' or True -> (a and 'b') and True",
        "a and 'b' -> a or 'b'",
        "'b' -> 'changed'",
        "True -> False",
    ],
    "def f(a: int = 0) -> 'int':\n    'A docstring.'\n    a += 1\n    return a": [
        "0 -> 1",
        "0 -> -1",
        "a += 1 -> a -= 1",
        "a += 1 -> pass",
        "1 -> 2",
        "1 -> 0",
        "return a -> return None",
    ],
    "x = max(y[:-2])": ["max -> min", ":-2 -> :", "-2 -> 2", "2 -> 3", "2 -> 1"],
    "for x in y:\n    if x: break\n    else: raise": ["x -> not x", "break -> continue", "raise -> pass"],
    "x = f'{1:.2f} dB'": ["f'{1:.2f} dB' -> 'changed'", "1 -> 2", "1 -> 0"],
    "x = (y or 1) + (z or 1)": [
        "(y or 1) + (z or 1) -> (y or 1) - (z or 1)",
        "y or 1 -> y and 1",
        "z or 1 -> z and 1",
        "1 -> 2",
        "1 -> 0",
        "1 -> 2 (2)",
        "1 -> 0 (2)",
    ],
    "x = [a for a in b if f(a)]": ["f(a) -> not f(a)"],
    "__all__ = ['a']\n'b'\nX = Literal['c']\nx = cast('d', zip(a, b, strict=True))": [],
    "@dataclass(frozen=True)\nclass A:\n    a: 'e'\n    'f'": [],
}


@pytest.mark.parametrize("source", CHANGES)
def test_the_changes_are_these(source: str) -> None:
    """A plain list of what the docstring of the tool promises."""
    assert sorted(one.change for one in mutants(source)) == sorted(CHANGES[source])
