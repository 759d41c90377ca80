"""What a manifest's algorithm and settings make: Katib's names, the defaults of its services, and what is refused."""

import inspect
import json
import sys
import threading
from dataclasses import replace
from typing import Any

import optuna
import pytest

from katib.errors import ManifestError
from katib.manifest.search import Algorithm, Search
from katib.search import sampler as module
from katib.search.algorithms.tpe import CANDIDATES, candidates
from katib.search.first_suggestions import FirstSuggestion
from katib.search.sampler import Sampler, idle_settings, sampler
from katib.trial import Direction
from tests.katib.search.test_proposals import SQUARE
from tests.katib.search.test_sampler import experiment


def test_the_defaults_are_optunas_own() -> None:
    theirs = inspect.signature(optuna.samplers.TPESampler).parameters
    ours = Sampler(SQUARE, "tpe", Direction.MAXIMIZE)
    assert ours.startup == theirs["n_startup_trials"].default
    assert candidates(ours.settings) == CANDIDATES == theirs["n_ei_candidates"].default
    assert ours.seed is None


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("bayesianoptimization", {"random_state": "3", "n_initial_points": "4"}, (3, 4, 24)),
        ("multivariate-tpe", {"n_startup_trials": "5", "n_ei_candidates": "6"}, (None, 5, 6)),
        ("tpe", {"n_EI_candidates": "10000", "gamma": "0.3"}, (None, 10, 10000)),
        ("tpe", {"n_EI_candidates": "1"}, (None, 10, 1)),
        ("sobol", {"random_state": "0"}, (0, 10, 24)),
        ("sobol", {"n_initial_points": "", "n_ei_candidates": "99999", "gamma": "x"}, (None, 10, 24)),
    ],
)
def test_settings_by_their_names_in_katibs_services(
    name: str, settings: dict[str, Any], expected: tuple[int | None, int, int]
) -> None:
    """pkg/suggestion/v1beta1, skopt, optuna and hyperopt."""
    found = sampler(experiment(name, **settings))
    assert (found.algorithm, (found.seed, found.startup, candidates(found.settings))) == (name, expected)
    assert found.direction is Direction.MAXIMIZE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"algorithm": Algorithm("cmaes", {})},
            "algorithm cmaes: only Katib's own service on a cluster has it; here: bayesian",
        ),
        (
            {"algorithm": Algorithm("tpe", {"n_EI_candidates": "10001"})},
            "algorithm tpe: the candidates of a proposal must be 1 to",
        ),
        (
            {"algorithm": Algorithm("sobol", {"first_suggestions": '[{"lr": 0.001}]'})},
            "first_suggestions: point 1: the parameter 'weight_decay' is missing",
        ),
        ({"parameters": ()}, "parameters: there is nothing to search"),
        (
            {"algorithm": Algorithm("sobl", {})},
            "algorithm: unknown 'sobl': did you mean 'sobol'?",
        ),
        ({"algorithm": Algorithm("grid", {})}, "algorithm grid: parameter 'lr' needs a feasibleSpace step"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused_in_a_line(change: dict[str, Any], message: str) -> None:
    found: Search = replace(experiment("random"), **change)
    with pytest.raises(ManifestError) as error:
        sampler(found)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("name", ["bayesianoptimization", "multivariate-tpe", "tpe", "random", "grid", "sobol"])
def test_each_algorithm_of_the_docs_is_made_with_its_first_suggestions(name: str) -> None:
    """The table of docs/search.md; a double of a grid has a step."""
    point = {"lr": "0.0034", "weight_decay": "0.000031", "grad_clip_norm": "4", "lr_factor": "0.55"}
    setting = json.dumps([{"assignments": point, "trial": "now"}])
    found = sampler(experiment(name, stepped=True, first_suggestions=setting))
    assert (found.algorithm, found.first) == (name, (FirstSuggestion(point, "now"),))
    assert found.propose([]) == [point]
    assert sampler(experiment(name, stepped=True)).first == ()


@pytest.mark.parametrize("name", ["cmaes", "hyperband", "pbt", "darts", "enas"])
def test_each_other_algorithm_of_katib_is_known_to_be_on_a_cluster_alone(name: str) -> None:
    """The names of katib-config.yaml (v0.19) that are none of ours."""
    ours = "bayesianoptimization, multivariate-tpe, tpe, random, grid, sobol"
    with pytest.raises(ManifestError, match=f"^algorithm {name}: only Katib's own service.*; here: {ours}$"):
        sampler(replace(experiment("random"), algorithm=Algorithm(name, {})))


@pytest.mark.parametrize(
    ("name", "settings", "idle"),
    [
        (
            "bayesianoptimization",
            {"acq_optimizer": "auto", "acq_func": "EI", "base_estimator": "GP", "random_state": "1"},
            ["acq_func", "acq_optimizer", "base_estimator"],
        ),
        ("tpe", {"prior_weight": "1", "gamma": "0.2", "n_EI_candidates": "3"}, ["gamma", "prior_weight"]),
        ("grid", {"random_state": "1"}, ["random_state"]),
        ("random", {"random_state": "1"}, []),
    ],
)
def test_settings_without_effect_are_those_of_the_table_in_docs(
    name: str, settings: dict[str, str], idle: list[str]
) -> None:
    assert idle_settings(Algorithm(name, settings)) == idle


def test_the_model_can_be_loaded_beside_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[Any, ...]] = []

    class Thread:
        def __init__(self, target: Any, args: tuple[Any, ...]) -> None:
            self.work = target, args

        def start(self) -> None:
            started.append(self.work)

    monkeypatch.setattr(threading, "Thread", Thread)
    module.preload()
    ((load, names),) = started
    assert load(*names) is sys.modules["katib.search.bayes"]
