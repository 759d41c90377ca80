"""What a spec has in place of a W&B sweep file: W&B's own agent starts the same words for a point of the ranges."""

from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from katib.errors import SpecError
from katib.manifest.from_sweep import read_sweep
from katib.spec_command import filled

FILE = """
program: train.py
method: bayes
metric: {name: val/loss, goal: minimize}
run_cap: 12
parameters:
  optimizer.lr: {distribution: log_uniform_values, min: 0.0001, max: 0.01}
  layers: {min: 2, max: 8}
  norm: {values: [gLN, cLN], probabilities: [0.9, 0.1]}
  bias: {values: [true, false]}
  dropout: {distribution: q_uniform, min: 0.05, max: 0.5, q: 0.1}
  batch: {value: 16}
  epochs: {value: 40}
  seed: {values: [7]}
"""
VALUES = {"optimizer.lr": 0.003, "layers": 4, "norm": "cLN", "bias": True, "dropout": 0.2}


def sweep(**changes: Any) -> dict[str, Any]:
    """Returns the sweep file as a mapping, with other keys."""
    keys: dict[str, Any] = yaml.safe_load(FILE)
    return keys | changes


def test_every_key_of_a_spec_that_the_file_says_is_taken() -> None:
    found = read_sweep(sweep(name="old", project="mine", early_terminate={"type": "hyperband"}), "sweep.yaml")
    assert (found.metric, found.direction, found.method) == ("val/loss", "minimize", "bayes")
    assert (found.trials, found.epochs, found.seed, found.left_out) == (
        12,
        40,
        7,
        [
            "early_terminate",
            "parameters.norm.probabilities",
        ],
    )
    lr, layers, dropout = (found.ranges[name] for name in ("optimizer_lr", "layers", "dropout"))
    assert (lr.type, lr.bounds, lr.distribution) == ("double", (1e-4, 1e-2), "logUniform")
    assert (layers.type, layers.bounds, layers.distribution) == ("int", (2, 8), "uniform")
    assert (dropout.levels(9), found.ranges["norm"].texts) == (["0.1", "0.2", "0.3", "0.4", "0.5"], ["gLN", "cLN"])
    assert (found.ranges["bias"].type, sorted(found.ranges)) == (
        "bool",
        ["bias", "dropout", "layers", "norm", "optimizer_lr"],
    )


@pytest.mark.parametrize(
    "macro", ["args", "args_no_equals", "args_no_hyphens", "args_append_hydra", "args_override_hydra"]
)
def test_a_trial_starts_the_words_that_the_agent_of_wandb_starts(macro: str) -> None:
    found = read_sweep(sweep(command=["${env}", "python3", "-u", "${program}", f"${{{macro}}}"]), "sweep.yaml")
    fixed = {"batch": 16, "epochs": 40, "seed": 7}
    agent = create_sweep_command_args({"args": {name: {"value": one} for name, one in (VALUES | fixed).items()}})
    assert found.command is not None
    values = {name.replace(".", "_"): str(one) for name, one in (VALUES | fixed).items()}
    assert filled(found.command.split(), values) == ["python3", "-u", "train.py", *agent[macro]]


def test_the_default_command_is_that_of_wandb() -> None:
    found = read_sweep(sweep(parameters={"lr": {"min": 0.0, "max": 1.0}}), "sweep.yaml")
    assert found.command == "python train.py --lr={lr}"


def test_a_range_that_is_given_replaces_that_of_the_file() -> None:
    normal = {"lr": {"distribution": "normal", "mu": 0, "sigma": 1}}
    found = read_sweep(sweep(parameters=normal), "sweep.yaml", given={"lr"})
    assert (found.command, found.ranges) == ("python train.py --lr={lr}", {})


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"method": "hyperopt"}, "method: must be one of bayes, random, grid (got 'hyperopt')"),
        ({"parameters": {}}, "parameters: must not be empty (got a mapping)"),
        ({"program": ""}, "key 'program' is missing, which the agent starts"),
        (
            {"command": ["${program}", "${args_json}"]},
            "command: a spec has nothing for ${args_json}: did you mean '${args}'?",
        ),
        (
            {"command": ["${program}", "${args_no_boolean_flags}"]},
            "command: ${args_no_boolean_flags} leaves bias out where it is false, which a spec cannot; let the program take"
            " --bias=True and --bias=False, and write ${args}",
        ),
        (
            {"parameters": {"lr": {"distribution": "normal", "mu": 0, "sigma": 1}}},
            "parameters.lr: a spec has no distribution 'normal'; say --range 'lr=LOW:HIGH', or 'lr=LOW:HIGH:log'",
        ),
        (
            {"parameters": {"lr": {"min": 0}}},
            "parameters.lr: has neither values nor min and max; say --range 'lr=LOW:HIGH'",
        ),
        (
            {"method": "grid", "parameters": {"lr": {"min": 0.0, "max": 1.0}}},
            "parameters.lr: a grid has no end of doubles; say --range 'lr=LOW,…,HIGH'",
        ),
        ({"parameters": {"lr": {"min": 2, "max": 1}}}, "parameters.lr: min 2 must lie below max 1"),
        (
            {"parameters": {"net": {"parameters": {"depth": {"values": [1, 2]}}}}},
            "parameters.net: a spec has no nested parameters; write net.… beside the others",
        ),
    ],
)
def test_what_a_spec_cannot_say_is_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(SpecError) as found:
        read_sweep(sweep(**changes), "sweep.yaml")
    assert str(found.value) == f"sweep.yaml: {line}"


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_a_file_of_something_else_is_one_line(data: object) -> None:
    with pytest.raises(SpecError) as found:
        read_sweep(data, "sweep.yaml")
    assert str(found.value) == "sweep.yaml: is no sweep file of W&B, which has the keys method and parameters"
