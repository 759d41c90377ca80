"""Single proposals against Optuna, scipy's Sobol sequence and plain counts."""

import inspect
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial
from scipy import stats
from scipy.stats import qmc

from katib.check.first_suggestions import FirstSuggestion
from katib.errors import ManifestError
from katib.experiment import Algorithm, Experiment, Parameter
from katib.search import bayes
from katib.search import sampler as module
from katib.search.history import Outcome, Past
from katib.search.sampler import NEAR, Sampler, idle_settings, sampler
from katib.search.space import Space
from tests.katib.search.test_sampler import experiment

SQUARE = Space.of([Parameter(name, "double", "0", "1", None, (), "uniform") for name in "xy"])
MIXED = Space.of(
    [
        Parameter("kind", "categorical", None, None, None, ("a", "b"), "uniform"),
        Parameter("x", "double", "0", "1", None, (), "uniform"),
    ]
)


def past(x: float, y: float, value: float | None = None, outcome: Outcome = "completed") -> Past:
    return Past({"x": str(x), "y": str(y)}, outcome, value, () if value is None else (value,) * 3)


def shares(points: Sequence[dict[str, str]]) -> np.ndarray:
    return np.array([[float(text) for text in point.values()] for point in points])


def test_sobol_is_scipys_scrambled_sequence_from_its_position_on() -> None:
    theirs = qmc.Sobol(2, bits=30, rng=np.random.default_rng(7)).random(8)
    for name in ("sobol", "bayesianoptimization"):  # a model-based search begins with it
        proposer = Sampler(SQUARE, name, True, seed=7)
        assert shares(proposer.propose([], 4)) == pytest.approx(theirs[:4])
        assert shares(proposer.propose([], 4, position=4)) == pytest.approx(theirs[4:])


def test_random_draws_are_uniform_and_independent() -> None:
    """By Kolmogorov and Smirnov's test, axis by axis, and the correlation of the two."""
    found = shares(Sampler(SQUARE, "random", True, seed=1).propose([], 300))
    assert all(stats.kstest(column, "uniform").pvalue > 0.01 for column in found.T)
    assert abs(stats.pearsonr(*found.T).statistic) < 0.15


def test_without_a_seed_every_search_is_another() -> None:
    assert Sampler(SQUARE, "random", True).propose([]) != Sampler(SQUARE, "random", True).propose([])


HISTORY = [
    past(0.1, 0.2, 1.0), past(0.3, 0.9, 2.0), past(0.7, 0.5, 4.0), past(0.8, 0.6, 3.5), past(0.9, 0.1, 0.5),
    past(0.2, 0.6, 1.5, "stopped"), past(0.4, 0.4, None, "running"), past(0.6, 0.8, 9.0, "running"),
    past(0.5, 0.1, None, "failed"), past(0.45, 0.15, math.nan), past(0.55, 0.35, None, "stopped"),
]  # fmt: skip


def optunas(seed: int, position: int, *, multivariate: bool, maximize: bool) -> dict[str, float]:
    """What a study of Optuna asks for that is told the same: a stopped trial is a pruned one, and one without a value a running
    one, which the constant liar takes for bad."""
    draw = int(np.random.default_rng((seed, position)).integers(2**31))
    study = optuna.create_study(
        direction="maximize" if maximize else "minimize",
        sampler=optuna.samplers.TPESampler(
            n_startup_trials=0, n_ei_candidates=24, multivariate=multivariate, constant_liar=True, seed=draw
        ),
    )
    distributions = {name: optuna.distributions.FloatDistribution(0, 1) for name in "xy"}
    for one in sorted(HISTORY, key=lambda one: sorted(one.assignments.items())):
        known = one.value is not None and math.isfinite(one.value)
        state = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED}.get(
            one.outcome, TrialState.RUNNING
        )
        state = state if known else TrialState.RUNNING
        study.add_trial(
            create_trial(
                state=state,
                params={name: float(text) for name, text in one.assignments.items()},
                distributions=distributions,
                value=one.value if state == TrialState.COMPLETE else None,
                intermediate_values={3: one.value or 0.0} if state == TrialState.PRUNED else None,
            )
        )
    return study.ask(distributions).params


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("name", ["tpe", "multivariate-tpe"])
def test_tpe_is_optunas(name: str, maximize: bool) -> None:
    (found,) = Sampler(SQUARE, name, maximize, seed=3, startup=11).propose(HISTORY)
    expected = optunas(3, 11, multivariate=name != "tpe", maximize=maximize)
    assert {key: float(text) for key, text in found.items()} == pytest.approx(expected)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bayes.Known]:
    """What the Gaussian process is asked with; it answers with the middle, slightly shifted each time."""
    found: list[bayes.Known] = []

    def suggest(_space: Space, told: bayes.Known, _draw: object) -> Iterator[tuple[float, ...]]:
        found.append(told)
        yield (0.5, 0.5 + len(found) / 1000)

    monkeypatch.setattr(bayes, "suggest", suggest)
    return found


