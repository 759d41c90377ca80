"""A search is measured by its own metric, budget and state: nothing of another one's is taken for its own."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats

from katib.backend.local.table import table as local_table
from katib.conclude.confirmation import hindrance, keep
from katib.conclude.remarks import no_baseline
from katib.conclude.selection import candidates, seed_noise
from katib.conclude.verdict import judge
from katib.manifest.render import Overrides, render
from katib.measure import Measure
from katib.report.cost import cost
from katib.report.log import entry
from katib.report.summary import conclude, configuration, facts, next_steps
from katib.report.trial_marks import baseline_mean
from katib.site import load_site
from katib.spec import load_spec
from katib.table.trial_table import CLUSTER, Budget, TrialRow, TrialTable, best_first
from katib.trial import Direction, Identity
from tests.katib.conclude.made import identity, trial
from tests.katib.conclude.tables import row, table
from tests.verbs import katib

SPACE = {
    "parameters": [
        {
            "name": "lr",
            "parameterType": "double",
            "feasibleSpace": {"min": "0.001", "max": "0.1"},
        }
    ]
}
FOREIGN = {"containers": [{"name": "train", "command": ["sh", "-c", "awk"]}]}


def of_accuracy(*rows: TrialRow, **spec: Any) -> TrialTable:
    """Returns a search that goes by an accuracy in 0..1, of somebody's own program."""
    job = {"primaryContainerName": "train", "trialSpec": {"spec": {"template": {"spec": FOREIGN}}}}
    return TrialTable(
        Identity("f03", "acc", True, "max", SPACE | {"trialTemplate": job} | spec), best_first(rows, Direction.MAXIMIZE)
    )


def accuracies(count: int, noise: float = 0.0, seed: int = 0) -> list[TrialRow]:
    """0.99 - 0.004 (log10 lr + 2)^2, to six digits as awk prints it, and normal noise."""
    draw = np.random.default_rng(seed)
    rates = draw.uniform(0.001, 0.1, count)
    values = [0.99 - 0.004 * (math.log10(lr) + 2) ** 2 + noise * draw.normal() for lr in rates]
    return [row(f"t{n}", float(f"{v:.6g}"), lr=lr) for n, (lr, v) in enumerate(zip(rates, values, strict=True))]


@pytest.mark.parametrize("seed", range(4))
def test_values_without_noise_are_ranked_as_they_were_observed(seed: int) -> None:
    """Against a plain sort, to the last printed digit: the differences are far below 0.13, and are real."""
    rows = accuracies(14, seed=seed)
    found = candidates(of_accuracy(*rows), 5)
    order = sorted((one.value or 0.0 for one in rows), reverse=True)
    assert [one.observed for one in found] == order[:5]
    assert [one.mean for one in found] == order[:5]
    noise = seed_noise(of_accuracy(*rows))
    assert noise is not None
    assert noise.sd < 1e-4
    assert "no trial repeats another" in noise.source


def test_noise_of_another_metric_is_found_by_the_fit_where_the_values_demand_it() -> None:
    noise = seed_noise(of_accuracy(*accuracies(60, noise=0.002)))
    assert noise is not None
    assert 0.001 < noise.sd < 0.004
    assert "fitted" in noise.source


def test_noise_of_another_metric_is_that_of_repeated_configurations_alone() -> None:
    """Against numpy: the mean of two variances with one degree of freedom each."""
    pairs = ((0.90, 0.92), (0.80, 0.85))
    rows = [
        row(f"t{n}{m}", value, lr=0.01 * (n + 1), seed=m)
        for n, pair in enumerate(pairs)
        for m, value in enumerate(pair)
    ]
    noise = seed_noise(of_accuracy(*rows))
    assert noise is not None
    assert noise.sd == pytest.approx(math.sqrt(np.mean([np.var(pair, ddof=1) for pair in pairs])))
    assert (noise.df, "more than once" in noise.source) == (2.0, True)


def test_of_one_value_nothing_is_known_but_itself() -> None:
    alone = of_accuracy(row("only", 0.9, lr=0.01))
    assert seed_noise(alone) is None
    (only,) = candidates(alone)
    assert (only.mean, only.sd) == (0.9, None)


def test_a_difference_of_another_metric_is_told_with_its_digits() -> None:
    """Against scipy's t test: one configuration has two unseen seeds, so that the noise is its own."""
    seeds, baseline = {1: 0.9912, 2: 0.9910, 3: 0.9913}, {1: 0.9901, 2: 0.9903, 3: 0.9902}
    found = judge({"lr": "1"}, seeds, others=[], baseline=baseline, seen={1}, metric=Measure("acc"))
    told = stats.ttest_ind([0.9910, 0.9913], list(baseline.values()), equal_var=False)
    low, high = told.confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert f"({low:+.6g} to {high:+.6g}, 95 %)" in found.sentence


def test_where_no_noise_is_known_there_is_no_verdict() -> None:
    found = judge({"lr": "1"}, {2: 0.99}, others=[], baseline={1: 0.5}, seen={1}, metric=Measure("acc"))
    assert (found.outcome, math.isnan(found.low)) == ("unknown", True)
    assert "spread is unknown" in found.sentence


