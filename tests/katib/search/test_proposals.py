"""Single proposals against Optuna, scipy's Sobol sequence and plain counts."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState, create_trial
from scipy import stats
from scipy.stats import qmc

from katib.manifest.search import Parameter
from katib.search import bayes
from katib.search.algorithms import base
from katib.search.algorithms.base import NEAR
from katib.search.first_suggestions import FirstSuggestion
from katib.search.history import Observation, Outcome
from katib.search.observations import Observations
from katib.search.points import Points
from katib.search.sampler import Sampler
from katib.search.space import Space
from katib.trial import Direction

SQUARE = Space.of([Parameter(name, "double", "0", "1", None, (), "uniform") for name in "xy"])
MIXED = Space.of(
    [
        Parameter("kind", "categorical", None, None, None, ("a", "b"), "uniform"),
        Parameter("x", "double", "0", "1", None, (), "uniform"),
    ]
)


def past(x: float, y: float, value: float | None = None, outcome: Outcome = "completed") -> Observation:
    return Observation({"x": str(x), "y": str(y)}, outcome, value, () if value is None else (value,) * 3)


def shares(points: Sequence[dict[str, str]]) -> np.ndarray:
    return np.array([[float(text) for text in point.values()] for point in points])


def test_sobol_is_scipys_scrambled_sequence_from_its_position_on() -> None:
    theirs = qmc.Sobol(2, bits=30, rng=np.random.default_rng(7)).random(8)
    for name in ("sobol", "bayesianoptimization"):  # a model-based search begins with it
        proposer = Sampler(SQUARE, name, Direction.MAXIMIZE, seed=7)
        assert shares(proposer.propose([], 4)) == pytest.approx(theirs[:4])
        assert shares(proposer.propose([], 4, position=4)) == pytest.approx(theirs[4:])


def test_random_draws_are_uniform_and_independent() -> None:
    """By Kolmogorov and Smirnov's test, axis by axis, and the correlation of the two."""
    found = shares(Sampler(SQUARE, "random", Direction.MAXIMIZE, seed=1).propose([], 300))
    assert all(stats.kstest(column, "uniform").pvalue > 0.01 for column in found.T)
    assert abs(stats.pearsonr(*found.T).statistic) < 0.15


def test_without_a_seed_every_search_is_another() -> None:
    assert Sampler(SQUARE, "random", Direction.MAXIMIZE).propose([]) != Sampler(
        SQUARE, "random", Direction.MAXIMIZE
    ).propose([])


HISTORY = [
    past(0.1, 0.2, 1.0), past(0.3, 0.9, 2.0), past(0.7, 0.5, 4.0), past(0.8, 0.6, 3.5), past(0.9, 0.1, 0.5),
    past(0.2, 0.6, 1.5, "stopped"), past(0.4, 0.4, None, "running"), past(0.6, 0.8, 9.0, "running"),
    past(0.5, 0.1, None, "failed"), past(0.45, 0.15, math.nan), past(0.55, 0.35, None, "stopped"),
]  # fmt: skip


def optunas(seed: int, position: int, *, multivariate: bool, maximize: bool) -> dict[str, float]:
    """Returns what a study of Optuna with the same trials asks for.

    A stopped trial is a pruned one, and one without a value a running one, which the constant liar takes for bad.
    """
    draw = int(np.random.default_rng((seed, position)).integers(2**31))
    study = optuna.create_study(
        direction="maximize" if maximize else "minimize",
        sampler=optuna.samplers.TPESampler(
            n_startup_trials=0, n_ei_candidates=24, multivariate=multivariate, constant_liar=True, seed=draw
        ),
    )
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(0, 1) for name in "xy"
    }
    for one in sorted(HISTORY, key=lambda one: sorted(one.assignments.items())):
        known = one.value is not None and math.isfinite(one.value)
        state = {"completed": TrialState.COMPLETE, "stopped": TrialState.PRUNED}.get(one.outcome, TrialState.RUNNING)
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
    (found,) = Sampler(SQUARE, name, Direction.of(maximize), seed=3, startup=11).propose(HISTORY)
    expected = optunas(3, 11, multivariate=name != "tpe", maximize=maximize)
    assert {key: float(text) for key, text in found.items()} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "trials", "studies"),
    [
        ("tpe", 4, 0),
        ("tpe", 5, 1),
        ("multivariate-tpe", 4, 0),
        ("multivariate-tpe", 5, 1),
        ("random", 9, 0),
        ("sobol", 9, 0),
    ],
)
def test_optuna_is_asked_by_tpe_alone_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str, trials: int, studies: int
) -> None:
    """From as many trials on as it starts with; a study that Optuna creates is a line on stderr by itself."""
    made = []

    def create(**words: Any) -> optuna.Study:
        made.append(words)
        return optuna.study.create_study(**words)

    monkeypatch.setattr(optuna, "create_study", create)
    history = [past(n / 20, 0.1, float(n)) for n in range(trials)]
    Sampler(SQUARE, name, Direction.MAXIMIZE, seed=1, startup=5).propose(history)
    assert len(made) == studies
    assert capfd.readouterr().err == ""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Observations]:
    """Returns what the Gaussian process is asked with; it answers with the middle, slightly shifted each time."""
    found: list[Observations] = []

    def suggest(_space: Space, told: Observations, *_: object) -> Iterator[tuple[float, ...]]:
        found.append(told)
        yield (0.5, 0.5 + len(found) / 1000)

    monkeypatch.setattr(bayes, "suggest", suggest)
    return found