@pytest.mark.parametrize(
    ("own", "before", "is_asked"), [(4, 0, False), (5, 0, True), (2, 2, False), (2, 3, True), (0, 5, True)]
)
def test_the_model_is_asked_when_as_many_trials_are_known_as_it_starts_with(
    asked: list[bayes.Known], own: int, before: int, is_asked: bool
) -> None:
    """Those of earlier searches included."""
    trials = [past(n / 20, 0.1, float(n)) for n in range(10)]
    proposer = Sampler(SQUARE, "bayesianoptimization", True, seed=1, startup=5)
    (found,) = proposer.propose(trials[:own], earlier=trials[9 - before : 9])
    assert (found == {"x": "0.5", "y": "0.501"}) is is_asked
    assert len(asked) == is_asked


def test_the_model_needs_two_values(asked: list[bayes.Known]) -> None:
    proposer = Sampler(SQUARE, "bayesianoptimization", True, seed=1, startup=0)
    one, two = past(0.1, 0.1, 1.0), past(0.2, 0.2, 2.0)
    for history, is_asked in (
        ([], 0),
        ([one], 0),
        ([one, past(0.3, 0.3, None, "running")], 0),
        ([one, two], 1),
    ):
        proposer.propose(history)
        assert len(asked) == is_asked


def test_of_many_points_at_once_sixteen_are_the_models(asked: list[bayes.Known]) -> None:
    """docs of BATCH; each is known as pending to the next, and the rest is spread evenly."""
    proposer = Sampler(SQUARE, "bayesianoptimization", True, seed=1, startup=2)
    found = proposer.propose([past(0.1, 0.1, 1.0), past(0.2, 0.2, 2.0)], 20)
    assert [point["x"] == "0.5" for point in found] == [True] * 16 + [False] * 4
    assert [len(told.pending) for told in asked] == list(range(16))


def test_a_kind_of_which_everything_failed_is_left_for_another() -> None:
    """Failures at every 0.03 of x, so that no place of kind a is free; a value of kind b has nothing in common with them."""
    failed = [Past({"kind": "a", "x": str(n * 0.03)}, "failed") for n in range(35)]
    for seed in range(8):
        (found,) = Sampler(MIXED, "random", True, seed=seed).propose(failed)
        assert found["kind"] == "b"


def test_where_every_place_is_near_a_failed_one_the_farthest_is_tried() -> None:
    """Failures at every 0.03 but around 0.5, where they lie 0.036 apart: nowhere is further from all than 0.018, there."""
    line = Space.of([Parameter("x", "double", "0", "1", None, (), "uniform")])
    places = [*np.arange(0, 0.482, 0.03), 0.482, 0.518, *np.arange(0.54, 1.001, 0.03)]
    failed = [Past({"x": str(place)}, "failed") for place in places]
    (found,) = Sampler(line, "random", True, seed=2).propose(failed)
    assert float(found["x"]) == pytest.approx(0.5, abs=0.004)
    assert NEAR > 0.018


