"""Measures how honest the verdict is, in simulated searches whose truth is known, from first trial to sentence.

python -m benchmarks.search.honesty [--searches 1000] [--processes 2] [--out FILE]

Each search has 25 trials on a surface of its own, closes in on the best, stops whatever is far below the median, and is
concluded as `make confirm` does it: candidates by posterior mean, three seeds each, a verdict on the first. The verdict
is compared with two other conclusions from the same search: the best single run, and the luckiest of three candidates
by the mean of its three seeds. tests/katib/conclude/test_honesty.py runs the same with fewer searches.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import starmap
from multiprocessing import Pool
from pathlib import Path
from statistics import fmean, median

import numpy as np

from benchmarks.search.landscapes import synthetic
from benchmarks.search.learning_curves import Surface
from katib.conclude.noise import PRIOR, pooled
from katib.conclude.selection import candidates
from katib.conclude.verdict import interval, judge
from katib.search.space import Space
from katib.table.trial_table import Point, TrialRow, TrialTable
from katib.trial import Identity

TRIALS, RANDOM = 25, 10
"""Trials of a search, and how many of them are drawn before it closes in."""
EPOCHS, STOP_AT = 8, 3
TOLERANCE = 0.35
SEARCH_SEED, UNSEEN = 42, (123, 456)
REFERENCE = 4000
"""Points whose best counts as the best of a surface."""
STEP = 0.12
"""Deviation of a step from the best point so far, in shares of an axis."""


@dataclass(frozen=True)
class Scenario:
    """What is true: how far the best of the surface exceeds the baseline, and the noise of seeds, in dB.

    None instead of a number: the surface is flat and level with the baseline, so nothing is better than anything.
    """

    name: str
    effect: float | None
    noise: float = 0.13
    baseline_noise: float = 0.13


SCENARIOS = (
    Scenario("no effect: every configuration is as good as the baseline", None),
    Scenario("no effect, model noisier than baseline", None, 0.30, 0.13),
    Scenario("no effect, baseline noisier than model", None, 0.13, 0.30),
    Scenario("no effect, little noise", None, 0.06, 0.06),
    Scenario("baseline as good as the best there is", 0.0),
    Scenario("small effect", 0.6),
    Scenario("small effect, model noisier than baseline", 0.6, 0.26, 0.13),
    Scenario("large effect", 1.5),
    Scenario("large effect, baseline noisier than model", 1.5, 0.13, 0.26),
)


@dataclass(frozen=True)
class Said:
    """What one way to conclude claims about one search: its interval, and the true difference of its choice, dB."""

    truth: float
    low: float
    high: float
    p_value: float = 1.0

    @property
    def covers(self) -> bool:
        """Whether the truth lies in the interval."""
        return self.low <= self.truth <= self.high

    @property
    def falsely_better(self) -> bool:
        """Whether it claims an improvement that does not exist."""
        return self.low > 0 and self.truth <= 0


WAYS = ("verdict", "best single run", "luckiest of three")


def conclude(scenario: Scenario, seed: int) -> dict[str, Said]:
    """Searches, confirms and concludes once, in each of the ways."""
    generator = np.random.default_rng((seed, 11))
    truth, level, space = _surface(scenario, seed)
    table, luck = _search(scenario, truth, space, generator)
    found = candidates(table)
    points = np.array([space.shares(one.configuration) for one in found])
    true = truth(points) - level
    runs = []
    for one, mean in zip(found, truth(points), strict=True):
        seen = {SEARCH_SEED: luck[one.trials[0]]}
        runs.append(seen | {seed: mean + scenario.noise * generator.normal() for seed in UNSEEN})
    base = dict(zip((42, 123, 456), level + scenario.baseline_noise * generator.normal(size=3), strict=True))
    verdict = judge(found[0].configuration, runs[0], others=runs[1:], baseline=base, seen={SEARCH_SEED})
    luckiest = max(range(len(runs)), key=lambda index: fmean(runs[index].values()))
    three = list(runs[luckiest].values())
    best = table.rows[0]
    single = [best.value or 0.0]
    place = truth(np.array([space.shares(best.assignments)]))[0] - level
    return {
        "verdict": Said(float(true[0]), verdict.low, verdict.high, verdict.p_value),
        "best single run": Said(float(place), *interval(single, list(base.values()), PRIOR)),
        "luckiest of three": Said(
            float(true[luckiest]), *interval(three, list(base.values()), pooled([three]) or PRIOR)
        ),
    }


def _surface(scenario: Scenario, seed: int) -> tuple[Surface, float, Space]:
    """Returns the true values, dB, and the baseline's among them."""
    landscape = synthetic(seed)
    space = Space.of(landscape.parameters)
    if scenario.effect is None:
        return lambda at: np.zeros(len(at)), 0.0, space
    reference = np.random.default_rng((seed, 12)).random((REFERENCE, len(space.axes)))
    return landscape.truth, float(landscape.truth(reference).max()) - scenario.effect, space


