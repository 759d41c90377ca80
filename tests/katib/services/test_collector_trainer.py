"""The trainer as the collector finds it in /proc, and how it is stopped.

The table of processes is written by hand in the format of proc(5), so that every state can occur.
"""

import os
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from katib.services.collector import trainer
from katib.services.collector.trainer import Process, Trainer


class Table:
    """/proc of a pod, its emptyDir, and the signals that were sent."""

    def __init__(self, root: Path) -> None:
        self.proc, self.folder = root / "proc", root / "katib"
        self.proc.mkdir()
        (self.proc / "sys").mkdir()
        self.folder.mkdir()
        self.output = self.folder / "metrics.log"
        self.sent: list[tuple[int, int]] = []
        self.on: dict[tuple[int, int], Callable[[], object]] = {}
        """What a signal to a process does; SIGSTOP holds it unless something else is said."""
        self.waits = 0.0

    def add(
        self,
        pid: int,
        parent: int = 1,
        *,
        state: str = "S",
        started: int = 50,
        command: str = "",
        name: str = "sh",
    ) -> None:
        folder = self.proc / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
        fields = [state, str(parent), *(f"9{place}" for place in range(17)), str(started), "1", "2"]
        for file in (folder / "stat", folder / "task" / str(pid) / "stat"):
            file.write_text(f"{pid} ({name}) {' '.join(fields)}\n")
        (folder / "cmdline").write_bytes(command.encode().replace(b" ", b"\0"))

    def wrap(self, pid: int = 10, folder: Path | None = None, **others: int) -> None:
        """The shell that Katib wraps a command with; its words are kept apart by zero bytes."""
        self.add(pid, **others)  # type: ignore[arg-type]
        script = f"python train.py 1>{self.output} 2>&1 && echo completed > {folder or self.folder}/$$.pid"
        (self.proc / str(pid) / "cmdline").write_bytes(f"sh\0-c\0{script}\0".encode())

    def gone(self, pid: int) -> None:
        for path in sorted((self.proc / str(pid)).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (self.proc / str(pid)).rmdir()

    def thread(self, pid: int, state: str, thread: int = 0) -> None:
        folder = self.proc / str(pid) / "task" / str(thread or pid)
        folder.mkdir(exist_ok=True)
        (folder / "stat").write_text(f"{pid} (python) {state} 10\n")

    def kill(self, pid: int, number: int) -> None:
        if not (self.proc / str(pid)).exists():
            raise ProcessLookupError
        self.sent.append((pid, number))
        if what := self.on.get((pid, number)):
            what()
        elif number == signal.SIGSTOP:
            self.thread(pid, "T")

    @property
    def signals(self) -> list[tuple[int, str]]:
        return [(pid, signal.Signals(number).name) for pid, number in self.sent]

    @property
    def marks(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.folder.iterdir() if path.suffix in (".pid", ".draft")}


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    made = Table(tmp_path)
    clock = [0.0]
    monkeypatch.setattr(trainer, "PROC", made.proc)
    monkeypatch.setattr(os, "kill", made.kill)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def sleep(seconds: float) -> None:
        clock[0] += 500 * seconds  # or ten thousand looks would be as many readings of files
        made.waits = clock[0]

    monkeypatch.setattr(time, "sleep", sleep)
    return made


def test_this_process_is_found_in_the_real_table() -> None:
    found = trainer._process(os.getpid())
    assert found
    assert found.alive
    assert found.parent == os.getppid()


def test_the_shell_is_known_by_what_it_will_write(table: Table) -> None:
    """It is not another pod's shell, nor the copy that it makes of itself for a moment.

    Neither is it a process that merely names the folder, nor this collector.
    """
    table.wrap(8, folder=table.folder.parent / "other")
    table.add(9, command=f"tail -f {table.folder}/metrics.log")
    table.wrap(11, parent=10)
    table.wrap(10)
    table.wrap(os.getpid())
    found = Trainer(table.output)
    assert not found.ended
    assert found.shell == Process(10, 1, 50)


def test_a_training_begins_with_its_shell_and_ends_with_it(table: Table) -> None:
    """Then it stays ended, though another process gets the id."""
    found = Trainer(table.output)
    assert not found.ended
    assert found.shell is None
    table.wrap()
    assert not found.ended
    table.output.touch()
    assert not found.ended
    table.gone(10)
    assert found.ended
    table.wrap()
    assert found.ended


@pytest.mark.parametrize(("state", "started"), [("Z", 50), ("X", 50), ("S", 51)])
def test_a_dead_shell_and_a_later_process_of_its_id_are_its_end(state: str, started: int, table: Table) -> None:
    """proc(5): Z is a zombie, X is dead; a start time is a process's own."""
    table.wrap()
    found = Trainer(table.output)
    assert not found.ended
    table.wrap(state=state, started=started)  # type: ignore[arg-type]
    assert found.ended


@pytest.mark.parametrize("name", ["sh", "a) S 1 (b", "two words", "(", ")"])
def test_a_name_may_hold_anything(name: str, table: Table) -> None:
    """Up to 15 bytes, brackets and blanks among them."""
    table.wrap()
    table.add(12, 10, name=name, started=77)
    assert Process(12, 10, 77).alive
    assert not Process(12, 10, 78).alive


def test_a_name_may_be_no_text_and_a_process_may_end_while_it_is_looked_at(table: Table) -> None:
    """A name is bytes; a process that ends between two readings has no command any more."""
    table.add(9)
    (table.proc / "9" / "cmdline").unlink()
    table.wrap()
    stat_file = table.proc / "10" / "stat"
    stat_file.write_bytes(stat_file.read_bytes().replace(b"(sh)", b"(\xff)"))
    found = Trainer(table.output)
    assert not found.ended
    assert found.shell == Process(10, 1, 50)


@pytest.mark.parametrize("left", ["metrics.log", "10.pid"])
def test_what_a_shell_left_before_it_was_looked_for_says_that_it_was_there(left: str, table: Table) -> None:
    (table.folder / left).touch()
    assert Trainer(table.output).ended


@pytest.mark.parametrize(
    ("marks", "known", "unknown"),
    [
        ({}, False, False),
        ({"10.pid": "completed\n"}, True, True),
        ({"10.pid": "  completed \nmore"}, True, True),
        ({"10.pid": "early-stopped\ncompleted\n"}, False, False),
        ({"10.pid": "not completed\n"}, False, False),
        ({"99.pid": "completed\n"}, False, True),
        ({"98.pid": "early-stopped\n", "99.pid": "completed\n"}, False, True),
        ({"10.draft": "completed\n"}, False, False),
    ],
)
def test_the_shell_says_how_it_ended(marks: dict[str, str], known: bool, unknown: bool, table: Table) -> None:
    """By the first line of its own file; where its id is not known, by any."""
    table.wrap()
    found = Trainer(table.output)
    assert not found.ended
    for name, content in marks.items():
        (table.folder / name).write_text(content)
    assert found.completed == known
    assert Trainer(table.output).completed == unknown


def test_a_mark_that_cannot_be_read_says_nothing(table: Table) -> None:
    (table.folder / "10.pid").mkdir()
    assert not Trainer(table.output).completed


def running(table: Table) -> Trainer:
    """Returns a shell with two trainers; other processes are none of its own."""
    table.wrap()
    table.add(12, 10, name="python")
    table.add(13, 10, name="python")
    table.add(14, 12, name="worker")
    table.add(20, 1, name="collector")
    found = Trainer(table.output)
    assert not found.ended
    return found


def test_a_trainer_is_stopped_while_it_is_held(table: Table) -> None:
    """It is suspended, asked to end, marked and continued; the shell reads and writes the mark when it has ended."""
    found = running(table)
    seen = []
    table.on[13, signal.SIGTERM] = lambda: seen.append(("asked", table.marks))
    table.on[12, signal.SIGCONT] = lambda: seen.append(("let go", table.marks))
    assert found.stop()
    assert {pid for pid, _ in table.signals} == {12, 13}
    assert [name for _, name in table.signals] == ["SIGSTOP"] * 2 + ["SIGTERM"] * 2 + ["SIGCONT"] * 2
    assert seen == [
        ("asked", {"10.draft": "early-stopped\n"}),
        ("let go", {"10.pid": "early-stopped\n"}),
    ]
    assert stat.S_IMODE((table.folder / "10.pid").stat().st_mode) == 0o666


def test_nothing_is_stopped_before_the_shell_is_found_or_after_its_trainer(table: Table) -> None:
    assert Trainer(table.output).stop() is False
    (table.folder / "10.draft").mkdir()  # where nothing may be written
    table.wrap()
    found = Trainer(table.output)
    assert not found.ended
    assert found.stop() is False
    assert table.sent == []


def test_a_trainer_that_ends_by_itself_at_the_signal_is_not_marked(table: Table) -> None:
    """Its failure would be forgiven. Where one of two still lives, it is stopped."""
    found = running(table)
    for pid in (12, 13):
        table.on[pid, signal.SIGTERM] = lambda pid=pid: table.add(pid, 10, state="Z")  # type: ignore[misc]
    assert not found.stop()
    assert table.marks == {}
    table.add(12, 10)
    del table.on[12, signal.SIGTERM]
    assert found.stop()
    assert table.marks == {"10.pid": "early-stopped\n"}


def test_a_trainer_that_is_gone_at_the_signal_is_passed_over(table: Table) -> None:
    found = running(table)
    for pid, other in ((12, 13), (13, 12)):
        table.on[pid, signal.SIGSTOP] = lambda pid=pid, other=other: (
            table.gone(other),
            table.thread(pid, "T"),
        )  # type: ignore[misc]
    assert found.stop()
    assert table.waits == 0
    first = table.signals[0][0]
    assert table.signals == [(first, "SIGSTOP"), (first, "SIGTERM"), (first, "SIGCONT")]


def test_a_trainer_of_another_user_leaves_no_mark(table: Table) -> None:
    found = running(table)

    def refuse() -> None:
        raise PermissionError(1, "Operation not permitted")

    for number in (signal.SIGTERM, signal.SIGCONT, signal.SIGSTOP):
        table.on[12, number] = table.on[13, number] = refuse
    with pytest.raises(PermissionError):
        found.stop()
    assert table.marks == {}


def test_a_trainer_in_the_middle_of_a_slow_write_is_waited_for(table: Table) -> None:
    """State D of one of its threads (proc(5)); it is asked only once every thread is held."""
    found = running(table)
    table.thread(12, "D", thread=121)
    table.on[12, signal.SIGSTOP] = lambda: table.thread(12, "T")
    sleep, states = time.sleep, iter("DDRSt")

    def later(seconds: float) -> None:
        assert (12, signal.SIGTERM) not in table.sent
        table.thread(12, next(states), thread=121)
        sleep(seconds)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", later)
        assert found.stop()
    assert next(states, None) is None
    assert (12, signal.SIGTERM) in table.sent


@pytest.mark.parametrize("state", ["D", "R", "S", "I"])
def test_a_trainer_that_cannot_be_held_is_asked_after_ten_seconds(state: str, table: Table) -> None:
    found = running(table)
    table.on[12, signal.SIGSTOP] = lambda: table.thread(12, state)
    assert found.stop()
    assert table.waits == 10


@pytest.mark.parametrize("state", ["T", "t", "Z", "X"])
def test_a_trainer_that_runs_no_code_is_held(state: str, table: Table) -> None:
    """Stopped, traced, or dead but for its parent's notice."""
    found = running(table)
    table.on[12, signal.SIGSTOP] = lambda: table.thread(12, state)
    found.stop()
    assert table.waits == 0


def test_only_the_trainer_is_killed(table: Table) -> None:
    """Its shell must say how it ended."""
    found = running(table)
    found.kill()
    assert sorted(table.signals) == [(12, "SIGKILL"), (13, "SIGKILL")]
    table.sent.clear()
    Trainer(table.output).kill()
    assert table.sent == []
