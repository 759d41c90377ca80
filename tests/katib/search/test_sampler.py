"""Proposals: deterministic for a seed and a history, aware of every trial, and better than chance."""

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any, cast

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from katib.errors import ManifestError
from katib.manifest.experiment import load_experiment
from katib.manifest.render import render
from katib.manifest.search import Parameter, Search
from katib.search.algorithms import ALGORITHMS
from katib.search.algorithms.base import NEAR
from katib.search.history import Observation, Outcome
from katib.search.observations import observe
from katib.search.sampler import Sampler, idle_settings, sampler
from katib.search.space import Space
from katib.site import load_site
from katib.spec import load_spec
from katib.trial import Direction

ENDLESS = [name for name in ALGORITHMS if name != "grid"]
STEPS = {"lr": "0.0033", "weight_decay": "0.00003", "grad_clip_norm": "3", "lr_factor": "0.25"}


def experiment(algorithm: str, *, stepped: bool = False, **settings: str) -> Search:
    """Returns the search of the demo by another algorithm."""
    data: Any = yaml.safe_load(render(load_spec("demo"), load_site()))
    listed = [{"name": name, "value": value} for name, value in settings.items()]
    data["spec"]["algorithm"] = {"algorithmName": algorithm, "algorithmSettings": listed}
    if stepped:
        for parameter in data["spec"]["parameters"]:
            space = parameter["feasibleSpace"]
            space |= {"distribution": "uniform", "step": STEPS[parameter["name"]]}
    return load_experiment(json.dumps(data), "test").search


def search(proposer: Sampler, trials: int, outcome: Outcome = "completed") -> list[Observation]:
    """Returns a search whose objective is best at lr 0.003."""
    history: list[Observation] = []
    for _ in range(trials):
        found = proposer.propose(history)
        if not found:
            break
        (assignments,) = found
        value = -abs(float(assignments["lr"]) - 0.003)
        history.append(Observation(assignments, outcome, value, (value,)))
    return history


def points(history: Sequence[Observation]) -> list[tuple[str, ...]]:
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
    """Mean distance of the last ten of 50 trials to the best learning rate, over eight seeds."""

    def distance(algorithm: str) -> float:
        runs = [search(sampler(experiment(algorithm, random_state=str(seed))), 50) for seed in range(8)]
        return mean(-(past.value or 0) for run in runs for past in run[-10:])

    assert distance(name) < 0.8 * distance("random")


@pytest.mark.parametrize("name", ENDLESS)
def test_neither_a_failed_point_nor_its_surroundings_are_proposed(name: str) -> None:
    """Each of the failing proposals lies further than NEAR from the others on some axis, even near the best trial."""
    proposer = replace(sampler(experiment(name, random_state="3")), startup=3)
    history = search(proposer, 8)
    for _ in range(12):
        (found,) = proposer.propose(history)
        place = shares(proposer, found)
        failed = [shares(proposer, past.assignments) for past in history if past.outcome == "failed"]
        assert all(max(abs(a - b) for a, b in zip(place, other, strict=True)) > NEAR for other in failed)
        history.append(Observation(found, "failed"))


@pytest.mark.parametrize("name", ["bayesianoptimization", "multivariate-tpe"])
def test_running_trials_drive_the_next_ones_away(name: str) -> None:
    """Distance of a proposal to the one before it, known as running or not known at all; means over ten histories."""
    known, unknown = [], []
    for seed in range(10):
        proposer = replace(sampler(experiment(name, random_state=str(seed))), startup=3)
        history = search(proposer, 9)
        (first,) = proposer.propose(history)
        (second,) = proposer.propose([*history, Observation(first, "running")], position=10)
        (blind,) = proposer.propose(history, position=10)
        known.append(distance(proposer, first, second))
        unknown.append(distance(proposer, first, blind))
    assert mean(known) > mean(unknown)


def shares(proposer: Sampler, assignments: Mapping[str, str]) -> tuple[float, ...]:
    place = proposer.space.shares(assignments)
    assert place is not None
    return place


