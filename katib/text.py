"""Numbers in the words of messages and tables."""

from katib.metrics import METRIC, UNIT


def with_unit(value: float, metric: str) -> str:
    """`1.23 dB` of the metric whose unit is known, the bare number of another."""
    return f"{value:.2f} {UNIT}" if metric == METRIC else f"{value:.6g}"


def signed(value: float, metric: str) -> str:
    """`+1.23` or `-1.23` of the metric whose unit is known, with as many digits as `with_unit` has of another."""
    return f"{value:+.2f}" if metric == METRIC else f"{value:+.6g}"


def count(number: int, noun: str) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
