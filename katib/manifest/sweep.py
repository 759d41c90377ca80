"""Makes the parameters of a W&B sweep from a spec's ranges, and says in what a sweep differs.

Source: sweeps/src/sweeps/params.py of W&B. Its q_ distributions count steps from 0 and not from min, its normal ones
have no bounds, and of a list every value is equally probable, in this order.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from katib.manifest.search import SIGMAS
from katib.ranges import Range, Value, text_of
from katib.spec_command import DATA, RUN_DIR

OF_RUN = {RUN_DIR: '"$0/$WANDB_RUN_ID"', DATA: '"$d"'}
"""What the script of a command has for the placeholders of a run; $0 is the folder of the runs."""
MOST_LISTED = 1000
"""Steps of a uniform range, from min, are written as a list of at most so many values."""


@dataclass(frozen=True)
class Agent:
    """What W&B's agent starts: a script of the shell, the words that it gets, and W&B's word for the values."""

    program: str
    script: str
    words: list[str]
    args: str


def of_trainer(words: list[str], project: str) -> Agent:
    """Returns what starts our trainer with these words and a flag for each value."""
    script = f'{_environment(project)}; exec python -m trainer --run-dir "$0/$WANDB_RUN_ID" "$@"'
    return Agent("trainer", script, words, "${args}")


def of_command(words: list[str], data: str, project: str) -> Agent:
    """Returns what starts a command whose words name the values as `from_agent` does."""
    # The agent says name=value for each; the prefix keeps them from the shell's own variables.
    values = 'for a in "$@"; do export "S_$a"; done'
    return Agent(
        words[0],
        f"{_environment(project)}; d=$1; shift; {values}; exec {' '.join(words)}",
        [data],
        "${args_no_hyphens}",
    )


def from_agent(names: Iterable[str]) -> dict[str, str]:
    """Returns what the script of a command has for the placeholder of each searched setting."""
    return {name: f'"$S_{name}"' for name in names}


def _environment(project: str) -> str:
    return f"export WANDB_PROJECT=${{WANDB_PROJECT:-{project}}} WANDB_MODE=${{WANDB_MODE:-online}}"


def decimal(value: Value) -> str:
    """Returns the number without an exponent, because YAML takes 1e-06 for a text; a word stays as it is."""
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else text_of(value)


def parameter(searched: Range) -> Mapping[str, str]:
    """Returns the keys of the sweep's parameter, with each value as YAML has it."""
    if searched.texts:
        numbers = searched.parameter_type == "discrete"
        return _listed([decimal(one) for one in searched.values] if numbers else [f'"{one}"' for one in searched.texts])
    low, high = searched.bounds
    step = searched.spacing
    kind = {"uniform": "uniform", "logUniform": "log_uniform_values", "normal": "normal", "logNormal": "log_normal"}[
        searched.distribution or "uniform"
    ]
    if kind == "uniform" and step == 1 and searched.type == "int":
        return {"distribution": "int_uniform", "min": text_of(low), "max": text_of(high)}
    if "normal" in kind:
        low, high = (math.log(low), math.log(high)) if searched.logarithmic else (low, high)
        keys = {"mu": decimal((low + high) / 2), "sigma": decimal((high - low) / (2 * SIGMAS))}
    elif step is None:
        keys = {"min": decimal(low), "max": decimal(high)}
    else:
        values, width = searched.levels(MOST_LISTED), Decimal(repr(step))
        first, last = math.ceil(Decimal(repr(low)) / width), math.floor(Decimal(repr(high)) / width)
        if values and (kind == "uniform" or first >= last):
            return _listed(values)
        keys = {"min": _plain(first * width), "max": _plain(last * width)}
    if step is None:
        return {"distribution": kind} | keys
    return {"distribution": f"q_{kind}"} | keys | {"q": _plain(Decimal(repr(step)))}


def remarks(name: str, searched: Range) -> Iterator[str]:
    """Yields in what the sweep differs from the search for this range, each as a sentence."""
    made = parameter(searched)
    if "mu" in made:
        low, high = map(text_of, searched.bounds)
        yield f"A sweep's normal distributions have no bounds: 3 of 1000 values of {name} leave {low} to {high}."
    if "q" in made and searched.min and Decimal(repr(searched.min)) % Decimal(made["q"]):
        yield f"A sweep counts steps from 0: {name} is drawn at multiples of {made['q']}, not from {searched.min:g} on."
    if searched.prior:
        yield f"A sweep knows no prior: that {name} is expected at {decimal(searched.prior.at)} is left out."


def _listed(values: list[str]) -> dict[str, str]:
    return {"values": f"[{', '.join(values)}]"}


def _plain(value: Decimal) -> str:
    return text_of(int(value)) if value == int(value) else format(value.normalize(), "f")
