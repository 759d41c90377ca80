"""Whom a stop has to reach: the trial's own process, and behind a shell the program that the shell waits for.

Katib's collector ends the child of a trial's shell (cmd/metricscollector/v1beta1/file-metricscollector/main.go); a
shell that is asked alone dies at once and leaves its program unasked. Read from /proc; where there is none, the trial's
own process is all.
"""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
SHELLS = frozenset({"sh", "dash", "bash", "ash", "busybox", "ksh", "zsh"})
FILTERS = frozenset({"tee", "cat", "grep", "sed", "awk"})
"""Programs behind a pipe, which end with their input: they have to take what the trainer says while it saves."""


class _Process(NamedTuple):
    id: int
    parent: int
    name: str
    state: str


def to_stop(process_id: int) -> list[int]:
    """Returns the processes to be asked to end: the innermost programs first, the trial's own process last."""
    return _below(process_id, _processes())


def lives(process_id: int) -> bool:
    """Returns whether a process is there, and no zombie that waits for its parent."""
    found = _read(process_id)
    return found is not None and found.state not in "ZX"


def _below(process_id: int, processes: dict[int, _Process]) -> list[int]:
    own = processes.get(process_id)
    if own is None or own.name not in SHELLS:
        return [process_id]
    children = [one.id for one in processes.values() if one.parent == process_id and one.name not in FILTERS]
    return [*(found for child in sorted(children) for found in _below(child, processes)), process_id]


def _processes() -> dict[int, _Process]:
    found: dict[int, _Process] = {}
    with suppress(OSError):
        for path in PROC.iterdir():
            if path.name.isdigit() and (one := _read(int(path.name))) is not None:
                found[one.id] = one
    return found


def _read(process_id: int) -> _Process | None:
    """From /proc/<id>/stat (proc(5)): the name stands in brackets and may hold brackets itself."""
    try:
        text = (PROC / str(process_id) / "stat").read_text(errors="replace")
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    state, parent = rest.split()[:2]
    return _Process(process_id, int(parent), name, state)
