"""The simulation of benchmarks/search/compare.py: what it counts, by searches whose outcome is known beforehand."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks.search.compare import STRATEGIES
from benchmarks.search.landscapes import EARLY_RANKS, misleading, synthetic
from benchmarks.search.learning_curves import WOBBLE, Array, Landscape
from benchmarks.search.simulation import MOST_FAILED, NOTHING, Trial, search
from katib.search.space import Space


class Listed:
    """Proposes points of the cube in turn; stops trials by number after an epoch."""

    def __init__(self, landscape: Landscape, points: Array, stops: Mapping[int, int]) -> None:
        self._space, self._points, self._stops = Space.of(landscape.parameters), points, stops

    def propose(self, trials: Sequence[Trial], *, room: bool) -> Mapping[str, str] | None:
        if not room:
            return None
        return self._space.at(self._points[len(trials)])

    def stops(self, trial: Trial, trials: Sequence[Trial]) -> bool:
        return self._stops.get(trial.number) == len(trial.values)


def never(at: np.ndarray) -> np.ndarray:
    return np.full(len(at), -0.03)  # takes the 2 % of the machine away as well


POINTS = np.random.default_rng(1).random((6, 4))
SURE = replace(synthetic(5), diverges=never, patience=None)


@pytest.mark.parametrize("parallel", [1, 2, 4])
def test_hours_are_epochs_and_the_stopped_best_is_found_out(parallel: int) -> None:
    """Six trials of 100 epochs, the truly best and one more stopped after 30 and 40."""
    best = int(np.argmax(SURE.truth(POINTS)))
    other = (best + 1) % 6
    result = search(SURE, Listed(SURE, POINTS, {best: 30, other: 40}), 1, 6, parallel)
    assert result.hours == pytest.approx(SURE.hours * 4.7)
    assert result.stopped_hours == pytest.approx(SURE.hours * 0.7)
    assert result.best_stopped
    rest = [index for index in range(6) if index not in (best, other)]
    assert result.best == pytest.approx(SURE.truth(POINTS).max())
    assert result.loss == pytest.approx(result.best - SURE.truth(POINTS[rest]).max())


def test_nothing_stopped_nothing_lost() -> None:
    result = search(SURE, Listed(SURE, POINTS, {}), 1, 6, 2)
    assert (result.hours, result.loss, result.best_stopped) == (pytest.approx(SURE.hours * 6), 0.0, False)
    assert result.path[-1][1] == result.chosen


def test_a_search_ends_when_too_many_trials_have_failed() -> None:
    doomed = replace(SURE, diverges=lambda at: np.ones(len(at)))
    nothing = search(doomed, Listed(doomed, POINTS, {}), 1, 6, 1)
    assert (nothing.chosen, nothing.failed, nothing.path) == (NOTHING, MOST_FAILED, ())
    half = replace(SURE, diverges=lambda at: (at[:, 0] != POINTS[0][0]) * 1.0)
    result = search(half, Listed(half, POINTS, {}), 1, 6, 1)
    assert result.failed == MOST_FAILED


def test_curves_end_at_the_truth() -> None:
    """Mean of the last epoch over 200 seeds; its deviation is 0.14 / sqrt(200) = 0.01 dB."""
    for point in POINTS:
        ends = [SURE.trial(point, np.random.default_rng(seed))[0][-1] for seed in range(200)]
        assert np.mean(ends) == pytest.approx(float(SURE.truth(point[None])[0]), abs=0.04)
        steps = np.diff(SURE.trial(point, np.random.default_rng(0))[0][-20:])
        assert np.std(steps) < 3 * WOBBLE


@pytest.mark.parametrize("name", ["ours", "bare median", "random"])
def test_a_seed_decides_the_search(name: str) -> None:
    first, second = (search(SURE, STRATEGIES[name](SURE, 3), 3, 8, 2) for _ in range(2))
    assert first == second


def test_early_ranks_mislead_where_they_are_to() -> None:
    """The correlation is fitted at other points, and some surfaces do not come as low."""
    points, found = np.random.default_rng(1).random((200, 4)), []
    for seed in range(4):
        landscape = misleading(seed)
        curves = np.array([landscape.shape(point) for point in points])
        found.append(spearmanr(curves[:, 9], curves[:, -1]).statistic)
        assert np.allclose(curves[:, -1], landscape.truth(points))
    assert np.mean(found) == pytest.approx(EARLY_RANKS, abs=0.12)
