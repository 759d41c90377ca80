"""The algorithm that docs/extend.md adds as an example: the code of the page is what is tested."""

from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

from katib.search import sampler as module
from katib.search.algorithms import ALGORITHMS
from katib.search.history import Observation
from tests.katib.search.test_sampler import experiment, search

PAGE = Path(__file__).parents[3] / "docs" / "extend.md"


def recipe() -> ModuleType:
    """Returns the module of the page's example."""
    example = PAGE.read_text(encoding="utf-8").partition("algorithms/neighbour.py:\n")[2].partition("\n2. ")[0]
    made = ModuleType("neighbour")
    exec(dedent(example), vars(made))
    return made


def test_the_example_of_the_page_searches_near_the_best_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within three deviations of the best share on every axis, with a stepped space as well; a seed decides."""
    monkeypatch.setattr(module, "ALGORITHMS", {**ALGORITHMS, "neighbour": recipe().ALGORITHM})
    for stepped in (False, True):
        sampler = module.sampler(experiment("neighbour", stepped=stepped, scale="0.05", random_state="1"))
        history: list[Observation] = search(sampler, 12)
        best = sampler.space.shares(max(history, key=lambda trial: trial.value or -1.0).assignments) or ()
        (point,) = sampler.propose(history)
        assert sampler.propose(history[::-1]) == [point]
        if not stepped:
            shares = sampler.space.shares(point) or ()
            assert max(abs(share - other) for share, other in zip(shares, best, strict=True)) < 0.2
