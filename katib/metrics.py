"""The metric line: what a trial prints once an epoch, the filter that finds it, and the one parser of it.

Katib's collector applies Go's RE2 to each line; RE2 is what this module uses too, so that a filter means the same in a
pod and on this machine. Called by the renderer, the manifest check and the local engine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import re2

Pattern: TypeAlias = Any
"""A compiled expression of RE2, whose Python package has no types."""
METRIC = "val_si_snr"
UNIT = "dB"
_GO_NUMBER = re2.compile(
    r"(?i)[+-]?(nan|inf|infinity|(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|0x([\da-f]+\.?[\da-f]*|\.[\da-f]+)p[+-]?\d+)"
)
RFC3339 = re2.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
SEED_DEVIATION = 0.13
"""Standard deviation of METRIC between seeds of one configuration, dB: 0.127 between replicates of public DPRNN
trainings on PolSESS."""
TOLERANCES = {METRIC: 0.35}
"""By how much a trial of a known metric may lie below the median and still go on: two values of the same configuration
differ by so much in 1 of 17 cases (0.35 / (0.13 * sqrt 2) = 1.9 deviations). Another metric has none unless its
manifest says so."""
DEFAULT_FILTER = r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)"
"""Katib's filter where a manifest names none (pkg/metricscollector/v1beta1/common/const.go)."""


def metric_filter(name: str) -> str:
    """Returns the filter that matches a whole metric line of `name` and nothing else a trainer prints."""
    return rf"^\S+ ({name})=([-+]?\d+(?:\.\d+)?)$"


@dataclass(frozen=True)
class Report:
    """One value of one metric, at the time that the trainer gave it (None where the line carries none)."""

    name: str
    value: float
    time: datetime | None


@dataclass(frozen=True)
class Printed:
    """What a line says of one metric, as the trainer wrote it.

    `text` is empty where the filter's second group took no part.
    """

    name: str
    text: str
    time: datetime | None


class MetricParser:
    """Finds reports in lines as Katib's file collector does (file-metricscollector.go, parseLogs).

    Group 1 of a filter must equal one of `names` and group 2 is the value, both without white space around them; a
    filter without two groups finds nothing. A line may hold several.
    """

    def __init__(self, filters: Sequence[str], names: Sequence[str]) -> None:
        self._filters = [compile_filter(text) for text in filters]
        self._names = frozenset(names)

    def parse(self, line: str) -> list[Report]:
        """Returns all reports of one line without its line end; a value that is no number is left out."""
        return [
            Report(one.name, value, one.time)
            for one in self.texts(line)
            if (value := katib_number(one.text)) is not None
        ]

    def texts(self, line: str) -> list[Printed]:
        """Returns all that one line without its line end says of the metrics, numbers or not, as Katib stores it."""
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


def compile_filter(text: str) -> Pattern:
    """Returns the compiled RE2 of a filter. Raises re2.error, whose text says what RE2 does not accept."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(text, options)


def _time(line: str) -> datetime | None:
    """Of a line that begins with an instant in RFC 3339, as for Katib; a date or a time of day alone is none."""
    word = line.split(" ", 1)[0]
    try:
        return datetime.fromisoformat(word) if RFC3339.fullmatch(word) else None
    except ValueError:
        return None


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
