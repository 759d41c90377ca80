"""Defines what a part of the GPU measurements works on and what it reports."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median

import torch

from benchmarks.measure import Load

PUBLISHED = {
    "convtasnet": (16, "bf16"),
    "dprnn": (16, "bf16"),
    "sepformer": (2, "bf16"),
    "spmamba": (1, "fp32"),
    "dpmamba": (1, "fp32"),
}
"""Mixtures of a step and precision, as in katib/specs/, which a machine without pydantic cannot read."""
MODELS = tuple(PUBLISHED)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A number; of `rounds`, the median, and with them the least and the greatest."""

    what: str
    value: float
    unit: str
    least: float | None = None
    greatest: float | None = None
    limit: str = ""
    """What it should be, such as `<= 0.6`; empty where nothing is asked of it."""
    note: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether it is within its limit; None without one."""
        if not self.limit:
            return None
        word, number = self.limit.split()
        return self.value <= float(number) if word == "<=" else self.value >= float(number)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much the parts do; the tests let them run on a CPU with `TINY`."""

    device: str = "cuda"
    preset: str = "paper"
    batch: int = 0
    """Mixtures of a step; 0 for those of the published training."""
    seconds: float = 4.0
    """Of audio in a mixture."""
    rounds: int = 10
    share_seconds: float = 2.5
    """How long trials share the GPU."""
    trials: tuple[int, ...] = (1, 2, 4)
    models: tuple[str, ...] = MODELS

    def load(self, model: str) -> Load:
        """Returns the load of a model's step."""
        batch, precision = PUBLISHED[model]
        load = Load(model=model, preset=self.preset, seconds=self.seconds, device=self.device)
        return replace(load, batch=self.batch or batch, precision=precision)


TINY = Sizes(
    device="cpu", preset="debug", batch=1, seconds=0.05, rounds=2, share_seconds=0.05, trials=(1, 2), models=MODELS[:1]
)


class AbsentError(Exception):
    """Something that a part needs is missing on this machine; the message names it."""


def row(what: str, values: list[float], unit: str, limit: str = "", note: str = "") -> Row:
    """Returns the row of several rounds."""
    return Row(
        what=what, value=median(values), unit=unit, least=min(values), greatest=max(values), limit=limit, note=note
    )


def synchronize(device: str) -> None:
    """Waits until a GPU has done what was started on it."""
    if device == "cuda":
        torch.cuda.synchronize()


def timed(function: Callable[[], object], device: str, rounds: int, times: int = 1) -> list[float]:
    """Returns the milliseconds of a call in each round, of as many calls at a time, with one wait for the GPU."""
    taken = []
    for _ in range(rounds):
        synchronize(device)
        started = time.perf_counter()
        for _ in range(times):
            function()
        synchronize(device)
        taken.append((time.perf_counter() - started) * 1e3 / times)
    return taken
