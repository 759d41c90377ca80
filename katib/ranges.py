"""Defines the ranges of a spec: the values of each searched hyperparameter, with the reason for them.

katib/manifest/render.py makes a parameter of a manifest of each, and katib/manifest/sweep.py one of a W&B sweep.
"""

import math
import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from katib.defects import shown
from katib.document import Strict

Text = Annotated[str, Field(min_length=1)]
LIMIT = 1e15
"""The greatest number: beyond it a float cannot distinguish neighbours that differ by little."""
_WORD = re.compile(r"[A-Za-z0-9_./:+@%-]+")
"""A value that Katib's shell line leaves as it is, and that `confirm` can put into a list of name=value."""
_ARTICLE = {"double": "a double", "int": "an int", "choice": "a choice", "bool": "a bool"}


def _value(value: object) -> object:
    """Returns a value of a range. Raises one ValueError for all its types, where pydantic would have one for each."""
    if isinstance(value, bool) or (isinstance(value, str) and _WORD.fullmatch(value)):
        return value
    if isinstance(value, str) and value:
        raise ValueError("must have letters, digits and _ . / : + @ % - only")
    if not isinstance(value, int | float):
        raise ValueError("must be a number, a word, true or false")
    if not (math.isfinite(value) and abs(value) <= LIMIT):
        raise ValueError(f"must be a finite number of at most {LIMIT:g}")
    return value


Value = Annotated[bool | int | float | str, BeforeValidator(_value)]
Bound = Annotated[float, Field(ge=-LIMIT, le=LIMIT)]


def text_of(value: Value) -> str:
    """Returns the word of a command for a value, and the shortest for a number: True, fp32, 0.0001, 1e-06, 10."""
    if isinstance(value, float):
        return str(int(value)) if value == int(value) else repr(value)
    return str(value)


class Prior(Strict):
    """The value of a hyperparameter that is expected to be best, and how sure that is.

    The search looks there first, within about 6, 12 or 25 % of the range, and trusts it less with every trial.
    """

    at: Value
    sure: Literal["strong", "fair", "weak"] = "fair"


