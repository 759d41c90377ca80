"""Formats numbers for messages and tables, reads them from texts, and escapes texts for spreadsheets and Markdown."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from katib.measure import Measure
from katib.trainer_contract import UNIT

SECONDS_AN_HOUR = 3600


def number(text: str) -> float | None:
    """Returns the finite number that Python reads in a text; None where there is none."""
    value = any_number(text)
    return value if value is not None and math.isfinite(value) else None


def any_number(text: str) -> float | None:
    """Returns the number that Python reads in a text, NaN and infinity included; None where there is none."""
    try:
        return float(text)
    except ValueError:
        return None


def with_unit(value: float, metric: Measure) -> str:
    """Returns a value of a metric with its unit, as `1.23 dB` or `0.91 %`; the bare number where it has none."""
    return f"{digits(value, metric)} {metric.unit}".rstrip()


def digits(value: float, metric: Measure) -> str:
    """Returns a value of a metric without its unit: with two decimals in dB, or else six digits."""
    return f"{value:.2f}" if metric.unit == UNIT else f"{value:.6g}"


def estimate(mean: float, sd: float | None, metric: Measure) -> str:
    """Returns a mean with its deviation, as `5.63 ± 0.12 dB` or `0.1880 ± 0.0045`: no digit says more than is known."""
    if sd is None:
        return with_unit(mean, metric)
    if metric.unit == UNIT or not 1e-6 < sd < 1e6 or abs(mean) >= 1e9:
        return f"{digits(mean, metric)} ± {digits(sd, metric)} {metric.unit}".rstrip()
    places = max(0, 1 - math.floor(math.log10(sd)))
    return f"{mean:.{places}f} ± {sd:.{places}f} {metric.unit}".rstrip()


def signed(value: float, metric: Measure) -> str:
    """Returns a number with its sign, and with as many digits as `with_unit` gives it."""
    return f"{value:+.2f}" if metric.unit == UNIT else f"{value:+.6g}"


def difference(value: float, metric: Measure) -> str:
    """Returns a signed number with the unit of a metric, as `+1.23 dB`."""
    return f"{signed(value, metric)} {metric.unit}".rstrip()


def roughly(hours: float) -> str:
    """Returns an estimated time as `12 min`, `5 h` or `6 d`."""
    if hours < 1.5:
        return f"{max(1, round(60 * hours))} min"
    return f"{round(hours)} h" if hours < 48 else f"{round(hours / 24)} d"


def count(number: int, noun: str) -> str:
    """Returns `1 epoch`, `2 epochs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def spreadsheet_cell(value: object) -> object:
    """Returns a value that a spreadsheet can open safely: a text that would be a formula begins with an apostrophe.

    Numbers stay numbers. OWASP's page on CSV injection lists what begins a formula, and recommends the apostrophe.
    """
    if not isinstance(value, str) or not (
        value.lstrip().startswith(("=", "+", "-", "@")) or value.startswith(("\t", "\r"))
    ):
        return value
    return f"'{value}" if any_number(value) is None else value


def markdown_text(text: str) -> str:
    """Returns Markdown that shows a text on one line and as it is, without effect of its HTML, links, code or `|`."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`|*\[\]])", r"\\\1", plain)


def short(text: str) -> str:
    """Returns a number with four digits; whole numbers and other texts stay as they are."""
    value = None if text.removeprefix("-").isdecimal() else number(text)
    return text if value is None else f"{value:.4g}"


def counted(states: Iterable[str]) -> str:
    """Returns `3 Succeeded, 1 Running`."""
    return ", ".join(f"{number} {state}" for state, number in Counter(states).items())


def settings_text(configuration: Mapping[str, str]) -> str:
    """Returns `lr 0.001, batch_size 4`."""
    return ", ".join(f"{name} {short(text)}" for name, text in configuration.items())


def duration(seconds: float) -> str:
    """Returns `35 s`, `12 min`, `3 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def hour_count(value: float) -> str:
    """Returns hours with one decimal; fewer than a tenth with two digits, so that a short search takes some."""
    return f"{value:.1f}" if value >= 0.1 or not value else f"{value:.2g}"


def number_or_text(text: str) -> int | float | str:
    """Returns the number that the text is, or else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
