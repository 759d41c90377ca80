"""No folder has a process signalled that is none of its trials: the id in process.lock is a hint, the lock is the
proof.
"""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from katib.backend.local import family, lock, process
from katib.backend.local.process import HOLD, TrialProcess, end_leftovers
from katib.errors import EngineError, FolderError

Start = Callable[..., "subprocess.Popen[bytes]"]
HOLDER = """
import fcntl, os, signal, sys, time
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(file, fcntl.LOCK_EX)
if "--deaf" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(flush=True)
time.sleep(600)
"""
"""Holds the lock of a file."""


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process, which is ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str, wait: bool = False, **options: object) -> "subprocess.Popen[bytes]":
        made: subprocess.Popen[bytes] = subprocess.Popen(words, stdout=subprocess.PIPE, **options)  # type: ignore[call-overload]
        started.append(made)
        if wait and made.stdout:
            made.stdout.readline()
        return made

    yield start
    for one in started:
        one.kill()
        one.communicate()


def held(folder: Path, start: Start, *flags: str) -> "subprocess.Popen[bytes]":
    """Returns a process that has the lock of `folder`."""
    return start(sys.executable, "-S", "-c", HOLDER, str(folder / HOLD), *flags, wait=True, start_new_session=True)


@pytest.mark.parametrize("text", ["{other}\n", "-1\n", "0\n", "1\n", "abc\n", "", "9" * 5000, "-{other}\n", "\x00\n"])
def test_an_id_in_the_file_is_signalled_only_where_it_has_the_lock(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """Another process of the user, its group, all processes, and what is no number: only the holder is asked to end."""
    other, holder = start("sleep", "600", start_new_session=True), held(tmp_path, start)
    (tmp_path / HOLD).write_text(text.format(other=other.pid))
    signalled: list[int] = []
    kill, killpg = os.kill, os.killpg
    monkeypatch.setattr(os, "kill", lambda one, number: (signalled.append(one), kill(one, number)))
    monkeypatch.setattr(os, "killpg", lambda one, number: (signalled.append(-one), killpg(one, number)))
    assert end_leftovers([tmp_path], grace=600) == [tmp_path]
    assert holder.wait() == -15
    assert other.poll() is None
    assert set(signalled) <= {holder.pid}


@pytest.mark.parametrize("text", ["{other}\n", "1\n", "-1\n"])
def test_where_nobody_has_the_lock_nobody_is_signalled(tmp_path: Path, start: Start, text: str) -> None:
    other = start("sleep", "600")
    (tmp_path / HOLD).write_text(text.format(other=other.pid))
    assert end_leftovers([tmp_path], grace=600) == []
    assert other.poll() is None


def opened(process_id: int, file: Path) -> bool:
    """Returns whether the process has the file open by now; it opens and closes others meanwhile."""
    with suppress(OSError):
        return any(path.exists() and path.samefile(file) for path in Path(f"/proc/{process_id}/fd").iterdir())
    return False


def test_a_process_that_only_reads_the_file_is_not_signalled(tmp_path: Path, start: Start) -> None:
    """`tail -f process.lock` has the same inode open, and its id may stand in the file, but not the lock."""
    holder = held(tmp_path, start)
    reader = start("tail", "-f", str(tmp_path / HOLD))
    (tmp_path / HOLD).write_text(f"{reader.pid}\n")
    deadline = time.monotonic() + 600
    while not opened(reader.pid, tmp_path / HOLD):
        assert time.monotonic() < deadline
    end_leftovers([tmp_path], grace=600)
    assert (holder.wait(), reader.poll()) == (-15, None)


def test_a_lock_that_leads_elsewhere_is_refused(tmp_path: Path, start: Start) -> None:
    """process.lock as a link to the lock of a program of the user's, which would be ended or its file emptied."""
    theirs = tmp_path / "browser.lock"
    theirs.write_text("1\n")
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / HOLD).symlink_to(theirs)
    with pytest.raises(FolderError, match="is a symbolic link; remove it"):
        end_leftovers([folder], grace=1)
    with pytest.raises(OSError, match="is a symbolic link"):
        TrialProcess(["true"], {}, folder)
    assert theirs.read_text() == "1\n"


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_a_lock_that_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A pipe would hang whoever opens it."""
    make(tmp_path / HOLD)
    with pytest.raises(FolderError, match=r"process.lock: (is no regular file|Is a directory); remove it"):
        end_leftovers([tmp_path], grace=1)


def test_a_holder_that_cannot_be_seen_is_named_and_waited_for_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of another user, container or machine: this process itself stands for it, which `holders` leaves out."""
    monkeypatch.setattr(process, "KILL_TIMEOUT", 0.05)
    descriptor = os.open(tmp_path / HOLD, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    said: list[str] = []
    with pytest.raises(FolderError, match="is held by a process that is not visible from here"):
        end_leftovers([tmp_path], 9, said.append)
    with pytest.raises(EngineError, match="is held by a process that is not visible from here"):
        TrialProcess(["true"], {}, tmp_path)
    os.close(descriptor)
    assert len(said) == 1


def test_who_is_waited_for_is_said_and_killed_in_the_end(tmp_path: Path, start: Start) -> None:
    """A trial that does not heed SIGTERM has its time to save, and a line says who it is."""
    holder = held(tmp_path, start, "--deaf")
    said: list[str] = []
    end_leftovers([tmp_path], 0.1, said.append)
    assert holder.wait() == -9
    (line,) = said
    assert f"process {holder.pid}; waiting for it to end, at most 0 s" in line


def outlived(folder: Path, start: Start) -> tuple[TrialProcess, int]:
    """Returns a trial that has ended and left a process of a session of its own behind, which has inherited the lock."""
    script = 'setsid sleep 600 >/dev/null 2>&1 & echo "$!" >left'
    trial = TrialProcess(["sh", "-c", script], dict(os.environ), folder, folder)
    while trial.poll() is None:
        time.sleep(0.01)
    (left,) = lock.holders(folder / HOLD)
    return trial, left


def test_what_outlives_a_trial_ends_with_it(tmp_path: Path, start: Start) -> None:
    """As nothing outlives the first process of a container; the next try starts, and the next start does not wait."""
    trial, left = outlived(tmp_path, start)
    trial.close()
    again = TrialProcess(["true"], dict(os.environ), tmp_path)
    while again.poll() is None:
        time.sleep(0.01)
    again.close()
    assert not family.lives(left)
    assert end_leftovers([tmp_path], grace=600) == []


def test_a_start_after_kill_ends_what_only_a_grandchild_holds(tmp_path: Path, start: Start) -> None:
    trial, left = outlived(tmp_path, start)
    said: list[str] = []
    assert end_leftovers([tmp_path], 600, said.append) == [tmp_path]
    assert not family.lives(left)
    assert f"process {left}" in said[0]
    trial.close()


def test_an_id_that_the_system_gave_away_is_not_signalled(tmp_path: Path, start: Start) -> None:
    """Once a trial has been collected its id is free, and may lead the group of another process of the user."""
    other = start("sleep", "600", start_new_session=True)
    trial = TrialProcess(["true"], dict(os.environ), tmp_path)
    while trial.poll() is None:
        time.sleep(0.01)
    trial._process.pid = other.pid
    trial.close()
    assert other.poll() is None


def test_without_proc_lsof_is_asked(tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS; where there is no lsof either, nobody is signalled and a line says so."""
    holder = held(tmp_path, start)
    monkeypatch.setattr(lock, "PROC", tmp_path / "no-proc")
    program = tmp_path / "lsof"
    program.write_text(f"#!/bin/sh\necho {holder.pid}; echo {os.getpid()}; echo 1; echo 0; echo lsof: warning\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lock.holders(tmp_path / HOLD) == [holder.pid]
    program.unlink()
    assert lock.holders(tmp_path / HOLD) == []
    monkeypatch.setattr(process, "KILL_TIMEOUT", 0.02)
    with pytest.raises(FolderError, match="is not visible from here"):
        end_leftovers([tmp_path], grace=9)
    assert holder.poll() is None


@pytest.mark.parametrize("number", [37, 95, 38, 22])
def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """ENOLCK of NFS without lockd, EOPNOTSUPP and ENOSYS of FUSE, EINVAL: errno(3) and flock(2)."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(FolderError, match=r"the file system here \(\w+ at /.*\) has no locks.* OUT= \(--out\)"):
        lock.lock(tmp_path / HOLD)
