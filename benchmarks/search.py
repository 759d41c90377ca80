"""Whole searches on simulated models: ours against random search, stock Katib, W&B's Bayes with Hyperband, Optuna's defaults.

`make bench-search LEDGER=runs.csv CURVES=curves.csv SEEDS=200`. Each seed draws a landscape, and each strategy searches it
with the same luck: differences are paired. Intervals are 95 %, bootstrapped over seeds.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy: the matrices are small, and the processes are many

import argparse
import json
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.search_landscapes import Family, Landscape, ledgers, real_curves, synthetic
from benchmarks.search_simulation import CLOSE, Result, Strategy, search
from benchmarks.search_strategies import REQUIRED, STARTUP, OptunaDefaults, Ours, StockKatib, Sweeps
from katib.search.sampler import Sampler
from katib.search.space import Space
from katib.search.stopping import MedianStop, SuccessiveHalving

TOLERANCE = 0.3
"""Of the variant that stops only what is clearly worse, dB: a bit more than twice the noise between seeds."""

Make = Callable[[Landscape, int], Strategy]


def ours(algorithm: str, rule: str, *, curves: bool = True) -> Make:
    """A sampler and a rule of katib/search."""

    def make(landscape: Landscape, seed: int) -> Strategy:
        start = landscape.start_step
        rules = {
            "median": MedianStop(True, REQUIRED, start),
            "tolerant": MedianStop(True, REQUIRED, start, tolerance=TOLERANCE),
            "once": MedianStop(True, REQUIRED, start, "once"),
            "halving": SuccessiveHalving(True, 2, (), start, REQUIRED),
            "none": None,
        }
        sampler = Sampler(Space.of(landscape.parameters), algorithm, True, seed, STARTUP)
        return Ours(sampler, rules[rule], curves=curves)

    return make


STRATEGIES: dict[str, Make] = {
    "ours": ours("bayesianoptimization", "median"),
    "random": ours("random", "none"),
    "stock": StockKatib,
    "wandb": Sweeps,
    "optuna": OptunaDefaults,
    # Variants of ours, run when they are asked for.
    "tolerant": ours("bayesianoptimization", "tolerant"),
    "values": ours("bayesianoptimization", "median", curves=False),
    "nostop": ours("bayesianoptimization", "none"),
    "once": ours("bayesianoptimization", "once"),
    "halving": ours("bayesianoptimization", "halving"),
    "mtpe": ours("multivariate-tpe", "median"),
    "tpe": ours("tpe", "median"),
    "mtpe-nostop": ours("multivariate-tpe", "none"),
    "sobol": ours("sobol", "median"),
    "random-median": ours("random", "median"),
}
DEFAULT = ("ours", "random", "stock", "wandb", "optuna")


@cache
def families(ledger: str, curves: str) -> dict[str, list[Family]]:
    """The landscapes that there are data for."""
    found: dict[str, list[Family]] = {"synthetic": [synthetic]}
    if ledger:
        found["ledger"] = ledgers(Path(ledger))
    if curves:
        found["curves"] = [real_curves(Path(curves))]
    return found


def one(task: tuple[str, str, str, str, int, int, int]) -> dict[str, object]:
    """One search, as a row."""
    ledger, curves, source, name, seed, trials, parallel = task
    warnings.filterwarnings("ignore")
    every = families(ledger, curves)[source]
    landscape = every[seed // 2 % len(every)](seed)
    result = search(landscape, STRATEGIES[name](landscape, seed), seed, trials, parallel)
    return {"source": source, "strategy": name, "seed": seed, "parallel": parallel, **asdict(result)}


def main() -> None:
    """Runs, keeps each row as it comes, prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ledger", default="", help="CSV of real runs; without it no ledger landscapes")
    parser.add_argument("--curves", default="", help="CSV of real learning curves")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--parallel", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--sources", nargs="+", default=["ledger", "curves", "synthetic"])
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=list(DEFAULT))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument(
        "--rows", default="", help="JSON lines of single searches: what is there is not run again"
    )
    options = parser.parse_args()
    rows = (
        [json.loads(line) for line in Path(options.rows).open()]
        if options.rows and Path(options.rows).exists()
        else []
    )
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
            if options.rows:
                with Path(options.rows).open("a") as file:
                    file.write(json.dumps(row) + "\n")
            if index % 50 == 49:
                print(f"{index + 1} of {len(tasks)} searches", file=sys.stderr, flush=True)
    for line in tables(rows, options.strategies):
        print(line)


def tables(rows: Sequence[dict], names: Sequence[str]) -> Iterator[str]:
    """One table for each source and number of parallel trials, in Markdown."""
    groups: dict[tuple[str, int], dict[int, dict[str, dict]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row["strategy"] in names:
            groups[row["source"], row["parallel"]][row["seed"]][row["strategy"]] = row
    for (source, parallel), seeds in sorted(groups.items()):
        whole = [found for found in seeds.values() if len(found) == len(names)]
        if not whole:
            continue
        yield f"\n**{source}, {parallel} parallel, {len(whole)} searches each**\n"
        yield f"| | true SI-SNR of the choice, dB | {names[0]} − it, dB | GPU-hours | of {names[0]} / it | hours to {CLOSE} dB | on stopped | best stopped | loss, dB |"
        yield "|---|---|---|---|---|---|---|---|---|"
        goal = [max(value for row in found.values() for _, value in row["path"]) - CLOSE for found in whole]
        ours_hours = np.array([found[names[0]]["hours"] for found in whole])
        for name in names:
            mine = [found[name] for found in whole]
            chosen = np.array([row["chosen"] for row in mine])
            difference = np.array([found[names[0]]["chosen"] for found in whole]) - chosen
            hours = np.array([row["hours"] for row in mine])
            close = np.array([_close(row, level) for row, level in zip(mine, goal, strict=True)])
            stopped = np.array([row["best_stopped"] for row in mine], dtype=float)
            loss = np.array([row["best"] - row["chosen"] for row in mine])
            yield (
                f"| {name} | {_interval(chosen)} | {_interval(difference)} | {_interval(hours, 1)} "
                f"| {ours_hours.sum() / hours.sum():.2f} | {_interval(close, 1)} "
                f"| {np.mean([row['stopped_hours'] for row in mine]):.1f} | {100 * stopped.mean():.1f} % | {loss.mean():.3f} |"
            )


def _close(row: dict, level: float) -> float:
    """Hours until the search would have chosen a point of that level for good; all of them where it never did."""
    found = row["hours"]
    for spent, value in reversed(row["path"]):
        if value < level:
            break
        found = spent
    return float(found)


def _interval(values: np.ndarray, digits: int = 3) -> str:
    generator = np.random.default_rng(0)
    means = [values[generator.integers(len(values), size=len(values))].mean() for _ in range(1000)]
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


if __name__ == "__main__":
    main()
