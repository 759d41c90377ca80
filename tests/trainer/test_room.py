"""A run directory on a volume that fills: the trainer waits for room, says so, and loses nothing.

The volume is a real one, a small tmpfs.
"""

import errno
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.test_resume import assert_same, metric_lines, read_until
from tests.trainer.training import Training
from trainer.errors import StorageError
from trainer.training import room
from trainer.training.fit import Fit
from trainer.training.room import Room
from trainer.training.stop import StopRequest

WAITS = re.compile(
    r"waits for room: (\S+) cannot be written \(No space left on device\); tries again at least every .* s, "
)

FOUR = ("--epochs", "4")
WAIT = ("--room-minutes", "0.5")


class Volume:
    """A tmpfs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self, size: str) -> None:
        """Gives it another size."""
        subprocess.run(["mount", "-o", f"remount,size={size}", self.path], check=True)

    def fill(self) -> None:
        """Leaves not a byte free."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            for step in (65536, 4096, 1):
                try:
                    while True:
                        file.write(bytes(step))
                except OSError:
                    continue

    def free(self) -> None:
        """Takes the filler away."""
        (self.path / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,nr_inodes=0", self.path], check=True)


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Volume]:
    path = tmp_path / "volume"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here ({mounted.stderr.strip()}); run as root, not in a container")
    monkeypatch.setattr(room, "POLL_SECONDS", 0.05)
    yield Volume(path)
    subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def when_it_waits(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], list[str]]:
    """Calls a function once when the trainer says that it waits; returns the lines that follow."""

    def install(then: Callable[[], object]) -> list[str]:
        lines: list[str] = []
        waiting = iter([then])

        def saying(line: str) -> None:
            lines.append(line)
            if line.startswith("waits for room"):
                next(waiting, lambda: None)()

        monkeypatch.setattr(room, "say", saying)
        return lines

    return install


Install = Callable[[Callable[[], object]], list[str]]


def test_a_volume_that_fills_is_waited_for_and_nothing_differs(
    training: Training, tmp_path: Path, volume: Volume, when_it_waits: Install
) -> None:
    """A volume that holds two checkpoints but not the third that is written beside them: made larger while the trainer
    waits, the run ends bitwise as one that had room.
    """
    (tmp_path / "roomy").mkdir()
    assert training.here(tmp_path / "roomy" / "trial") == 0
    volume.size("1200k")
    lines = when_it_waits(lambda: volume.size("8m"))
    assert training.here(volume.path / "trial", *WAIT) == 0
    waits, again = lines
    found = WAITS.match(waits)
    assert found is not None, waits
    assert re.search(r"gives up at \d\d:\d\d UTC$", waits)
    assert again == f"room again: {found[1]} is written"
    assert_same(volume.path / "trial", tmp_path / "roomy" / "trial")
    assert not list((volume.path / "trial").glob("*.tmp"))


