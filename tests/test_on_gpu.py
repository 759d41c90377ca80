"""The GPU measurements at tiny sizes on the CPU, so that no misspelling waits for a GPU."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.on_gpu.__main__ import MOST_SECONDS, main, measure, table
from benchmarks.on_gpu.gpu_tests import FIRST, SECOND, THERE, outcomes
from benchmarks.on_gpu.parts import PARTS, Part
from benchmarks.on_gpu.rivals import against_speechbrain
from benchmarks.on_gpu.roofline import kernels_of_steps, roofline
from benchmarks.on_gpu.rows import MODELS, PUBLISHED, TINY, AbsentError, Row, Sizes
from benchmarks.on_gpu.together import by_mps, by_turns
from benchmarks.on_gpu.whole_step import AsItIs, Graphed, in_one_graph, steps
from katib.spec import load_spec

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)


@pytest.mark.parametrize(
    ("part", "models", "first"),
    [
        (steps, MODELS, "convtasnet, forward and backward"),
        (in_one_graph, MODELS[:1], "convtasnet, difference of the weights after 5 steps"),
        (roofline, MODELS, "memory"),
        (kernels_of_steps, MODELS[:1], "convtasnet: "),
        (against_speechbrain, MODELS[:1], "convtasnet, speechbrain"),
        (by_turns, MODELS[:1], "convtasnet, 1 trials by turns"),
    ],
)
def test_a_part_runs_at_tiny_sizes(
    part: Callable[[Sizes], Iterator[Row]], models: tuple[str, ...], first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rows = list(part(replace(TINY, models=models)))
    assert rows[0].what.startswith(first)
    assert all(row.value >= 0 and row.kept is not False for row in rows)


def test_the_step_in_one_graph_has_the_bits_of_the_step_as_it_is() -> None:
    """Without a record, which only a GPU has: Adam with found_inf does what the step without it does."""
    load = replace(TINY, batch=2).load("dprnn")
    plain, graphed = AsItIs(load), Graphed(load)
    for _ in range(3):
        assert plain()
        graphed()
    pairs = zip(plain.network.parameters(), graphed.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    plain.mixtures.fill_(float("nan"))
    assert not plain()


def test_what_is_missing_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AbsentError, match="nvidia-cuda-mps-control is not installed"):
        list(by_mps(TINY))
    monkeypatch.setattr("benchmarks.on_gpu.rivals.find_spec", lambda name: None)
    with pytest.raises(AbsentError, match="speechbrain is not installed"):
        list(against_speechbrain(TINY))


def test_the_tests_are_there_and_a_missing_module_is_told_from_a_failure() -> None:
    assert all((ROOT / path).is_file() for path in (*FIRST, *SECOND, THERE))
    said = [
        "tests/trainer/test_fit.py::test_a[x y] PASSED [  1%]",
        "tests/trainer/test_fit.py::test_b FAILED [  2%]",
        "tests/trainer/test_fit.py::test_c SKIPPED (needs) [  3%]",
        "E   ModuleNotFoundError: No module named 'speechbrain'",
        "ERROR tests/trainer/models/test_parity.py - ModuleNotFoundError: No module named 'speechbrain'",
        "ERROR tests/trainer/test_d.py - NameError",
    ]
    failed, absent, broken, counts = outcomes("others", said)
    assert (failed.what, failed.kept, absent.kept, broken.kept) == (
        "tests/trainer/test_fit.py::test_b",
        False,
        None,
        False,
    )
    assert absent.note == "skipped: no module speechbrain"
    assert (counts.value, counts.note) == (1, "1 failed, 1 skipped, 1 without speechbrain")


def test_a_part_that_takes_too_long_is_ended_and_keeps_what_it_has_said() -> None:
    said = json.dumps({"what": "x", "value": 2.0, "unit": "ms", "limit": "<= 1"})
    part = Part("slow", 1.0, steps)
    slow = measure(
        part, TINY, 1.5, [sys.executable, "-c", f"print('''{said}''', flush=True); import time; time.sleep(60)"]
    )
    assert (slow.state, [row.value for row in slow.rows]) == ("over its time limit", [2.0])
    assert slow.seconds < 30
    broken = measure(part, TINY, 60, [sys.executable, "-c", "import nothing_of_that_name"])
    assert (broken.state, broken.reason) == ("failed", "ModuleNotFoundError: No module named 'nothing_of_that_name'")
    absent = measure(part, TINY, 60, ["echo", '{"skipped": "no speechbrain"}'])
    lines = list(table([slow, broken, absent]))
    assert lines[2] == "| slow | x | 2 ms |  | <= 1, MISSED |  |"
    assert lines[-1].endswith(": no speechbrain")


def test_the_script_writes_one_file_and_one_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    out = tmp_path / "out.json"
    assert main(["--tiny", "--out", str(out), "--parts", "steps", "by-mps", "--seconds", "300"]) == 0
    whole = json.loads(out.read_text())
    assert [(part["part"], part["state"]) for part in whole["parts"]] == [("steps", "done"), ("by-mps", "skipped")]
    assert "| steps | convtasnet, throughput |" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--out", str(out / "x" / "y.json")])


def test_it_ends_within_nine_minutes_and_its_loads_are_those_of_the_specs() -> None:
    assert sum(part.seconds for part in PARTS) <= MOST_SECONDS <= 540
    for model, (batch, precision) in PUBLISHED.items():
        fixed = load_spec(model).fixed
        assert (fixed["batch_size"], fixed["precision"]) == (batch, precision)


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without a GPU")
def test_without_a_gpu_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--out", os.devnull])
    assert ended.value.code == 2
    assert "torch finds no GPU here; --tiny tries the script on the CPU" in capsys.readouterr().err
