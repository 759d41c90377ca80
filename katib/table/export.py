"""The trial table in files beside the experiment, so that it is there when the cluster has forgotten it.

And back again.

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
from katib.files import write_whole
from katib.manifest.object import Manifest
from katib.table.formats import as_csv, records
from katib.table.origin import budget, origin
from katib.table.trial_table import DELETED, TrialRow, TrialTable
from katib.trial import identity_from
from katib.untrusted import LARGEST_TABLE, checked, clean, finite, is_epoch, is_name, read_json, web_address

JSON, CSV = "cluster-trials.json", "cluster-trials.csv"


def write(table: TrialTable, folder: Path) -> tuple[Path, Path]:
    """Returns the whole table as JSON and, a line a trial, as CSV in `folder`.

    An earlier table with other trials is kept as cluster-trials-1.json, -2, …. Raises FolderError where that cannot be
    written.
    """
    _keep_earlier(folder, {row.trial for row in table.rows})
    about = {"experiment": asdict(table.identity), "gpus": table.gpus, "notes": table.notes}
    body = ",\n".join(json.dumps(record, allow_nan=False) for record in records(table))
    write_whole(folder / JSON, [json.dumps(about)[:-1], ', "trials": [\n', body, "\n]}\n"], "; nothing was deleted")
    write_whole(folder / CSV, as_csv(table), "; nothing was deleted")
    return folder / JSON, folder / CSV


def _keep_earlier(folder: Path, trials: Container[str]) -> None:
    """A search of the same name that was deleted before had other trials, and its table may be all that is left of
    them.
    """
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
        raise FolderError(f"{folder / JSON}: cannot be kept ({error.strerror}); nothing was deleted") from None


def _numbered(name: str, number: int) -> str:
    return f"{Path(name).stem}-{number}{Path(name).suffix}"


def read(folder: Path) -> TrialTable:
    """Returns what `write` wrote. Raises FolderError where it is damaged."""
    path = folder / JSON
    try:
        found = read_json(path, LARGEST_TABLE)
        identity = identity_from(found["experiment"])
        manifest = Manifest(identity.spec)
        source = origin(manifest)
        return TrialTable(
            identity,
            tuple(_row(record, identity.metric) for record in found["trials"]),
            venue=DELETED,
            model=manifest.model,
            spec=source,
            budget=budget(manifest, source),
            gpus=found["gpus"],
            notes=(
                f"{path}: the table as it was when the experiment was deleted",
                *(clean(str(note)) for note in found["notes"]),
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        why = clean(str(error).splitlines()[0], 200) if str(error) else type(error).__name__
        raise FolderError(f"{path}: is no table that `make delete` has written ({why})") from None


def _row(record: Mapping[str, Any], metric: str) -> TrialRow:
    """Returns one trial of the file, whose texts are cleaned and whose numbers are finite.

    Raises ValueError, KeyError and TypeError.
    """
    if not is_name(record["trial"]):
        raise ValueError("a trial without a name of Kubernetes")
    same = ("trial", "state", "best_epoch", "epochs", "restarts")
    texts = {name: clean(record[name]) for name in ("reason", "node", "remedy")}
    numbers = {"value": record[metric], "gain": record["over_mixture"]}
    numbers |= {name: record[name] for name in ("seconds", "gpu_hours")}
    if any(number is not None and finite(number) is None for number in numbers.values()):
        raise ValueError("a number that is none")
    found = {
        **{name: record[name] for name in same},
        **texts,
        **numbers,
        "assignments": {clean(name): clean(value) for name, value in record["assignments"].items()},
        "objective": metric,
        "metrics": {clean(name): _points(columns) for name, columns in record["metrics"].items()},
        "wandb": web_address(record["wandb"]),
        "started": _time(record["started"]),
        "ended": _time(record["ended"]),
    }
    return checked(TrialRow, found)


def _points(columns: Mapping[str, object]) -> list[dict[str, object]]:
    names = {"step": "epoch", "value": "value", "time": "time"}
    points = [dict(zip(names, point, strict=True)) for point in zip(*map(columns.get, names.values()), strict=True)]
    for point in points:
        dated = point["time"] is None or finite(point["time"]) is not None
        if not is_epoch(point["step"]) or finite(point["value"]) is None or not dated:
            raise ValueError("an epoch or a value that is none")
    return points


def _time(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