@pytest.mark.parametrize("room_for", ["nothing", "a folder and a name"])
def test_a_full_volume_at_the_start_is_no_bad_input(
    room_for: str, training: Training, volume: Volume, when_it_waits: Install
) -> None:
    """Neither the folder, which needs an inode, nor the process id, which needs a page: both are waited for."""
    if room_for == "nothing":
        subprocess.run(["mount", "-o", "remount,nr_inodes=2", volume.path], check=True)
        volume.fill()
    else:
        volume.fill()
        (volume.path / "trial").mkdir()
    lines = when_it_waits(volume.free)
    assert training.here(volume.path / "trial", *WAIT, "--epochs", "1") == 0
    assert [bool(WAITS.match(line)) for line in lines][:2] == [True, False]
    assert json.loads((volume.path / "trial" / "summary.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("made", [False, True], ids=["no folder", "a folder"])
def test_without_room_to_the_end_it_exits_1_in_one_line(
    made: bool, training: Training, volume: Volume, capsys: pytest.CaptureFixture[str]
) -> None:
    """No trace, nothing half-written, and not the code of bad input."""
    volume.fill()
    if made:
        (volume.path / "trial").mkdir()
    assert training.here(volume.path / "trial", "--room-minutes", "0.002") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "No space left on device" in line
    assert "make room" in line
    assert not [path for path in (volume.path / "trial").glob("*") if path.is_file()]


def test_sigterm_in_the_wait_keeps_the_finished_epoch(
    training: Training, tmp_path: Path, volume: Volume, when_it_waits: Install
) -> None:
    """Exit code 143 at once.

    The epoch in memory takes the room of the checkpoint before the last, so that the next process continues after it.
    """
    (tmp_path / "roomy").mkdir()
    assert training.here(tmp_path / "roomy" / "trial", *FOUR) == 0
    volume.size("1200k")
    when_it_waits(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert training.here(volume.path / "trial", *WAIT, *FOUR) == 143
    assert (volume.path / "trial" / "last.pt").exists()
    reported = json.loads((volume.path / "trial" / "summary.json").read_text())
    assert (reported["state"], len(reported["history"])) == ("stopped", 3)
    volume.size("8m")
    assert training.here(volume.path / "trial", *WAIT, *FOUR) == 0
    assert_same(volume.path / "trial", tmp_path / "roomy" / "trial")


def test_sigterm_without_any_room_leaves_the_last_checkpoint(
    training: Training, volume: Volume, when_it_waits: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first epoch cannot be written at all.

    Summary.json tells no epoch that is not on the disk, and none was reported.
    """
    assert training.here(volume.path / "trial", *WAIT, "--epochs", "1") == 0
    before = (volume.path / "trial" / "last.pt").read_bytes()
    volume.fill()
    when_it_waits(lambda: os.kill(os.getpid(), signal.SIGTERM))
    capsys.readouterr()
    assert training.here(volume.path / "trial", *WAIT) == 143
    assert len(metric_lines(capsys.readouterr().out)) <= 1
    assert (volume.path / "trial" / "last.pt").read_bytes() == before
    reported = json.loads((volume.path / "trial" / "summary.json").read_text())
    assert len(reported["history"]) == 1
    assert not list((volume.path / "trial").glob("*.tmp"))
    assert not (volume.path / "trial" / "trainer.pid").exists()


def test_a_signal_at_the_start_ends_the_wait(training: Training, volume: Volume, when_it_waits: Install) -> None:
    volume.fill()
    when_it_waits(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert training.here(volume.path / "trial", *WAIT) == 143


def test_wandb_on_the_same_full_volume_does_not_end_the_training(
    training: Training, volume: Volume, when_it_waits: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W&B keeps its run on the volume until that is full; the training waits, continues and finishes."""
    monkeypatch.setenv("WANDB_PROJECT", "sepsweep")
    monkeypatch.setenv("WANDB_MODE", "offline")
    volume.size("1m")
    when_it_waits(lambda: volume.size("64m"))
    assert training.here(volume.path / "trial", *WAIT, "--epochs", "4") == 0
    assert json.loads((volume.path / "trial" / "summary.json").read_text())["state"] == "finished"


def test_only_a_lack_of_room_is_waited_for(tmp_path: Path) -> None:
    """A quota is such a lack; a missing right or a read-only volume is not."""
    waits = Room(60, StopRequest())
    for number in (errno.EACCES, errno.EROFS, errno.EIO):
        with pytest.raises(OSError, match="it") as raised:
            waits.until(tmp_path, lambda number=number: failing(number))  # type: ignore[misc]
        assert raised.value.errno == number
    for number in (errno.ENOSPC, errno.EDQUOT):
        with pytest.raises(StorageError, match="make room"):
            Room(0, StopRequest()).until(tmp_path, lambda number=number: failing(number))  # type: ignore[misc]


def failing(number: int) -> None:
    raise OSError(number, "it")


def test_it_says_that_it_waits_once_and_every_ten_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that only waiting moves: 25 minutes without room are three lines, and one when it is there.

    It tries again after a second, then less and less often.
    """
    clock, stop, waits = [0.0], StopRequest(), list[float]()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        clock[0] += seconds

    lines: list[str] = []
    monkeypatch.setattr("trainer.training.room.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(stop, "wait", wait)
    monkeypatch.setattr(room, "say", lines.append)

    def attempt() -> int:
        if clock[0] < 25 * 60:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return 7

    assert Room(60, stop).until(tmp_path / "last.pt", attempt) == 7
    assert [line.split(":")[0] for line in lines] == ["waits for room"] * 3 + ["room again"]
    assert "tries again at least every 30 s" in lines[0]
    assert (waits[0], max(waits)) == (1, 30)
    assert waits == sorted(waits)


def test_the_hours_of_a_run_never_fall(training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed with kill -9, stopped by SIGTERM and finished: what each process spent is added, and a finished run's
    hours rest, however often it is started.
    """

    def spent() -> float:
        seconds: float = json.loads((tmp_path / "trial" / "summary.json").read_text())["spent_seconds"]
        return seconds

    process = training.start(tmp_path / "trial", "--epochs", "1000")
    read_until(process, "val_si_snr")
    process.kill()
    process.wait()
    seen, step = [spent()], Fit._step

    def stopping(self: Fit, *arguments: Any) -> None:
        step(self, *arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Fit, "_step", stopping)
    assert training.here(tmp_path / "trial", "--epochs", "1000") == 143
    seen.append(spent())
    for _ in range(2):
        assert training.here(tmp_path / "trial", "--epochs", "1") == 0
        seen.append(spent())
    assert 0 < seen[0] < seen[1] == seen[2] == seen[3]
