"""Measures the differences of docs/series3.md one by one.

python -m benchmarks.steps.series3 CORPUS [NAME …] [--epochs 8] [--out FOLDER]

Trains the debug model as Series 3 does and with one thing changed, with the same seeds, on one thread of the processor,
and compares the best validation SI-SNR seed by seed. Where the trainer has no flag, its modules are changed for that
one run. Trainings stay below FOLDER (default runs/series3-benchmark); run the benchmark again to resume.
"""

import argparse
import contextlib
import io
import json
import math
import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, cast
from unittest.mock import patch

SEEDS = (42, 123, 456)
PATIENT_EPOCHS = 30
"""Of the run that patience is looked for in: it needs more than ten epochs after the best."""


@dataclass(frozen=True)
class Difference:
    """One thing that differs between Series 3 here and at its source: as it is here, and the other."""

    what: str
    model: str
    other: Mapping[str, str] = field(default_factory=dict)
    """Flags of the other training."""
    modules: Mapping[str, Any] = field(default_factory=dict)
    """What stands in the trainer's modules in the other training, by its dotted name."""


def _own_kind_alone(allowed: Iterable[str], kind: str) -> tuple[str, ...]:
    """Returns this trainer's earlier rule for the rows of a stage: C alone is no reason to take part."""
    from trainer.data.mixing import KINDS

    own, allowed = KINDS[kind], tuple(allowed)
    named = [variant for variant in allowed if variant != "C"]
    if named and not any(variant in own for variant in named):
        return ()
    return tuple(variant for variant in allowed if variant in own)


def _absolute_plateau(*words: Any, **settings: Any) -> Any:
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    return ReduceLROnPlateau(*words, **(settings | {"threshold_mode": "abs"}))


DIFFERENCES: Mapping[str, Difference] = {
    "weight-decay": Difference(
        "weight decay 0, as the baselines had it, against 1e-5", "convtasnet", {"--weight-decay": "0"}
    ),
    "rows": Difference(
        "outdoor rows left out of the stage C R, as here before, against taking part as C",
        "convtasnet",
        modules={"trainer.data.sampling.fitting": _own_kind_alone},
    ),
    "all-eight": Difference(
        "last stage with all eight variants, as SPMamba's baseline, against all but C",
        "convtasnet",
        {"--curriculum": "sepformer"},
    ),
    "no-curriculum": Difference(
        "every variant from the first epoch, against the curriculum", "convtasnet", {"--curriculum": "all"}
    ),
    "precision": Difference("bf16 against fp32", "convtasnet", {"--precision": "bf16"}),
    "norm-eps": Difference(
        "eps of the norms 1e-4, as published under AMP, against 1e-8",
        "convtasnet",
        modules={"trainer.models.convtasnet.EPS": 1e-4},
    ),
    "plateau": Difference(
        "plateau threshold absolute, as here before, against relative",
        "convtasnet",
        modules={"trainer.training.checkpoint.ReduceLROnPlateau": _absolute_plateau},
    ),
    "dprnn-curriculum": Difference(
        "the standard curriculum, as DPRNN's baseline, against the sweep's five stages",
        "dprnn",
        {"--curriculum": "convtasnet"},
    ),
    "positions": Difference(
        "sinusoidal positions, as in the paper, against none",
        "sepformer",
        {"--positional-encoding": "True"},
    ),
}
COMMON = {
    "--preset": "debug",
    "--batch-size": "4",
    "--segment-seconds": "2",
    "--precision": "fp32",
    "--device": "cpu",
}
OF_MODEL = {"sepformer": {"--positional-encoding": "False"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(DIFFERENCES)}, patience")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--out", type=Path, default=Path("runs/series3-benchmark"))
    words = parser.parse_args()
    if unknown := [name for name in words.names if name not in (*DIFFERENCES, "patience")]:
        parser.error(f"unknown '{unknown[0]}'; valid: {', '.join(DIFFERENCES)}, patience")
    train = partial(best_of_run, words.corpus, words.out)
    print("| the other against Series 3 here | model | here, dB | difference, dB | of each seed | sd |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in words.names or DIFFERENCES:
        if name == "patience":
            patience(partial(train, epochs=PATIENT_EPOCHS), words.seeds)
            continue
        each = DIFFERENCES[name]
        here = {seed: max(train(f"{each.model}-{seed}", each.model, seed, words.epochs)) for seed in words.seeds}
        other = {
            seed: max(train(f"{name}-{seed}", each.model, seed, words.epochs, each.other, each.modules))
            for seed in words.seeds
        }
        row(each.what, each.model, [(here[seed], other[seed]) for seed in words.seeds])


def row(what: str, model: str, pairs: Sequence[tuple[float, float]]) -> None:
    """Prints the best of each run here, and the difference of the other one."""
    differences = [other - here for here, other in pairs]
    spread = f"{stdev(differences):.2f}" if len(differences) > 1 else ""
    each = ", ".join(f"{one:+.2f}" for one in differences)
    mean = fmean(here for here, _ in pairs)
    print(f"| {what} | {model} | {mean:.2f} | {fmean(differences):+.2f} | {each} | {spread} |", flush=True)


def patience(train: Any, seeds: Collection[int]) -> None:
    """Prints the cost of a patience of 10: the best of the epochs that it leaves, against the best of all."""
    pairs = []
    for seed in seeds:
        values = train(f"convtasnet-long-{seed}", "convtasnet", seed)
        best, left = -math.inf, len(values)
        waited = 0
        for epoch, value in enumerate(values, 1):
            best, waited = (value, 0) if value > best else (best, waited + 1)
            if waited == 10:
                left = epoch
                break
        pairs.append((max(values[:left]), max(values)))
        print(f"seed {seed}: patience leaves {left} of {len(values)} epochs", file=sys.stderr)
    row(f"all {PATIENT_EPOCHS} epochs, against those that a patience of 10 leaves", "convtasnet", pairs)


def best_of_run(
    corpus: Path,
    out: Path,
    name: str,
    model: str,
    seed: int,
    epochs: int,
    flags: Mapping[str, str] | None = None,
    modules: Mapping[str, Any] | None = None,
) -> list[float]:
    """Trains, or loads an earlier training; returns the validation SI-SNR by epoch, in dB."""
    from trainer.command_line import parse
    from trainer.config import Run
    from trainer.training.train import train

    folder = out / name
    given = {**COMMON, **OF_MODEL.get(model, {}), **(flags or {}), "--model": model, "--seed": str(seed)}
    given |= {"--data-dir": str(corpus), "--run-dir": str(folder), "--epochs": str(epochs)}
    with contextlib.ExitStack() as changed:
        for place, value in (modules or {}).items():
            changed.enter_context(patch(place, value))
        changed.enter_context(contextlib.redirect_stdout(io.StringIO()))
        code = train(cast(Run, parse([word for pair in given.items() for word in pair])))
    if code:
        sys.exit(f"{folder}: the training ended with exit code {code}")
    summary = json.loads((folder / "summary.json").read_text())
    return [record["val_si_snr"] for record in summary["history"]]


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    os.environ["TRAINER_READ_TO_END"] = "1"
    main()