class Range(Strict):
    """The values of one searched hyperparameter, and the reason for them.

    A double and an int have `min`, `max`, `distribution` and perhaps `step`; a choice has `values`; a bool has neither.
    """

    type: Literal["double", "int", "choice", "bool"] = "double"
    min: Bound | None = None
    max: Bound | None = None
    step: Annotated[Bound, Field(gt=0)] | None = None
    """The difference between neighbouring values, counted from `min`; an int without it has 1, a double none."""
    distribution: Literal["uniform", "logUniform", "normal", "logNormal"] | None = None
    """That of the values before a model of the search takes over; a normal one is cut off at `min` and `max`."""
    values: list[Value] = Field(default_factory=list)
    why: Text
    prior: Prior | None = None

    @property
    def parameter_type(self) -> Literal["double", "int", "discrete", "categorical"]:
        """Katib's name of the type: a choice of numbers is discrete, one of words categorical."""
        if self.type in ("choice", "bool"):
            words = self.type == "bool" or any(isinstance(value, str) for value in self.values)
            return "categorical" if words else "discrete"
        return "int" if self.type == "int" else "double"

    @property
    def texts(self) -> list[str]:
        """The values of a choice or a bool as words of a command, in their order; empty for a double and an int."""
        return ["True", "False"] if self.type == "bool" else [text_of(value) for value in self.values]

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value of a double or an int. Raises ValueError for the other types."""
        if self.min is None or self.max is None:
            raise ValueError(f"{_ARTICLE[self.type]} has no bounds")
        return self.min, self.max

    @property
    def spacing(self) -> float | None:
        """The difference between neighbouring values of a double or an int; None where there is none."""
        return self.step or (1.0 if self.type == "int" else None)

    def levels(self, most: int) -> list[str]:
        """Returns the values of a range with steps, in their order; none if there are more than `most`."""
        (low, high), step = (Decimal(repr(bound)) for bound in self.bounds), Decimal(repr(self.spacing or math.inf))
        count = int((high - low) / step) + 1
        return [text_of(float(low + index * step)) for index in range(count)] if count <= most else []

    @property
    def logarithmic(self) -> bool:
        """Whether it is searched on a logarithmic scale."""
        return self.distribution in ("logUniform", "logNormal")

    @property
    def words(self) -> str:
        """The range in words: from 4 to 32 in steps of 4, or among fp32, bf16."""
        if self.texts:
            return f"among {', '.join(self.texts)}"
        low, high = self.bounds
        steps = f" in steps of {text_of(self.step)}" if self.step else ""
        return f"from {text_of(low)} to {text_of(high)}{steps}"

    def holds(self, text: str) -> bool:
        """Returns whether the word of a command lies in this range, on a step or not."""
        if self.texts:
            return text in self.texts
        low, high = self.bounds
        try:
            return low <= float(text) <= high
        except ValueError:
            return False

    def problem(self, value: Value) -> str:
        """Returns why `value` is none of this range; empty if it is one."""
        text = text_of(value)
        if self.texts:
            return "" if text in self.texts else f"{text} is none of {', '.join(self.texts)}"
        if isinstance(value, bool | str):
            return f"'{text}' is not a number"
        low, high = self.bounds
        if not low <= value <= high:
            return f"{value:g} is outside {low:g} to {high:g}"
        step = self.spacing
        if step is None:
            return ""
        # With the digits of the file: in binary, 0.3 is no multiple of 0.1.
        first, width = Decimal(repr(low)), Decimal(repr(step))
        count = (Decimal(repr(value)) - first) / width
        if count == int(count):
            return ""
        near = text_of(float(first + min(round(count), int((Decimal(repr(high)) - first) / width)) * width))
        return f"{text} is on no step of {text_of(step)} from {text_of(low)}; {near} would do"

    @model_validator(mode="after")
    def _consistent(self) -> "Range":
        if self.type in ("choice", "bool"):
            self._require_values()
        else:
            self._require_bounds()
        if self.prior and (found := self.problem(self.prior.at)):
            raise ValueError(f"prior: {found}")
        return self

    def _require_values(self) -> None:
        for key in ("min", "max", "step", "distribution"):
            if getattr(self, key) is not None:
                raise ValueError(f"{_ARTICLE[self.type]} has no {key}; remove it, or write type: int or double")
        if self.type == "bool":
            if self.values:
                raise ValueError("a bool has no values, it is true or false; remove them, or write type: choice")
            return
        for value in self.values:
            if isinstance(value, bool):
                raise ValueError(f"values: {shown(value)} is no word; put it in quotes, or write type: bool")
        if len(self.values) < 2:
            raise ValueError("a choice has values, at least two of them; a single one belongs under fixed")
        for number, text in enumerate(self.texts):
            if text in self.texts[:number]:
                raise ValueError(f"values: {text} stands there twice; remove one")

    def _require_bounds(self) -> None:
        if self.values:
            raise ValueError(f"{_ARTICLE[self.type]} has min and max, and no values; for these write type: choice")
        for key in ("min", "max", "distribution"):
            if getattr(self, key) is None:
                raise ValueError(f"key '{key}' is missing")
        low, high = self.bounds
        for key, bound in (("min", low), ("max", high), ("step", self.step)):
            if self.type == "int" and bound is not None and bound != int(bound):
                raise ValueError(f"an int has whole numbers, but {key} is {bound:g}; write one, or type: double")
        if not low < high:
            raise ValueError(f"min {text_of(low)} must lie below max {text_of(high)}")
        if self.step and self.step > high - low:
            width = text_of(float(Decimal(repr(high)) - Decimal(repr(low))))
            raise ValueError(f"step {text_of(self.step)} is wider than the range; write at most {width}")
        if self.logarithmic and low <= 0:
            raise ValueError(f"{self.distribution} needs min above 0, not {text_of(low)}")
