"""Curves in a few characters: one scale and one axis of epochs for all, whatever the values."""

from math import inf, nan

from katib.sparkline import BLOCKS, NOT_FINITE, sparklines


def test_all_curves_share_their_scale_and_their_epochs() -> None:
    rising = [float(epoch) for epoch in range(100)]
    first, half, flat, one = sparklines([rising, rising[:50], [99.0] * 100, [1.0]], maximize=True)
    assert (len(first), len(half), one) == (10, 5, "")
    assert first.startswith(half)
    assert list(first) == sorted(first)
    assert flat == BLOCKS[-1] * 10
    assert sparklines([[1.0, 2.0, 3.0]], maximize=True) == ["▁▅█"]


def test_a_steep_beginning_does_not_press_the_rest_flat() -> None:
    curve = [-100.0, *(number / 10 for number in range(50))]
    (line,) = sparklines([curve], maximize=True)
    assert len(set(line)) > 5
    (loss,) = sparklines([[-value for value in curve]], maximize=False)
    assert len(set(loss)) > 5


def test_any_values_can_be_drawn() -> None:
    assert sparklines([], maximize=True) == []
    assert sparklines([[], [nan, inf]], maximize=True) == ["", ""]
    assert sparklines([[nan, 1.0, 1.0]], maximize=True) == [NOT_FINITE + BLOCKS[-1] * 2]
    assert sparklines([[1e308, -1e308, inf]], maximize=False)[0].endswith(NOT_FINITE)
