"""Draws the confirmation: every seed of each candidate and of the baseline, with simultaneous intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from katib.conclude.simultaneous import Comparison, compare
from katib.conclude.verdict import Verdict
from katib.draw.drawing import Drawing
from katib.draw.frame import Frame
from katib.draw.labels import Entry
from katib.draw.marks import dot, interval, line
from katib.draw.scale import Category, Linear
from katib.measure import Measure
from katib.report.figure import Figure, sized
from katib.table.trial_table import TrialTable
from katib.text import difference, settings_text, signed, with_unit

KEY, TITLE = "seeds", "Confirmation"
LOOKS = {"better": "better", "no better": "doubt", "worse": "worse", "unknown": "baseline"}
"""The class of the first choice's colour, by outcome."""


@dataclass(frozen=True)
class _Lane:
    """A configuration with its values by seed; `comparison` is with the baseline."""

    name: str
    seeds: Mapping[int, float]
    fresh: tuple[int, ...]
    """The seeds that the search has not seen."""
    kind: str
    settings: str = ""
    comparison: Comparison | None = None


def seeds_figure(table: TrialTable, verdict: Verdict | None) -> Figure:
    """Returns a line per candidate and one for the baseline, with a dot per seed."""
    if verdict is None:
        return Figure(KEY, TITLE, "Not confirmed yet: no configuration has been trained with several seeds.")
    metric, lanes = table.identity.measure, _lanes(verdict)
    finding = _finding(lanes, verdict, metric)

    def draw(width: float, height: float) -> Drawing:
        return _drawing(lanes, verdict, metric, width, height, finding)

    height = 96.0 + 46 * len(lanes)
    return Figure(KEY, TITLE, finding, sized(draw, height, height + 30))


def _lanes(verdict: Verdict) -> list[_Lane]:
    """Returns the first choice, the other candidates and the baseline."""
    seen = [seed for seed in verdict.seeds if seed not in verdict.unseen]
    named = [("first choice", verdict.configuration, verdict.seeds, LOOKS[verdict.outcome])]
    named += [
        (f"candidate {index}", one.configuration, one.seeds, "s-Succeeded")
        for index, one in enumerate(verdict.others, 2)
        if one.seeds
    ]
    fresh = [tuple(seed for seed in seeds if seed not in seen) for _, _, seeds, _ in named]
    groups = [[seeds[seed] for seed in kept] for (_, _, seeds, _), kept in zip(named, fresh, strict=True)]
    counted = [index for index, group in enumerate(groups) if group]
    compared = compare([groups[index] for index in counted], list(verdict.baseline.values())) or []
    by_index = dict(zip(counted, compared, strict=False))
    lanes = [
        _Lane(name, seeds, kept, kind, settings_text(configuration), by_index.get(index))
        for index, ((name, configuration, seeds, kind), kept) in enumerate(zip(named, fresh, strict=True))
    ]
    if verdict.baseline:
        lanes.append(_Lane("baseline", verdict.baseline, tuple(verdict.baseline), "baseline"))
    return lanes


def _drawing(
    lanes: Sequence[_Lane], verdict: Verdict, metric: Measure, width: float, height: float, finding: str
) -> Drawing:
    base = fmean(verdict.baseline.values()) if verdict.baseline else None
    values = [value for lane in lanes for value in lane.seeds.values()]
    if base is not None:
        values += [
            base + end for lane in lanes if lane.comparison for end in (lane.comparison.low, lane.comparison.high)
        ]
    margin = 0.06 * (max(values) - min(values)) or 0.5
    entries = (
        Entry("seed", lanes[0].kind),
        Entry("seed that the search has seen", lanes[0].kind, hollow=True),
        Entry("mean and 95 % interval, all together", lanes[0].kind, "line"),
    )
    frame = Frame(
        width,
        height,
        Linear(min(values) - margin, max(values) + margin),
        Category(tuple(lane.name for lane in reversed(lanes))),
        metric.title,
        "",
        entries,
        20,
    )
    marks = []
    if base is not None:
        marks.append(line([(frame.across(base), frame.top), (frame.across(base), frame.floor)], "rule baseline"))
    for lane in lanes:
        y = frame.up(lane.name)
        mean = fmean(lane.seeds[seed] for seed in lane.fresh or lane.seeds)
        if lane.comparison and base is not None:
            ends = frame.across(base + lane.comparison.low), frame.across(base + lane.comparison.high)
            marks.append(interval(y, *ends, lane.kind))
        marks.append(line([(frame.across(mean), y - 11), (frame.across(mean), y + 11)], f"{lane.kind} thick"))
        for seed, value in lane.seeds.items():
            tip = f"{lane.name}, seed {seed}: {with_unit(value, metric)}"
            hollow = seed not in lane.fresh
            marks.append(dot(frame.across(value), y, lane.kind, radius=4.5, hollow=hollow, tip=tip))
    return frame.drawing(TITLE, finding, marks)


def _finding(lanes: Sequence[_Lane], verdict: Verdict, metric: Measure) -> str:
    words = {
        "better": "The first choice is better than the baseline.",
        "no better": "The first choice is not shown to be better: keep the baseline.",
        "worse": "The first choice is worse than the baseline: keep the baseline.",
        "unknown": "There is nothing to compare the first choice with.",
    }[verdict.outcome]
    parts = []
    for lane in lanes:
        if one := lane.comparison:
            parts.append(
                f"{lane.name} {difference(one.difference, metric)} ({signed(one.low, metric)} to"
                f" {signed(one.high, metric)}; {lane.settings})"
            )
    if not parts:
        return words
    return (
        f"{words} Against the baseline's mean, on seeds that the search has not seen, with intervals that hold "
        f"together with 95 % (Dunnett): {'; '.join(parts)}. The verdict rests on the first choice alone."
    )
