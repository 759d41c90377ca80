"""Reads a W&B sweep file into what a spec has in its place: the command, its metric and its ranges. Pure.

Source: https://docs.wandb.ai/models/sweeps/sweep-config-keys, and what W&B's agent makes of `command`.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from katib.defects import defects, worded
from katib.document import Strict
from katib.errors import SpecError, nearest
from katib.ranges import Range, Value, text_of
from katib.spec_command import EPOCHS, SEED

NO_BOOLEANS = "${args_no_boolean_flags}"
ARGUMENTS = {
    "${args}": "--{name}={value}",
    "${args_no_equals}": "--{name} {value}",
    "${args_no_hyphens}": "{name}={value}",
    NO_BOOLEANS: "--{name}={value}",
    "${args_append_hydra}": "+{name}={value}",
    "${args_override_hydra}": "++{name}={value}",
}
"""What W&B's agent puts there for each parameter."""
SCALES = {
    "uniform": "uniform",
    "int_uniform": "uniform",
    "log_uniform_values": "logUniform",
    "q_uniform": "uniform",
    "q_log_uniform_values": "logUniform",
}
SILENT = {"name", "description", "project", "entity"}
"""Keys of a sweep file that change nothing in a search."""


class _Parameter(Strict):
    distribution: str | None = None
    value: Value | None = None
    values: list[Value] = Field(default_factory=list)
    min: int | float | None = None
    max: int | float | None = None
    q: int | float | None = Field(default=None, gt=0)
    # A spec has nothing for these.
    mu: object = None
    sigma: object = None
    probabilities: object = None
    parameters: object = None


class _Metric(Strict):
    name: str
    goal: Literal["minimize", "maximize"] = "minimize"


class _Sweep(BaseModel):
    """The keys of a sweep file that a spec has, too."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    program: str = ""
    command: list[str] = ["${env}", "${interpreter}", "${program}", "${args}"]
    method: Literal["bayes", "random", "grid"]
    metric: _Metric | None = None
    parameters: dict[str, _Parameter] = Field(min_length=1)
    run_cap: int | None = Field(default=None, ge=1)


@dataclass(frozen=True)
class Sweep:
    """What a spec has in place of a sweep file; None where the file does not say it."""

    command: str | None = None
    metric: str | None = None
    direction: str | None = None
    ranges: Mapping[str, Range] = field(default_factory=dict)
    method: Literal["bayes", "random", "grid"] = "bayes"
    trials: int | None = None
    epochs: int | None = None
    seed: int | None = None
    left_out: Sequence[str] = ()
    """The keys of the file for which a spec has nothing."""


def read_sweep(data: object, source: str, given: Collection[str] = ()) -> Sweep:
    """Returns what a spec has in place of a sweep file with the value `data`.

    The ranges of the names in `given` are left out. Raises SpecError for what a spec cannot say.
    """
    if not isinstance(data, dict):
        raise SpecError(f"{source}: is no sweep file of W&B, which has the keys method and parameters")
    try:
        sweep = _Sweep.model_validate(data)
    except ValidationError as cause:
        raise SpecError(f"{source}: {defects(cause, _Sweep)}") from None
    ranges: dict[str, Range] = {}
    words: dict[str, str] = {}
    built_in: dict[str, int] = {}
    for name, one in sweep.parameters.items():
        placeholder = re.sub(r"\W", "_", name)
        only = one.values[0] if len(one.values) == 1 else one.value
        if only is None:
            words[name] = f"{{{placeholder}}}"
            if placeholder not in given:
                ranges[placeholder] = found = _range(one, source, name, placeholder)
                if sweep.method == "grid" and found.type == "double" and found.step is None:
                    where, those = f"{source}: parameters.{name}", f"'{placeholder}=LOW,…,HIGH'"
                    raise SpecError(f"{where}: a grid has no end of doubles; say --range {those}")
        elif name in (EPOCHS, SEED) and isinstance(only, int) and not isinstance(only, bool):
            words[name], built_in[name] = f"{{{name}}}", only
        else:
            words[name] = text_of(only)
    metric = sweep.metric
    return Sweep(
        command=" ".join(_command(sweep, words, source)),
        metric=metric.name if metric else None,
        direction=metric.goal if metric else None,
        ranges=ranges,
        method=sweep.method,
        trials=sweep.run_cap,
        epochs=built_in.get(EPOCHS),
        seed=built_in.get(SEED),
        left_out=[
            *sorted(set(sweep.model_extra or {}) - SILENT),
            *(f"parameters.{name}.probabilities" for name, one in sweep.parameters.items() if one.probabilities),
        ],
    )


def _range(one: _Parameter, source: str, name: str, placeholder: str) -> Range:
    """Returns the range of a parameter that varies. Raises SpecError."""
    where = f"{source}: parameters.{name}"
    keys: dict[str, object] = {"why": f"as in {source}"}
    if all(isinstance(value, bool) for value in one.values) and len(set(one.values)) == 2:
        keys["type"] = "bool"
    elif one.values:
        keys |= {"type": "choice", "values": one.values}
    elif one.parameters is not None:
        raise SpecError(f"{where}: a spec has no nested parameters; write {name}.… beside the others")
    else:
        whole = isinstance(one.min, int) and isinstance(one.max, int)
        kind = one.distribution or ("int_uniform" if whole else "uniform")
        if kind not in SCALES:
            raise SpecError(
                f"{where}: a spec has no distribution '{kind}'; say --range '{placeholder}=LOW:HIGH', or"
                f" '{placeholder}=LOW:HIGH:log'"
            )
        if one.min is None or one.max is None:
            raise SpecError(f"{where}: has neither values nor min and max; say --range '{placeholder}=LOW:HIGH'")
        low, high, step = float(one.min), float(one.max), one.q if kind.startswith("q_") else None
        if step:
            # W&B rounds to multiples of q, and a spec counts steps from min.
            low, high = math.ceil(low / step) * step, math.floor(high / step) * step
            keys["step"] = float(step)
        keys |= {"min": low, "max": high, "distribution": SCALES[kind]}
        if kind == "int_uniform":
            keys["type"] = "int"
    try:
        return Range.model_validate(keys)
    except ValidationError as cause:
        raise SpecError(f"{where}: {worded(cause.errors()[0])}") from None


def _command(sweep: _Sweep, words: Mapping[str, str], source: str) -> Iterator[str]:
    """Yields the words that W&B's agent starts, with a placeholder for each value. Raises SpecError."""
    if "${program}" in sweep.command and not sweep.program:
        raise SpecError(f"{source}: key 'program' is missing, which the agent starts")
    for word in sweep.command:
        if word in ARGUMENTS:
            for name, value in words.items():
                if word == NO_BOOLEANS and _is_bool(sweep.parameters[name]):
                    raise SpecError(
                        f"{source}: command: {word} leaves {name} out where it is false, which a spec cannot; let the"
                        f" program take --{name}=True and --{name}=False, and write ${{args}}"
                    )
                yield from ARGUMENTS[word].format(name=name, value=value).split(" ")
        elif word in ("${interpreter}", "${program}"):
            yield "python" if word == "${interpreter}" else sweep.program
        elif word.startswith("${") and word != "${env}":
            raise SpecError(f"{source}: command: a spec has nothing for {word}: {nearest(word, ARGUMENTS)}")
        elif word != "${env}":
            yield word


def _is_bool(one: _Parameter) -> bool:
    return any(isinstance(value, bool) for value in (one.value, *one.values))
