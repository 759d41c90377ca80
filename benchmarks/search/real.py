"""Runs whole searches with the real trainer by three stop rules, and counts epochs and what they found.

python -m benchmarks.search.real DATA OUT [--models convtasnet dprnn] [--searches 3] [--configurations 24] [--epochs 16]

The sampler and the debug preset are the same for every rule. What is finished below OUT is not run again. With
`--kills 20` the engine and its trainers are killed so often while they run the first search by `promote`, and the
table that comes out is compared with the undisturbed one's, value by value.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import yaml

from katib.backend.local.table import read_table
from katib.spec import load_spec
from katib.table.trial_table import TrialRow

RULES: Mapping[str, Mapping[str, object]] = {
    "stock median": {
        "name": "medianstop",
        "min_trials_required": 3,
        "start_step": 4,
        "looks": "once",
        "tolerance": "0",
    },
    "ours": {"name": "medianstop", "min_trials_required": 3, "start_step": 4},
    "promote": {"name": "promote"},
}
KILL_SECONDS = (1.0, 12.0)
"""Between a start and the next kill lies a random time in this range."""


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", nargs="+", default=["convtasnet", "dprnn"])
    parser.add_argument("--searches", type=int, default=3)
    parser.add_argument("--configurations", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--kills", type=int, default=0)
    options = parser.parse_args()
    print("| model | rule | epochs | ratio | best SI-SNR of each search, dB |")
    print("|---|---|---|---|---|")
    for model in options.models:
        spent: dict[str, int] = {}
        for rule in RULES:
            tables = [_rows(options, model, rule, seed) for seed in range(options.searches)]
            spent[rule] = sum(row.epochs for rows in tables for row in rows)
            bests = ", ".join(f"{max(row.value for row in rows if row.value is not None):.2f}" for rows in tables)
            ratio = spent[rule] / spent["stock median"]
            print(f"| {model} | {rule} | {spent[rule]} | {ratio:.2f} | {bests} |", flush=True)
    if options.kills:
        calm = _rows(options, options.models[0], "promote", 0)
        killed = _killed(options, options.models[0])
        equal = {_facts(row) for row in calm} == {_facts(row) for row in killed}
        restarts = sum(row.restarts for row in killed)
        print(f"\n{options.kills} kills, {restarts} restarts of trials: the tables are {'' if equal else 'NOT '}equal")


def _facts(row: TrialRow) -> tuple[object, ...]:
    return tuple(sorted(row.assignments.items())), row.state, row.value, row.reports, row.pauses


def _rows(options: argparse.Namespace, model: str, rule: str, seed: int) -> tuple[TrialRow, ...]:
    """Returns the trials of a search, which is run first where it has not finished."""
    name = f"{model}-{rule.replace(' ', '-')}-{seed}"
    subprocess.run(_command(options, model, rule, seed, name), check=True, stdout=subprocess.DEVNULL)
    return read_table(options.out, name).rows


def _killed(options: argparse.Namespace, model: str) -> tuple[TrialRow, ...]:
    """Returns the trials of a search whose engine and trainers were killed again and again."""
    generator, name = random.Random(0), f"{model}-killed"
    command = _command(options, model, "promote", 0, name)
    for _ in range(options.kills):
        engine = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        time.sleep(generator.uniform(*KILL_SECONDS))
        for process in [*_below(engine.pid), engine.pid]:
            os.kill(process, signal.SIGKILL)
        engine.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return read_table(options.out, name).rows


def _below(process: int) -> list[int]:
    """Returns the processes that `process` has started, and those that they have."""
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False).stdout.split()
    return [each for child in map(int, found) for each in (child, *_below(child))]


def _command(options: argparse.Namespace, model: str, rule: str, seed: int, name: str) -> list[str]:
    """Writes the spec of a search, and returns the command that runs it, one trial at a time."""
    options.out.mkdir(parents=True, exist_ok=True)
    options_of_search = ["--data", str(options.data), "--out", str(options.out), "--yes"]
    begun = options.out / name / "experiment.yaml"
    if begun.is_file():  # a search that has begun keeps its manifest, whatever today's template says
        words = ["local", str(begun), *options_of_search]
    else:
        file = options.out / f"{name}.yaml"
        fields = search_spec(model, rule, seed, options.configurations, options.epochs)
        file.write_text(yaml.safe_dump(fields | {"name": name}, sort_keys=False))
        words = ["local", str(file), "--parallel", "1", *options_of_search]
    return [sys.executable, "-m", "katib", *words]


def search_spec(model: str, rule: str, seed: int, configurations: int, epochs: int) -> dict[str, object]:
    """Returns the fields of a spec: those of the demo, with another model, size and rule."""
    spec: dict[str, object] = load_spec("demo").model_dump(mode="json", exclude_unset=True)
    algorithm = {"name": "bayesianoptimization", "settings": {"n_initial_points": "6", "random_state": str(seed)}}
    spec |= {"model": model, "trials": configurations, "epochs": epochs, "algorithm": algorithm}
    spec |= {"max_failed_trials": configurations, "early_stopping": dict(RULES[rule])}
    return spec | {"fixed": {**cast("dict[str, object]", spec["fixed"]), "patience": 10, "segment_seconds": 1}}


if __name__ == "__main__":
    main()
