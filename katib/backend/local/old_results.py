"""Reads the trials that another program has run from runs/NAME/trials.csv, for the setting warm_start.

The file is what W&B, Optuna or Ray Tune export, or a table of one's own: a line for each trial, a column for each
hyperparameter and one for the metric.
"""

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path

from katib.errors import ManifestError, nearest
from katib.manifest.search import Parameter, Search
from katib.search.history import Observation
from katib.text import number
from katib.untrusted import LARGEST_TABLE, clean, read_bytes

FILE = "trials.csv"
PREFIXES = ("", "params_", "config/", "config.")
"""What precedes a hyperparameter's name in a heading: nothing, or what Optuna, Ray Tune and W&B write there."""
OBJECTIVE = "value"
"""Optuna's heading of the objective."""


def old_results(path: Path, search: Search) -> list[Observation]:
    """Returns the trials of the table that have a value; a hyperparameter that a line lacks is another space's.

    Raises ManifestError where the table cannot be read, or lacks a column.
    """
    try:
        lines = list(csv.DictReader(io.StringIO(read_bytes(path, LARGEST_TABLE).decode("utf-8-sig")), strict=True))
    except OSError as error:
        raise ManifestError(f"warm_start: {path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"warm_start: {path}: is no table in CSV and UTF-8 ({clean(str(error), 100)})") from None
    headings = [clean(str(heading), 100) for heading in lines[0] if heading] if lines else []
    columns = {
        axis.name: _column([prefix + axis.name for prefix in PREFIXES], headings, path) for axis in search.parameters
    }
    metric = _column([search.metric, OBJECTIVE], headings, path)
    found = []
    for line in lines:
        value = number(line.get(metric) or "")
        if value is not None:
            texts = {axis.name: _spelled(axis, line.get(columns[axis.name]) or "") for axis in search.parameters}
            found.append(Observation(texts, "completed", value))
    return found


def _column(names: Sequence[str], headings: Collection[str], path: Path) -> str:
    """Returns the first of `names` that is a heading. Raises ManifestError that names the nearest one."""
    name = next((name for name in names if name in headings), None)
    if name is None:
        hint = nearest(names[0], headings) if headings else "it has no line of values"
        raise ManifestError(f"warm_start: {path}: has no column {names[0]}: {hint}")
    return name


def _spelled(axis: Parameter, text: str) -> str:
    """Returns a value of a list as the search spells it: true as True, 32.0 as 32."""
    text = clean(text.strip(), 300)
    same = (
        one
        for one in axis.values
        if one.lower() == text.lower() or (number(text) is not None and number(one) == number(text))
    )
    return next(same, text)