def test_a_failed_trial_keeps_its_surroundings_free_on_every_axis() -> None:
    """Points differ by NEAR in the one axis that is furthest apart, in shares of its distribution: 2 % of docs/search.md."""
    proposer = Sampler(SQUARE, "random", True, seed=0)
    (free,) = shares(proposer.propose([]))
    for shift, is_near in (
        ((0.019, 0.019), True),
        ((0.019, 0.021), False),
        ((0.021, 0.0), False),
        ((0.0, -0.019), True),
    ):
        failed = past(*(free + shift), outcome="failed")
        (found,) = shares(proposer.propose([failed], position=0))
        assert (found.tolist() == free.tolist()) is not is_near


def test_a_grid_skips_what_was_tried_and_keeps_its_order() -> None:
    space = Space.of([Parameter(name, "int", "1", "2", None, (), "uniform") for name in "ab"])
    found = Sampler(space, "grid", True).propose([Past({"a": "1", "b": "2"}, "running")], 5)
    assert [tuple(point.values()) for point in found] == [("1", "1"), ("2", "1"), ("2", "2")]


def test_first_suggestions_that_the_history_lacks_but_were_proposed_are_not_given_again() -> None:
    """Two were proposed, and one of them is listed: the other is lost, and the third is next, in the space's order of names."""
    first = tuple(FirstSuggestion({"y": str(n / 10), "x": "0.5"}, f"t{n}") for n in (1, 2, 3))
    proposer = Sampler(SQUARE, "random", True, seed=1, first=first)
    assert [list(point) for point in proposer.propose([], 4)] == [["x", "y"]] * 4
    listed = [past(0.5, 0.1, 1.0)]
    assert proposer.propose(listed) == [{"x": "0.5", "y": "0.2"}]
    assert proposer.propose(listed, position=2) == [{"x": "0.5", "y": "0.3"}]
    assert proposer.trial_name({"y": "0.2", "x": "0.5"}) == "t2"
    assert proposer.trial_name({"x": "0.6", "y": "0.2"}) == ""


def test_the_defaults_are_optunas_own() -> None:
    theirs = inspect.signature(optuna.samplers.TPESampler).parameters
    ours = Sampler(SQUARE, "tpe", True)
    assert ours.startup == theirs["n_startup_trials"].default
    assert ours.candidates == theirs["n_ei_candidates"].default
    assert ours.seed is None


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("bayesianoptimization", {"random_state": "3", "n_initial_points": "4"}, (3, 4, 24)),
        ("multivariate-tpe", {"n_startup_trials": "5", "n_ei_candidates": "6"}, (None, 5, 6)),
        ("tpe", {"n_EI_candidates": "10000", "gamma": "0.3"}, (None, 10, 10000)),
        ("tpe", {"n_EI_candidates": "1"}, (None, 10, 1)),
        ("sobol", {"random_state": "0"}, (0, 10, 24)),
    ],
)
def test_settings_by_their_names_in_katibs_services(
    name: str, settings: dict[str, str], expected: tuple[int | None, int, int]
) -> None:
    """pkg/suggestion/v1beta1, skopt, optuna and hyperopt."""
    found = sampler(experiment(name, **settings))
    assert (found.algorithm, (found.seed, found.startup, found.candidates)) == (name, expected)
    assert found.maximize


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
        ({"parameters": ()}, "parameters: there is nothing to search"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused_in_a_line(change: dict[str, Any], message: str) -> None:
    found: Experiment = replace(experiment("random"), **change)
    with pytest.raises(ManifestError) as error:
        sampler(found)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("name", "settings", "idle"),
    [
        (
            "bayesianoptimization",
            {"acq_optimizer": "auto", "acq_func": "EI", "random_state": "1"},
            ["acq_func", "acq_optimizer"],
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

    monkeypatch.setattr(module.threading, "Thread", Thread)
    module.preload()
    ((load, names),) = started
    assert load(*names) is sys.modules["katib.search.bayes"]