def distance(proposer: Sampler, a: Mapping[str, str], b: Mapping[str, str]) -> float:
    return math.dist(shares(proposer, a), shares(proposer, b))


@pytest.mark.parametrize("name", ENDLESS)
def test_as_many_as_are_asked_for_and_all_different(name: str) -> None:
    proposer = sampler(experiment(name, random_state="1"))
    history = search(proposer, 12)
    for count in (0, 1, 7, 30):
        found = proposer.propose(history, count)
        assert len(found) == count
        assert (
            len({tuple(point.values()) for point in [*found, *(dict(past.assignments) for past in history)]})
            == count + 12
        )


@pytest.mark.parametrize("name", ENDLESS)
def test_a_batch_is_what_one_after_the_other_would_have_been(name: str) -> None:
    proposer = sampler(experiment(name, random_state="1"))
    history = search(proposer, 12)
    batch = proposer.propose(history, 3)
    for point in batch:
        assert proposer.propose(history) == [point]
        history = [*history, Observation(point, "running")]


@pytest.mark.parametrize("name", ENDLESS)
def test_the_order_in_which_trials_are_listed_changes_nothing(name: str) -> None:
    """Kubernetes lists trials by their random names."""
    proposer = sampler(experiment(name, random_state="5"))
    history = [
        *search(proposer, 10),
        *search(replace(proposer, seed=6), 3, "stopped"),
        *search(replace(proposer, seed=7), 3, "failed"),
    ]
    found = proposer.propose(history, 2)
    for seed in range(5):
        assert proposer.propose(random.Random(seed).sample(history, len(history)), 2) == found


def test_a_search_whose_lost_trials_are_not_listed_goes_on_with_other_points() -> None:
    """Katib leaves out a trial without metrics: the history is as long as it was, the position is not."""
    for name in ENDLESS:
        proposer = sampler(experiment(name, random_state="1"))
        history = search(proposer, 3)
        assert proposer.propose(history, position=4) != proposer.propose(history, position=3)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_finite_space_is_used_up_and_no_point_comes_twice(name: str) -> None:
    """Two learning rates, spelt in another way by hand, and three words: six points, of which one has been tried."""
    parameters = [
        Parameter("lr", "discrete", None, None, None, ("0.1", "0.01"), "uniform"),
        Parameter("norm", "categorical", None, None, None, ("layer", "batch", "none"), "uniform"),
    ]
    proposer = Sampler(Space.of(parameters), name, Direction.MAXIMIZE, seed=1, startup=2)
    history = [Observation({"lr": "0.1", "norm": "none"}, "completed", 1.0)]
    found = proposer.propose(history, 9)
    assert {tuple(point.values()) for point in found} == {
        (lr, norm) for lr in ("0.1", "0.01") for norm in ("layer", "batch", "none")
    } - {("0.1", "none")}
    assert len(found) == 5
    assert proposer.propose([*history, *(Observation(point, "completed", 0.5) for point in found)], 2) == []


def test_two_spellings_of_a_value_are_one_point() -> None:
    parameter = Parameter("lr", "double", "0.001", "0.003", "0.001", (), "uniform")
    proposer = Sampler(Space.of([parameter]), "grid", Direction.MAXIMIZE)
    assert proposer.propose([Observation({"lr": "1e-3"}, "completed", 1.0)]) == [{"lr": "0.002"}]


def test_a_grid_of_a_million_million_points_is_not_listed() -> None:
    parameters = [Parameter(name, "int", "1", "1000000", None, (), "uniform") for name in "ab"]
    assert Sampler(Space.of(parameters), "grid", Direction.MAXIMIZE).propose([], 2) == [
        {"a": "1", "b": "1"},
        {"a": "1", "b": "2"},
    ]


