"""Writes a cluster's trial table to files on this machine, and reads it when the cluster has deleted the search."""

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
    """Writes the table to `folder` as JSON and CSV and returns the two paths.

    An earlier table with other trials is kept as cluster-trials-1.json, -2, …. Raises FolderError if a file cannot be
    written.
    """
    _keep_earlier(folder, {row.trial for row in table.rows})
    about: dict[str, object] = {"experiment": asdict(table.identity), "gpus": table.gpus, "notes": table.notes}
    about |= {"made_with": table.made_with} if table.made_with else {}
    about |= {"acts": table.acts} if table.acts else {}
    body = ",\n".join(json.dumps(record, allow_nan=False) for record in records(table))
    write_whole(folder / JSON, [json.dumps(about)[:-1], ', "trials": [\n', body, "\n]}\n"], "; nothing was deleted")
    write_whole(folder / CSV, as_csv(table), "; nothing was deleted")
    return folder / JSON, folder / CSV


def _keep_earlier(folder: Path, trials: Container[str]) -> None:
    """Renames the table of an earlier search that had the same name: it may be all that is left of its trials."""
    if not (folder / JSON).exists():
        return
    try:
        if all(row.trial in trials for row in read(folder).rows):
            return
    except FolderError:
        # A damaged table is kept as well.
        pass
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
    """Returns the table that `write` wrote. Raises FolderError if it is damaged."""
    path = folder / JSON
    try:
        found = read_json(path, LARGEST_TABLE)
        identity = identity_from(found["experiment"])
        manifest = Manifest(identity.spec)
        source = origin(manifest, identity.own_spec)
        return TrialTable(
            identity,
            tuple(_row(record, identity.metric) for record in found["trials"]),
            venue=DELETED,
            model=manifest.model,
            spec=source,
            budget=budget(manifest, source),
            gpus=found["gpus"],
            made_with=clean(str(found.get("made_with", ""))),
            acts=tuple(clean(str(act)) for act in found.get("acts", ())),
            notes=(
                f"{path}: the table at the time when the experiment was deleted",
                *(clean(str(note)) for note in found["notes"]),
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        why = clean(str(error).splitlines()[0], 200) if str(error) else type(error).__name__
        raise FolderError(f"{path}: is not a table that `make delete` wrote ({why})") from None


def _row(record: Mapping[str, Any], metric: str) -> TrialRow:
    """Returns a trial of the file, with cleaned texts. Raises ValueError, KeyError or TypeError if it is not one."""
    if not is_name(record["trial"]):
        raise ValueError("a trial's name is not one of Kubernetes")
    same = ("trial", "state", "best_epoch", "epochs", "restarts")
    texts = {name: clean(record[key]) for name, key in (("reason", "reason"), ("node", "node"), ("fix", "remedy"))}
    numbers = {"value": record[metric], "gain": record["over_mixture"]}
    numbers |= {name: record[name] for name in ("seconds", "gpu_hours")}
    if any(number is not None and finite(number) is None for number in numbers.values()):
        raise ValueError("a value is not a finite number")
    # A table of an earlier version has neither pauses nor continuations.
    pauses = list(record.get("pauses", ()))
    if not all(map(is_epoch, pauses)):
        raise ValueError("a pause is not at an epoch")
    continuations = list(record.get("continuations", ()))
    if not all(map(is_name, continuations)):
        raise ValueError("a continuation's name is not one of Kubernetes")
    found = {
        **{name: record[name] for name in same},
        **texts,
        **numbers,
        "pauses": pauses,
        "continuations": continuations,
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
            raise ValueError("an epoch, a value or a time is not valid")
    return points


def _time(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
