"""The importance of parameters as the search's model has it, against searches of which it is known."""

from dataclasses import replace

import numpy as np
import pytest

from katib.conclude.belief import Belief, believe
from katib.conclude.shares import shares
from katib.manifest.search import Parameter
from katib.report.importance import importance_figure
from katib.search.space import Space
from tests.katib.report.simulated import searched, table


def told(number: int) -> list[str]:
    """Returns the parameters of which the report of a simulated search says a share."""
    found = searched(30, epochs=10, seed=number)
    return words(importance_figure(found, believe(found)).finding)


def words(finding: str) -> list[str]:
    said = finding.split("Nothing can be said", 1)[0]
    return [name for name in ("lr", "weight_decay", "grad_clip_norm", "lr_factor") if f" {name} " in said]


def test_only_the_parameter_that_matters_is_given_a_share() -> None:
    """In each of 3 searches, the second of which gives its model little; of the 12 others one may be luck."""
    found = [told(number) for number in range(3)]
    assert all("lr" in names for names in found)
    assert sum(len(names) - 1 for names in found) <= 1


def test_where_nothing_matters_hardly_anything_is_said() -> None:
    """Settings dealt anew to the trials of 3 searches, 12 parameters."""
    said = 0
    for seed in range(3):
        rows = searched(30, epochs=10, seed=seed).rows
        dealt = np.random.default_rng(seed).permutation(len(rows))
        found = table(
            *(replace(row, assignments=rows[other].assignments) for row, other in zip(rows, dealt, strict=True)),
            epochs=10,
        )
        said += len(words(importance_figure(found, believe(found)).finding))
    assert said <= 1


class Additive:
    """A process that knows its function: 3 a + b, of variances 9 to 1, and nothing of c."""

    def sample(self, points: np.ndarray, draws: int, generator: np.random.Generator) -> np.ndarray:
        return np.tile(3 * points[:, 0] + points[:, 1], (draws, 1))


def test_a_share_is_the_part_of_the_variance() -> None:
    found = shares(Additive(), Space.of([Parameter(name, "double", "0", "1", None, (), "uniform") for name in "abc"]))  # type: ignore[arg-type]
    assert [found[name].middle for name in "abc"] == pytest.approx([0.9, 0.1, 0.0], abs=0.03)
    assert [found[name].told for name in "abc"] == [True, True, False]


def test_without_a_model_the_bars_and_the_level_of_chance_are_shown() -> None:
    found = searched(30, epochs=10)
    figure = importance_figure(found, Belief())
    assert "Most important: lr" in figure.finding
    assert "level of chance" in str(figure.drawings[0])