@pytest.mark.parametrize(
    ("own", "before", "is_asked"), [(4, 0, False), (5, 0, True), (2, 2, False), (2, 3, True), (0, 5, True)]
)
def test_the_model_is_asked_when_as_many_trials_are_known_as_it_starts_with(
    asked: list[Observations], own: int, before: int, is_asked: bool
) -> None:
    """Those of earlier searches included."""
    trials = [past(n / 20, 0.1, float(n)) for n in range(10)]
    proposer = Sampler(SQUARE, "bayesianoptimization", Direction.MAXIMIZE, seed=1, startup=5)
    (found,) = proposer.propose(trials[:own], earlier=trials[9 - before : 9])
    assert (found == {"x": "0.5", "y": "0.501"}) is is_asked
    assert len(asked) == is_asked


def test_the_model_needs_two_values(asked: list[Observations]) -> None:
    proposer = Sampler(SQUARE, "bayesianoptimization", Direction.MAXIMIZE, seed=1, startup=0)
    one, two = past(0.1, 0.1, 1.0), past(0.2, 0.2, 2.0)
    for history, is_asked in (
        ([], 0),
        ([one], 0),
        ([one, past(0.3, 0.3, None, "running")], 0),
        ([one, two], 1),
    ):
        proposer.propose(history)
        assert len(asked) == is_asked


def test_of_many_points_at_once_sixteen_are_the_models(asked: list[Observations]) -> None:
    """docs of BATCH; each is known as pending to the next, and the rest is spread evenly."""
    proposer = Sampler(SQUARE, "bayesianoptimization", Direction.MAXIMIZE, seed=1, startup=2)
    found = proposer.propose([past(0.1, 0.1, 1.0), past(0.2, 0.2, 2.0)], 20)
    assert [point["x"] == "0.5" for point in found] == [True] * 16 + [False] * 4
    assert [len(told.pending) for told in asked] == list(range(16))


def test_a_known_point_is_passed_over_for_the_models_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Observations from this search or from an earlier one, in whatever spelling."""
    monkeypatch.setattr(bayes, "suggest", lambda *_: iter([(0.5, 0.5), (0.25, 0.5), (0.75, 0.75), (0.1, 0.1)]))
    proposer = Sampler(SQUARE, "bayesianoptimization", Direction.MAXIMIZE, seed=1, startup=0)
    history = [Observation({"x": "5e-1", "y": "0.50"}, "completed", 1.0), past(0.9, 0.9, 2.0)]
    assert proposer.propose(history, earlier=[past(0.25, 0.5, 1.0)]) == [{"x": "0.75", "y": "0.75"}]


def test_where_no_draw_is_free_an_untried_point_is_searched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a random place on, so that the first of the space is not always the next.

    None are left where all were tried.
    """
    monkeypatch.setattr(base, "DRAWS", 0)
    nine = Space.of([Parameter("n", "int", "1", "9", None, (), "uniform")])
    tried = [Observation({"n": str(n)}, "completed", 1.0) for n in range(1, 9)]
    assert Sampler(nine, "random", Direction.MAXIMIZE, seed=1).propose(tried, 3) == [{"n": "9"}]
    firsts = {
        point["n"] for seed in range(12) for point in Sampler(nine, "random", Direction.MAXIMIZE, seed=seed).propose([])
    }
    assert len(firsts) > 3


@pytest.mark.parametrize("name", ["bayesianoptimization", "tpe"])
def test_two_trials_of_one_point_are_told_alike_in_either_order(name: str) -> None:
    """Of the same outcome, with other values, without one, and with another number of reports."""
    twice = [past(0.5, 0.5, 1.0), past(0.5, 0.5, 3.0), past(0.5, 0.5), past(0.2, 0.9, 2.0)]
    twice += [replace(twice[0], values=(1.0,)), replace(twice[0], outcome="stopped", values=(0.5, 1.0))]
    proposer = Sampler(SQUARE, name, Direction.MAXIMIZE, seed=1, startup=3)
    assert proposer.propose(twice) == proposer.propose(twice[::-1])


def test_a_kind_of_which_everything_failed_is_left_for_another() -> None:
    """Failures at every 0.03 of x, so that no place of kind a is free.

    A value of kind b has nothing in common with them.
    """
    failed = [Observation({"kind": "a", "x": str(n * 0.03)}, "failed") for n in range(35)]
    for seed in range(8):
        (found,) = Sampler(MIXED, "random", Direction.MAXIMIZE, seed=seed).propose(failed)
        assert found["kind"] == "b"


