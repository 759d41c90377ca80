"""What is on record of a local search, and the reading of it: an Optuna study in `<runs>/<experiment>/study.db`.

Optuna's tables are read as they are (its schema 12): its own reader makes an object of every report, which takes ten
times as long, and loading Optuna takes longer than reading 20 000 reports. Written by store.py alone, read by it and by
results.
"""

import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from katib.backend.local.database import opened
from katib.errors import RecordError
from katib.trial import ENDED, WITHOUT_RESULT, Identity, State, identity_from, objective_value
from katib.untrusted import checked, clean, finite, is_name, parse_json

DATABASE, MANIFEST = "study.db", "experiment.yaml"
LOCK_SECONDS = 60
"""How long a write waits for a reader, such as the dashboard, and a reader for a write."""

_LATEST = 4e9
"""A Unix time in s, and a span, that no trial comes to (the year 2096); what lies beyond could not be shown as a
date."""
_NOT_FINITE = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}


@dataclass(frozen=True)
class Effort:
    """What a trial has cost so far.

    `started` is the Unix time at which the process now at work, or last cut off, began.
    """

    failures: int = 0
    seconds: float = 0.0
    started: float | None = None
    starts: int = 0
    """Of its process: one, and one more for each time that it went on at its checkpoint."""
    node: str = ""
    """The machine of the last start."""
    gpu: bool | None = None
    """Whether that start was given a GPU; None where nobody wrote it down."""


@dataclass(frozen=True)
class Trial:
    """One trial as it is recorded. `values` are its reports of the objective, one a step from 1."""

    id: int
    name: str
    assignments: Mapping[str, str]
    state: State = "Created"
    reason: str = ""
    stop: str = ""
    """Why it is being stopped early, once that is decided."""
    effort: Effort = Effort()
    values: tuple[float, ...] = ()
    proposed: float | None = None
    """Unix time in s; its process begins at once where a slot is free."""
    ended: float | None = None
    """Unix time in s; None before its end."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    def value(self, strategy: str) -> float | None:
        """Returns what its reports come to by Katib's metric strategy.

        None where no finite one came, and where it has failed: then it has no result in Katib, which reads the metrics
        of a pod that completed.
        """
        return None if self.state in WITHOUT_RESULT else objective_value(self.values, strategy)


def read(folder: Path) -> tuple[Identity, list[Trial]]:
    """Returns the search in `folder` and its trials in the order in which they were proposed; it may be running.

    Raises RecordError where the database cannot be read, or is not that of one search.
    """
    with _reading(folder) as database:
        ((study,),) = database.execute("SELECT study_id FROM studies")
        about = database.execute(
            "SELECT value_json FROM study_user_attributes WHERE study_id = ? AND key = 'experiment'", (study,)
        )
        identity = identity_from(parse_json(about.fetchone()[0]))
        values: dict[int, list[float]] = {}
        for key, value, kind in database.execute(
            "SELECT trial_id, intermediate_value, intermediate_value_type FROM trial_intermediate_values"
            " ORDER BY trial_id, step"
        ):
            values.setdefault(key, []).append(value if value is not None else _NOT_FINITE[kind])
        attributes: dict[int, dict[str, object]] = {}
        for key, name, text in database.execute("SELECT trial_id, key, value_json FROM trial_user_attributes"):
            attributes.setdefault(key, {})[name] = parse_json(text)
        listed = database.execute(
            "SELECT trial_id, datetime_start, datetime_complete FROM trials WHERE study_id = ? ORDER BY number",
            (study,),
        )
        trials = [_trial(key, attributes[key], tuple(values.get(key, ())), start, end) for key, start, end in listed]
        if len({trial.name for trial in trials}) < len(trials):
            raise ValueError("two trials of one name")
    return identity, trials


def _trial(
    key: int, attributes: Mapping[str, object], values: tuple[float, ...], start: str | None, end: str | None
) -> Trial:
    found = {
        **{name: attributes[name] for name in ("name", "assignments", "state")},
        **{name: attributes.get(name, "") for name in ("reason", "stop")},
        "id": key,
        "effort": attributes.get("effort", {}),
        "values": values,
        "proposed": _instant(start),
        "ended": _instant(end),
    }
    trial = checked(Trial, found)
    if not is_name(trial.name):
        raise ValueError(f"a trial of the name {clean(trial.name)!r}")
    return replace(
        trial,
        assignments={clean(name): clean(value) for name, value in trial.assignments.items()},
        reason=clean(trial.reason),
        stop=clean(trial.stop),
        effort=_cleared(trial.effort),
    )


def _cleared(effort: Effort) -> Effort:
    """With a time that has been spent and an instant that has been, as no clock that was set back writes them."""
    seconds = min(max(finite(effort.seconds) or 0.0, 0.0), _LATEST)
    started = finite(effort.started)
    return replace(
        effort,
        seconds=seconds,
        started=None if started is None else min(max(started, 0.0), _LATEST),
        node=clean(effort.node, 253),
    )


def _instant(text: str | None) -> float | None:
    """Optuna keeps UTC without saying so (optuna/storages/_rdb/models.py)."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() if text else None


@contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """Yields one state of the database, whatever the engine writes meanwhile."""
    try:
        # Not read-only: what a killed engine left half written is taken back by whoever opens the file next.
        database = opened(folder / DATABASE, LOCK_SECONDS)
        try:
            yield database
        finally:
            database.close()
    except OSError as error:
        raise unreadable(folder, str(error.strerror)) from error
    except sqlite3.Error as error:
        raise unreadable(folder, clean(str(error))) from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise unreadable(folder, "it holds no search of this engine") from error


def unreadable(folder: Path, why: str) -> RecordError:
    """Returns the store in `folder` is damaged, or somebody else's."""
    return RecordError(f"{folder / DATABASE}: cannot be read ({why}); move {folder} away to begin anew")
