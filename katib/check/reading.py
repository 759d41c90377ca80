"""Reads numbers of the search space as each service does: with Python's float and int, or with Go's strconv."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from katib.text import number

INT64 = 2**63
GO_WHOLE = re.compile(r"[-+]?[0-9]+")
GO_FLOAT = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")

Reader = Callable[[str], float | None]


def python_int(text: str) -> float | None:
    """Returns the number that Python's int reads in `text`."""
    try:
        return float(int(text))
    except (ValueError, OverflowError):
        return None


def go_float(text: str) -> float | None:
    """Returns the finite number that strconv.ParseFloat reads in `text`."""
    return number(text) if GO_FLOAT.fullmatch(text) else None


def go_int(text: str) -> float | None:
    """Returns the number that strconv.Atoi reads in `text`."""
    value = python_int(text) if GO_WHOLE.fullmatch(text) else None
    return value if value is not None and abs(value) < INT64 else None


@dataclass(frozen=True)
class Reading:
    """How a service reads min, max and step of a double and of an int; an int's bounds lie below `limit`."""

    double: Reader
    whole: Reader
    limit: float = math.inf


PYTHON = Reading(number, python_int, INT64)
"""numpy holds 64 bits."""
FLOATS = Reading(number, number)
FLOATS_OF_64_BITS = Reading(number, number, INT64)
GO = Reading(go_float, go_int)