@pytest.mark.parametrize("name", ENDLESS)
def test_first_suggestions_come_first_and_once(name: str) -> None:
    first = [dict.fromkeys(STEPS, 0) | {"lr": 0.001, "weight_decay": 1e-5, "grad_clip_norm": 5, "lr_factor": 0.5}]
    proposer = sampler(experiment(name, random_state="1", first_suggestions=json.dumps(first)))
    control = {"lr": "0.001", "weight_decay": "1e-05", "grad_clip_norm": "5", "lr_factor": "0.5"}
    found = proposer.propose([], 3)
    assert found[0] == control
    assert control not in found[1:]
    assert control not in proposer.propose([Observation(control, "failed")], 3)


def named(*points: tuple[str, str]) -> str:
    """First suggestions at these learning rates, each with the name of its trial or without one."""
    rest = {"weight_decay": "1e-05", "grad_clip_norm": "5", "lr_factor": "0.5"}
    return json.dumps([{"assignments": {"lr": lr, **rest}, "trial": trial} for lr, trial in points])


@pytest.mark.parametrize("name", ENDLESS)
def test_first_suggestions_keep_their_order_and_their_trials_names(name: str) -> None:
    """Asked one by one, two at a time, and after the second of them alone; what the algorithm proposes has no name."""
    setting = named(("0.001", "demo-a"), ("0.003", ""), ("0.002", "demo-c"))
    proposer = sampler(experiment(name, random_state="1", first_suggestions=setting))
    history: list[Observation] = []
    for lr, trial in [("0.001", "demo-a"), ("0.003", ""), ("0.002", "demo-c")]:
        (found,) = proposer.propose(history)
        assert (found["lr"], proposer.trial_name(found)) == (lr, trial)
        history.append(Observation(found, "running"))
    assert [point["lr"] for point in proposer.propose([], 2)] == ["0.001", "0.003"]
    assert [point["lr"] for point in proposer.propose(history[1:2], 2)] == ["0.001", "0.002"]
    (later,) = proposer.propose(history)
    assert later["lr"] not in ("0.001", "0.002", "0.003")
    assert proposer.trial_name(later) == ""


def test_a_first_suggestion_whose_trial_exists_or_was_proposed_and_is_hidden_is_not_given_again() -> None:
    """Katib leaves trials without metrics out of the history: two of three were proposed, and it shows one."""
    setting = named(("0.001", "demo-a"), ("0.002", "demo-b"), ("0.003", "demo-c"))
    proposer = sampler(experiment("random", random_state="1", first_suggestions=setting))
    assert proposer.propose([], 1, names={"demo-a"})[0]["lr"] == "0.002"
    (second,) = proposer.propose([], 1, names={"demo-a"})
    found = proposer.propose([Observation(second, "completed", 1.0)], 2, position=2)
    assert found[0]["lr"] == "0.003"
    assert found[1]["lr"] not in ("0.001", "0.002", "0.003")


@pytest.mark.parametrize("name", ["bayesianoptimization", "multivariate-tpe", "tpe"])
def test_a_search_that_knows_an_earlier_one_begins_near_its_best(name: str) -> None:
    """With 30 earlier trials the first five proposals, and the first alone, are nearer to the best learning rate.

    Distances are means over five seeds.
    """
    with_them: list[float] = []
    without: list[float] = []
    for seed in range(5):
        proposer = sampler(experiment(name, random_state=str(seed)))
        earlier = search(replace(proposer, algorithm="random", seed=100 + seed), 30)
        told: list[tuple[Sequence[Observation], list[float]]] = [((), without), (earlier, with_them)]
        for past, distances in told:
            distances += [abs(math.log(float(point["lr"]) / 0.003)) for point in proposer.propose([], 5, earlier=past)]
    assert mean(with_them) < 0.7 * mean(without)
    assert mean(with_them[::5]) < 0.4 * mean(without[::5])


def test_a_point_of_an_earlier_search_is_not_tried_again() -> None:
    parameter = Parameter("depth", "int", "1", "9", None, (), "uniform")
    proposer = Sampler(Space.of([parameter]), "random", Direction.MAXIMIZE, seed=1)
    earlier = [Observation({"depth": str(depth)}, "completed", 1.0) for depth in range(1, 9)]
    assert proposer.propose([], earlier=earlier) == [{"depth": "9"}]