def test_where_every_place_is_near_a_failed_one_the_farthest_is_tried() -> None:
    """Failures at every 0.03 but around 0.5, where they lie 0.036 apart: no point is further than 0.018 from all."""
    line = Space.of([Parameter("x", "double", "0", "1", None, (), "uniform")])
    places = [*np.arange(0, 0.482, 0.03), 0.482, 0.518, *np.arange(0.54, 1.001, 0.03)]
    failed = [Observation({"x": str(place)}, "failed") for place in places]
    (found,) = Sampler(line, "random", Direction.MAXIMIZE, seed=2).propose(failed)
    assert float(found["x"]) == pytest.approx(0.5, abs=0.004)
    assert NEAR > 0.018


@pytest.mark.parametrize("outcome", ["failed", "stopped"])
def test_a_trial_without_success_keeps_its_surroundings_free_on_every_axis(outcome: Outcome) -> None:
    """Points differ by NEAR, the 2 % of docs/search.md, in the one axis on which they are furthest apart."""
    proposer = Sampler(SQUARE, "random", Direction.MAXIMIZE, seed=0)
    (free,) = shares(proposer.propose([]))
    for shift, is_near in (
        ((0.019, 0.019), True),
        ((0.019, 0.021), False),
        ((0.021, 0.0), False),
        ((0.0, -0.019), True),
    ):
        given_up = past(float(free[0] + shift[0]), float(free[1] + shift[1]), outcome=outcome)
        (found,) = shares(proposer.propose([given_up], position=0))
        assert (found.tolist() == free.tolist()) is not is_near


def test_the_nearest_of_failed_trials_is_that_of_a_plain_loop() -> None:
    """Over ordered and unordered axes: any other value of the latter is as far as can be."""
    space = Space.of(
        [
            Parameter("x", "double", "0", "1", None, (), "uniform"),
            Parameter("norm", "categorical", None, None, None, ("a", "b", "c"), "uniform"),
            Parameter("width", "discrete", None, None, None, ("1", "2", "4", "8"), "uniform"),
        ]
    )
    draws = np.random.default_rng(3)
    points = [space.shares(space.at(draws.random(3).tolist())) or () for _ in range(40)]
    for failed in (points[:30], points[:1], []):
        places = Points(space, failed)
        for point in points[30:]:
            apart = [
                max(abs(point[0] - other[0]), float(abs(point[1] - other[1]) > 0.1), abs(point[2] - other[2]))
                for other in failed
            ]
            assert places.distance(point) == min([1.0, *apart])


def test_an_answer_of_a_thousand_points_among_thousands_that_failed_comes_to_an_end() -> None:
    """They leave no place free of them; each would be compared with thousands of draws."""
    line = Space.of([Parameter("x", "double", "0", "1", None, (), "uniform")])
    failed = [Observation({"x": str(index / 2_000)}, "failed") for index in range(2_001)]
    found = Sampler(line, "random", Direction.MAXIMIZE, seed=1).propose(failed, 100)
    assert len({point["x"] for point in found} - {past.assignments["x"] for past in failed}) == 100


def test_a_grid_skips_what_was_tried_and_keeps_its_order() -> None:
    space = Space.of([Parameter(name, "int", "1", "2", None, (), "uniform") for name in "ab"])
    found = Sampler(space, "grid", Direction.MAXIMIZE).propose([Observation({"a": "1", "b": "2"}, "running")], 5)
    assert [tuple(point.values()) for point in found] == [("1", "1"), ("2", "1"), ("2", "2")]


def test_first_suggestions_that_the_history_lacks_but_were_proposed_are_not_given_again() -> None:
    """Two were proposed, and one of them is listed: the other is lost, and the third is next.

    Its values are in the space's order of names.
    """
    first = tuple(FirstSuggestion({"y": str(n / 10), "x": "0.5"}, f"t{n}") for n in (1, 2, 3))
    proposer = Sampler(SQUARE, "random", Direction.MAXIMIZE, seed=1, first=first)
    assert [list(point) for point in proposer.propose([], 4)] == [["x", "y"]] * 4
    listed = [past(0.5, 0.1, 1.0)]
    assert proposer.propose(listed) == [{"x": "0.5", "y": "0.2"}]
    assert proposer.propose(listed, position=2) == [{"x": "0.5", "y": "0.3"}]
    # A trial of another point is none of them, where nothing is missing.
    assert proposer.propose([past(0.9, 0.9, 1.0)], position=1) == [{"x": "0.5", "y": "0.1"}]
    assert proposer.trial_name({"y": "0.2", "x": "0.5"}) == "t2"
    assert proposer.trial_name({"x": "0.6", "y": "0.2"}) == ""