def test_confirm_is_advised_only_where_it_would_run() -> None:
    foreign = of_accuracy(*accuracies(3))
    assert "sh -c awk" in hindrance(foreign)
    said = conclude(foreign, None)
    assert all("make confirm" not in line for line in said.lines)
    assert all("confirm" not in command for _, command in next_steps(foreign))
    assert "make confirm" not in entry(foreign, "", None)
    assert configuration(foreign, said)[1].startswith("lr=")
    own = local_table(identity(), [trial("a", 1.0), trial("b", 2.0)], Path("/nonexistent"))
    assert hindrance(own) == ""
    assert any("make confirm" in line for line in conclude(own, None).lines)


def short_search(metric: str = "val_si_snr") -> TrialTable:
    """TRIALS=6 EPOCHS=5 of SepFormer, whose estimate is 12 h for 50 epochs."""
    text = render(load_spec("sepformer"), load_site(), Overrides(trials=6, epochs=5))
    rows = best_first([row(f"t{n}", 1.0 + n, lr=0.001 * (n + 1)) for n in range(6)], Direction.MAXIMIZE)
    return TrialTable(
        Identity("short", metric, True, "max", yaml.safe_load(text)["spec"]),
        rows,
        spec=load_spec("sepformer"),
        budget=Budget(6, 5, load_spec("sepformer").hours_per_run * 5 / 50),
        gpus=1,
    )


def test_the_plan_is_that_of_the_search_and_not_of_its_spec() -> None:
    """Six trials of five epochs, at a fiftieth of the spec's hours an epoch."""
    hours = load_spec("sepformer").hours_per_run
    assert cost(short_search()).planned == pytest.approx(6 * 5 * hours / 50)


@pytest.mark.parametrize("metric", ["val_si_snr", "acc"])
def test_a_baseline_of_other_epochs_or_of_another_metric_is_none(metric: str) -> None:
    found = short_search(metric)
    if metric == "acc":
        found = replace(found, budget=Budget(6, 50, None))
    assert found.baseline is None
    assert baseline_mean(found) == ()
    assert all("baseline" not in fact.label for fact in facts(found, conclude(found, None)))
    assert "no baseline: that of 'series3-sepformer'" in no_baseline(found)
    assert "Baseline to beat" not in entry(found, "", None)


@pytest.mark.parametrize(
    ("unseen", "outcome", "words"),
    [
        ((5.0, 5.1), "better", "Confirmed configuration"),
        ((3.0, 3.1), "no better", "keep the baseline"),
        ((1.0, 1.1), "worse", "keep the baseline"),
    ],
)
def test_each_outcome_has_its_own_look_and_heading(unseen: tuple[float, float], outcome: str, words: str) -> None:
    base = {42: 3.0, 123: 3.1, 456: 3.05}
    found = judge(
        {"lr": "1"},
        dict(zip((42, 123, 456), (5.0, *unseen), strict=True)),
        others=[],
        baseline=base,
        seen={42},
    )
    said = conclude(table(row("a", 5.0, lr=1)), found)
    assert (found.outcome, said.look) == (outcome, outcome.replace(" ", "-"))
    heading, _ = configuration(table(row("a", 5.0, lr=1)), said)
    assert words in heading
    assert f"### {heading}" in entry(table(row("a", 5.0, lr=1)), "", found)
    labels = [fact.label for fact in facts(table(row("a", 5.0, lr=1)), said)]
    assert any(label.startswith(outcome if outcome != "no better" else "not shown") for label in labels)


def test_best_of_a_cluster_shows_the_verdict_that_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As report and log do, which find it beside the search's own report."""
    one = row("a", 5.0, lr=0.001, grad_clip_norm=5)
    found = judge(one.assignments, {42: 5.0, 123: 5.1}, others=[], baseline={42: 3.0, 123: 3.1}, seen={42})
    keep(tmp_path, "test", found)
    monkeypatch.setattr("katib.backend.cluster.backend.ClusterBackend.table", lambda *_: table(one, venue=CLUSTER))
    done = katib("best", "test", "--cluster", "--out", str(tmp_path))
    assert (done.returncode, found.sentence in done.stdout) == (0, True)
    assert "next:" not in done.stdout


def test_a_search_under_way_is_called_so() -> None:
    rows = [
        row("a", 3.0, lr=0.001, grad_clip_norm=5),
        row("b", 2.0, lr=0.002, grad_clip_norm=5),
        row("c", None, "Failed", lr=0.003, grad_clip_norm=5),
        row("d", None, "Running", lr=0.004, grad_clip_norm=5),
    ]
    said = conclude(table(*rows, budget=Budget(30, 50, None), slots=1), None)
    # 60 s a trial, one at a time: 26 that have not begun, and an epoch of the one that has had its 60 s.
    assert said.sentence == (
        "In progress: 3 of 30 trials have ended, 1 under way, about 27 min left; best so far 3.00 dB (a)."
    )
    assert all("make confirm" not in line for line in said.lines)
    ended = conclude(table(*rows[:3]), None)
    assert "the best of 2 single runs" in ended.sentence
