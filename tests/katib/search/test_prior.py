"""The prior: where the best is expected, as a density, in the start of a search and in what its model proposes."""

import json
import math
from typing import get_args

import numpy as np
import pytest

from katib.errors import ManifestError
from katib.manifest.search import Algorithm, Parameter, Search
from katib.ranges import Prior
from katib.search.history import Observation
from katib.search.prior import ELSEWHERE, WIDTHS, Density, read_prior
from katib.search.sampler import Sampler, sampler
from katib.search.space import Space
from katib.trial import Direction

SPACE = (
    Parameter("lr", "double", "1e-4", "1e-2", None, (), "logUniform"),
    Parameter("norm", "categorical", None, None, None, ("gLN", "cLN", "BN"), "uniform"),
    Parameter("layers", "int", "1", "9", None, (), "uniform"),
)
SQUARE = tuple(Parameter(name, "double", "0", "1", None, (), "uniform") for name in "xy")


def search(parameters: tuple[Parameter, ...], **settings: str) -> Search:
    algorithm = Algorithm("bayesianoptimization", {"random_state": "1", "n_initial_points": "5", **settings})
    return Search("s", "m", Direction.MAXIMIZE, parameters, algorithm, None, 9, 1)


def ours(prior: object, parameters: tuple[Parameter, ...] = SQUARE) -> Sampler:
    return sampler(search(parameters, prior=json.dumps(prior)))


def density(prior: dict[str, object]) -> Density:
    return Density.of(Space.of(SPACE), read_prior(json.dumps(prior)))


def test_a_spec_and_a_manifest_know_the_same_degrees() -> None:
    assert set(get_args(Prior.model_fields["sure"].annotation)) == set(WIDTHS)


@pytest.mark.parametrize("sure", WIDTHS)
def test_each_axis_has_a_density_of_its_own_and_rules_nothing_out(sure: str) -> None:
    made = density({"lr": {"at": 0.001, "sure": sure}, "norm": {"at": "cLN", "sure": sure}})
    assert [height.mean() for height in made.heights] == pytest.approx([1, 1, 1])
    assert all(height.min() >= ELSEWHERE for height in made.heights)
    assert made.heights[0].argmax() in (255, 256)
    assert made.heights[1].argmax() == 1
    assert list(made.heights[2]) == [1]


def test_points_are_drawn_by_it() -> None:
    """Nine tenths of lr lie around 0.001 with the stated deviation, one tenth anywhere."""
    made = density({"lr": {"at": 0.001, "sure": "strong"}})
    shares = np.linspace(0, 1, 2001)[:-1]
    drawn = np.array([made.drawn((share, 0.3, share)) for share in shares])
    inside = np.abs(drawn[:, 0] - 0.5) < WIDTHS["strong"]
    assert inside.mean() == pytest.approx((1 - ELSEWHERE) * 0.683 + ELSEWHERE * 2 * WIDTHS["strong"], abs=0.01)
    assert np.all(drawn[:, 1] == 0.3)
    assert np.all(drawn[:, 2] == shares)


def test_it_counts_less_with_every_trial() -> None:
    made, points = density({"lr": {"at": 0.001}}), np.array([[0.5, 0.5, 0.5], [0.0, 0.5, 0.5]])
    (near, far), (less, least) = made.weight(points, 5), made.weight(points, 50)
    assert near > 0 > far
    assert (10 * less, 10 * least) == pytest.approx((near, far))
    assert far == pytest.approx(math.log(ELSEWHERE) / 5, abs=1e-2)


def test_a_search_begins_where_the_best_is_expected_and_half_of_its_points_elsewhere() -> None:
    plain = ours({}).propose([], 4)
    expecting = ours({"x": {"at": 0.8, "sure": "strong"}}).propose([], 4)
    assert [point["y"] for point in expecting] == [point["y"] for point in plain]
    assert [point["x"] for point in expecting[1::2]] == [point["x"] for point in plain[1::2]]
    assert all(abs(float(point["x"]) - 0.8) < 0.2 for point in expecting[::2])


def hill(at: float, count: int) -> list[Observation]:
    """Returns trials at random points whose values are the higher, the nearer x and y are to `at`."""
    places = np.random.default_rng(1).random((count, 2))
    return [
        Observation({"x": str(x), "y": str(y)}, "completed", -20 * ((x - at) ** 2 + (y - at) ** 2)) for x, y in places
    ]


def test_the_model_follows_it_at_first_and_then_the_trials() -> None:
    expecting = ours({name: {"at": 0.8, "sure": "strong"} for name in "xy"})
    (plain,) = ours({}).propose(hill(0.5, 5))
    assert all(float(text) < 0.5 for text in plain.values())
    (point,) = expecting.propose(hill(0.5, 5))
    assert all(abs(float(text) - 0.8) < 0.15 for text in point.values())
    assert expecting.propose(hill(0.2, 30)) == ours({}).propose(hill(0.2, 30))


BAD = {
    '{"lrr": {"at": "1"}}': "prior: no parameter 'lrr': did you mean 'lr'?",
    '{"lr": {"at": "7"}}': "prior: lr 7 is outside its feasibleSpace",
    '{"lr": {"at": "nan"}}': "prior: lr nan is outside its feasibleSpace",
    '{"norm": {"at": "LN"}}': "prior: norm LN is outside its feasibleSpace",
    '{"lr": {"at": 0.001, "sure": "certain"}}': "sure is strong, fair, weak",
    '{"lr": {"at": 0.001, "sure": ["fair"]}}': "sure is strong, fair, weak",
    '{"lr": {"at": true}}': "it has a JSON mapping such as",
    '{"lr": 0.001}': "it has a JSON mapping such as",
    '["lr"]': "it has a JSON mapping such as",
    "[" * 100_000: "it has a JSON mapping such as",
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:40])
def test_a_wrong_one_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(ManifestError) as error:
        sampler(search(SPACE, prior=text))
    assert BAD[text] in str(error.value)
    assert "\n" not in str(error.value)


def test_two_failures_where_the_best_was_expected_end_what_it_says() -> None:
    prior = {name: {"at": 0.8, "sure": "strong"} for name in "xy"}
    there = [Observation({"x": text, "y": text}, "failed", None) for text in ("0.78", "0.81")]
    elsewhere = [Observation({"x": "0.1", "y": text}, "failed", None) for text in ("0.2", "0.3", "0.4")]
    assert ours(prior).propose(there, 4) == ours({}).propose(there, 4)
    for history in (there[:1], there[:1] + elsewhere):
        assert ours(prior).propose(history, 4) != ours({}).propose(history, 4)
