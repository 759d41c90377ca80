"""The published curricula, epoch by epoch."""

import pytest

from trainer.data.mixing import VARIANTS
from trainer.models import CURRICULA

ALL = {"SER", "SR", "ER", "R", "SE", "S", "E", "C"}
TABLE = {
    "convtasnet": {1: "C R", 3: "C R SR S", 5: "SER SR ER R SE S E"},
    "spmamba": {1: "C R", 3: "C R SR S", 5: "SER SR ER R SE S E"},
    "sepformer": {1: "C R", 3: "C R SR S", 5: "SER SR ER R SE S E C"},
    "dpmamba": {1: "C R", 3: "C R SR S", 5: "SER SR ER R SE S E C"},
    "tfgridnet": {1: "C R", 3: "C R SR S", 5: "SER SR ER R SE S E C"},
    "dprnn": {1: "C", 3: "C R", 6: "C R S SR", 8: "C R S SR E", 10: "SER SR ER R SE S E C"},
    "all": {1: "SER SR ER R SE S E C"},
}


@pytest.mark.parametrize("name", TABLE)
def test_each_epoch_has_the_variants_of_the_published_table(name: str) -> None:
    """From epoch 1 to 20, against the table written down once more by hand."""
    for epoch in range(1, 21):
        expected = TABLE[name][max(first for first in TABLE[name] if first <= epoch)]
        assert set(CURRICULA[name].variants(epoch)) == set(expected.split())


def test_a_stage_of_which_a_corpus_can_show_nothing_is_passed_over() -> None:
    """Mixtures without noise have C in every epoch of every curriculum, noisy ones end with S or both."""
    for name, table in TABLE.items():
        for epoch in range(1, 21):
            assert "C" in CURRICULA[name].variants(epoch, ["C"])
            stage = table[max(first for first in table if first <= epoch)].split()
            assert set(CURRICULA[name].variants(epoch, ["S", "C"])) == set(stage)


def test_a_corpus_that_can_show_nothing_of_any_stage_is_asked_for_the_one_under_way() -> None:
    """Whose variants the refusal then names."""
    for name, table in TABLE.items():
        for epoch in (1, 4, 20):
            stage = table[max(first for first in table if first <= epoch)].split()
            assert set(CURRICULA[name].variants(epoch, [])) == set(stage)


@pytest.mark.parametrize(
    ("name", "first"), [("convtasnet", 5), ("spmamba", 5), ("sepformer", 5), ("dprnn", 10), ("all", 1)]
)
def test_the_plateau_scheduler_starts_with_the_last_stage(name: str, first: int) -> None:
    """It looks at the validation of epoch `first` and of none before."""
    stepped = [epoch for epoch in range(1, 21) if CURRICULA[name].steps_scheduler(epoch)]
    assert stepped == list(range(first, 21))


def test_a_curriculum_names_only_variants_that_exist() -> None:
    """And together they name all eight."""
    assert set(VARIANTS) == ALL
    assert {v for c in CURRICULA.values() for stage in c.stages for v in stage.variants} == ALL