def test_stopped_trials_count_as_far_as_they_came() -> None:
    """Of two with equal values, the one stopped after one step would have gained more than the one stopped after three.

    Completed trials gained 3 from the first step on and 1 from the third.
    """
    space = Space.of([Parameter("x", "double", "0", "1", None, (), "uniform")])
    history = [
        *(Observation({"x": str(x)}, "completed", 4.0 + x, (1.0 + x, 2.0 + x, 3.0 + x, 4.0 + x)) for x in (0.1, 0.2)),
        Observation({"x": "0.3"}, "stopped", 0.5, (0.5,)),
        Observation({"x": "0.4"}, "stopped", 0.5, (0.5, 0.4, 0.3)),
    ]
    told = observe(space, history, [], Direction.MAXIMIZE)
    values = dict(zip(told.points[:, 0], told.values, strict=True))
    assert values[0.3] == pytest.approx(3.5)
    assert values[0.4] == pytest.approx(1.5)
    assert values[0.1] == pytest.approx(4.1)
    assert (told.variance > 0).tolist() == [False, False, True, True]


def test_a_completed_trial_gained_nothing_after_patience_ended_it() -> None:
    """Patience ended one at epoch 2 and another ran to 4: the mean gain from epoch 3 on is that of a loop over both."""
    space = Space.of([Parameter("x", "double", "0", "1", None, (), "uniform")])
    completed = {"0.1": (3.0, 2.0), "0.2": (1.0, 2.0, 3.0, 5.0)}
    stopped = (0.5, 0.4, 0.9)
    gains = []
    for curve in completed.values():
        best = -math.inf
        for step in range(len(stopped)):
            best = max(best, curve[step]) if step < len(curve) else best
        gains.append(max(curve) - best)
    history = [
        *(Observation({"x": x}, "completed", max(curve), curve) for x, curve in completed.items()),
        Observation({"x": "0.3"}, "stopped", 0.9, stopped),
    ]
    told = observe(space, history, [], Direction.MAXIMIZE)
    values = dict(zip(told.points[:, 0], told.values, strict=True))
    assert values[0.3] == pytest.approx(0.9 + mean(gains))
    assert (values[0.1], values[0.2]) == pytest.approx((3.0, 5.0))


def test_without_its_steps_a_stopped_trial_counts_between_what_it_had_and_the_middle() -> None:
    space = Space.of([Parameter("x", "double", "0", "1", None, (), "uniform")])
    history = [
        *(Observation({"x": str(x)}, "completed", -1.0) for x in (0.1, 0.2)),
        Observation({"x": "0.3"}, "stopped", -3.0),
    ]
    assert observe(space, history, [], Direction.MAXIMIZE).values.tolist() == [-1.0, -1.0, -2.0]


@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("value", [1.7e308, -1.7e308, 5e-324, 1e-200, 0.0])
def test_values_at_the_ends_of_what_a_float_holds_are_values(name: str, value: float) -> None:
    settings: dict[str, Any] = {"n_initial_points": "3"} if "bayes" in name else {}
    proposer = sampler(experiment(name, random_state="1", **settings))
    history = [
        Observation(past.assignments, outcome, number, (number,))
        for past, number, outcome in zip(
            search(proposer, 12),
            [value, -value, 1.0, 0.0] * 3,
            cast(list[Outcome], ["completed", "completed", "stopped", "completed"] * 3),
            strict=True,
        )
    ]
    assert len(proposer.propose(history, 2)) == 2


values = st.none() | st.floats(allow_nan=True, allow_infinity=True)
pasts = st.builds(
    Observation,
    st.fixed_dictionaries(
        {
            "lr": st.floats(1e-5, 1.0).map(repr),
            "layers": st.integers(0, 9).map(str),
            "norm": st.sampled_from("abc"),
        }
    ),
    st.sampled_from(("running", "completed", "stopped", "failed")),
    values,
    st.lists(st.floats(), max_size=4),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(pasts, max_size=12), st.integers(0, 3), st.sampled_from(ENDLESS), st.booleans())
