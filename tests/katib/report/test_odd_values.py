"""Reports of searches with values of all sizes and settings of no search: every mark still has a place, and importance is fair."""

import re
from dataclasses import replace

import pytest

from katib.report.audio import Listening
from katib.report.page import page
from katib.report.summary import conclude
from katib.table.importance import importances
from katib.table.trial_table import Point, TrialTable, best_first
from katib.trial import Direction, Identity
from tests.katib.report.simulated import METRIC, row, table


@pytest.mark.parametrize(
    "assignments",
    [
        [{}, {}, {}, {}],
        [{"a": "1"}, {"b": "<b>"}, {"a": "nan"}, {"a": "3", "b": "x"}],
        [{"a": repr(1e-300 * 10**number)} for number in range(4)],
    ],
)
def test_odd_settings_and_values_are_drawn_all_the_same(assignments: list[dict[str, str]]) -> None:
    """Values of all sizes, and settings of other searches or of none; every position is a number."""
    values, metric = (
        [1e150, -1e150, 0.0, 5e-324],
        (Point(1, 1e308, None), Point(2, -1e308, None), Point(10**6, 1.0, None)),
    )
    rows = [
        replace(row(number, [value]), assignments=settings, metrics={METRIC: (Point(1, value, None),), "z": metric})
        for number, (value, settings) in enumerate(zip(values, assignments, strict=True))
    ]
    found = TrialTable(Identity("x", METRIC, True, "max", {}), best_first(rows, Direction.MAXIMIZE))
    text = page(found, conclude(found, None), Listening("Nothing."))
    drawings = re.findall(r"<svg xmlns.*?</svg></svg>|<svg xmlns.*?</svg>", text, re.DOTALL)
    assert drawings
    assert not re.search(r' (?:d|x|y|cx|cy|width|height|transform)="[^"]*(?:nan|inf|[0-9]{7})', "".join(drawings))


def test_importance_is_that_of_what_trials_would_have_reached_not_of_when_they_were_stopped() -> None:
    """Where grad_clip_norm is low they are stopped after an epoch, which alone makes their values low."""
    rows = []
    for number in range(40):
        place = 0.1 * (number * 7 % 11)
        made = row(number, [1 + place, 3 + place, 5 + place])
        if number < 16:
            made = row(number, [1 + place], state="EarlyStopped")
        rows.append(replace(made, assignments={**made.assignments, "grad_clip_norm": repr(1 + 9 * number / 40)}))
    found = {one.name: one for one in importances(table(*rows, epochs=3))}
    assert not found["grad_clip_norm"].significant
