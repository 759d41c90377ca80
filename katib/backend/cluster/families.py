"""Joins the rows of a configuration's trials to one, as the table of a search on one machine has it. Pure: no I/O."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from katib.search.families import families
from katib.table.trial_table import TrialRow
from katib.trial import WITHOUT_RESULT


def joined_rows(rows: Iterable[TrialRow], continues: Mapping[str, str]) -> Iterator[TrialRow]:
    """Yields one row for each configuration; `continues` has by trial the first one of its configuration, or ''."""
    by_name = {row.trial: row for row in rows}
    for first, names in families({name: continues.get(name, "") for name in by_name}).items():
        yield _joined(first, [by_name[name] for name in names])


def _joined(first: str, rows: Sequence[TrialRow]) -> TrialRow:
    """Returns the row of a configuration; its rows are in the order in which they ran."""
    if len(rows) == 1:
        return replace(rows[0], trial=first)
    # One that goes on after its own end only reports its history again.
    last = next((index for index, row in enumerate(rows) if row.state == "Succeeded"), len(rows) - 1)
    end, whole, pauses = rows[last], rows[0], list[int]()
    for before, row in pairwise(rows[: last + 1]):
        if before.state == "EarlyStopped":
            pauses.append(whole.epochs)
        whole = row if row.epochs >= whole.epochs else whole
    return replace(
        whole,
        trial=first,
        continuations=tuple(row.trial for row in rows[1:]),
        state=end.state,
        reason=end.reason,
        fix=end.fix,
        seconds=sum(row.seconds for row in rows),
        gpu_hours=sum(row.gpu_hours for row in rows),
        restarts=sum(row.restarts for row in rows) + sum(row.state in WITHOUT_RESULT for row in rows[:-1]),
        pauses=tuple(pauses),
        node=rows[-1].node,
        heartbeat=rows[-1].heartbeat,
        started=rows[0].started,
        ended=end.ended,
    )
