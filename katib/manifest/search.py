"""Defines what is searched and how: all that an algorithm or a stop rule needs to know of an Experiment.

It needs no pydantic, which takes 20 MB, so that a service that is asked over gRPC does without.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from katib.stop_settings import PROMOTE, configurations_in
from katib.trial import Direction

ParameterType = Literal["double", "int", "discrete", "categorical"]
Distribution = Literal["uniform", "logUniform", "normal", "logNormal"]

SIGMAS = 3
"""The bounds of a normal distribution lie so many standard deviations from its mean (Katib v0.19,
suggestion/v1beta1/hyperopt/base_service.py: sigma is a sixth of the range); the distribution is cut off there."""


@dataclass(frozen=True)
class Parameter:
    """One axis of the search space; its numbers are strings, as in the manifest.

    double and int have `min` and `max`, discrete and categorical have `values`.
    """

    name: str
    type: ParameterType
    min: str | None
    max: str | None
    step: str | None
    values: tuple[str, ...]
    distribution: Distribution


@dataclass(frozen=True)
class Algorithm:
    """A service of Katib by name, with its settings."""

    name: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Search:
    """What is searched, and how: all that an algorithm or a stop rule needs. A count that is None has no limit."""

    name: str
    metric: str
    direction: Direction
    parameters: tuple[Parameter, ...]
    algorithm: Algorithm
    early_stopping: Algorithm | None
    max_trials: int | None
    parallel_trials: int

    @property
    def pauses(self) -> bool:
        """Whether a trial that is stopped early may go on."""
        return self.early_stopping is not None and self.early_stopping.name == PROMOTE

    @property
    def configurations(self) -> int | None:
        """How many configurations it begins: with promote the rule's own setting, and else maxTrialCount."""
        own = configurations_in(self.early_stopping.settings) if self.early_stopping and self.pauses else None
        return own if own is not None else self.max_trials
