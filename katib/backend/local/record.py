"""Reads the record of a local search: an Optuna study in `<runs>/<experiment>/study.db`, which store.py writes.

The tables of Optuna's schema 12 are read directly: its own reader makes an object of every report, which takes ten
times as long, and loading Optuna takes longer than reading 20 000 reports.
"""

import math
import platform
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from katib.backend.local.database import opened
from katib.errors import RecordError
from katib.trial import ENDED, WITHOUT_RESULT, Identity, State, identity_from, objective_value
from katib.untrusted import checked, clean, finite, is_name, parse_json

DATABASE, MANIFEST, LOCK = "study.db", "experiment.yaml", "engine.lock"
LOCK_TIMEOUT = 60
"""The seconds that a write waits for a reader, such as the dashboard, and a reader for a write."""

_LATEST = 4e9
"""A time in s that no trial reaches, as Unix time (the year 2096) or duration; later times cannot be shown as dates."""
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


@dataclass(frozen=True)
class Effort:
    """What a trial has cost so far."""

    failures: int = 0
    """The failed tries, which count against the backoffLimit."""
    seconds: float = 0.0
    """The training time, without that of the process now running."""
    started: float | None = None
    """The Unix time in s at which the process that is running, or was cut off, started."""
    starts: int = 0
    """How often a process of it was started: once, and once more each time that it resumed."""
    node: str = ""
    """The machine of the last start."""
    gpu: bool | None = None
    """Whether the last start was given a GPU; None where that is not recorded."""
    sharers: int = 1
    """How many trials at a time share the GPU of the last start."""
    lent: float = 0.0
    """The part of `seconds` that does not count as time of a GPU, because others had their parts of it."""

    def begun(self, started: float, *, gpu: bool, sharers: int = 1) -> "Effort":
        """Returns it with one more start, on this machine."""
        node = platform.node()
        return replace(self, started=started, starts=self.starts + 1, node=node, gpu=gpu, sharers=sharers)

    def ended(self, seconds: float, *, failed: bool) -> "Effort":
        """Returns it after the end of a process that ran for so many seconds."""
        lent = self.lent + seconds - seconds / self.sharers
        failures = self.failures + failed
        return replace(self, seconds=self.seconds + seconds, lent=lent, started=None, failures=failures)

    def held(self, running: float = 0.0) -> float:
        """Returns the seconds that count for its GPUs, with those of the process that is `running` now."""
        return self.seconds - self.lent + running / self.sharers


@dataclass(frozen=True)
class Pause:
    """A pause after which a trial went on."""

    epoch: int
    """The number of epochs that it had reported."""
    reason: str


@dataclass(frozen=True)
class Trial:
    """One trial as it is recorded. `values` are its reports of the objective, one per step from 1."""

    id: int
    name: str
    assignments: Mapping[str, str]
    state: State = "Created"
    reason: str = ""
    stop: str = ""
    """Why it is stopped early, or pauses, once that is decided; empty before, and again once it goes on."""
    pauses: tuple[Pause, ...] = ()
    """Those after which it went on, in order."""
    effort: Effort = Effort()
    values: tuple[float, ...] = ()
    proposed: float | None = None
    """The Unix time in s; its process starts at once where a slot is free."""
    ended: float | None = None
    """The Unix time in s; None before its end."""

    @property
    def finished(self) -> bool:
        """Whether it has ended."""
        return self.state in ENDED

    def value(self, strategy: str) -> float | None:
        """Returns the result of its reports by Katib's metric strategy; None without a finite report.

        A trial that failed has no result, as in Katib, which reads the metrics of pods that completed.
        """
        return None if self.state in WITHOUT_RESULT else objective_value(self.values, strategy)


Written = tuple[Mapping[str, str], str | None, str | None]
"""What the database has of a trial besides its reports: its attributes as JSON, its start and its end."""


@dataclass
class Known:
    """A record as it was read last."""

    about: str = ""
    identity: Identity | None = None
    trials: dict[int, tuple[Written, Trial]] = field(default_factory=dict)
    """By Optuna's number of the trial."""


