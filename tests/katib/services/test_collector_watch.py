"""The collector's loop on a test clock: when it polls, asks, waits and gives up, and its exit code.

The codes are those of Katib's own collector: 0, and 255 (klog.Fatal) beside a trainer that failed; 143 where the pod is
deleted. Output, parser and reporter are real; trainer, DB manager and early-stopping service do what the script of a
test says.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from katib.services.collector import watch
from katib.services.collector.arguments import parse
from katib.services.collector.watch import Watch
from tests.katib.services.pod import epoch
from tests.katib.services.rig import METRIC
from tests.katib.services.test_reporter import Manager

FILTER = rf"(?:^\S+ )?({METRIC}|loss)=(\S*)$"


class World:
    """A pod's time, its file, its trainer and its two services; `script` says what happens at which second."""

    def __init__(self, output: Path) -> None:
        self.now, self.output, self.sleeps = 0.0, output, list[float]()
        self.script: list[tuple[float, Callable[[], object]]] = []
        self.manager = Manager()
        self.shell, self.alive, self.completed = True, True, False
        self.asked: list[tuple[int, float]] = []
        self.reasons: dict[int, str] = {}
        self.stops: Any = True
        self.stopped: list[float] = []
        self.killed: list[float] = []
        self.marks: list[float] = []
        self.marked_after = 0

    def at(self, second: float, what: Callable[[], object]) -> None:
        self.script.append((second, what))

    def print(self, *lines: str, end: str = "\n") -> None:
        with self.output.open("a") as file:
            file.write("\n".join(lines) + end)

    def end(self, *, completed: bool = False) -> None:
        self.alive, self.completed = False, completed

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds
        assert self.now < 5000, "the collector has not ended"
        due = [what for second, what in self.script if second <= self.now]
        self.script = [(second, what) for second, what in self.script if second > self.now]
        for what in due:
            what()

    # what the loop asks of the trainer
    @property
    def ended(self) -> bool:
        return self.shell and not self.alive

    def stop(self) -> bool:
        self.stopped.append(self.now)
        if isinstance(self.stops, Exception):
            raise self.stops
        return bool(self.stops)

    def kill(self) -> None:
        self.killed.append(self.now)

    # and of the early-stopping service
    def ends(self, step: int, best: float) -> str | None:
        self.asked.append((step, best))
        return self.reasons.get(step)

    def mark(self) -> bool:
        self.marks.append(self.now)
        return len(self.marks) > self.marked_after

    def run(self, *more: str) -> int:
        arguments = [
            "-t",
            "t",
            "-m",
            f"{METRIC};loss",
            "-s-db",
            "db:1",
            "-path",
            str(self.output),
            "-f",
            FILTER,
        ]
        return Watch(parse([*arguments, *more])).run()


class Trainer:
    """The trainer as the loop sees it: `shell` is None until it has appeared."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        if name == "shell":
            return self if self._world.shell else None
        return getattr(self._world, name)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(tmp_path / "metrics.log")
    monkeypatch.setattr(watch, "Trainer", lambda output: Trainer(made))
    monkeypatch.setattr(watch, "ObservationLogs", lambda address: made.manager)
    monkeypatch.setattr(watch, "Stopper", lambda address, arguments: made)
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    monkeypatch.setattr(time, "sleep", made.sleep)
    before = signal.getsignal(signal.SIGTERM)
    yield made
    signal.signal(signal.SIGTERM, before)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


STOPPING = ("-stop-rule", "any", "-s-earlystop", "s:1")


def test_a_trial_that_completes(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Every line is reported, the last one too, which has no end; looks are a quarter of a second apart."""
    world.print(epoch(1, 1), "words", epoch(2, 2))
    world.at(1, lambda: world.print(epoch(3, 3), end=""))
    world.at(2, lambda: world.end(completed=True))
    caplog.set_level(logging.INFO)
    assert world.run() == 0
    assert world.manager.values() == ["1.0", "2.0", "3.0"]
    assert caplog.messages == ["the trainer has completed"]
    assert {record.name for record in caplog.records} == {"collector"}
    assert set(world.sleeps) == {0.25}
    assert world.now == 2


