"""Options that several verbs share, declared once."""

import math
from pathlib import Path
from typing import Annotated, Literal

import typer

from katib.errors import SepsweepError, nearest
from katib.notify import Recipient, recipient
from katib.trainer_contract import TRACKER_NAMES, Flags
from katib.trainer_flags import trainer

MOST = 1_000_000
"""The most of anything that is counted: a larger number is a typing error."""

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="convtasnet, dprnn, sepformer, spmamba, dpmamba, tfgridnet, demo, or a spec x.yaml"
    ),
]
Experiment = Annotated[
    str, typer.Argument(metavar="EXPERIMENT", help="name of the experiment, its model, or its spec x.yaml")
]
Preset = Annotated[str | None, typer.Option(help="size of the model: paper or debug")]
Name = Annotated[str | None, typer.Option(help="name of the experiment, at most 40 characters")]
Trials = Annotated[int | None, typer.Option(help="trials of the search", min=1, max=MOST)]
Epochs = Annotated[int | None, typer.Option(help="epochs of each trial", min=1, max=MOST)]
Parallel = Annotated[int | None, typer.Option(help="trials that run at a time", min=1, max=MOST)]
Slots = Annotated[int, typer.Option(help="trials that share a GPU of this machine", min=1, max=100)]
GpuHours = Annotated[float | None, typer.Option(help="GPU-hours that end the search", max=MOST)]
SiteFile = Annotated[Path | None, typer.Option(help="site file (default: k8s/site.yaml)")]
Context = Annotated[str | None, typer.Option(help="kubeconfig context (default: the current one)")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask")]
Out = Annotated[Path, typer.Option(help="runs folder (one sub-folder per experiment)")]
OnCluster = Annotated[bool, typer.Option("--cluster", help="use the cluster, not this machine")]
Data = Annotated[Path | None, typer.Option(help="folder of the corpus (default: where the search's runs found it)")]
Seeds = Annotated[str | None, typer.Option(help="seeds of each configuration, with commas (default: 42,123,456)")]
Trackers = Annotated[str | None, typer.Option(help="what trials report to: wandb, tensorboard or both, with a comma")]
Notify = Annotated[
    str | None, typer.Option(help="whom to tell of events: a command, an address, or @FILE with one of them")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def seeds_of(text: str | None) -> tuple[int, ...] | None:
    """Returns the seeds of `--seeds`; None where it is not given."""
    if text is None:
        return None
    words = text.replace(",", " ").split() if text.isascii() else []
    for word in words:
        if word.isdecimal() and (problem := trainer().problem(Flags.SEED, [word], None)):
            raise SepsweepError(f"--seeds '{text}': {problem}")
    if not words or not all(word.isdecimal() for word in words) or len(set(words)) < len(words):
        raise SepsweepError(f"--seeds '{text}': whole numbers, each once, such as 42,123,456")
    return tuple(map(int, words))


def recipient_of(text: str | None) -> Recipient | None:
    """Returns whom `--notify` names; None where it is not given. Raises NotifyError."""
    return None if text is None else recipient(text)


def trackers_of(text: str | None) -> str:
    """Returns the trackers of `--trackers`, with commas; empty where it is not given."""
    names = [] if text is None else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in TRACKER_NAMES:
            raise SepsweepError(f"--trackers '{text}': '{name}' is no tracker: {nearest(name, TRACKER_NAMES)}")
        if names.count(name) > 1:
            raise SepsweepError(f"--trackers '{text}': {name} is there twice; remove one of the two")
    return ",".join(names)


def train_limit_of(text: str | None) -> "int | Literal['all'] | None":
    """Returns the mixtures of `--train-limit`; None where it is not given."""
    if text is None or text == "all":
        return None if text is None else "all"
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= MOST):
        raise SepsweepError(f"--train-limit '{text}': a whole number of mixtures, such as 8000, or all")
    return int(text)


def values_by_seed(text: str) -> dict[int, float] | None:
    """Returns the values of `--baseline`; None where it is not given."""
    if not text:
        return None
    values: dict[int, float] = {}
    pairs = [part.partition("=") for part in text.replace(",", " ").split()]
    for seed, _, value in pairs:
        try:
            values[int(seed)] = float(value)
        except ValueError:
            break
    if len(values) < max(1, len(pairs)) or not all(map(math.isfinite, values.values())):
        raise SepsweepError(
            f"--baseline '{text}': finite values by seed, each seed once, such as 42=3.01,123=2.87,456=3.20"
        )
    return values
