"""Builds an HTML file from figures: everything it needs lies in it, and its own policy forbids any request.

Text from outside (names, reasons, addresses) passes Jinja's escaping, and scripts are allowed by their checksums alone.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

import jinja2
from markupsafe import Markup

from katib.manifest.render import TEMPLATES
from katib.report.figure import Figure
from katib.report.style import template as colours


def document(template: str, figures: Sequence[Figure], **values: object) -> str:
    """Returns the HTML text of a template that extends document.html.j2 and shows these figures and `values`."""
    from plotly.offline import get_plotlyjs

    plotly, script = get_plotlyjs(), (TEMPLATES / "report.js").read_text(encoding="utf-8")
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
