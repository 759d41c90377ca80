"""Compares whole searches on simulated models: ours, random search, stock Katib, W&B's Bayes with Hyperband, Optuna.

`make bench-search LEDGER=runs.csv CURVES=curves.csv SEEDS=200`. Each seed draws a landscape, and every strategy
searches it with the same luck, so differences are paired. Intervals are 95 %, bootstrapped over seeds.
"""

import argparse
import json
import math
import os
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search.landscapes import Family, ledgers, misleading, real_curves, synthetic
from benchmarks.search.learning_curves import Array, Landscape
from benchmarks.search.simulation import CLOSE, Strategy, search
from benchmarks.search.strategies import REQUIRED, STARTUP, OptunaDefaults, Ours, StockKatib, Sweeps
from katib.manifest.search import Algorithm
from katib.measure import SI_SNR
from katib.search.promotion import Promote
from katib.search.sampler import Sampler
from katib.search.space import Space
from katib.search.stop_rules import stop_rule
from katib.trial import Direction

Make = Callable[[Landscape, int], Strategy]


def ours(algorithm: str, rule: str, *, curves: bool = True, prior: str = "{}", **settings: str) -> Make:
    """Returns a sampler and a rule of katib/search, with the settings of katib/specs unless given others."""

    def make(landscape: Landscape, seed: int) -> Strategy:
        common = {"start_step": str(landscape.start_step), "min_trials_required": str(REQUIRED)}
        stopping = stop_rule(Algorithm(rule, common | settings), Direction.MAXIMIZE, SI_SNR) if rule else None
        space, known = Space.of(landscape.parameters), {"prior": prior}
        sampler = Sampler(space, algorithm, Direction.MAXIMIZE, seed, STARTUP, settings=known)
        return Ours(sampler, stopping, curves=curves)

    return make


def promoting(*shares: float, eta: float = 2.0) -> Make:
    """Returns our sampler with the rule `promote`, whose rungs are at these shares of the epochs."""

    def make(landscape: Landscape, seed: int) -> Strategy:
        rungs = tuple(sorted({max(1, round(share * landscape.epochs)) for share in shares}))
        sampler = Sampler(Space.of(landscape.parameters), "bayesianoptimization", Direction.MAXIMIZE, seed, STARTUP)
        return Ours(sampler, Promote(Direction.MAXIMIZE, rungs, eta))

    return make


def expecting(kind: str) -> Make:
    """Returns ours with a prior: a good one, a vague one, or one that is sure of a point in the worst tenth."""

    def make(landscape: Landscape, seed: int) -> Strategy:
        generator = np.random.default_rng((seed, 21))
        space = Space.of(landscape.parameters)
        points = generator.random((2000, len(space.axes)))
        order = np.argsort(-landscape.truth(points), kind="stable")
        place = 0 if kind != "misleading" else int(generator.integers(1800, 2000))
        sure, wrong = {"good": ("strong", 0.06), "vague": ("weak", 0.25), "misleading": ("strong", 0.0)}[kind]
        shares = np.clip(points[order[place]] + wrong * generator.normal(size=len(space.axes)), 0.0, 1 - 1e-9)
        expected = {name: {"at": text, "sure": sure} for name, text in space.at(tuple(shares)).items()}
        return ours("bayesianoptimization", "medianstop", prior=json.dumps(expected))(landscape, seed)

    return make


STRATEGIES: dict[str, Make] = {
    "ours": ours("bayesianoptimization", "medianstop"),
    "bare median": ours("bayesianoptimization", "medianstop", tolerance="0"),
    "random": ours("random", ""),
    "stock Katib": StockKatib,
    "W&B": Sweeps,
    "Optuna": OptunaDefaults,
    "promote": promoting(0.06, 0.18, 0.5, eta=3.0),
    # Variants of ours, run when they are asked for.
    "good prior": expecting("good"),
    "vague prior": expecting("vague"),
    "misleading prior": expecting("misleading"),
    "values alone": ours("bayesianoptimization", "medianstop", curves=False),
    "no stop": ours("bayesianoptimization", ""),
    "promote, halves": promoting(0.06, 0.12, 0.25, 0.5, eta=2.0),
    "one look": ours("bayesianoptimization", "medianstop", looks="once"),
    "halving": ours("bayesianoptimization", "successivehalving"),
    "multivariate TPE": ours("multivariate-tpe", "medianstop"),
    "TPE": ours("tpe", "medianstop"),
    "Sobol": ours("sobol", "medianstop"),
    "random, median": ours("random", "medianstop"),
}
CONFIGURATIONS = {"promote": 1.6, "promote, halves": 1.44}
"""How many configurations a strategy begins, as a multiple of the trials of the others: pausing early pays for them."""
DEFAULT = ("ours", "promote", "bare median", "random", "stock Katib", "W&B", "Optuna")


@cache
def families(ledger: str, curves: str) -> dict[str, list[Family]]:
    """Returns the landscapes for which there are data."""
    found: dict[str, list[Family]] = {"synthetic": [synthetic], "misleading": [misleading]}
    if ledger:
        found["ledger"] = ledgers(Path(ledger))
    if curves:
        found["curves"] = [real_curves(Path(curves))]
    return found


