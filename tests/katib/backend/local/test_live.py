"""What a terminal has of a local search: a headline with where it stands, the trials that matter, the count of the
others.
"""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest
from rich.cells import cell_len

from katib.backend.local.live import LiveTable, headline, heartbeats, picture, view
from katib.backend.local.record import Effort, Trial
from katib.backend.local.view import Lines
from katib.columns import Styled
from katib.heartbeat import Heartbeat
from katib.manifest.experiment import Experiment, load_experiment
from katib.manifest.render import Overrides, render
from katib.manifest.search import Algorithm
from katib.site import load_site
from katib.spec import load_spec
from katib.terminal import output
from katib.trainer_contract import HEARTBEAT
from katib.trial import State
from tests.verbs import Terminal

NAME = "series3-sepformer"
NOW = datetime(2026, 11, 26, 10, 0).timestamp()  # a Thursday, by this machine's clock
HOUR = 3600.0


@cache
def experiment(trials: int = 30) -> Experiment:
    return load_experiment(render(load_spec("sepformer"), load_site(), Overrides(trials=trials)), "made")


def trial(name: str, state: State, *values: float, hours: float = 0.0, **changes: object) -> Trial:
    """Returns one with SepFormer's settings; one that runs has done so for an hour."""
    started = NOW - HOUR if state == "Running" else None
    effort = Effort(seconds=hours * HOUR, started=started, starts=int(state == "Running" or hours > 0))
    settings = {
        "lr": "0.0012345678901234",
        "weight_decay": "1.2345e-05",
        "grad_clip_norm": "-5.5",
        "lr_factor": "0.5",
    }
    return Trial(1, f"{NAME}-{name}", settings, state, values=values, effort=effort, **changes)  # type: ignore[arg-type]


def crowd(number: int) -> list[Trial]:
    """Of each state some, with values of 16 digits below and above 0."""
    draw, found = random.Random(number), []
    for index in range(number):
        state: State = draw.choice(("Running", "Created", "Succeeded", "EarlyStopped", "Failed"))
        stop = "best of epoch 15, -1.23 dB, is below the median of 12 other trials, 4.41 dB"
        changes = {"stop": stop} if state == "EarlyStopped" else {}
        if state == "Failed":
            changes = {"reason": "exit code 1: RuntimeError: CUDA error: an illegal memory access was encountered"}
        found.append(trial(f"{index:08x}", state, draw.uniform(-99, 6), hours=draw.uniform(0.1, 13), **changes))
    return found


def drawn(trials: list[Trial], width: int = 80, height: int = 24, page: int = 0) -> list[str]:
    lines = picture(trials, experiment(), width=width, height=height, now=NOW, slots=4, gpu=True, page=page)
    return ["".join(text for text, _ in line) for line in lines]


