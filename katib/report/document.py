"""Builds an HTML file from figures: everything it needs lies in it, and its own policy forbids any request.

Text from outside (names, reasons, addresses) passes Jinja's escaping, and scripts are allowed by their checksums alone.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import jinja2
from markupsafe import Markup

from katib.errors import ResultError
from katib.manifest.render import TEMPLATES
from katib.report.figure import Figure
from katib.report.style import template as colours


def document(template: str, figures: Sequence[Figure], **values: object) -> str:
    """Returns the HTML text of a template that extends document.html.j2 and shows these figures and `values`."""
    plotly, script = _plotly(), (TEMPLATES / "report.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, autoescape=True
    )
    return environment.get_template(template).render(
        policy=_policy(plotly, script),
        css=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704  (ours)
        plotly=Markup(plotly),  # noqa: S704  (Plotly's own)
        script=Markup(script),  # noqa: S704  (ours)
        drawings=_embedded(_drawings(figures)),
        colophon=f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by Sepsweep. Figures by Plotly, which is part of "
        f"this file; it works offline.",
        **values,
    )


def _plotly() -> str:
    """Returns Plotly's JavaScript, which lies in our wheel (setup.py); in a checkout that of its package.

    Raises ResultError where there is none. The package itself, of 65 MB, is not loaded.
    """
    package = find_spec("plotly")
    installed = (package and package.submodule_search_locations) or ()
    for folder in (TEMPLATES, *(Path(path, "package_data") for path in installed)):
        with suppress(FileNotFoundError):
            return (folder / "plotly.min.js").read_text(encoding="utf-8")
    raise ResultError("plotly is not installed, whose figures a page shows; run: make setup, or pip install plotly")


def _drawings(figures: Sequence[Figure]) -> str:
    """Returns both colour schemes and all figures as one JSON text."""
    themes = json.dumps({"light": colours(dark=False), "dark": colours(dark=True)})
    drawn = ",".join(f"{json.dumps(figure.key)}:{figure.drawing}" for figure in figures if figure.drawing)
    return f'{{"themes":{themes},"figures":{{{drawn}}}}}'


def _embedded(text: str) -> Markup:
    """Returns JSON for a script element, without anything that could end the element."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  (no character of markup is left)


def _policy(*scripts: str) -> str:
    """Returns the page's Content-Security-Policy.

    It allows nothing from elsewhere, only the page's own scripts, styles, pictures and sounds.
    """
    sums = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in sums)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
