"""Builds the sections of the page: pieces of HTML with a stable id each, which the page exchanges as they change.

Names, reasons and lines of trials come from anybody; they reach the page through Jinja's escaping alone.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256

import jinja2

from katib.conclude.belief import Belief
from katib.report.audio import Listening
from katib.report.document import page_template
from katib.report.provenance import Row
from katib.report.sections import SECTIONS
from katib.report.sections import View as ReportView
from katib.report.summary import Conclusion
from katib.table.trial_table import TrialTable
from katib.watch.events import events
from katib.watch.lanes_figure import lanes_figure
from katib.watch.running import StopBars, curves, expected, now, running
from katib.watch.strip import facts, when
from katib.watch.view import View

BARS = StopBars()
MOST_ROWS = 5000
"""The trials that the page's table, filter and sorting reach: of 2 000 they take 3 MB and 0.3 s of the browser."""
LONG = 300
"""The trials from which on a table of them is long: it takes tenths of a second to build."""


@dataclass(frozen=True)
class Section:
    """A piece of the page; `tag` is another one for another content."""

    id: str
    html: str

    @cached_property
    def tag(self) -> str:
        """The content in 12 letters."""
        return sha256(self.html.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Part:
    """Builds the section `id`; it is built again only for another `key` of the view, or each time without one."""

    id: str
    build: Callable[[View], str]
    key: Callable[[View], Hashable] | None = None


class Sections:
    """Builds all sections of a search, each as seldom as possible."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._kept: dict[str, tuple[Hashable, Section]] = {}

    def of(self, view: View) -> Iterator[list[Section]]:
        """Yields the sections in the order of the page after each that is built; those that follow are older."""
        for part in self._parts:
            key = part.key(view) if part.key else None
            kept = self._kept.get(part.id)
            if kept is None or part.key is None or kept[0] != key:
                kept = key, Section(part.id, part.build(view))
                self._kept[part.id] = kept
            yield [self._kept[known.id][1] for known in self._parts if known.id in self._kept]


def notes(lines: Sequence[str]) -> Section:
    """Returns the section that says what is missing; it is empty where nothing is."""
    return Section("notes", html("notes", lines=lines))


def html(macro: str, **values: object) -> str:
    """Returns what a macro of watch_sections.html.j2 makes of `values`."""
    return str(getattr(_macros(), macro)(**values))


@cache
def _macros() -> jinja2.environment.TemplateModule:
    return page_template("watch_sections.html.j2").module


def _strip(view: View) -> str:
    return html("strip", facts=facts(view))


def _running(view: View) -> str:
    rows = running(view.table)
    bar = BARS.of(view) if rows else []
    ends = expected(view) if rows else {}
    found = [now(row, view, ends.get(row.trial)) for row in rows]
    return html("running", rows=found, drawings=curves(view, bar, ends), prefix=_prefix(view), halted=view.halted)


def _lanes(view: View) -> str:
    words, drawings = lanes_figure(view)
    return html("lanes", words=words, drawings=drawings)


def _prefix(view: View) -> str:
    return f"{view.table.identity.name}-"


def _events(view: View) -> str:
    return html("events", events=events(view), when=lambda time: when(time, view.now), prefix=_prefix(view))


def _all(view: View) -> str:
    return report(view.table, view.belief, "all")


def _pace(view: View) -> Hashable:
    """Returns when a long table is due: once a trial begins or ends, and not after each epoch of each trial."""
    rows = view.table.rows
    return (len(rows), len(view.table.under_way), id(view.belief)) if len(rows) > LONG else view.now


def report(table: TrialTable, belief: Belief, key: str, origins: Sequence[Row] = ()) -> str:
    """Returns a section of the report (katib/report/sections.py)."""
    _, build = SECTIONS[key]
    # Nothing of this page's sections says what the search came to (outcome.py does), which takes long to find out.
    nothing = Conclusion("", ()), Listening("")
    return build(ReportView(table, *nothing, origins=origins, most_rows=MOST_ROWS, given=belief))


PARTS = (
    Part("strip", _strip),
    Part("running", _running),
    Part("lanes", _lanes),
    Part("events", _events),
    Part("all", _all, _pace),
)
