"""Finds the processes that a stop has to signal: the trial's own, and the program that a shell waits for.

Katib's collector ends the child of a trial's shell (cmd/metricscollector/v1beta1/file-metricscollector/main.go); a
shell that is signalled alone dies at once and leaves its program running. The processes are read from /proc; where
there is none, only the trial's own process is known.
"""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
SHELLS = frozenset({"sh", "dash", "bash", "ash", "busybox", "ksh", "zsh"})
FILTERS = frozenset({"tee", "cat", "grep", "sed", "awk"})
"""Programs behind a pipe, which end with their input: they have to pass on what the trainer prints while it saves."""


class _Process(NamedTuple):
    id: int
    parent: int
    name: str
    state: str


def to_stop(process_id: int) -> list[int]:
    """Returns the processes to signal: the innermost programs first, the trial's own process last."""
    return _below(process_id, _processes())


def lives(process_id: int) -> bool:
    """Returns whether a process exists and is no zombie."""
    process = _read(process_id)
    return process is not None and process.state not in "ZX"


def _below(process_id: int, processes: dict[int, _Process]) -> list[int]:
    own = processes.get(process_id)
    if own is None or own.name not in SHELLS:
        return [process_id]
    children = [
        process.id for process in processes.values() if process.parent == process_id and process.name not in FILTERS
    ]
    return [*(below for child in sorted(children) for below in _below(child, processes)), process_id]


def _processes() -> dict[int, _Process]:
    processes: dict[int, _Process] = {}
    with suppress(OSError):
        for path in PROC.iterdir():
            if path.name.isdigit() and (process := _read(int(path.name))) is not None:
                processes[process.id] = process
    return processes


def _read(process_id: int) -> _Process | None:
    """Reads /proc/<id>/stat (proc(5)), where the name stands in brackets and may hold brackets itself."""
    try:
        text = (PROC / str(process_id) / "stat").read_text(errors="replace")
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    state, parent = rest.split()[:2]
    return _Process(process_id, int(parent), name, state)
