"""How the baseline was trained otherwise: said wherever a search is compared with it, and nowhere else."""

from pathlib import Path

import pytest

from katib.conclude.remarks import differences
from katib.conclude.verdict import judge
from katib.report.log import entry
from katib.report.summary import conclude
from katib.spec import load_spec
from tests.katib.conclude.made import BEST, made, trial

BEGIN = "Besides what was searched, the baseline was trained with weight decay 0"
SERIES_3 = ("convtasnet", "dprnn", "sepformer", "spmamba")


@pytest.mark.parametrize("model", SERIES_3)
def test_each_search_with_a_baseline_names_what_bears_on_the_comparison(model: str, tmp_path: Path) -> None:
    """One short paragraph; weight decay 0 is in all of them, since no search can reach it."""
    spec = load_spec(model)
    said = differences(made(tmp_path, trial("a", 3.0), model=model))
    assert said.startswith(BEGIN)
    assert said.endswith("(docs/series3.md).")
    assert len(said) < 600
    assert spec.search["weight_decay"].bounds[0] > 0


def test_what_a_verdict_says_of_the_baseline_goes_into_log_and_report(tmp_path: Path) -> None:
    """Confirmed or not; a baseline of the user's own has no known differences, nor has one for fewer epochs."""
    table = made(tmp_path, trial("a", 3.0))
    baseline = load_spec("dprnn").baseline
    assert baseline is not None
    verdict = judge(BEST, {42: 4.0, 123: 4.1}, others=[], baseline=baseline.seeds, seen=[42])
    mine = judge(BEST, {42: 4.0, 123: 4.1}, others=[], baseline={1: 3.0, 2: 3.1}, seen=[42])
    alone = judge(BEST, {42: 4.0, 123: 4.1}, others=[], baseline={}, seen=[42])
    for given, expected in ((verdict, True), (None, True), (mine, False), (alone, False)):
        assert (BEGIN in entry(table, "abc", given)) == expected
        assert (BEGIN in " ".join(conclude(table, given).lines)) == expected
    assert differences(made(tmp_path, trial("a", 3.0), epochs=50)) == ""


def test_a_spec_without_a_baseline_says_nothing(tmp_path: Path) -> None:
    table = made(tmp_path, trial("a", 3.0), model="demo")
    assert (table.spec and table.spec.name, differences(table)) == ("demo", "")
