"""Finds what the tests would miss: makes one change at a time to a module, and runs its tests against each.

    python -m benchmarks.robustness.mutations katib/search/stopping.py [MODULE …] [--tests PATH …] [--sample 60]
    [--seed 0] [--workers 1]

Comparisons, arithmetic, and/or/not, conditions, min/max, constants, bounds of slices, return values, break/continue and
whole statements are changed. Docstrings, annotations, `__all__`, code that only a type checker reads, and two guards
against ourselves that change no result (the arguments of @dataclass, the `strict=` of zip) are left alone.

A change runs against the tests that import the module and, if those pass, against the others that mirror its package,
except those marked long. It is written into a copy of the tree, where subprocesses see it as well, and the tests run in
a fork of a process that has loaded every library that they need. Tests that crash, run out of memory or take too long
have noticed the change, too. Changes without effect are listed in mutations.yaml, each with the reason, and do not
count.
"""

import argparse
import ast
import contextlib
import importlib
import importlib.util
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import yaml

from benchmarks.robustness.mutants import Mutant, mutants

ACCEPTED = Path("benchmarks/robustness/mutations.yaml")
NOT_COPIED = {".git", ".venv", ".mypy_cache", ".ruff_cache", "data", "runs", "wandb"}
OPTIONS = (
    "-x",
    "-q",
    "--tb=short",
    "--assert=plain",
    "-m",
    "not long",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
)
FORK = multiprocessing.get_context("fork")
MEMORY = 8 << 30
"""Bytes that tests may take beyond what is loaded already."""
PATIENCE, LEAST_SECONDS = 5.0, 10.0
"""Tests that take so many times as long as they do without the change are ended; and how long they may take in any
case."""


def near(module: str) -> tuple[list[str], list[str]]:
    """Returns the test files that import a module, and those that mirror its package, which may use it unnamed."""
    package, _, stem = module.removesuffix(".py").replace("/", ".").rpartition(".")
    names = f"from {package}.{stem} import", f"import {package}.{stem}\n", f"from {package} import {stem}\n"
    files = [path for path in sorted(Path("tests").rglob("test_*.py")) if path.parts[1] != "cluster"]
    first = [path for path in files if any(name in path.read_text() for name in names)]
    mirror = next(folder for folder in Path("tests", module).parents if folder.is_dir())
    inside = files if len(mirror.parts) > 2 else mirror.glob("test_*.py")
    rest = sorted(path for path in inside if path.is_relative_to(mirror) and path not in first)
    return [str(path) for path in sorted(first, key=lambda path: stem not in path.stem)], [str(path) for path in rest]


