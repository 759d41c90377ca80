"""Defines what the values of a search's metric are: their unit, and how far the seeds of one configuration differ.

Of our trainer's metric this is known; of any other, the spec with its command may say so, which a search keeps.
"""

import math
import re
from dataclasses import dataclass, replace

from katib.trainer_contract import METRIC, UNIT
from katib.untrusted import parse_json

UNITS = r"[A-Za-z0-9%/_.-]{1,16}"
"""The form of a unit, which stands in tables, pages and sentences."""
SEED_DEVIATION = 0.13
"""Standard deviation (dB) of METRIC between seeds of a configuration: 0.127 in repeated DPRNN trainings on PolSESS."""


@dataclass(frozen=True)
class Measure:
    """The metric of a search, the unit of its values, and the standard deviation between seeds of a configuration."""

    metric: str
    unit: str = ""
    """Empty where the values have none, or where nobody has said it."""
    noise: float | None = None
    """None where nobody has compared seeds."""

    @property
    def tolerance(self) -> float:
        """By how much a trial may lie below the median without being stopped; 0 where the noise is unknown.

        Two values of one configuration differ by more in 1 of 17 cases: 2.7 are 1.9 deviations of a difference.
        """
        return float(f"{2.7 * (self.noise or 0.0):.2g}")

    @property
    def title(self) -> str:
        """The metric with its unit, as an axis bears it."""
        return f"{self.metric} ({self.unit})" if self.unit else self.metric

    def __str__(self) -> str:
        """Returns the name of the metric."""
        return self.metric


SI_SNR = Measure(METRIC, UNIT, SEED_DEVIATION)
"""What our trainer prints."""


def measure_of(metric: str, own_spec: str = "") -> Measure:
    """Returns what is known of a metric, and what the spec that a search keeps says of it, which may be anybody's."""
    known = SI_SNR if metric == METRIC else Measure(metric)
    try:
        said = parse_json(own_spec)["metric"] if own_spec else {}
        unit, noise = said.get("unit"), said.get("noise")
    except (ValueError, KeyError, TypeError, AttributeError):
        return known
    if isinstance(unit, str) and re.fullmatch(UNITS, unit):
        known = replace(known, unit=unit)
    if isinstance(noise, int | float) and 0 < noise < math.inf:
        known = replace(known, noise=float(noise))
    return known