def read(folder: Path, known: Known | None = None) -> tuple[Identity, list[Trial]]:
    """Returns the search in `folder`, which may be running, and its trials in the order of their proposal.

    A trial that had ended, and of which nothing is written anew, is the object that is `known`: it reports no more.
    Raises RecordError where the database cannot be read, or is not that of one search.
    """
    known = Known() if known is None else known
    with _reading(folder) as database:
        ((study,),) = database.execute("SELECT study_id FROM studies")
        found = database.execute(
            "SELECT value_json FROM study_user_attributes WHERE study_id = ? AND key = 'experiment'", (study,)
        )
        about = found.fetchone()[0]
        identity = known.identity if known.identity and about == known.about else identity_from(parse_json(about))
        attributes: dict[int, dict[str, str]] = {}
        for key, name, text in database.execute("SELECT trial_id, key, value_json FROM trial_user_attributes"):
            attributes.setdefault(key, {})[name] = text
        listed = database.execute(
            "SELECT trial_id, datetime_start, datetime_complete FROM trials WHERE study_id = ? ORDER BY number",
            (study,),
        )
        trials: dict[int, tuple[Written, Trial]] = {}
        for key, start, end in listed.fetchall():
            written, kept = (attributes[key], start, end), known.trials.get(key)
            if kept is None or kept[0] != written or not kept[1].finished:
                kept = written, _trial(key, written, _values(database, key))
            trials[key] = kept
        if len({trial.name for _, trial in trials.values()}) < len(trials):
            raise ValueError("two trials of one name")
    known.about, known.identity, known.trials = about, identity, trials
    return identity, [trial for _, trial in trials.values()]


def _values(database: sqlite3.Connection, trial: int) -> tuple[float, ...]:
    reports = database.execute(
        "SELECT intermediate_value, intermediate_value_type FROM trial_intermediate_values"
        " WHERE trial_id = ? ORDER BY step",
        (trial,),
    )
    return tuple(value if value is not None else _NOT_FINITE[kind] for value, kind in reports)


def _trial(key: int, written: Written, values: tuple[float, ...]) -> Trial:
    texts, start, end = written
    attributes = {name: parse_json(text) for name, text in texts.items()}
    fields = {
        **{name: attributes[name] for name in ("name", "assignments", "state")},
        **{name: attributes.get(name, "") for name in ("reason", "stop")},
        "id": key,
        "effort": attributes.get("effort", {}),
        "pauses": attributes.get("pauses", ()),
        "values": values,
        "proposed": _instant(start),
        "ended": _instant(end),
    }
    trial = checked(Trial, fields)
    if not is_name(trial.name):
        raise ValueError(f"a trial of the name {clean(trial.name)!r}")
    return replace(
        trial,
        assignments={clean(name): clean(value) for name, value in trial.assignments.items()},
        reason=clean(trial.reason),
        stop=clean(trial.stop),
        pauses=tuple(replace(pause, reason=clean(pause.reason)) for pause in trial.pauses),
        effort=_cleared(trial.effort),
    )


def _cleared(effort: Effort) -> Effort:
    """Returns the effort with times in a possible range; a clock that was set back may have written others."""
    seconds = min(max(finite(effort.seconds) or 0.0, 0.0), _LATEST)
    started = finite(effort.started)
    return replace(
        effort,
        seconds=seconds,
        started=None if started is None else min(max(started, 0.0), _LATEST),
        sharers=max(1, effort.sharers),
        lent=min(max(finite(effort.lent) or 0.0, 0.0), seconds),
        node=clean(effort.node, 253),
    )


def _instant(text: str | None) -> float | None:
    """Returns the Unix time of a text of Optuna's, which is in UTC without a zone (optuna/storages/_rdb/models.py)."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() if text else None


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """Yields a connection that sees one state of the database, whatever the engine writes meanwhile."""
    try:
        # It is not opened read-only, so that SQLite can roll back what a killed engine left half written.
        with closing(opened(folder / DATABASE, LOCK_TIMEOUT)) as database:
            yield database
    except OSError as error:
        raise unreadable(folder, str(error.strerror)) from error
    except sqlite3.Error as error:
        raise unreadable(folder, clean(str(error))) from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise unreadable(folder, "it holds no search of this engine") from error


def unreadable(folder: Path, why: str) -> RecordError:
    """Returns the error of a store in `folder` that is damaged, or was not made by this engine."""
    fix = f"put it back from a copy, or move {folder} away to begin anew"
    if "readonly" in why:
        fix = "a write was cut off there, and is undone once the folder can be written; copy it to where it can"
    elif "locked" in why:
        fix = "another program holds it; end that, or try again"
    return RecordError(f"{folder / DATABASE}: cannot be read ({why}); {fix}")
