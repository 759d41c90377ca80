"""The small figures of the other metrics."""

from dataclasses import replace

from katib.report.metrics import metric_figures
from katib.table.trial_table import Point
from tests.katib.report.simulated import row, table


def test_a_trial_of_one_epoch_is_a_dot_in_the_figure_whose_axis_holds_it() -> None:
    long = replace(row(1, [1.0, 2.0]), metrics={"loss": (Point(1, 1.0, None), Point(2, 0.5, None))})
    short = replace(row(2, [0.5]), metrics={"loss": (Point(1, 20.0, None),)})
    (figure,) = metric_figures(table(long, short))
    drawn = str(figure.drawings[0])
    assert drawn.count("<circle") == 1
    assert f'data-trial="{short.trial}"' in drawn
