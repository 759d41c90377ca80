"""What is searched: one short YAML a model (katib/specs/), read into a frozen `Spec`. Called by the renderer and by plan."""

from pathlib import Path
from statistics import mean
from typing import Annotated, Literal

from pydantic import Field, model_validator

from katib.document import Strict, load
from katib.errors import SpecError, nearest

SPECS = Path(__file__).parent / "specs"

Text = Annotated[str, Field(min_length=1)]
Word = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_./:=,+@%-]+$")
]  # what passes Katib's unquoted shell line whole


class Range(Strict):
    """The values of one searched hyperparameter, and why just these."""

    min: float
    max: float
    distribution: Literal["uniform", "logUniform"]
    why: Text

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.min < self.max:
            raise ValueError(f"min {self.min} must lie below max {self.max}")
        if self.distribution == "logUniform" and self.min <= 0:
            raise ValueError(f"logUniform needs min above 0, not {self.min}")
        return self


class Algorithm(Strict):
    """A Katib algorithm and its settings, which are strings in Katib."""

    name: Text
    settings: dict[str, str] = Field(default_factory=dict)


class EarlyStopping(Strict):
    """Katib's early stopper; the search looks first after epoch `start_step`."""

    name: Text
    min_trials_required: int = Field(ge=1)
    start_step: int = Field(ge=1)


class Baseline(Strict):
    """Validation SI-SNR (dB) of the published configuration, by seed."""

    seeds: dict[int, float] = Field(min_length=1)

    @property
    def mean(self) -> float:
        """Mean over the seeds, in dB."""
        return mean(self.seeds.values())


class Architecture(Strict):
    """The architecture sweep of the next phase: one field of the model and the values it takes."""

    field: Text
    values: list[int] = Field(min_length=1)


class Spec(Strict):
    """One search: the model, its budget, what varies (`search`) and what does not (`fixed`), and the baseline to beat."""

    name: str = Field(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$", max_length=40)
    model: Word
    trials: int = Field(ge=1)
    epochs: int = Field(ge=1)
    hours_per_run: float = Field(gt=0)
    max_failed_trials: int = Field(ge=1)
    algorithm: Algorithm
    early_stopping: EarlyStopping
    baseline: Baseline | None = None
    next_phase: Architecture | None = None
    search: dict[str, Range] = Field(min_length=1)
    fixed: dict[str, Word | int | float | list[Word]]

    @model_validator(mode="after")
    def _consistent(self) -> "Spec":
        both = sorted(set(self.search) & set(self.fixed))
        if both:
            raise ValueError(f"'{both[0]}' is both searched and fixed; keep one")
        if self.early_stopping.start_step > self.epochs:
            raise ValueError(
                f"early stop looks after epoch {self.early_stopping.start_step}, but there are {self.epochs}"
            )
        if self.max_failed_trials > self.trials:
            raise ValueError(f"max_failed_trials {self.max_failed_trials} exceeds trials {self.trials}")
        return self


def specs() -> list[str]:
    """The names of all specs: one a model of Series 3, and the demo."""
    return sorted(path.stem for path in SPECS.glob("*.yaml"))


def load_spec(model: str) -> Spec:
    """The spec of `model` (or demo). Raises SpecError where there is none or it is not valid."""
    if model not in specs():
        raise SpecError(f"unknown model '{model}': {nearest(model, specs())}")
    return load(SPECS / f"{model}.yaml", Spec, SpecError)
