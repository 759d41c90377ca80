"""Numbers in the words of messages and tables, and texts of others as cells of a spreadsheet or of Markdown."""

import math
import re

from katib.metrics import METRIC, UNIT

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


def with_unit(value: float, metric: str) -> str:
    """Returns `1.23 dB` of the metric whose unit is known, the bare number of another."""
    return f"{value:.2f} {UNIT}" if metric == METRIC else f"{value:.6g}"


def signed(value: float, metric: str) -> str:
    """Returns `+1.23` or `-1.23` of the metric whose unit is known, with as many digits as `with_unit` has of another."""
    return f"{value:+.2f}" if metric == METRIC else f"{value:+.6g}"


def difference(value: float, metric: str) -> str:
    """Returns `+1.23 dB` of the metric whose unit is known, a signed number of another."""
    return f"{signed(value, metric)} {UNIT}" if metric == METRIC else signed(value, metric)


def roughly(hours: float) -> str:
    """Returns `12 min`, `5 h` or `6 d`: a time that is an estimate."""
    if hours < 1.5:
        return f"{max(1, round(60 * hours))} min"
    return f"{round(hours)} h" if hours < 48 else f"{round(hours / 24)} d"


def count(number: int, noun: str) -> str:
    """Returns `1 epoch`, `2 epochs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def spreadsheet_cell(value: object) -> object:
    """Returns a value as a spreadsheet may open it: a number stays one, and a text that would be a formula is shown as
    text.

    What begins a formula, and the apostrophe against it, are OWASP's (CSV Injection).
    """
    if not isinstance(value, str) or not (
        value.lstrip().startswith(("=", "+", "-", "@")) or value.startswith(("\t", "\r"))
    ):
        return value
    return f"'{value}" if any_number(value) is None else value


def markdown_text(text: str) -> str:
    """Returns a text of others as Markdown that shows it on one line: no HTML, link, image, code, emphasis or next cell
    of it.
    """
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`|*\[\]])", r"\\\1", plain)


def short(text: str) -> str:
    """Returns a number to four digits, for reading; a whole number and anything else as it is."""
    value = None if text.removeprefix("-").isdecimal() else number(text)
    return text if value is None else f"{value:.4g}"


def duration(seconds: float) -> str:
    """Returns `35 s`, `12 min`, `3 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"
