"""Checks the filters that find metrics in a trial's lines, by trying them on lines that trainers print.

While a stop rule is active, the collector exits on a match whose value is no number (file-metricscollector/main.go);
without one it stores whatever text it found.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

import re2

from katib.check.finding import Defect, error, warning
from katib.check.node import Node
from katib.check.objective import REFUSED
from katib.metrics import DEFAULT_FILTER, Pattern, compile_filter, katib_number

SYNTAX = error(
    "filter-syntax",
    finds="a filter that RE2 does not accept (lookaround, back references), or an empty one",
    effect="the webhook does not look at it for StdOut; the collector of each trial crashes",
    fix="write it without lookaround and back references",
)
GROUPS = error(
    "filter-groups",
    finds="a filter with fewer than two groups",
    effect="the collector of each trial crashes: group 1 is the metric's name, group 2 its value",
    fix="put the name and the value in parentheses, name first; write others as (?:…)",
)
SEMICOLON = error(
    "filter-semicolon",
    finds="a filter that holds ';'",
    effect="Katib joins filters with ';' for its collector, which then reads two broken ones",
    fix="write \\x3b",
)
DEFAULT = warning(
    "filter-default",
    finds="no filter of its own, so that Katib's default one is used",
    effect="val=nan is stored as '', best/val=12 counts as val, and under early stopping text after any '=' ends the"
    " trial",
    fix="add source.filter.metricsFormat, anchored with ^ and $",
)
DEFAULT_NAME = error(
    "filter-default-name",
    finds="a metric whose name the default filter cannot match: it may have letters, digits, '_', '-' and '|' only",
    effect="no value is ever found, and each trial ends as MetricsUnavailable",
    fix="add source.filter.metricsFormat, or rename the metric",
)
LOOSE = warning(
    "filter-loose",
    finds="a filter that also matches other lines that trainers print, or finds a value that is not a number",
    effect="a wrong value counts, or, under early stopping, a value that is not a number ends the trial",
    fix=r"anchor it: ^\S+ (name)=([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)$",
)
CUT = warning(
    "filter-cuts-value",
    finds="a filter that takes a part of a number: of 7.5e-05 the 7.5, of -5.25 the 5.25, of 12.5 the 12",
    effect="a wrong value silently counts",
    fix=r"take the whole number: ([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)",
)
BLIND = warning(
    "filter-blind",
    finds="filters that find the objective in none of the usual metric lines",
    effect="if the trainer prints one of these, each trial ends as MetricsUnavailable",
    fix="try the filters on a line of the trainer; group 1 must be the metric's name alone",
)

TIME = "2026-11-24T09:30:00.123456Z"
USUAL = (
    f"{TIME} {{m}}=5.1234",
    "{m}=5.1234",
    "{m}: 5.1234",
    "{m} = 5.1234",
    "{m} : 5.1234",
    "{m} 5.1234",
    "epoch 3 {m}=5.1234",
    "epoch 3: {m}=5.1234, best=5",
    "epoch 3 loss=0.5 {m}=5.1234",
    f"{TIME} INFO     {{m}}=5.1234",
    "[epoch 3] {m}: 5.1234 dB",
    '{{"{m}": 5.1234}}',
    "{{metricName: {m}, metricValue: 5.1234}}",
    "{{'{m}': 5.1234}}",
)
"""Lines that trainers usually print; a filter should match at least one. `{m}` is the metric."""

NUMBERS = ("5.1234", "-5.25", "12.5", "7.5e-05")
NASTY = {
    "--metric={m}": [],
    "Namespace(metric='{m}', lr=0.001)": [],
    f"{TIME} {{m}}=nan": [],
    f"{TIME} {{m}}=-inf": [],
    f"{TIME} best/{{m}}=12": [],
    f"{TIME} best_{{m}}=12": [],
    "loading ckpt=/runs/{m}=3/best.pt": [],
    "stage=val {m}=3": ["3"],
    f"{TIME} {{m}}=4.2 (best {{m}}=4.3)": ["4.2"],
}
"""Other lines that trainers print, with the values that a filter may find in them; it may always find none."""


def filters(node: Node, spec: Node) -> Iterator[Defect]:
    """Yields the defects of all filters of a collector that reads lines; `node` is metricsFormat."""
    metric = spec["objective"]["objectiveMetricName"]
    if node.empty:
        yield from _default(node, spec)
        return
    usable = []
    for item in node.items:
        if item.missing:
            yield SYNTAX.at(item, "is null, an empty filter to Go")
        if item.text is None:
            continue
        pattern, defects = _compiled(item)
        yield from defects
        if pattern is not None:
            usable.append(pattern)
            if metric.text and not defects:
                yield from _loose(item, pattern, metric.text)
                yield from _cut(item, pattern, metric.text)
    # The metric of darts is a text: the network.
    if metric.text and usable and len(usable) == len(node.items) and not _is_text(spec):
        lines = [line.format(m=metric.text) for line in USUAL]
        if not any(name == metric.text for line in lines for p in usable for name, _ in _matches(p, line)):
            yield BLIND.at(node, f"'{metric.text}' is found in no usual line, such as '{lines[0]}'")


def unread(node: Node) -> Iterator[Defect]:
    """Yields the filters of a collector that reads no lines which Katib's webhook refuses all the same."""
    for item in node.items:
        if item.text:
            yield from (
                replace(defect, effect=REFUSED) for defect in _compiled(item)[1] if defect.rule != SEMICOLON.name
            )