def _search(
    scenario: Scenario, truth: Surface, space: Space, generator: np.random.Generator
) -> tuple[TrialTable, dict[str, float]]:
    """Returns the table of a search, and the value that each of its trials reached, or would have."""
    rows: list[TrialRow] = []
    ends: dict[str, float] = {}
    points: list[np.ndarray] = []
    values: list[float] = []
    for number in range(TRIALS):
        point = generator.random(len(space.axes))
        if number >= RANDOM:
            best = points[int(np.argmax(values))]
            point = np.clip(best + STEP * generator.normal(size=len(best)), 0.0, 1 - 1e-9)
        end = float(truth(point[None])[0]) + scenario.noise * float(generator.normal())
        curve = end - 4.0 * np.exp(-np.arange(1, EPOCHS + 1) / generator.uniform(1, 2))
        stopped = number >= 5 and end < median(values) - TOLERANCE
        curve = curve[:STOP_AT] if stopped else np.append(curve[:-1], end)
        name = f"trial-{number}"
        ends[name] = end
        points.append(point)
        values.append(float(curve.max()))
        rows.append(_row(name, space.at(tuple(point)), curve, stopped=stopped))
    rows.sort(key=lambda row: -(row.value or 0.0))
    return TrialTable(Identity("search", "val_si_snr", True, "max", {}), tuple(rows)), ends


def _row(name: str, assignments: Mapping[str, str], curve: np.ndarray, *, stopped: bool) -> TrialRow:
    metrics = {"val_si_snr": tuple(Point(step, float(value), None) for step, value in enumerate(curve, 1))}
    return TrialRow(
        trial=name,
        state="EarlyStopped" if stopped else "Succeeded",
        reason="",
        assignments=assignments,
        value=float(curve.max()),
        best_epoch=int(curve.argmax()) + 1,
        epochs=len(curve),
        seconds=0.0,
        objective="val_si_snr",
        metrics=metrics,
    )


def table(scenarios: Sequence[Scenario], searches: int, processes: int = 1) -> Iterator[str]:
    """Yields one line per scenario and way."""
    headings = ("what is true", "who says it", "95 % interval covers", "falsely better", "says better")
    yield "| " + " | ".join((*headings, "half width, dB", "true gain of the choice, dB")) + " |"
    yield "|" + "---|" * (len(headings) + 2)
    with Pool(processes) if processes > 1 else nullcontext() as pool:
        for scenario in scenarios:
            cases = [(scenario, seed) for seed in range(searches)]
            found = pool.starmap(conclude, cases, chunksize=50) if pool else list(starmap(conclude, cases))
            for way in WAYS:
                yield line(scenario.name if way == WAYS[0] else "", way, [one[way] for one in found])


def line(scenario: str, way: str, said: Sequence[Said]) -> str:
    """Returns one line of the table."""
    half = median((one.high - one.low) / 2 for one in said)
    return (
        f"| {scenario} | {way} | {_share(one.covers for one in said)} | {_share(one.falsely_better for one in said)}"
        f" | {_share(one.low > 0 for one in said)} | {half:.2f} | {fmean(one.truth for one in said):.3f} |"
    )


def _share(flags: Iterator[bool]) -> str:
    return f"{100 * fmean(flags):.1f} %"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--searches", type=int, default=1000, help="of each scenario")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, help="file that the table is written to as well")
    options = parser.parse_args()
    lines = []
    for text in table(SCENARIOS, options.searches, options.processes):
        print(text, flush=True)
        lines.append(text)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
