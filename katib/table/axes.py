"""Finds the axes of a search: those of its manifest, or else the ranges that its trials span."""

from katib.errors import ManifestError
from katib.manifest.experiment import parameters_of
from katib.manifest.search import Parameter
from katib.search.axis import Axis
from katib.search.space import Space
from katib.table.trial_table import TrialTable
from katib.text import number


def axes(table: TrialTable) -> dict[str, Axis]:
    """Returns the axis of each searched parameter, in the manifest's order."""
    try:
        parameters = parameters_of(table.identity.spec, table.identity.name)
    except ManifestError:
        parameters = ()
    return dict(Space.of(parameters or [spanned(table, name) for name in table.settings]).axes)


def spanned(table: TrialTable, name: str) -> Parameter:
    """Returns a parameter with the range that the trials' values of `name` span.

    It is logarithmic if the values are positive and span more than a decade.
    """
    texts = tuple(dict.fromkeys(row.assignments[name] for row in table.rows if name in row.assignments))
    numbers = [value for text in texts if (value := number(text)) is not None]
    if not numbers or len(numbers) < len(texts):
        return Parameter(name, "categorical", None, None, None, texts, "uniform")
    low, high = min(numbers), max(numbers)
    wide = low > 0 and high > 10 * low
    return Parameter(name, "double", repr(low), repr(high), None, (), "logUniform" if wide else "uniform")
