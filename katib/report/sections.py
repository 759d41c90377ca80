"""Builds the sections of a report: pieces of HTML with a stable id each, which a live page can exchange one by one.

Names, reasons and other texts of trials come from anybody; they reach the page through Jinja's escaping alone.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

import jinja2
from markupsafe import Markup

from katib.conclude.belief import Belief, believe, told
from katib.conclude.one_run import NAME, VALUE, one_run
from katib.manifest.object import Manifest
from katib.report.audio import Listening
from katib.report.axes import axes
from katib.report.contour import contours
from katib.report.cost import cost_figure
from katib.report.curves import curves
from katib.report.document import page_template
from katib.report.figure import Figure
from katib.report.history import history
from katib.report.importance import importance_figure
from katib.report.metrics import metric_figures
from katib.report.parallel import parallel, places
from katib.report.provenance import Row
from katib.report.seeds import seeds_figure
from katib.report.slices import slices
from katib.report.spent import spent_figures
from katib.report.summary import Conclusion, configuration, facts, next_steps, summary_notes
from katib.report.tables import all_trials, failures, promising, stop_decisions
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import estimate, settings_text, short, with_unit


@dataclass(frozen=True)
class View:
    """All that the sections show; `where` holds the words that every command needs beside the experiment's name."""

    table: TrialTable
    conclusion: Conclusion
    listening: Listening
    where: str = ""
    origins: Sequence[Row] = ()
    """The rows of its provenance."""
    most_rows: int = 1000
    """The number of trials in the table of all; 1 000 rows take 1.5 MB."""
    given: Belief | None = field(default=None, repr=False)
    """What the search's model believes; None to ask it."""

    @cached_property
    def belief(self) -> Belief:
        """What the search's model believes, asked once for all figures."""
        return believe(told(self.table, self.conclusion.verdict)) if self.given is None else self.given


@dataclass(frozen=True)
class Section:
    """A piece of the page; it is empty where the search has nothing for it."""

    id: str
    title: str
    html: str


def sections(view: View) -> list[Section]:
    """Returns the sections in the order of the page."""
    return [Section(key, title, build(view)) for key, (title, build) in SECTIONS.items()]


def _summary(view: View) -> str:
    return _html(
        "summary",
        facts=facts(view.table, view.conclusion),
        verdict=view.conclusion,
        configuration=configuration(view.table, view.conclusion),
        candidates=promising(told(view.table, view.conclusion.verdict)),
        confirmed=view.conclusion.verdict is not None,
        notes=summary_notes(view.table),
    )


def _figure(make: Callable[[View], Figure]) -> Callable[[View], str]:
    return lambda view: _html("one", figure=make(view))


def _history(view: View) -> str:
    return _html("history", figure=history(view.table, view.belief), figures=spent_figures(view.table))


def _curves(view: View) -> str:
    return _html("curves", figure=curves(view.table), decisions=stop_decisions(view.table))


def _slices(view: View) -> str:
    figures = [*slices(view.table, view.belief), *contours(view.table, view.belief)]
    return _html("slices", figures=figures, model=bool(view.belief.slices))


def _metrics(view: View) -> str:
    figures = metric_figures(view.table)
    return _html("metrics", figures=figures) if figures else ""


def _seeds(view: View) -> str:
    figure = seeds_figure(view.table, view.conclusion.verdict)
    return _html("one", figure=figure) if figure.drawings else ""


def _failures(view: View) -> str:
    return _html("failures", failures=failures(view.table))


def _listen(view: View) -> str:
    return _html("listen", listen=view.listening)


def _all(view: View) -> str:
    trials = all_trials(view.table, view.most_rows)
    return _html("all", trials=trials, title=view.table.identity.name, data=trials_data(view))


def _provenance(view: View) -> str:
    return _html("provenance", origins=view.origins) if view.origins else ""


def _next(view: View) -> str:
    steps = next_steps(view.table, view.where, confirmed=view.conclusion.verdict is not None)
    return _html("next", next="\n".join(f"{command:<48}  # {what}" for what, command in steps))


SECTIONS: dict[str, tuple[str, Callable[[View], str]]] = {
    "summary": ("Summary", _summary),
    "seeds": ("Confirmation", _seeds),
    "parallel": ("Parallel coordinates", _figure(lambda view: parallel(view.table, view.belief))),
    "history": ("History", _history),
    "curves": ("Learning curves", _curves),
    "slices": ("Slices", _slices),
    "importance": ("Importance", _figure(lambda view: importance_figure(view.table, view.belief))),
    "metrics": ("Other metrics", _metrics),
    "cost": ("Plan and cost", _figure(lambda view: cost_figure(view.table))),
    "failures": ("Failures", _failures),
    "all": ("All trials", _all),
    "listen": ("Listen", _listen),
    "provenance": ("Provenance", _provenance),
    "next": ("Next", _next),
}
"""The sections by their ids, in the order of the page."""


def trials_data(view: View) -> Markup:
    """Returns what the page's script has to know of each trial, as JSON for a script element."""
    heights, again = places(view.table, view.belief), one_run(view.table)
    document = {
        "run": None
        if again is None
        else {"text": again.text, "settings": again.settings, "name": NAME, "value": VALUE},
        "total": len(view.table.rows),
        "ours": bool(Manifest(view.table.identity.spec).model or view.table.spec),
        "axes": [*(line.name for line in axes(view.table)), view.table.identity.measure.title],
        "trials": [_trial(row, view, heights[row.trial]) for row in view.table.rows[: view.most_rows]],
    }
    return embedded(json.dumps(document, separators=(",", ":"), allow_nan=False))


def _trial(row: TrialRow, view: View, heights: Sequence[float | None]) -> dict[str, object]:
    metric, end = view.table.identity.measure, view.belief.ends.get(row.trial)
    reached = "" if row.value is None else f"{metric} {with_unit(row.value, metric)}, epoch {row.best_epoch}"
    expected = "" if end is None else f"expected end {estimate(end.value, end.sd, metric)}"
    values = {
        "state": row.shown_state,
        **({} if row.value is None else {str(metric): float(f"{row.value:.6g}")}),
        **{name: short(text) for name, text in row.assignments.items()},
        "best epoch": row.best_epoch,
        "epochs": row.epochs,
        "hours": round(row.gpu_hours, 2),
        "restarts": row.restarts,
        "reason": row.reason[:200],
    }
    says = row.shown_state, reached, expected, settings_text(row.assignments), row.reason[:160]
    return {
        "name": row.trial,
        "settings": dict(row.assignments),
        "values": {name: value for name, value in values.items() if value not in (None, "")},
        "places": [None if height is None else round(height, 4) for height in heights],
        "says": [line for line in says if line],
        "words": f"{row.trial} {row.shown_state} {row.node} {row.reason}".lower(),
    }


def embedded(text: str) -> Markup:
    """Returns JSON for a script element, without anything that could end the element."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  (no character of markup is left)


def _html(macro: str, **values: object) -> str:
    """Returns what a macro of sections.html.j2 makes of `values`."""
    return str(getattr(_macros(), macro)(**values))


@cache
def _macros() -> "jinja2.environment.TemplateModule":
    return page_template("sections.html.j2").module
