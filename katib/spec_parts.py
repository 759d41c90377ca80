"""Defines the parts of a spec that have keys of their own: its rules, what it is compared with, and what is next."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import mean
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from katib.defects import spelled
from katib.document import Strict
from katib.ranges import Text, Value, text_of
from katib.spec_command import WORD, WORDED


def _setting(value: object) -> object:
    """Returns a fixed setting. Raises one ValueError for all its types, where pydantic would have one for each."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    words = value if isinstance(value, list) else [value]
    if not isinstance(value, list | bool | int | float | str) or (
        isinstance(value, list) and not all(isinstance(word, str) for word in words)
    ):
        raise ValueError("must be a number, a word, true, false, or a list of words")
    if not all(re.fullmatch(WORD, word) for word in words if isinstance(word, str)):
        raise ValueError(f"must {WORDED}")
    return value


def _rule_setting(value: object) -> str:
    """Returns a setting of a stop rule as the text of a manifest: 15 as 15, 0.35 as 0.35, a list as 6,18,50."""
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, int | float | str) and not isinstance(one, bool) for one in listed):
        raise ValueError("must be a number, a word, or a list of whole numbers")
    return ",".join(f"{one:.15g}" if isinstance(one, float) else str(one) for one in listed)


RuleSetting = Annotated[str, BeforeValidator(_rule_setting, json_schema_input_type=int | float | str | list[int])]
Setting = Annotated[bool | int | float | str | list[str], BeforeValidator(_setting)]


def _seed(key: object) -> object:
    """Returns a seed as a number: kubectl, like JSON, knows keys as texts only."""
    return int(key) if isinstance(key, str) and re.fullmatch(r"\d{1,18}", key, re.ASCII) else key


Seed = Annotated[int, BeforeValidator(_seed)]


class Algorithm(Strict):
    """An algorithm and its settings, which are strings in Katib."""

    name: Text
    settings: dict[str, str] = Field(default_factory=dict)


class EarlyStopping(Strict):
    """The early-stopping rule by name, and beside it the settings that katib/stop_settings.py lists for it."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, RuleSetting]
    name: Text

    @property
    def given(self) -> dict[str, str]:
        """The settings that the spec names, as the texts of a manifest."""
        return dict(self.__pydantic_extra__)


class Baseline(Strict):
    """The metric of the published configuration by seed: validation SI-SNR (dB), or that of a command."""

    seeds: dict[Seed, float] = Field(min_length=1)
    differences: list[Text] = Field(default_factory=list)
    """How its runs were trained differently from this search's, apart from what is searched; phrases without a full
    stop."""

    @property
    def mean(self) -> float:
        """Mean over the seeds, in dB."""
        return mean(self.seeds.values())


def _mixtures(value: object) -> object:
    """Returns a number of mixtures, or all. Raises one ValueError for both, where pydantic would have one for each."""
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value > 0):
        return value
    raise ValueError("must be a whole number of mixtures, 1 or more, or all")


class Stage(Strict):
    """A search of its own on so many mixtures of the corpus, or all; what it leaves out is that of the spec."""

    train_limit: Annotated[Annotated[int, Field(ge=1)] | Literal["all"], BeforeValidator(_mixtures)]
    trials: Annotated[int, Field(ge=1)] | None = None
    hours_per_run: Annotated[float, Field(gt=0)] | None = None


def require_ascending(stages: Sequence[Stage]) -> None:
    """Raises ValueError unless there are two stages or more, and each has more mixtures than the one before."""
    sizes = [math.inf if stage.train_limit == "all" else stage.train_limit for stage in stages]
    if len(sizes) < 2:
        have = "one only" if sizes else "none"
        raise ValueError(f"stages: there is {have}; name two or more, or write fixed: {{train_limit: …}} instead")
    for number, (before, size) in enumerate(pairwise(sizes), 2):
        if size <= before:
            raise ValueError(
                f"stages: stage {number} has {stages[number - 1].train_limit} mixtures, not more than the one before;"
                " order them from few to all"
            )


class Architecture(Strict):
    """The architecture sweep of the next phase: a field of the model's config or a placeholder of the command."""

    # A search keeps its spec, and pages show the field of one that anybody may have written.
    field: Annotated[str, spelled(r"[A-Za-z_][A-Za-z0-9_-]*", "have letters, digits, _ and - only")]
    values: list[Value] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> "Architecture":
        twice = [text for number, text in enumerate(self.texts) if text in self.texts[:number]]
        if twice:
            raise ValueError(f"values: {twice[0]} stands there twice; remove one")
        return self

    @property
    def texts(self) -> list[str]:
        """The values as words of a command."""
        return [text_of(value) for value in self.values]