class Loaded:
    """A pytest plugin that notes which modules exist before any conftest.py is read."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_load_initial_conftests(self) -> None:
        """Keeps the names of all modules."""
        self.before = set(sys.modules)


def run(tests: Sequence[str], seconds: float | None = None, *, note: bool = False) -> int:
    """Runs tests in a fork, in the current folder; returns pytest's exit code, or minus the signal that ended it.

    If asked to note them, the modules that were loaded for the tests are listed in loaded.txt.
    """
    child = FORK.Process(target=_tests, args=(tests, note))
    child.start()
    child.join(seconds)
    assert child.pid is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.join()
    return child.exitcode or 0


def _tests(tests: Sequence[str], note: bool) -> None:
    os.setsid()
    # Linux alone says what is taken; elsewhere the time that tests may take is the only bound.
    with contextlib.suppress(OSError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    with Path("tests.out").open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    if not note:
        # What the first run compiled stays valid, but for the module that is changed.
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    options, loaded = [*OPTIONS], Loaded()
    if hypothesis := None if note else sys.modules.get("hypothesis"):
        # One example is enough, and need not be the least.
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutations", phases=phases, database=None, derandomize=True)
        options += ["--hypothesis-profile=mutations"]
    code = pytest.main([*options, *tests], plugins=[loaded])
    if note:
        ours = {path.stem for path in Path.cwd().iterdir()}
        names = (name for name in sys.modules if name not in loaded.before and name.split(".")[0] not in ours)
        Path("loaded.txt").write_text("\n".join(names))
    sys.stdout.flush()
    os._exit(code)


def prepare(module: str, tests: Sequence[str]) -> float:
    """Loads what the tests load and writes the module as its mutants are written.

    Returns the seconds that the tests take.
    """
    _passes(module, tests, note=True)
    with warnings.catch_warnings(action="ignore"):
        for name in Path("loaded.txt").read_text().split():
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    Path(importlib.util.cache_from_source(module)).unlink(missing_ok=True)
    Path(module).write_text(ast.unparse(ast.parse(Path(module).read_text())))
    return _passes(module, tests)


def _passes(module: str, tests: Sequence[str], *, note: bool = False) -> float:
    began = time.monotonic()
    if run(tests, note=note):
        raise SystemExit(
            f"{module}: its tests do not pass without any change:\n{Path('tests.out').read_text()[-3000:]}"
        )
    return time.monotonic() - began


def noticed(module: str, tests: Sequence[str], seconds: float, mutant: Mutant) -> bool:
    """Returns whether the tests fail with this change.

    A change that ends them by time or crash is named, because the machine may be to blame.
    """
    Path(module).write_text(mutant.source)
    code = run(tests, max(LEAST_SECONDS, PATIENCE * seconds))
    if code < 0:
        print(f"{module}:{mutant.number}: {mutant.change}: ended by signal {-code}", file=sys.stderr)
    return code != 0


def _enter(folder: str) -> None:
    os.chdir(folder)
    sys.path[0] = os.environ["PYTHONPATH"] = folder


def survivors(module: str, found: Sequence[Mutant], tests: Sequence[str], workers: int) -> list[Mutant]:
    """Returns the changes that no test notices; the tests run in copies of the tree."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        folders = FORK.SimpleQueue()
        for number in range(workers):
            copy = Path(folder, str(number))
            shutil.copytree(here, copy, ignore=lambda of, names: NOT_COPIED & {*names} if Path(of) == here else ())
            folders.put(str(copy))
            os.chdir(copy)
            sys.path[0] = os.environ["PYTHONPATH"] = str(copy)
            seconds = prepare(module, tests)
        with ProcessPoolExecutor(workers, FORK, lambda: _enter(folders.get())) as pool:
            seen = list(pool.map(partial(noticed, module, tests, seconds), found))
        os.chdir(here)
    return [mutant for mutant, one in zip(found, seen, strict=True) if not one]


def report(module: str, chosen: argparse.Namespace) -> None:
    """Prints how many of a module's changes are noticed, and each one that is not."""
    module = module if module.endswith(".py") else module.replace(".", "/") + ".py"
    accepted = (yaml.safe_load(ACCEPTED.read_text()) if ACCEPTED.exists() else {}).get(module, ())
    idle = {(one["line"], one["change"]) for one in accepted}
    found = mutants(Path(module).read_text())
    for line, change in sorted(idle - {(one.line, one.change) for one in found}):
        print(f"{ACCEPTED}: {module} has no such change any more: {line}: {change}")
    if chosen.sample and chosen.sample < len(found):
        found = random.Random(chosen.seed).sample(found, chosen.sample)
    left = [one for one in found if (one.line, one.change) not in idle]
    nearest, others = near(module)
    for tests in [chosen.tests] if chosen.tests else [tests for tests in (nearest, others) if tests]:
        left = survivors(module, left, tests, chosen.workers) if left else left
    effective = sum((one.line, one.change) not in idle for one in found)
    count = effective - len(left)
    print(
        f"{module}: {count} of {effective} noticed, {len(found) - effective} without effect:"
        f" {100 * count / max(1, effective):.1f} %"
    )
    for one in left:
        print(f"{module}:{one.number}: {one.change}", flush=True)


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modules", nargs="+", metavar="MODULE", help="by its path or its dotted name")
    parser.add_argument("--tests", nargs="+", metavar="PATH", help="instead of the tests that are near the module")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="so many changes at random (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes")
    chosen = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    for module in chosen.modules:
        report(module, chosen)


if __name__ == "__main__":
    main()
