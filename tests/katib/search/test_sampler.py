"""Proposals: deterministic for a seed and a history, aware of every trial, and better than chance."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

import pytest
import yaml

from katib.errors import ManifestError
from katib.experiment import Experiment, load_experiment
from katib.render import render
from katib.search.history import Outcome, Past
from katib.search.sampler import ALGORITHMS, Sampler, idle_settings, sampler
from katib.site import load_site
from katib.spec import load_spec

ENDLESS = [name for name in ALGORITHMS if name != "grid"]
STEPS = {"lr": "0.0033", "weight_decay": "0.00003", "grad_clip_norm": "3", "lr_factor": "0.25"}


def experiment(algorithm: str, *, stepped: bool = False, **settings: str) -> Experiment:
    """The search of the demo by another algorithm."""
    data: Any = yaml.safe_load(render(load_spec("demo"), load_site()))
    listed = [{"name": name, "value": value} for name, value in settings.items()]
    data["spec"]["algorithm"] = {"algorithmName": algorithm, "algorithmSettings": listed}
    if stepped:
        for parameter in data["spec"]["parameters"]:
            space = parameter["feasibleSpace"]
            space |= {"distribution": "uniform", "step": STEPS[parameter["name"]]}
    return load_experiment(yaml.safe_dump(data), "test")


def search(proposer: Sampler, trials: int, outcome: Outcome = "completed") -> list[Past]:
    """A search whose objective is best at lr 0.003."""
    history: list[Past] = []
    for _ in range(trials):
        found = proposer.propose(history)
        if not found:
            break
        (assignments,) = found
        value = -abs(float(assignments["lr"]) - 0.003)
        history.append(Past(assignments, outcome, value, (value,)))
    return history


def points(history: Sequence[Past]) -> list[tuple[str, ...]]:
    return [tuple(past.assignments.values()) for past in history]


@pytest.mark.parametrize("name", ENDLESS)
def test_a_seed_and_a_history_decide_the_proposal(name: str) -> None:
    """Asked anew or by a sampler that was just made; another seed proposes something else."""
    history = search(sampler(experiment(name, random_state="7")), 15)
    assert points(history) == points(search(sampler(experiment(name, random_state="7")), 15))
    assert points(history) != points(search(sampler(experiment(name, random_state="8")), 15))


@pytest.mark.parametrize("name", ENDLESS)
def test_no_point_is_proposed_twice(name: str) -> None:
    """With a space of 2 x 4 x 4 x 3 points there is room for 30 different ones."""
    history = search(sampler(experiment(name, stepped=True, random_state="1")), 30)
    assert len(set(points(history))) == 30


def test_a_grid_goes_through_its_points_once_and_ends() -> None:
    history = search(sampler(experiment("grid", stepped=True)), 1000)
    assert len(history) == len(set(points(history)))
    axes = sampler(experiment("grid", stepped=True)).space.axes.values()
    size = 1
    for axis in axes:
        size *= axis.levels or 0
    assert len(history) == size


@pytest.mark.parametrize("name", ["bayesianoptimization", "multivariate-tpe", "tpe"])
def test_model_based_search_comes_closer_than_random_search(name: str) -> None:
    """Mean distance of the last ten of 40 trials to the best learning rate, over five seeds."""

    def distance(algorithm: str) -> float:
        runs = [search(sampler(experiment(algorithm, random_state=str(seed))), 40) for seed in range(5)]
        return mean(-(past.value or 0) for run in runs for past in run[-10:])

    assert distance(name) < 0.8 * distance("random")


@pytest.mark.parametrize("outcome", ["running", "failed"])
def test_the_surroundings_of_running_and_failed_trials_are_left_alone(outcome: Outcome) -> None:
    """Twelve trials told; a dozen more at the best point found, without a value, drive the next proposals away from it."""
    proposer = replace(sampler(experiment("bayesianoptimization", random_state="3")), startup=5)
    history = search(proposer, 25)
    best = max(history, key=lambda past: past.value or 0)
    crowd = [Past(best.assignments, outcome)] * 12

    def near(past: list[Past]) -> float:
        """Mean distance in lr of ten proposals that do not know of each other."""
        proposals = [replace(proposer, seed=seed).propose(past)[0] for seed in range(40)]
        goal = float(best.assignments["lr"])
        return mean(abs(float(found["lr"]) - goal) for found in proposals)

    assert near([*history, *crowd]) > near(history)


def test_trials_of_another_space_are_no_obstacle() -> None:
    """Warm start from a search with other parameters."""
    proposer = sampler(experiment("bayesianoptimization", random_state="3", n_initial_points="1"))
    foreign = [Past({"depth": "3"}, "completed", 1.0, (1.0,)), Past({"lr": "5"}, "completed", 1.0, (1.0,))]
    (found,) = proposer.propose([*foreign, *search(proposer, 4)])
    assert set(found) == set(STEPS)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "bayesianoptimisation",
            {},
            "algorithm: unknown 'bayesianoptimisation': did you mean 'bayesianoptimization'?",
        ),
        (
            "random",
            {"seed": "1"},
            "algorithm random: unknown setting 'seed': valid: first_suggestions, random_state",
        ),
        ("tpe", {"n_EI_candidate": "9"}, "did you mean 'n_EI_candidates'?"),
        ("tpe", {"n_EI_candidates": "0"}, "n_EI_candidates is '0'; it has a whole number of at least 1"),
        ("random", {"random_state": "-1"}, "random_state is '-1'; it has a whole number of at least 0"),
        ("grid", {}, "algorithm grid: parameter 'lr' needs a feasibleSpace step"),
    ],
)
def test_unknown_algorithms_and_settings_are_named(name: str, settings: dict[str, str], message: str) -> None:
    with pytest.raises(ManifestError) as error:
        sampler(experiment(name, **settings))
    assert message in str(error.value)


def test_settings_of_katibs_own_service_are_taken_and_named_as_idle() -> None:
    found = experiment("bayesianoptimization", base_estimator="GP", acq_func="EI", random_state="1")
    assert sampler(found).seed == 1
    assert idle_settings(found.algorithm) == ["acq_func", "base_estimator"]
