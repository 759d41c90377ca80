"""Records who ran a local search, when, with which version, and why each session ended.

<runs>/<experiment>/sessions.jsonl has a line when an engine starts and a line when it ends. A session without the
second was killed. A search of an earlier version has no such file, and one that cannot be written does no harm.
"""

import getpass
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from katib.checkout import commit
from katib.errors import ClusterError
from katib.program import ROOT
from katib.untrusted import LARGEST, checked, clean, file_size, lines, open_file, parse_json

SESSIONS = "sessions.jsonl"


@dataclass(frozen=True)
class Session:
    """A run of the engine."""

    started: float
    """Unix time in s."""
    user: str = ""
    host: str = ""
    program: str = ""
    """Its version, and its commit where it is a checkout."""
    ended: float | None = None
    """Unix time in s; None where it runs yet, or was killed."""
    why: str = ""
    """Why it ended; empty where its search reached its end."""


class Ending:
    """Why a session ends, which is known once it does."""

    why = "an error ended it"


@contextmanager
def session(folder: Path) -> Iterator[Ending]:
    """Records a session in `folder`, whose end the caller explains; an exception is an error's."""
    _note(folder, {"started": time.time(), "user": _user(), "host": platform.node(), "program": _program()})
    ending = Ending()
    try:
        yield ending
    finally:
        _note(folder, {"ended": time.time(), "why": ending.why})


def sessions(folder: Path) -> list[Session]:
    """Returns the sessions in order; none where there is no record, and without the lines that cannot be read."""
    found: list[Session] = []
    with suppress(OSError):
        if file_size(folder / SESSIONS) > LARGEST:
            return []
        for line in lines(folder / SESSIONS):
            with suppress(ValueError):
                record = parse_json(line)
                if isinstance(record, dict) and "started" in record:
                    found.append(_cleaned(checked(Session, record)))
                elif isinstance(record, dict) and found and found[-1].ended is None:
                    found[-1] = _cleaned(checked(Session, vars(found[-1]) | record))
    return found


def _cleaned(found: Session) -> Session:
    times = [found.started, found.ended or 0.0]
    if not all(0 <= one < 4e9 for one in times):
        raise ValueError("a time that cannot be shown")
    texts = {name: clean(getattr(found, name), 300) for name in ("user", "host", "program", "why")}
    return checked(Session, vars(found) | texts)


def _note(folder: Path, record: dict[str, object]) -> None:
    with (
        suppress(OSError),
        os.fdopen(open_file(folder / SESSIONS, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a") as file,
    ):
        file.write(json.dumps(record) + "\n")


def _user() -> str:
    # A container may have a user without a name.
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


@cache
def _program() -> str:
    words = []
    with suppress(PackageNotFoundError):
        words.append(f"sepsweep {version('sepsweep')}")
    with suppress(ClusterError):
        words.append(f"commit {commit(ROOT)}")
    return ", ".join(words)
