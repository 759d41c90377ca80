"""The report as one HTML file: everything it needs lies in it, and its own policy forbids it to ask for anything else.

Text from outside (names, reasons, addresses) passes Jinja's escaping; scripts are allowed by their checksums alone.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jinja2
from markupsafe import Markup

from katib.render import TEMPLATES
from katib.results.report.audio import Listening
from katib.results.report.cost import cost_figure
from katib.results.report.curves import curves
from katib.results.report.figure import Figure
from katib.results.report.importance import importance_figure
from katib.results.report.search import history, parallel
from katib.results.report.slices import slices
from katib.results.report.style import template
from katib.results.report.summary import Conclusion, configuration, facts, next_steps, subtitle, summary_notes
from katib.results.report.tables import all_trials, failures, promising, stop_decisions
from katib.results.table import TrialTable
from katib.whole_file import write_whole

MOST_BYTES = 8_000_000
FILE = "report.html"
SECTIONS = (
    ("summary", "Summary"),
    ("parallel", "Parallel coordinates"),
    ("history", "History"),
    ("curves", "Learning curves"),
    ("importance", "Importance"),
    ("slices", "Slices"),
    ("cost", "Plan and cost"),
    ("failures", "Failures"),
    ("listen", "Listen"),
    ("all", "All trials"),
    ("next", "Next"),
)


@dataclass(frozen=True)
class _Drawn:
    """A figure as the template wants it; `heading` where it has one of its own."""

    key: str
    title: str
    finding: str
    drawing: str
    height: int
    note: str
    heading: bool

    @staticmethod
    def of(figure: Figure, *, heading: bool = False) -> "_Drawn":
        return _Drawn(
            figure.key, figure.title, figure.finding, figure.drawing, figure.height, figure.note, heading
        )


def page(table: TrialTable, conclusion: Conclusion, listening: Listening, where: str = "") -> str:
    """The HTML text of the report, of at most 8 MB: what does not fit of the sounds is left out, with a word about it.

    `where` are the words that every command needs beside the experiment's name, as ` OUT=elsewhere`.
    """
    main = [parallel(table), history(table), curves(table), importance_figure(table)]
    parts, cost = slices(table), cost_figure(table)
    bare = _render(table, conclusion, Listening(listening.says), where, main, parts, cost)
    # 4 kB for the players themselves and the titles.
    room = MOST_BYTES - len(bare.encode()) - 4000
    return _render(table, conclusion, listening.within(room), where, main, parts, cost)


def write(text: str, folder: Path) -> Path:
    """The report's file in `folder`, replaced as a whole. Raises FolderError."""
    file = folder / FILE
    write_whole(file, [text])
    return file


def _render(
    table: TrialTable,
    conclusion: Conclusion,
    listening: Listening,
    where: str,
    main: Sequence[Figure],
    parts: Sequence[Figure],
    cost: Figure,
) -> str:
    from plotly.offline import get_plotlyjs

    plotly, script = get_plotlyjs(), (TEMPLATES / "report.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, autoescape=True
    )
    return environment.get_template("report.html.j2").render(
        title=table.identity.name,
        subtitle=subtitle(table),
        sections=SECTIONS,
        policy=_policy(plotly, script),
        css=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704  (ours)
        plotly=Markup(plotly),  # noqa: S704  (Plotly's own)
        script=Markup(script),  # noqa: S704  (ours)
        drawings=_embedded(_drawings([*main, *parts, cost])),
        facts=facts(table, conclusion),
        verdict=conclusion,
        configuration=configuration(table, conclusion),
        candidates=promising(table),
        notes=summary_notes(table),
        main=[_Drawn.of(figure) for figure in main],
        decisions=stop_decisions(table),
        slices=[_Drawn.of(figure, heading=True) for figure in parts],
        cost=_Drawn.of(cost),
        failures=failures(table),
        listen=listening,
        trials=all_trials(table),
        next="\n".join(f"{command:<48}  # {what}" for what, command in next_steps(table, where)),
        colophon=f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by Sepsweep. Figures by Plotly, which lies in this file; "
        "opening it asks no server for anything.",
    )


def _drawings(figures: Sequence[Figure]) -> str:
    """Both colour schemes and all figures as one JSON text."""
    themes = json.dumps({"light": template(dark=False), "dark": template(dark=True)})
    drawn = ",".join(f"{json.dumps(figure.key)}:{figure.drawing}" for figure in figures if figure.drawing)
    return f'{{"themes":{themes},"figures":{{{drawn}}}}}'


def _embedded(text: str) -> Markup:
    """JSON inside of a script element, which nothing in it can end."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  (no character of markup is left)


def _policy(*scripts: str) -> str:
    """The page's Content-Security-Policy: nothing from anywhere, but its own scripts, styles, pictures and sounds."""
    sums = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in sums)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; media-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