@pytest.mark.parametrize("width", [20, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("number", [0, 1, 5, 200])
@pytest.mark.parametrize("height", [9, 24, 60])
def test_the_picture_is_no_larger_than_the_terminal_and_cuts_nothing(number: int, width: int, height: int) -> None:
    trials = crowd(number)
    lines = drawn(trials, width, height)
    assert len(lines) <= max(height, 21)  # three trials are shown however low it is
    assert all(cell_len(line) <= width and line == line.rstrip() for line in lines)
    assert "…" not in "".join(lines)
    values = {f"{one.values[0]:.2f} dB" for one in trials}
    assert set(re.findall(r"-?\d+\.\d+ dB", "\n".join(lines[2:]))) <= values | {"-1.23 dB", "4.41 dB"}


def test_what_runs_comes_first_then_the_best_and_the_rest_is_counted() -> None:
    trials = [trial(f"s{number:02}", "Succeeded", float(number), hours=12.0) for number in range(40)]
    trials += [
        trial("f", "Failed", 9.0, hours=1.0),
        trial("w", "Created", hours=1.0),
        trial("r", "Running", 1.5),
    ]
    head, *lines = drawn(trials, width=120, height=14)
    assert head.startswith(f"{NAME}: 41 of 30 trials ended, 1 running, 1 failed, best 39.00 dB, ")
    rows = [line.split()[:2] for line in lines[-8:-1]]
    assert rows == [
        ["r", "Running"],
        ["w", "Interrupted"],
        ["s39", "Succeeded"],
        ["s38", "Succeeded"],
        ["s37", "Succeeded"],
        ["s36", "Succeeded"],
        ["s35", "Succeeded"],
    ]
    assert lines[-1] == "and 36 more: 35 Succeeded, 1 Failed; page 1 of 7, next in 10 s"


@pytest.mark.parametrize("number", [30, 41, 200])
def test_every_trial_is_on_some_page_of_80_by_24_and_what_runs_on_each(number: int) -> None:
    trials = crowd(number)
    first = drawn(trials, 78, 23)
    pages = int(re.search(r"page 1 of (\d+)", " ".join(first))[1])  # type: ignore[index]
    running = {one.name.rpartition("-")[2] for one in trials if one.state == "Running"}
    seen: set[str] = set()
    for page in range(pages):
        lines = drawn(trials, 78, 23, page)
        assert len(lines) <= 23
        assert all(cell_len(line) <= 78 for line in lines)
        names = {match[0] for line in lines if (match := re.match(r"[0-9a-f]{8}(?=  )", line))}
        assert len(names & running) >= min(len(running), 6)
        seen |= names
    assert seen == {one.name.rpartition("-")[2] for one in trials}
    assert drawn(trials, 78, 23, pages) == first


def test_the_headline_has_the_count_the_best_the_hours_and_the_end() -> None:
    """By hand: three trials took 12, 12 and 6 hours, so one takes 10.

    26 begin, 4 at a time, behind one that has 9 h to go: slots are free after 0, 0, 0 and 9 h, seven rounds take the
    first two to 70 h: Thursday 10:00 and 70 h are Sunday 08:00.
    """
    trials = [
        trial("a", "Succeeded", 5.2, hours=12.0),
        trial("b", "Succeeded", 5.1, hours=12.0),
        trial("c", "EarlyStopped", 1.0, hours=6.0),
        trial("d", "Running", 0.5),
    ]
    words = {"now": NOW, "slots": 4}
    found = headline(trials, experiment(), gpu=True, **words)  # type: ignore[arg-type]
    assert found == f"{NAME}: 3 of 30 trials ended, 1 running, best 5.20 dB, 31 of about 300 GPU-hours, ends Sun 08:00"
    found = headline(trials, experiment(), gpu=False, **words)  # type: ignore[arg-type]
    assert found == f"{NAME}: 3 of 30 trials ended, 1 running, best 5.20 dB, 31 h 00 min of training, ends Sun 08:00"


def test_the_end_of_a_search_with_pauses_counts_continuations() -> None:
    """By hand: 30 configurations get 10 + 10/2 + 30/4 = 22.5 of 50 epochs each, 675 in all, and 4 at a time.

    Three have trained 25 epochs in 25 hours, so 650 hours are left for four slots: 162.5 h end on the Thursday after.
    """
    rule = {"rung_epochs": "10,20", "eta": "2", "configurations": "30"}
    settings = [{"name": name, "value": value} for name, value in rule.items()]
    made = experiment()
    spec = {**made.spec, "earlyStopping": {"algorithmName": "promote", "algorithmSettings": settings}}
    trials = [
        trial("a", "Succeeded", *[5.2] * 10, hours=10.0),
        trial("b", "EarlyStopped", *[1.0] * 10, hours=10.0),
        trial("c", "EarlyStopped", *[1.0] * 5, hours=5.0),
    ]
    found = headline(trials, replace(made, spec=spec), NOW, slots=4, gpu=True)
    assert found.endswith("ends Thu 3 Dec")


def test_nobody_knows_the_end_before_a_trial_has_ended_well() -> None:
    trials = [trial("a", "Failed", hours=0.1), trial("b", "Running", 0.5)]
    found = headline(trials, experiment(), NOW, slots=2, gpu=True)
    assert found == f"{NAME}: 1 of 30 trials ended, 1 running, 1 failed, best 0.50 dB, 1.10 GPU-hours"


def test_what_went_wrong_stays_in_sight_with_the_trials_last_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    with LiveTable(experiment(), output(terminal), tmp_path, slots=2, gpu=False) as live:
        live.change(trial("a", "Failed", 1.0, reason="exit code 1: RuntimeError: boom"))
        tried = Effort(failures=1, starts=1)
        live.change(Trial(1, "b", {}, "Created", "exit code 1: OSError: gone; try 2 of 3", effort=tried))
        live.change(trial("c", "Succeeded", 1.0))
        live.change(Trial(1, "d", {"lr": "1"}))
        live.show([trial("a", "Failed", 1.0), trial("e", "Running", 1.0)])
    printed = terminal.getvalue()
    assert f"trial {NAME}-a  Failed  exit code 1: RuntimeError: boom, 1 epoch in 0 s" in printed
    assert "trial b  Created  exit code 1: OSError: gone; try 2 of 3" in printed
    assert not re.search(r"trial \S*[cd]  ", printed)
    assert not re.search(r"\x1b\[[0-9;]*m", printed)  # NO_COLOR: the cursor moves, and no style is set


@pytest.mark.parametrize(("term", "kind"), [("xterm", LiveTable), ("dumb", Lines)])
def test_a_dumb_terminal_gets_lines(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, term: str, kind: type[Lines]
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr("sys.stdout", Terminal())
    assert type(view(experiment(), tmp_path, slots=1, gpu=False)) is kind


def test_a_running_trial_shows_its_part_of_the_epoch_its_silence_and_the_end_at_its_pace(tmp_path: Path) -> None:
    """Thirty trials of 50 epochs of half an hour, one of them begun an hour ago, four at a time: 8 rounds of 25 h."""
    trials = [trial(name, "Running", 1.0, 2.0) for name in ("quick", "hung", "begins")]
    content = {"stage": "training", "epoch": 3, "epochs": 50, "step": 45, "steps": 100, "step_seconds": 1.0}
    content |= {"mixtures_per_second": 4.0, "epoch_seconds": HOUR / 2, "time": NOW}
    for one, stepped in (("quick", NOW - 20), ("hung", NOW - 1200)):
        (tmp_path / f"{NAME}-{one}").mkdir()
        (tmp_path / f"{NAME}-{one}" / HEARTBEAT).write_text(json.dumps(content | {"last_step": stepped}))
    beats = heartbeats([*trials, trial("quick", "Succeeded")], tmp_path)
    shown = picture(trials, experiment(), width=150, height=24, now=NOW, slots=4, gpu=True, beats=beats)
    text = ["".join(part for part, _ in line) for line in shown]
    assert "at this pace ends Fri 4 Dec at the latest" in text[0]
    rows = {line.split()[0]: line for line in text[1:]}
    assert [rows[name].split()[2] for name in ("quick", "hung", "begins")] == ["2.4", "2.4", "2"]
    assert [name for name in rows if "no step for 20 min, after step 45 of 100 of epoch 3" in rows[name]] == ["hung"]


def test_a_trial_that_takes_no_steps_is_told_where_the_reasons_do_not_fit() -> None:
    beat = Heartbeat(
        3, 50, 120, 1000, False, stepped=NOW - 900, step_seconds=1.0, mixtures_per_second=8.0, epoch_seconds=800.0
    )
    silent = "no step for 15 min, after step 120 of 1000 of epoch 3"
    names = ["r1", "r2", "r3"]
    running = [trial(name, "Running", 1.0, 2.0) for name in names]
    rest = [trial(f"s{number:02}", "Succeeded", float(number), hours=12.0) for number in range(40)]
    for beats in ({running[0].name: beat}, {one.name: beat for one in running}):
        lines = text_of(
            picture([*running, *rest], experiment(), width=78, height=23, now=NOW, slots=4, gpu=True, beats=beats)
        )
        assert len(lines) <= 23
        assert f"r1: {silent}" in lines
        assert ("and 1 more, silent too" in lines) == (len(beats) == 3)
        wide = text_of(picture(running, experiment(), width=200, height=23, now=NOW, slots=4, gpu=True, beats=beats))
        assert f"r1: {silent}" not in wide
        assert silent in " ".join(wide)


def text_of(lines: list[Sequence[Styled]]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def test_the_headline_says_how_many_are_paused_while_they_may_go_on() -> None:
    made = experiment()
    rule = Algorithm("promote", {"rung_epochs": "10,20", "eta": "2", "configurations": "30"})
    pausing = replace(made, search=replace(made.search, early_stopping=rule))
    trials = [trial("a", "Succeeded", 5.2, hours=1.0), trial("b", "EarlyStopped", 1.0, hours=1.0)]
    under_way = [*trials, trial("c", "Running", 2.0)]
    words = {"slots": 2, "gpu": False}
    assert "2 of 30 trials ended, 1 running, 1 paused, best" in headline(under_way, pausing, NOW, **words)  # type: ignore[arg-type]
    for ended, search in ((trials, pausing), (under_way, made)):
        assert "paused" not in headline(ended, search, NOW, **words)  # type: ignore[arg-type]