def _is_text(spec: Node) -> bool:
    return spec["algorithm"]["algorithmName"].text == "darts"


def _default(node: Node, spec: Node) -> Iterator[Defect]:
    names = [spec["objective"]["objectiveMetricName"], *spec["objective"]["additionalMetricNames"].items]
    unmatched = [name for name in names if name.text and not re.fullmatch(r"[\w|-]+", name.text, re.ASCII)]
    for name in unmatched:
        yield DEFAULT_NAME.at(name, f"'{name.text}' cannot be matched by {DEFAULT_FILTER}")
    if not unmatched:
        yield DEFAULT.at(node, "no filter: Katib uses its default")


def _compiled(item: Node) -> tuple[Pattern | None, list[Defect]]:
    text = item.text or ""
    try:
        pattern = compile_filter(text)
    except re2.error as cause:
        reason = cause.args[0].decode() if isinstance(cause.args[0], bytes) else cause
        return None, [SYNTAX.at(item, f"RE2 does not accept it: {reason}")]
    defects = [] if text else [SYNTAX.at(item, "is empty")]
    if text and pattern.groups < 2:
        defects.append(GROUPS.at(item, f"has {pattern.groups} group(s)"))
    if ";" in text:
        defects.append(SEMICOLON.at(item, "holds ';'"))
    return (pattern if pattern.groups >= 2 else None), defects


def _loose(item: Node, pattern: Pattern, metric: str) -> Iterator[Defect]:
    caught = []
    for template, right in NASTY.items():
        line = template.format(m=metric)
        matches = _matches(pattern, line)
        counted = [value for name, value in matches if name == metric]
        if counted not in ([], right) or not all(katib_number(value) is not None for _, value in matches):
            caught.append(f"'{line}'")
    if caught:
        more = f" and {len(caught) - 2} more" if len(caught) > 2 else ""
        yield LOOSE.at(item, f"also matches {', '.join(caught[:2])}{more}")


def _cut(item: Node, pattern: Pattern, metric: str) -> Iterator[Defect]:
    for template in USUAL:
        for whole in NUMBERS:
            line = template.replace("5.1234", whole).format(m=metric)
            for name, value in _matches(pattern, line):
                if name == metric and value != whole and value and value in whole:
                    yield CUT.at(item, f"takes '{value}' of '{line}'")
                    return


def _matches(pattern: Pattern, line: str) -> list[tuple[str, str]]:
    return [((match[1] or "").strip(), (match[2] or "").strip()) for match in pattern.finditer(line)]
