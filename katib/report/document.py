"""Builds an HTML file in which everything lies that it needs, and whose own policy forbids any request.

Text from outside (names, reasons, addresses) passes Jinja's escaping, and scripts are allowed by their checksums alone.
"""

import base64
import hashlib
from datetime import UTC, datetime

import jinja2
from markupsafe import Markup, escape

from katib.manifest.render import TEMPLATES

STYLES, SCRIPTS = ("report.css", "draw.css"), ("linked.js", "trials.js")
"""The files of katib/templates that are part of every page."""


def document(template: str, **values: object) -> str:
    """Returns the HTML text of a template that extends document.html.j2 and shows `values`."""
    script = _read(SCRIPTS)
    return page_template(template).render(
        policy=_policy(script),
        css=Markup(_read(STYLES)),  # noqa: S704  (ours)
        script=Markup(script),  # noqa: S704  (ours)
        colophon=f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by Sepsweep; it works offline.",
        **values,
    )


def page_template(name: str) -> jinja2.Template:
    """Returns a template whose values are escaped, but for those that `drawn` lets through."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, autoescape=True
    )
    # A section and a drawing have escaped their own texts.
    environment.filters["drawn"] = lambda made: Markup(str(made))  # noqa: S704
    # A long heading can be broken behind its underscores, so that its column is as wide as its values.
    # Screen readers would read a blank there: the heading has its name as a label too.
    environment.filters["breakable"] = lambda words: escape(words).replace("_", Markup("_<wbr>"))
    return environment.get_template(name)


def _read(files: tuple[str, ...]) -> str:
    return "".join((TEMPLATES / file).read_text(encoding="utf-8") for file in files)


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