def one(task: tuple[str, str, str, str, int, int, int]) -> dict[str, object]:
    """Runs one search and returns it as a row."""
    ledger, curves, source, name, seed, trials, parallel = task
    warnings.filterwarnings("ignore")
    every = families(ledger, curves)[source]
    landscape = every[seed // 2 % len(every)](seed)
    most = round(trials * CONFIGURATIONS.get(name, 1))
    result = search(landscape, STRATEGIES[name](landscape, seed), seed, most, parallel)
    return {"source": source, "strategy": name, "seed": seed, "parallel": parallel, **asdict(result)}


def main() -> None:
    """Runs the searches, saves each row as it comes, and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledger", default="", help="CSV of real runs; without it no ledger landscapes")
    parser.add_argument("--curves", default="", help="CSV of real learning curves")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--parallel", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--sources", nargs="+", default=["ledger", "curves", "synthetic", "misleading"])
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(DEFAULT))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--rows", default="", help="JSON lines of single searches: what is there is not run again")
    options = parser.parse_args()
    kept = Path(options.rows) if options.rows else None
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept and kept.exists() else []
    known = {(row["source"], row["strategy"], row["seed"], row["parallel"]) for row in rows}
    there = families(options.ledger, options.curves)
    tasks = [
        (options.ledger, options.curves, source, name, seed, options.trials, parallel)
        for seed in range(options.first_seed, options.first_seed + options.seeds)
        for source in options.sources
        if source in there
        for parallel in options.parallel
        for name in options.strategies
        if (source, name, seed, parallel) not in known
    ]
    with ProcessPoolExecutor(options.processes) as pool:
        for index, row in enumerate(pool.map(one, tasks, chunksize=1)):
            rows.append(row)
            if kept:
                with kept.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            if index % 50 == 49:
                print(f"{index + 1} of {len(tasks)} searches", file=sys.stderr, flush=True)
    for line in tables(rows, options.strategies):
        print(line)


COLUMNS = (
    "",
    "true SI-SNR of the choice, dB",
    "difference, dB",
    "GPU-hours",
    "ratio",
    f"hours to within {CLOSE} dB",
    "hours on stopped trials",
    "best stopped",
    f"and {CLOSE} dB lost",
)
Row = dict[str, Any]


def tables(rows: Sequence[Row], names: Sequence[str]) -> Iterator[str]:
    """Yields one table for each source and number of parallel trials, in Markdown.

    Differences and ratios compare the first strategy with each. Only seeds that every strategy has finished count.
    """
    groups: dict[tuple[str, int], dict[int, dict[str, Row]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row["strategy"] in names:
            groups[row["source"], row["parallel"]][row["seed"]][row["strategy"]] = row
    for (source, parallel), seeds in sorted(groups.items()):
        whole = [found for found in seeds.values() if len(found) == len(names)]
        if not whole:
            continue
        yield f"\n{source}, {parallel} parallel, {len(whole)} searches each\n"
        yield "| " + " | ".join(COLUMNS) + " |"
        yield "|---" * len(COLUMNS) + "|"
        goal = [max(value for row in found.values() for _, value in row["path"]) - CLOSE for found in whole]
        first = [found[names[0]] for found in whole]
        for name in names:
            mine = [found[name] for found in whole]
            hours = _column(mine, "hours")
            close = np.array([_close(row, level) for row, level in zip(mine, goal, strict=True)])
            lost = [row["best_stopped"] and row["loss"] > CLOSE for row in mine]
            cells = (
                name,
                _interval(_column(mine, "chosen"), 2),
                _interval(_column(first, "chosen") - _column(mine, "chosen")),
                _interval(hours, 1),
                f"{_column(first, 'hours').sum() / hours.sum():.2f}",
                _interval(close, 1),
                f"{_column(mine, 'stopped_hours').mean():.1f}",
                _percent([row["best_stopped"] for row in mine]),
                f"{100 * np.mean(lost):.1f} %",
            )
            yield "| " + " | ".join(cells) + " |"


def _column(rows: Sequence[Row], name: str) -> Array:
    return np.array([row[name] for row in rows], dtype=float)


def _percent(cases: Sequence[bool]) -> str:
    """Returns the share with its 95 % interval (Wilson 1927)."""
    count, share, z = len(cases), float(np.mean(cases)), 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return f"{100 * share:.1f} % ({100 * max(0.0, middle - half):.1f} to {100 * (middle + half):.1f})"


def _close(row: Row, level: float) -> float:
    """Returns the hours until the search would choose a point of that level for good; all of them if it never did."""
    found = row["hours"]
    for spent, value in reversed(row["path"]):
        if value < level:
            break
        found = spent
    return float(found)


def _interval(values: Array, digits: int = 3) -> str:
    generator = np.random.default_rng(0)
    means = [values[generator.integers(len(values), size=len(values))].mean() for _ in range(1000)]
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()
