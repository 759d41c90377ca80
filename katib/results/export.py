"""The trial table in files beside the experiment, so that it is there when the cluster has forgotten it; and back again.

Written by the verb delete before it deletes; read by local_table.py in place of a store.
"""

import json
from collections.abc import Container, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from katib.errors import FolderError
from katib.local.record import Identity
from katib.results.formats import as_csv, records
from katib.results.origin import budget, model_of, origin
from katib.results.table import Point, Row, TrialTable
from katib.whole_file import write_whole

JSON, CSV = "cluster-trials.json", "cluster-trials.csv"


def write(table: TrialTable, folder: Path) -> tuple[Path, Path]:
    """The whole table as JSON and, a line a trial, as CSV in `folder`; an earlier table with other trials is kept as
    cluster-trials-1.json, -2, …. Raises FolderError where that cannot be written."""
    _keep_earlier(folder, {row.trial for row in table.rows})
    about = {"experiment": asdict(table.identity), "gpus": table.gpus, "notes": table.notes}
    body = ",\n".join(json.dumps(record, allow_nan=False) for record in records(table))
    write_whole(
        folder / JSON, [json.dumps(about)[:-1], ', "trials": [\n', body, "\n]}\n"], "; nothing was deleted"
    )
    write_whole(folder / CSV, as_csv(table), "; nothing was deleted")
    return folder / JSON, folder / CSV


def _keep_earlier(folder: Path, trials: Container[str]) -> None:
    """A search of the same name that was deleted before had other trials, and its table may be all that is left of them."""
    if not (folder / JSON).exists():
        return
    try:
        if all(row.trial in trials for row in read(folder).rows):
            return
    except FolderError:
        pass  # what is damaged is kept as well
    number = next(number for number in count(1) if not (folder / _numbered(JSON, number)).exists())
    try:
        for name in (CSV, JSON):
            with suppress(FileNotFoundError):
                (folder / name).rename(folder / _numbered(name, number))
    except OSError as error:
        raise FolderError(
            f"{folder / JSON}: cannot be kept ({error.strerror}); nothing was deleted"
        ) from None


def _numbered(name: str, number: int) -> str:
    return f"{Path(name).stem}-{number}{Path(name).suffix}"


def read(folder: Path) -> TrialTable:
    """What `write` wrote. Raises FolderError where it is damaged."""
    path = folder / JSON
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        identity = Identity(**found["experiment"])
        source = origin(identity.spec)
        return TrialTable(
            identity,
            tuple(_row(record, identity.metric) for record in found["trials"]),
            backend="cluster",
            model=model_of(identity.spec),
            spec=source,
            budget=budget(identity.spec, source),
            gpus=found["gpus"],
            notes=(f"{path}: the table as it was when the experiment was deleted", *found["notes"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FolderError(f"{path}: is no table that `make delete` has written ({error})") from None


def _row(record: Mapping[str, Any], metric: str) -> Row:
    return Row(
        trial=record["trial"],
        state=record["state"],
        reason=record["reason"],
        assignments=record["assignments"],
        value=record[metric],
        best_epoch=record["best_epoch"],
        epochs=record["epochs"],
        seconds=record["seconds"],
        gain=record["over_mixture"],
        objective=metric,
        metrics={
            name: tuple(
                Point(*point)
                for point in zip(columns["epoch"], columns["value"], columns["time"], strict=True)
            )
            for name, columns in record["metrics"].items()
        },
        gpu_hours=record["gpu_hours"],
        node=record["node"],
        restarts=record["restarts"],
        wandb=record["wandb"],
        started=_time(record["started"]),
        ended=_time(record["ended"]),
        remedy=record["remedy"],
    )


def _time(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
