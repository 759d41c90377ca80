"""Writes the record of a local search (katib/backend/local/record.py): an Optuna study of one manifest's `spec`.

Trial states are Katib's and stand in Optuna's user attributes, beside the state that Optuna's dashboard shows; reports
are intermediate values. What is decided at once is written in one transaction, so that kill -9 leaves all of it or
nothing: a report with the stop that it causes, a continuation with the pause that it ends. Only Optuna's own state of a
trial follows in another one, which the next start completes.
"""

import json
import math
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
import sqlalchemy.exc
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from katib.backend.local.record import DATABASE, LOCK_TIMEOUT, Trial, read, unreadable
from katib.errors import EngineError
from katib.search.space import Space
from katib.trial import Direction, Identity, State

# Optuna announces each study that is created.
optuna.logging.set_verbosity(optuna.logging.WARNING)

_DATABASE_ERRORS = (sqlite3.Error, sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)
_FOREIGN = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)
"""What Optuna raises about a study that it has not written."""
_FINAL: Mapping[State, TrialState] = {
    "Succeeded": TrialState.COMPLETE,
    "EarlyStopped": TrialState.PRUNED,
    "Failed": TrialState.FAIL,
    "MetricsUnavailable": TrialState.FAIL,
}
_ATTRIBUTES = ("effort", "pauses", "stop", "reason", "state")
# Optuna has no call for a transaction of several writes, nor for a finished trial that goes on.
_REPORT = (
    "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)"
    " VALUES (:id, :step, :value, :kind)"
)
_FORGET = "DELETE FROM trial_intermediate_values WHERE trial_id = :id AND step > :steps"
_ATTRIBUTE = (
    "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (:id, :key, :value)"
    " ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json"
)
_REOPEN = (
    "UPDATE trials SET state = 'RUNNING', datetime_complete = NULL WHERE trial_id = :id",
    "DELETE FROM trial_values WHERE trial_id = :id",
)


class Store:
    """The study of one experiment. Raises EngineError where a write fails."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / DATABASE
        self.identity = read(folder)[0]
        with _reading(folder):
            self._storage = _storage(self.path)
            (study,) = self._storage.get_all_studies()
            self._study = study._study_id

    @staticmethod
    def create(folder: Path, identity: Identity) -> "Store":
        """Returns a new store. It is built in another file, which is then renamed, so that no store is incomplete."""
        path, building = folder / DATABASE, folder / f"{DATABASE}.new"
        building.unlink(missing_ok=True)
        with _writing(path, new=True):
            storage = _storage(building, durable=False)
            direction = StudyDirection.MAXIMIZE if identity.direction is Direction.MAXIMIZE else StudyDirection.MINIMIZE
            study = storage.create_new_study([direction], identity.name)
            storage.set_study_user_attr(study, "experiment", asdict(identity))
            storage.set_study_system_attr(study, "study:metric_names", [identity.metric])
            storage.engine.dispose()
            with building.open("rb") as file:
                os.fsync(file.fileno())
            building.replace(path)
        return Store(folder)

    def rebind(self, identity: Identity) -> None:
        """Records a changed budget."""
        with _writing(self.path):
            self._storage.set_study_user_attr(self._study, "experiment", asdict(identity))
        self.identity = identity

    def trials(self) -> list[Trial]:
        """Returns all trials, in the order of their proposal."""
        return read(self.path.parent)[1]

    def add(self, name: str, assignments: Mapping[str, str], space: Space) -> Trial:
        """Records a proposal, before its trial starts."""
        records = {key: axis.record(assignments[key]) for key, axis in space.axes.items()}
        template = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params={key: value for key, (_, value) in records.items()},
            distributions={key: distribution for key, (distribution, _) in records.items()},
            user_attrs={"name": name, "assignments": dict(assignments), "state": "Created"},
        )
        with _writing(self.path):
            return Trial(self._storage.create_new_trial(self._study, template), name, dict(assignments))

    def report(self, trial: Trial, step: int, value: float, stop: str = "") -> Trial:
        """Records the report of `step`, from 1, and `stop`, the reason where it stops the trial.

        The reports that were recorded from that step on are deleted: this try does not continue the one that made them.
        """
        with self._transaction() as connection:
            _delete(connection, trial, step - 1)
            row = {"id": trial.id, "step": step, "value": value if math.isfinite(value) else None, "kind": _kind(value)}
            connection.execute(sqlalchemy.text(_REPORT), row)
            if stop:
                _set(connection, trial, {"stop": stop})
        return replace(trial, values=(*trial.values[: step - 1], value), stop=stop or trial.stop)

    def keep(self, trial: Trial, steps: int) -> Trial:
        """Deletes all but the first `steps` reports."""
        if len(trial.values) <= steps:
            return trial
        with self._transaction() as connection:
            _delete(connection, trial, steps)
        return replace(trial, values=trial.values[:steps])

    def update(self, trial: Trial, **changes: Any) -> Trial:
        """Records changes of `effort`, `pauses`, `stop`, `reason` and `state`; a trial that goes on has no end yet."""
        changed = replace(trial, **changes)
        before, after = asdict(trial), asdict(changed)
        with self._transaction() as connection:
            _set(connection, trial, {key: after[key] for key in _ATTRIBUTES if after[key] != before[key]})
            if trial.finished and not changed.finished:
                changed = replace(changed, ended=None)
                for statement in _REOPEN:
                    connection.execute(sqlalchemy.text(statement), {"id": trial.id})
        if changed.finished:
            self.close_trial(changed)
        return changed

    def close_trial(self, trial: Trial) -> None:
        """Sets Optuna's own state of a trial that has finished, unless it is set."""
        with _reading(self.path.parent):
            frozen = self._storage.get_trial(trial.id)
        if frozen.state.is_finished() or not trial.finished:
            return
        value = trial.value(self.identity.strategy)
        with _writing(self.path):
            self._storage.set_trial_state_values(trial.id, _FINAL[trial.state], None if value is None else [value])

    def close(self) -> None:
        """Closes the file."""
        self._storage.engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[sqlalchemy.Connection]:
        with _writing(self.path), self._storage.engine.begin() as connection:
            yield connection


