"""Tests the rule that pauses trials on thin evidence and lets them go on: who pauses, who goes on, and what is next."""

import random

import pytest

from katib.errors import ManifestError
from katib.manifest.object import Manifest
from katib.manifest.search import Algorithm, Parameter
from katib.measure import Measure
from katib.search.history import Observation, Outcome
from katib.search.next_step import Step, next_steps, room_for
from katib.search.promotion import Promote
from katib.search.sampler import Sampler
from katib.search.space import Space
from katib.search.stop_rules import stop_rule
from katib.search.stopping import because
from katib.stop_settings import katib_trials
from katib.trial import Direction

UP, DOWN = Direction.MAXIMIZE, Direction.MINIMIZE
SPACE = Space.of([Parameter("lr", "double", "0", "1", None, (), "uniform")])


def made(name: str, outcome: Outcome, values: tuple[float, ...]) -> Observation:
    """A configuration with this curve."""
    return Observation({}, outcome, None, values, name)


@pytest.mark.parametrize(("direction", "sign"), [(UP, 1.0), (DOWN, -1.0)])
def test_at_a_rung_the_best_half_goes_on_and_the_others_pause(direction: Direction, sign: float) -> None:
    """Other epochs are no rungs, a curve that has not reached the rung does not count, and one alone pauses."""
    rule = Promote(direction, (2, 4))
    others = [(sign * 1.0, sign * 1.0), (sign * 2.0, sign * 3.0), (sign * 9.0,)]
    assert rule.decide((sign * 2.0,), others) is None
    assert rule.decide((sign * 0.0, sign * 4.0), others) is None
    stop = rule.decide((sign * 0.0, sign * 2.0), others)
    assert stop is not None
    assert (stop.rule, stop.step, stop.best, stop.bar, stop.trials) == ("promote", 2, sign * 2.0, sign * 3.0, 2)
    assert rule.decide((1.0, 1.0), []) is not None


def test_the_reason_of_a_pause_says_what_it_was_compared_with() -> None:
    """The first to reach a rung is below nothing."""
    rule = Promote(UP, (1,))
    alone, worse = rule.decide((1.0,), []), rule.decide((1.0,), [(2.0,)])
    assert alone is not None
    assert worse is not None
    assert because(alone, Measure("loss"), UP) == "best of epoch 1, 1, cannot be compared yet: 0 other trials got there"
    assert because(worse, Measure("loss"), UP) == (
        "best of epoch 1, 1, is below the bar of the best configurations among 1 other trial, 2"
    )


def test_a_paused_configuration_goes_on_once_it_is_among_the_best_half_of_its_rung() -> None:
    """The one that has come farthest goes first; one that goes on already is not asked again."""
    rule = Promote(UP, (1, 2))
    first, second = made("a", "stopped", (1.0,)), made("b", "stopped", (2.0,))
    assert rule.continues([first]) is None
    assert rule.continues([first, second]) == second
    going_on = made("b", "running", (2.0,))
    third = made("c", "stopped", (0.0,))
    assert rule.continues([first, going_on, third]) is None
    far = [made(name, "stopped", (0.0, value)) for name, value in (("d", 5.0), ("e", 4.0))]
    found = rule.continues([first, second, *far])
    assert found is not None
    assert found.name == "d"


def test_a_continuation_comes_before_a_new_configuration() -> None:
    """A step of several is decided as if each before it ran."""
    sampler = Sampler(SPACE, "random", UP, seed=1)
    history = [Observation({"lr": f"0.{n}"}, "stopped", float(n), (float(n),), f"t{n}") for n in range(1, 4)]
    steps = next_steps(sampler, Promote(UP, (1, 2)), history, 3, room=1)
    assert steps[0] == Step({"lr": "0.3"}, continues="t3")
    assert [step.continues for step in steps[1:]] == [""]


def test_the_room_is_that_of_the_rule() -> None:
    """maxTrialCount counts continuations, so that it does not limit the configurations of promote."""
    assert room_for(Promote(UP, (1,), configurations=5), 3, 8) == 2
    assert room_for(None, 3, 8) == 5
    assert room_for(None, 3, None) is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "promote needs the setting 'rung_epochs', the epochs after which a trial may pause, such as 6,18,50"),
        (
            {"rung_epochs": "18,6"},
            "rung_epochs is '18,6'; it has whole numbers of at least 1, each above the one before",
        ),
        ({"rung_epochs": "6,x"}, "rung_epochs is '6,x'"),
        ({"rung_epochs": "0"}, "rung_epochs is '0'"),
        ({"rung_epochs": "6", "eta": "1"}, "eta is '1'; it has a number above 1"),
        ({"rung_epochs": "6", "configurations": "0"}, "configurations is '0'"),
        ({"rung_epoch": "6"}, "unknown setting 'rung_epoch'"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(settings: dict[str, str], says: str) -> None:
    """Check, engine and services show the same line."""
    with pytest.raises(ManifestError, match=says):
        stop_rule(Algorithm("promote", settings), UP, Measure("loss"))


@pytest.mark.parametrize(
    ("configurations", "eta", "rungs"), [(10, 2.0, (2, 4, 6)), (24, 2.0, (2, 4, 6)), (24, 3.0, (3,))]
)
def test_katib_has_room_for_every_continuation(configurations: int, eta: float, rungs: tuple[int, ...]) -> None:
    """With values that rank alike at each rung, or not at all, and get better or worse from one trial to the next."""
    luck = random.Random(1)
    for trend in (-0.1, 0.0, 0.1):
        for noise in (0.0, 1.0):
            curves = [
                [trend * index + own + noise * luck.gauss(0, 1) for _ in range(rungs[-1] + 1)]
                for index, own in enumerate(luck.gauss(0, 1) for _ in range(configurations))
            ]
            trials = trials_of(Promote(UP, rungs, eta), curves)
            assert configurations < trials <= katib_trials(configurations, len(rungs), eta)
    assert katib_trials(50, 4, 2.0) == 50 + 25 + 13 + 7 + 4
    assert katib_trials(5, 3, 1e300) == 6


@pytest.mark.parametrize("text", ["9" * 5000, "0", "-3", "many", ""])
def test_a_number_of_configurations_that_is_none_is_that_of_the_trials(text: str) -> None:
    """In a manifest that anybody may have written."""
    settings = [{"name": "configurations", "value": text}]
    spec = {"maxTrialCount": 7, "earlyStopping": {"algorithmName": "promote", "algorithmSettings": settings}}
    assert Manifest(spec).configurations == 7
    settings[0]["value"] = "5"
    assert Manifest(spec).configurations == 5


def trials_of(rule: Promote, curves: list[list[float]]) -> int:
    """Searches configurations with these curves, one at a time; returns how many begin or go on."""
    listed: list[Observation] = []
    for trials in range(1000):
        going_on = rule.continues(listed)
        index = listed.index(going_on) if going_on else len(listed)
        if index == len(curves):
            return trials
        curve, ran = curves[index], len(going_on.values) if going_on else 0
        others = [each.values for each in listed if each is not going_on and each.outcome == "stopped"]
        completed = [each.values for each in listed if each.outcome == "completed"]
        steps = range(ran + 1, len(curve) + 1)
        pause = next((step for step in steps if rule.decide(curve[:step], others, completed)), None)
        now = made(f"{index:02}", "stopped" if pause else "completed", tuple(curve[:pause]))
        listed[index : index + 1] = [now]
    raise AssertionError("the search has no end")
