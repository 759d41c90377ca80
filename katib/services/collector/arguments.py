"""Parses the collector's command line, which Katib's pod webhook writes (inject_webhook.go)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import re2

from katib.errors import SepsweepError, nearest
from katib.metrics import DEFAULT_FILTER, compile_filter
from katib.trial import Direction

FLAGS = {
    "t": "trial",
    "m": "metrics, the objective first, joined with ;",
    "o-type": "maximize or minimize",
    "s-db": "address of the DB manager",
    "path": "the file that the trainer's output goes to",
    "f": "filters, joined with ;",
    "format": "TEXT or JSON",
    "stop-rule": "a rule that the trial was made with: it may be stopped early",
    "s-earlystop": "address of the early-stopping service",
    "w": "whether Katib's own waits for other containers; ignored",
    "p": "how often Katib's own polls; ignored",
    "timeout": "how long Katib's own waits; ignored, because this one waits for the trainer's end",
}
NEEDED = ("t", "m", "s-db", "path")
FORMATS = ("", "TEXT", "JSON")
"""What the lines of the file are; an empty one is TEXT."""


class ArgumentError(SepsweepError):
    """The collector cannot be started with these arguments."""


@dataclass(frozen=True)
class Arguments:
    """The trial and the addresses that the webhook gives."""

    trial: str
    metrics: tuple[str, ...]
    """The objective comes first."""
    direction: Direction
    db_manager: str
    output: Path
    filters: tuple[str, ...]
    """Empty where each line is a JSON object."""
    early_stopping: str | None
    """The address of the early-stopping service; None where the trial cannot be stopped early."""

    @property
    def objective(self) -> str:
        """The metric that the search optimises."""
        return self.metrics[0]


def parse(argv: Sequence[str]) -> Arguments:
    """Reads flags as Go's package flag does: -name value or -name=value, with one dash or two.

    Raises ArgumentError.
    """
    given: dict[str, str] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or name not in FLAGS:
            raise ArgumentError(f"unknown argument '{word}': {nearest(name, FLAGS)}")
        if not equals:
            if not words:
                raise ArgumentError(f"-{name} needs a value: {FLAGS[name]}")
            value = words.pop(0)
        given[name] = value
    for name in NEEDED:
        if not given.get(name):
            raise ArgumentError(f"-{name} is missing: {FLAGS[name]}")
    if given.get("format", "") not in FORMATS:
        raise ArgumentError(f"-format {given['format']}: it is TEXT or JSON")
    metrics = tuple(name for name in given["m"].split(";") if name)
    if not metrics:
        raise ArgumentError(f"-m is empty: {FLAGS['m']}")
    return Arguments(
        trial=given["t"],
        metrics=metrics,
        direction=Direction.of(given.get("o-type") != "minimize"),
        db_manager=given["s-db"],
        output=Path(given["path"]),
        filters=() if given.get("format") == "JSON" else _filters(given.get("f", "")),
        early_stopping=given.get("s-earlystop") if "stop-rule" in given else None,
    )


def _filters(text: str) -> tuple[str, ...]:
    filters = tuple(part for part in text.split(";") if part) or (DEFAULT_FILTER,)
    for part in filters:
        try:
            groups = compile_filter(part).groups
        except re2.error as error:
            raise ArgumentError(f"-f: RE2 does not accept '{part}': {error}") from None
        if groups < 2:
            raise ArgumentError(f"-f: '{part}' has {groups} groups; it needs two, the metric's name and its value")
    return filters
