"""Finds metrics in what a trial prints once per epoch: the filter of the metric line, and the only parser.

Katib's collector applies RE2 to each line, and so does this module: a filter means the same in a pod and on this
machine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import re2

from katib.untrusted import parse_json

Pattern: TypeAlias = Any
"""A compiled expression of RE2, whose Python package has no types."""
_GO_NUMBER = re2.compile(
    r"(?i)[+-]?(nan|inf|infinity|(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|0x([\da-f]+\.?[\da-f]*|\.[\da-f]+)p[+-]?\d+)"
)
RFC3339 = re2.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
DEFAULT_FILTER = r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)"
"""Katib's default filter (pkg/metricscollector/v1beta1/common/const.go)."""


def metric_filter(name: str) -> str:
    """Returns the filter that matches a metric line of `name` and nothing else that the trainer prints."""
    return rf"^\S+ ({name})=([-+]?\d+(?:\.\d+)?)$"


@dataclass(frozen=True)
class Report:
    """A value of a metric, at the time in its line; None if the line has none."""

    name: str
    value: float
    time: datetime | None


@dataclass(frozen=True)
class Printed:
    """The value of a metric as a trial printed it; `text` is empty if the filter's second group matched nothing."""

    name: str
    text: str
    time: datetime | None


class MetricParser:
    """Finds reports in lines as Katib's file collector does (file-metricscollector.go, parseLogs).

    Without the white space around them, group 1 of a filter must equal one of `names`, and group 2 is the value. A
    filter with fewer groups finds nothing. A line may hold several reports.
    """

    def __init__(self, filters: Sequence[str], names: Sequence[str]) -> None:
        self._filters = [compile_filter(text) for text in filters]
        self._names = frozenset(names)

    def parse(self, line: str) -> list[Report]:
        """Returns all reports in a line without its end; values that are not numbers are left out."""
        return [
            Report(one.name, value, one.time)
            for one in self.texts(line)
            if (value := katib_number(one.text)) is not None
        ]

    def texts(self, line: str) -> list[Printed]:
        """Returns all values of the metrics in a line without its end, numbers or not, as Katib stores them."""
        if not any(name in line for name in self._names):
            return []
        stamp = _time(line)
        found = [
            Printed((match[1] or "").strip(), (match[2] or "").strip(), stamp)
            for pattern in self._filters
            if pattern.groups >= 2
            for match in pattern.finditer(line)
        ]
        return [one for one in found if one.name in self._names]


class JsonParser:
    """Finds reports in lines that are JSON objects, as Katib's file collector does (parseLogsInJsonFormat).

    A key that equals one of `names` has the value, a number or a text, and the key timestamp the time: RFC 3339, or
    seconds since 1970. Katib's own takes texts alone, and fails at a line that is no JSON object.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def texts(self, line: str) -> list[Printed]:
        """Returns all values of the metrics in a line without its end, numbers or not; none of any other line."""
        try:
            tree = parse_json(line)
        except ValueError:
            return []
        if not isinstance(tree, dict):
            return []
        stamp = _json_time(tree.get("timestamp"))
        given = [(name, tree[name]) for name in self._names if name in tree]
        return [
            Printed(name, value.strip() if isinstance(value, str) else repr(value), stamp)
            for name, value in given
            if isinstance(value, str | int | float) and not isinstance(value, bool)
        ]


def compile_filter(text: str) -> Pattern:
    """Returns the compiled filter. Raises re2.error, whose text says what RE2 does not accept."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(text, options)


def _time(line: str) -> datetime | None:
    """Returns the RFC 3339 time that a line begins with; None for anything else, such as a date alone."""
    return _rfc3339(line.split(" ", 1)[0])


def _json_time(value: object) -> datetime | None:
    """Returns the time of a JSON value; None where it is none."""
    if isinstance(value, str):
        return _rfc3339(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _rfc3339(word: str) -> datetime | None:
    try:
        return datetime.fromisoformat(word) if RFC3339.fullmatch(word) else None
    except ValueError:
        return None


NEVER = 1e30
"""A bar that no value is worse than, or that every value misses; Katib's collector reads it as a number."""


def rankable(text: str) -> float | None:
    """Returns the finite number that Katib reads; None for any other text."""
    value = katib_number(text)
    return value if value is not None and math.isfinite(value) else None


def katib_number(text: str) -> float | None:
    """Returns the number that Katib reads (Go, strconv.ParseFloat), NaN and infinity included.

    None for any other text, such as "1_000" (a number in Python alone) or "1e999".
    """
    if not _GO_NUMBER.fullmatch(text):
        return None
    try:
        value = float.fromhex(text) if "x" in text.lower() else float(text)
    except OverflowError:
        return None
    return None if math.isinf(value) and "inf" not in text.lower() else value
