"""The best value so far by hours spent and by time passed, of trials whose times are known."""

from dataclasses import replace
from typing import Any

from katib.report.spent import spent_figures, steps
from katib.table.trial_table import Point, TrialRow
from tests.katib.report.simulated import METRIC, START, row, table


def test_the_best_so_far_goes_by_what_all_trials_had_spent_when_it_came() -> None:
    """Epochs of an hour on a GPU: two trials side by side, then one; that which failed counts when it has ended."""

    def timed(number: int, start: float, values: list[float], **more: Any) -> TrialRow:
        points = tuple(Point(step, value, START + 3600 * (start + step)) for step, value in enumerate(values, 1))
        hours = {"gpu_hours": float(len(values)), "started": START + 3600 * start}
        return replace(row(number, values), metrics={METRIC: points}, **(hours | more))

    failed = replace(row(4, [], state="Failed"), gpu_hours=5.0, started=START, ended=START + 3600 * 4.5)
    found = table(timed(1, 0, [1.0, 3.0, 2.0]), timed(2, 0, [2.0, 1.0]), timed(3, 3, [2.0, 4.0]), failed)
    made = steps(found)
    assert [(one.value, one.spent, one.passed) for one in made] == [(2.0, 2, 1), (3.0, 4, 2), (4.0, 12, 5)]
    by_hours, by_clock = spent_figures(found)
    assert by_hours.finding == "The best value, 4.00 dB, came after 12.0 h of 12.0 h of GPU time."
    assert by_clock.finding == "The best value, 4.00 dB, came after 5.0 of 5.0 hours."
    assert spent_figures(table(replace(row(1, [1.0]), metrics={}, started=None))) == []