def _delete(connection: sqlalchemy.Connection, trial: Trial, steps: int) -> None:
    """Deletes all but the first `steps` reports."""
    if len(trial.values) > steps:
        connection.execute(sqlalchemy.text(_FORGET), {"id": trial.id, "steps": steps})


def _set(connection: sqlalchemy.Connection, trial: Trial, attributes: Mapping[str, object]) -> None:
    """Sets user attributes."""
    for key, value in attributes.items():
        row = {"id": trial.id, "key": key, "value": json.dumps(value)}
        connection.execute(sqlalchemy.text(_ATTRIBUTE), row)


def _kind(value: float) -> str:
    """Returns Optuna's word for a number: it stores those that are not finite by name."""
    if math.isfinite(value):
        return "FINITE"
    return "NAN" if math.isnan(value) else "INF_POS" if value > 0 else "INF_NEG"


def _storage(path: Path, *, durable: bool = True) -> RDBStorage:
    def pragmas(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")

    return RDBStorage(
        f"sqlite:///{path}",
        engine_kwargs={"connect_args": {"timeout": LOCK_TIMEOUT}, "pool_events": [(pragmas, "connect")]},
        skip_table_creation=durable,
        skip_compatibility_check=True,
    )


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Turns what Optuna raises about a damaged or foreign study into the error of a folder that cannot be read."""
    try:
        yield
    except (*_DATABASE_ERRORS, *_FOREIGN) as error:
        why = _cause(error) if isinstance(error, _DATABASE_ERRORS) else "it holds no search of this engine"
        raise unreadable(folder, why) from error


@contextmanager
def _writing(path: Path, *, new: bool = False) -> Iterator[None]:
    try:
        yield
    except (OSError, *_DATABASE_ERRORS) as error:
        # An open file can be read after somebody has removed it; SQLite then says that it is read-only.
        if not (new or path.exists()):
            raise EngineError(
                f"{path}: was removed while the search was running, and the same command cannot go on: choose another"
                " NAME (--name)"
            ) from error
        raise EngineError(
            f"{path}: cannot be written ({_cause(error)}); what has finished is kept, "
            "make room and run the same command again"
        ) from error


def _cause(error: Exception) -> str:
    """Returns SQLite's own message, which SQLAlchemy and Optuna wrap."""
    cause: BaseException = error
    while cause.__cause__:
        cause = cause.__cause__
    return " ".join(str(cause).split())
