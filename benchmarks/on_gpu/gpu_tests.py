"""Runs the trainer's tests on the GPU, those of kernels and records first; each counts as soon as it has ended."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.on_gpu.rows import AbsentError, Row, Sizes

ROOM = Path("tests/trainer")
FIRST = tuple(
    ROOM / name
    for name in (
        "test_gradients.py",
        "models/kernels.py",
        "models/test_selective_scan.py",
        "models/test_lstm.py",
        "models/test_linear.py",
        "models/test_transformer.py",
    )
)
"""Those that need neither a corpus nor what writes one."""
SECOND = tuple(ROOM / name for name in ("test_fit.py", "test_device.py", "test_resume.py"))
"""Whole trainings, of which some have loaders with workers beside a record."""
THERE = ROOM / "models/test_kernels.py"
"""It runs kernels.py with the plugins of the project."""
SUMMARY = re.compile(r"^ERROR (tests/\S+)")
OUTCOME = re.compile(r"^(tests/\S+?\.py(?:::.+?)?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL)")
MISSING = re.compile(r"No module named '(\w+)")
# A bare machine has pytest without the plugins that pyproject.toml names.
OPTIONS = ("-v", "-o", "addopts=", "-o", "filterwarnings=default", "--tb=short", "--continue-on-collection-errors")


def first_tests(sizes: Sizes) -> Iterator[Row]:
    """Yields how many of the tests of kernels and records have passed, and each that has not."""
    yield from _run("kernels", ["--noconftest", *map(str, FIRST)])


def other_tests(sizes: Sizes) -> Iterator[Row]:
    """Yields the same of whole trainings, then of the other tests. Raises AbsentError without a module."""
    yield from _run("trainings", map(str, SECOND))
    yield from _run("others", [str(ROOM), *(f"--ignore={path}" for path in (*FIRST, *SECOND, THERE))])


def _run(which: str, words: Iterable[str]) -> Iterator[Row]:
    argv = [sys.executable, "-m", "pytest", *OPTIONS, *words]
    pipe, lines = subprocess.PIPE, list[str]()
    with subprocess.Popen(argv, stdout=pipe, stderr=subprocess.STDOUT, text=True) as tests:
        assert tests.stdout is not None
        yield from outcomes(which, _kept(tests.stdout, lines))
    missing = [found[1] for line in lines if (found := MISSING.search(line)) is not None]
    if tests.returncode not in (0, 1) and missing:
        raise AbsentError(f"the tests of {which} need {missing[0]}, which is not installed")
    if tests.returncode not in (0, 1):
        raise RuntimeError(f"pytest ends with exit code {tests.returncode}: {''.join(lines[-1:]).strip()}")


def _kept(lines: Iterable[str], last: list[str]) -> Iterator[str]:
    """Yields the lines and keeps the last twenty in `last`."""
    for line in lines:
        last[:] = [*last[-19:], line]
        yield line


def outcomes(which: str, lines: Iterable[str]) -> Iterator[Row]:
    """Yields a row for each test that fails, each file that needs a missing module, and now and then the counts."""
    counts: Counter[str] = Counter()
    for line in lines:
        if (missing := MISSING.search(line)) is not None and (error := SUMMARY.match(line)) is not None:
            counts[f"without {missing[1]}"] += 1
            yield Row(what=error[1], value=0, unit="passed", note=f"skipped: no module {missing[1]}")
        elif (error := SUMMARY.match(line)) is not None:
            yield Row(what=error[1], value=0, unit="passed", limit=">= 1")
        elif (found := OUTCOME.match(line)) is not None:
            counts[found[2].lower()] += 1
            if found[2] == "FAILED":
                yield Row(what=found[1], value=0, unit="passed", limit=">= 1")
            elif counts.total() % 10 == 0:
                yield _counted(which, counts)
    yield _counted(which, counts)


def _counted(which: str, counts: Counter[str]) -> Row:
    note = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if outcome != "passed")
    return Row(what=f"{which}: tests", value=counts["passed"], unit="passed", note=note)