def test_whatever_the_history_the_proposals_are_new_points_of_the_space(
    history: list[Observation], count: int, name: str, maximize: bool
) -> None:
    space = Space.of(
        [
            Parameter("lr", "double", "1e-4", "1e-1", None, (), "logUniform"),
            Parameter("layers", "int", "2", "8", "2", (), "uniform"),
            Parameter("norm", "categorical", None, None, None, ("a", "b"), "uniform"),
        ]
    )
    found = Sampler(space, name, Direction.of(maximize), seed=1, startup=3).propose(history, count)
    assert len(found) == count
    tried = [dict(past.assignments) for past in history]
    for index, point in enumerate(found):
        assert space.coordinates(point) is not None
        assert point not in [*tried, *found[:index]]


def test_trials_of_another_space_are_no_obstacle() -> None:
    """Warm start from a search with other parameters."""
    proposer = sampler(experiment("bayesianoptimization", random_state="3", n_initial_points="1"))
    foreign = [
        Observation({"depth": "3"}, "completed", 1.0, (1.0,)),
        Observation({"lr": "5"}, "completed", 1.0, (1.0,)),
    ]
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
        ("random", {"first_suggestions": "lr=1"}, "it has a JSON list of points"),
        ("random", {"first_suggestions": '[{"lr": true}]'}, "it has a JSON list of points"),
        (
            "random",
            {"first_suggestions": '[{"assignments": {}, "name": "a"}]'},
            "it has a JSON list of points",
        ),
        ("random", {"first_suggestions": named(("0.1", ""))}, "point 1: lr 0.1 is outside its feasibleSpace"),
        (
            "random",
            {"first_suggestions": named(("1e-3", ""), ("0.001", "a"))},
            "point 2 has the point of point 1, and none is tried twice",
        ),
        (
            "random",
            {"first_suggestions": named(("0.001", "a"), ("0.002", "a"))},
            "point 2 has the trial name of point 1",
        ),
        ("random", {"first_suggestions": named(("0.001", "../a"))}, "'../a' cannot be a trial's name"),
        (
            "random",
            {"first_suggestions": '[{"lrr": 1}]'},
            "first_suggestions: point 1: no parameter 'lrr': did you mean 'lr'?",
        ),
        (
            "random",
            {"first_suggestions": '[{"lr": 0.001}]'},
            "point 1: the parameter 'weight_decay' is missing",
        ),
        ("tpe", {"n_EI_candidates": "1000000"}, "must be 1 to 10000"),
        ("tpe", {"n_EI_candidate": "9"}, "did you mean 'n_EI_candidates'?"),
        ("tpe", {"n_EI_candidates": "0"}, "n_EI_candidates is '0'; it has a whole number of at least 1"),
        ("random", {"random_state": "-1"}, "random_state is '-1'; it has a whole number of at least 0"),
        ("grid", {}, "algorithm grid: parameter 'lr' needs a feasibleSpace step"),
    ],
)
def test_unknown_algorithms_and_settings_are_named(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError) as error:
        sampler(experiment(name, **settings))
    assert message in str(error.value)


def test_every_setting_that_katibs_own_service_admits_is_taken() -> None:
    for value in ("gp_hedge", "LCB", "EI", "PI", "EIps", "PIps"):
        assert sampler(experiment("bayesianoptimization", acq_func=value)).algorithm == "bayesianoptimization"


def test_settings_of_katibs_own_service_are_taken_and_named_as_idle() -> None:
    found = experiment("bayesianoptimization", base_estimator="GP", acq_func="EI", random_state="1")
    assert sampler(found).seed == 1
    assert idle_settings(found.algorithm) == ["acq_func", "base_estimator"]