def test_a_trial_that_fails_leaves_its_rows_and_no_half_line(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.print(epoch(1, 1), epoch(2, 2), end="")
    world.at(1, world.end)
    assert world.run() == 255
    assert world.manager.values() == ["1.0"]
    assert caplog.messages == ["the trainer has failed"]


def test_a_trainer_that_never_appears_is_waited_for_ten_minutes(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.shell, world.now = False, 50
    assert world.run() == 255
    assert 650 < world.now <= 651
    assert caplog.messages == ["no trainer has appeared within 600 s"]


def test_a_trainer_that_appears_late_is_followed(world: World) -> None:
    def appear() -> None:
        world.shell = True
        world.print(epoch(1, 1))
        world.at(700, lambda: world.end(completed=True))

    world.shell = False
    world.at(590, appear)
    assert world.run() == 0
    assert world.manager.values() == ["1.0"]


def test_a_pod_that_is_deleted_before_its_trainer_appears(world: World) -> None:
    world.shell = False
    world.at(3, terminate)
    assert world.run() == 143
    assert world.now == 3


@pytest.mark.parametrize(("completed", "code"), [(False, 143), (True, 0)])
def test_a_pod_that_is_deleted_waits_for_its_trainer(
    completed: bool, code: int, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Minutes, while it writes its checkpoint; what it prints then is reported."""
    world.at(1, terminate)
    world.at(100, lambda: world.print(epoch(1, 1)))
    world.at(101, lambda: world.end(completed=completed))
    caplog.set_level(logging.INFO)
    assert world.run() == code
    assert world.manager.values() == ["1.0"]
    ended = "the trainer has completed" if completed else "the pod is being deleted, and the trainer has ended"
    assert caplog.messages == [ended]


def test_a_deleted_pod_waits_ten_seconds_for_a_manager_that_is_away(world: World) -> None:
    """From the first signal on; a second one does not prolong it."""
    world.manager.away = True
    world.print(epoch(1, 1))
    world.at(1, lambda: world.end(completed=True))
    world.at(5, terminate)
    world.at(12, terminate)
    assert world.run() == 143
    assert 15 < world.now <= 15.5


def test_a_trainer_that_is_still_read_when_the_pod_goes_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manager is away and rows wait in the file: the pod's time is over before they are read."""
    monkeypatch.setattr("katib.services.collector.report.MOST_WAITING", 1)
    world.manager.away = True
    world.print(epoch(1, 1))
    world.at(1, lambda: world.print(epoch(2, 2)))
    world.at(2, terminate)
    world.at(3, lambda: world.end(completed=True))
    assert world.run() == 143
    assert 12 < world.now <= 13


def test_a_manager_that_is_away_at_the_end_is_waited_for(world: World) -> None:
    """Half an hour: without its rows Katib cannot count the trial."""
    world.manager.away = True
    world.print(epoch(1, 1))
    world.at(1, lambda: world.end(completed=True))
    world.at(1800, lambda: setattr(world.manager, "away", False))
    assert world.run() == 0
    assert world.manager.values() == ["1.0"]


def test_a_trial_without_its_objective_is_unavailable(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Another metric is none; a failed trial, and one that has a value, are told nothing."""
    world.print("loss=1")
    world.at(1, lambda: world.end(completed=True))
    assert world.run() == 0
    assert world.manager.values() == ["unavailable"]
    assert world.manager.values("loss") == ["1.0"]
    assert caplog.messages == [f"the trainer has printed no {METRIC} that the filters match"]


@pytest.mark.parametrize("line", ["loss=1", f"{METRIC}=3"])
def test_only_a_completed_trial_without_its_objective_is_unavailable(line: str, world: World) -> None:
    world.print(line)
    world.at(1, lambda: world.end(completed="3" in line))
    assert world.run() == (0 if "3" in line else 255)
    assert "unavailable" not in world.manager.values()


def test_what_katib_cannot_rank_is_left_out_and_a_text_is_kept(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Katib's darts example prints a genotype as its metric."""
    world.print(*(f"{METRIC}={text}" for text in ("nan", "-inf", "", "genotype", "1_0", "0x1p1")))
    world.at(1, lambda: world.end(completed=True))
    assert world.run() == 0
    assert world.manager.values() == ["genotype", "1_0", "2.0"]
    assert [message.partition(" ")[0] for message in caplog.messages] == [
        f"{METRIC}=nan",
        f"{METRIC}=-inf",
        f"{METRIC}=",
    ]


def test_lines_that_are_too_long_are_counted(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.print("x" * 70_000, epoch(1, 1))
    world.at(1, lambda: world.end(completed=True))
    assert world.run() == 0
    assert caplog.messages == ["1 lines were too long to be read"]


@pytest.mark.parametrize(("direction", "best"), [("maximize", [1, 3, 3]), ("minimize", [1, 1, 1])])
def test_the_service_is_asked_once_after_each_step(direction: str, best: list[float], world: World) -> None:
    """About the best until then, by the direction; a line between two steps is no reason to ask."""
    for second, value in enumerate((1, 3, 2), 1):
        world.at(second, lambda step=second, value=value: world.print("words", epoch(step, value)))  # type: ignore[misc]
    world.at(9, lambda: world.end(completed=True))
    assert world.run(*STOPPING, "-o-type", direction) == 0
    assert world.asked == list(enumerate(map(float, best), 1))
    assert (world.stopped, world.marks) == ([], [])


def test_nobody_is_asked_where_no_rule_was_given(world: World) -> None:
    world.print(epoch(1, 1))
    world.at(1, lambda: world.end(completed=True))
    assert world.run() == 0
    assert world.asked == []


def test_nobody_is_asked_about_what_an_earlier_pod_has_reported(world: World) -> None:
    """Two steps of it are printed again; the third is new."""
    world.print(epoch(1, 1), epoch(2, 2))
    world.at(1, world.end)
    assert world.run(*STOPPING) == 255
    world.asked.clear()
    world.now, world.alive = 0, True
    world.at(1, lambda: world.print(epoch(3, 3)))
    world.at(2, lambda: world.end(completed=True))
    assert world.run(*STOPPING) == 0
    assert world.asked == [(3, 3.0)]


def test_nobody_is_asked_before_the_rows_are_there_or_after_the_end(world: World) -> None:
    """The service reads them from the manager."""
    world.manager.away = True
    world.print(epoch(1, 1))
    world.at(5, lambda: setattr(world.manager, "away", False))
    world.at(9, lambda: (world.print(epoch(2, 2)), world.end(completed=True)))
    assert world.run(*STOPPING) == 0
    assert world.asked == [(1, 1.0)]


def test_a_trial_that_is_stopped_early_is_marked(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Once; what it prints while it saves is reported, half a line is not, and nobody is asked again."""
    caplog.set_level(logging.INFO)
    world.reasons = {2: "step 2: worse"}
    world.print(epoch(1, 1))
    world.at(1, lambda: world.print(epoch(2, 2)))
    world.at(100, lambda: world.print(epoch(3, 3), epoch(4, 4), end=""))
    world.at(101, lambda: world.end(completed=True))
    assert world.run(*STOPPING) == 0
    assert world.asked == [(1, 1.0), (2, 2.0)]
    assert world.stopped == [1]
    assert world.killed == []
    assert world.marks == [101]
    assert world.manager.values() == ["1.0", "2.0", "3.0"]
    assert "stopped early at step 2: worse" in caplog.messages


def test_a_stopped_trial_without_a_value_is_not_unavailable(world: World) -> None:
    """It was stopped by steps of an earlier pod, say; Katib would take it for MetricsUnavailable."""
    world.reasons = {1: "worse"}
    world.print(epoch(1, "1"))
    world.at(1, lambda: world.end(completed=True))
    assert world.run(*STOPPING) == 0
    assert world.manager.values() == ["1.0"]


@pytest.mark.parametrize("stops", [False, PermissionError(1, "Operation not permitted")])
def test_a_trial_that_cannot_be_stopped_runs_to_its_end(
    stops: Any, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Or has just ended: it is not marked, and asked about again at its next step."""
    world.reasons, world.stops = {1: "worse", 2: "worse"}, stops
    world.print(epoch(1, 1))
    world.at(1, lambda: world.print(epoch(2, 2)))
    world.at(500, lambda: world.end(completed=True))
    assert world.run(*STOPPING) == 0
    assert len(world.stopped) == 2
    assert (world.marks, world.killed) == ([], [])
    assert sum("Operation not permitted" in message for message in caplog.messages) == (2 if stops else 0)


def test_a_trainer_that_does_not_end_is_killed_after_two_minutes(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, 120 s after it was asked."""
    world.reasons = {1: "worse"}
    world.at(10, lambda: world.print(epoch(1, 1)))
    world.at(400, world.end)
    assert world.run(*STOPPING) == 0
    assert world.stopped == [10]
    assert world.killed == [130.25]
    assert caplog.messages == ["the trainer has not ended within 120 s; it is killed"]


def test_a_mark_that_cannot_be_set_is_tried_with_longer_pauses(world: World) -> None:
    """A quarter of a second at first, then twice as long each time, ten seconds at most."""
    world.reasons, world.marked_after = {1: "worse"}, 9
    world.print(epoch(1, 1))
    world.at(1, world.end)
    assert world.run(*STOPPING) == 0
    pauses = [later - earlier for earlier, later in zip(world.marks, world.marks[1:], strict=False)]
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 10, 10, 10]


def test_a_mark_that_can_never_be_set_is_given_up_after_ten_minutes(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Katib then takes the trial for completed, and so does the exit code."""
    world.reasons, world.marked_after = {1: "worse"}, 10**6
    world.print(epoch(1, 1))
    world.at(1, world.end)
    assert world.run(*STOPPING) == 0
    assert 601 < world.now <= 612
    assert world.marks[-1] - world.marks[0] >= 600
    assert caplog.messages[-1].startswith("the trial could not be marked as stopped early")


def test_a_pod_that_is_deleted_gives_the_mark_up_after_ten_seconds(world: World) -> None:
    world.reasons, world.marked_after = {1: "worse"}, 10**6
    world.print(epoch(1, 1))
    world.at(1, world.end)
    world.at(2, terminate)
    assert world.run(*STOPPING) == 0
    assert 12 < world.now <= 20


def test_a_long_output_is_read_without_pauses(world: World) -> None:
    """30 chunks of it, as long as no more rows wait than may."""
    for step in range(1, 21):
        world.print("x" * 100_000, epoch(step, step))
    world.at(0.25, lambda: world.end(completed=True))
    assert world.run() == 0
    assert world.sleeps == [0.25]
    assert len(world.manager.rows) == 20


def test_an_output_that_was_complete_before_the_first_look_is_read_whole(world: World) -> None:
    """A finished run prints its history and ends at once."""
    for step in range(1, 6):
        world.print("x" * 100_000, epoch(step, step))
    world.end(completed=True)
    assert world.run() == 0
    assert world.manager.values() == [f"{step}.0" for step in range(1, 6)]


def test_a_full_memory_leaves_the_rest_in_the_file(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the manager is away no more is read than may wait, and the loop sleeps between two looks."""
    monkeypatch.setattr("katib.services.collector.report.MOST_WAITING", 5)
    world.manager.away = True
    world.print(*(epoch(step, step) for step in range(5)))
    world.at(1, lambda: world.print(epoch(5, 5), epoch(6, 6)))
    world.at(20, lambda: setattr(world.manager, "away", False))
    world.at(90, lambda: world.end(completed=True))
    assert world.run() == 0
    assert world.manager.values() == [f"{step}.0" for step in range(7)]
    assert min(world.sleeps) == 0.25
