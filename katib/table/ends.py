"""Says where trials that were stopped early would have ended, as the search's own model takes them."""

from dataclasses import dataclass

from katib.search.history import OUTCOMES, Observation
from katib.table.trial_table import TrialTable


@dataclass(frozen=True)
class End:
    """The value that a stopped trial would have reached, with its standard deviation, in the metric's unit."""

    value: float
    sd: float


def ends(table: TrialTable) -> dict[str, End]:
    """Returns where each stopped trial would have ended, by what completed trials gained after the same epoch.

    It is empty where none has completed.
    """
    stopped = [row for row in table.rows if row.state == "EarlyStopped" and row.value is not None]
    if not stopped or not table.finished:
        return {}
    from katib.search.observations import expected_ends  # loads NumPy, which --help need not wait for

    past = [Observation(row.assignments, OUTCOMES[row.state], row.value, row.values) for row in table.rows]
    found = zip(table.rows, expected_ends(past, table.identity.direction), strict=True)
    return {row.trial: End(*end) for row, end in found if end is not None}
