"""Searches by an accuracy, a loss of 1e-5, a perplexity of 1e3 and a latency, of somebody's own program on a processor.

No verb calls such a value decibels, a smaller loss worse, a process a GPU, or offers what only our trainer can do. The
order is held against a plain sort, the medians against numpy's.
"""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from katib.backend.local.record import Effort, Trial
from katib.backend.local.table import table as local_table
from katib.backend.local.view import Lines
from katib.conclude.architecture import Variant, front
from katib.conclude.plan import FollowUpPlan, Group
from katib.conclude.selection import candidates
from katib.conclude.verdict import judge
from katib.manifest.experiment import load_experiment
from katib.measure import Measure, measure_of
from katib.report.audio import listen
from katib.report.log import entry
from katib.report.page import page
from katib.report.pareto import page as pareto_page
from katib.report.summary import conclude, configuration
from katib.search.stopping import Stop, because
from katib.table.trial_table import TrialTable
from katib.trial import Direction, Identity
from tests.katib.backend.local.rig import manifest
from tests.verbs import katib

METRICS = {
    "accuracy": (True, lambda worse: 0.99 - 0.004 * worse),
    "loss": (False, lambda worse: 1e-5 * (1 + worse)),
    "perplexity": (False, lambda worse: 1000 * (1 + worse)),
    "latency_ms": (False, lambda worse: 12 + worse),
}
FOREIGN = (" dB", "SI-SNR", "si_snr", "GPU", "best.pt", "best_epoch", "make confirm", "--lr", "baseline's")
STATES = ("Succeeded", "Succeeded", "EarlyStopped", "Failed", "Succeeded")


def experiment(metric: str) -> dict[str, Any]:
    """Returns a manifest that asks for a GPU which this machine has not: the unit is what was used."""
    kind = "maximize" if METRICS[metric][0] else "minimize"
    made = manifest(
        name="own",
        objective={"type": kind, "objectiveMetricName": metric},
        metricsCollectorSpec={"collector": {"kind": "StdOut"}},
        maxTrialCount=14,
    )
    pod = made["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    pod["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "1"}}
    return made


def searched(metric: str, gpu: bool | None = False, trials: int = 14) -> TrialTable:
    maximize, value = METRICS[metric]
    strategy = "max" if maximize else "min"
    identity = Identity("own", metric, maximize, strategy, experiment(metric)["spec"])  # type: ignore[arg-type]
    points = np.random.default_rng(3).uniform(1, 10, trials)
    found = []
    for number, x in enumerate(points):
        state = STATES[number % len(STATES)]
        epochs = range(1, 4 if state == "EarlyStopped" else 7)
        worse = (x / 10 - 0.4) ** 2
        values = tuple(float(f"{value(worse * (1 + 1 / epoch)):.8g}") for epoch in epochs)
        why = because(Stop("medianstop", 3, values[-1], values[0], 2), measure_of(metric), Direction.of(maximize))
        found.append(
            Trial(
                number,
                f"own-{number}",
                {"x": f"{x:.6g}"},
                state=state,  # type: ignore[arg-type]
                reason={"EarlyStopped": why, "Failed": "exit code 1"}.get(state, ""),
                effort=Effort(seconds=60.0 * len(values), starts=1, gpu=gpu),
                values=values,
            )
        )
    return local_table(identity, found, Path("/nonexistent"))


def without_scripts(text: str) -> str:
    text = re.sub(r"(?s)<script.*?</script>|<style.*?</style>", "", text)
    return re.sub(r"<[^>]+>", " ", text)


def require_own_words(text: str) -> None:
    for word in FOREIGN:
        assert word not in text, (word, text[max(0, text.find(word) - 80) :][:200])


@pytest.mark.parametrize("metric", METRICS)
def test_each_verb_keeps_to_the_searchs_own_measure(
    metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maximize, _ = METRICS[metric]
    found = searched(metric)
    valued = [row.value for row in found.rows if row.value is not None]
    assert valued == sorted(valued, reverse=maximize)
    assert found.best is not None
    assert found.best.value == (max if maximize else min)(valued)
    for verb in ("best", "results"):
        monkeypatch.setattr(f"katib.cli.{verb}.trial_table", lambda *_, **__: found)
    said = {verb: katib(verb, "own", "--out", str(tmp_path)) for verb in ("best", "results")}
    said["markdown"] = katib("results", "own", "--format", "markdown")
    for done in said.values():
        assert done.returncode == 0
        require_own_words(done.stdout + done.stderr)
        assert f"{found.best.value:.6g}" in done.stdout
    told = entry(found, "abc", None)
    require_own_words(told)
    assert "process-hours" in told


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_the_report_keeps_to_it_too(metric: str) -> None:
    found = searched(metric)
    heard = listen(found.best, Path("/nonexistent"), ours=False)
    whole = without_scripts(page(found, conclude(found, None), heard, ""))
    require_own_words(whole)
    assert f"the {'greater' if METRICS[metric][0] else 'smaller'} the better" in whole


@pytest.mark.parametrize("metric", METRICS)
def test_the_order_of_candidates_is_that_of_the_direction(metric: str) -> None:
    maximize, _ = METRICS[metric]
    found = candidates(searched(metric), 3)
    means = [one.mean for one in found]
    assert means == sorted(means, reverse=maximize)
    best = searched(metric).best
    assert best is not None
    assert found[0].observed == best.value


@pytest.mark.parametrize("metric", METRICS)
def test_stop_reasons_and_live_lines_have_its_digits_and_its_side(
    metric: str, capsys: pytest.CaptureFixture[str]
) -> None:
    maximize, value = METRICS[metric]
    values = [value(worse) for worse in (0.5, 0.4, 0.3)]
    said = because(
        Stop("medianstop", 3, values[2], float(np.median(values)), 2), measure_of(metric), Direction.of(maximize)
    )
    assert f"is {'below' if maximize else 'above'} the median" in said
    lines = Lines(load_experiment(json.dumps(experiment(metric)), "test"))
    trial = Trial(0, "own-a", {"x": "1"}, "Succeeded", effort=Effort(seconds=9), values=tuple(values))
    lines.report(trial, 3)
    lines.change(trial)
    best = (max if maximize else min)(values)
    out = capsys.readouterr().out
    assert f"best {metric} {best:.6g}" in out
    require_own_words(said + out)


@pytest.mark.parametrize(("better", "outcome"), [(0.1, "better"), (2.0, "worse")])
@pytest.mark.parametrize("metric", METRICS)
def test_a_verdict_goes_by_the_direction(metric: str, better: float, outcome: str) -> None:
    maximize, value = METRICS[metric]
    runs = {seed: value(better + 0.001 * seed) for seed in (1, 2, 3)}
    base = {seed: value(1 + 0.001 * seed) for seed in (1, 2, 3)}
    found = judge(
        {"x": "1"},
        runs,
        others=[],
        baseline=base,
        seen={9},
        direction=Direction.of(maximize),
        metric=measure_of(metric),
    )
    assert found.outcome == outcome
    assert math.copysign(1, found.difference) == (1 if (outcome == "better") == maximize else -1)
    assert " dB" not in found.sentence


def test_the_front_of_a_minimised_measure_has_its_least_values() -> None:
    def variant(name: str, mean: float, cost: int) -> Variant:
        return Variant(name, {}, mean, None, parameters=cost)

    made: Sequence[Variant] = [variant("a", 3.0, 1), variant("b", 2.0, 2), variant("c", 2.5, 3)]
    assert [one.value for one in front(made, "parameters", direction=Direction.MINIMIZE)] == ["a", "b"]
    assert [one.value for one in front(made, "parameters", direction=Direction.MAXIMIZE)] == ["a"]


@pytest.mark.parametrize(
    ("gpu", "device"),
    [(True, "GPU"), (False, "process"), (None, "GPU")],
    ids=["given", "not given", "nobody wrote it down"],
)
def test_the_unit_of_hours_is_what_was_used(gpu: bool | None, device: str) -> None:
    """The manifest asks for a GPU each time, as our own with --device auto does."""
    found = searched("loss", gpu)
    assert found.device == device
    assert f"{device}-hours" in entry(found, "", None)


def test_a_gain_over_the_mixture_is_positive_where_it_is_better(tmp_path: Path) -> None:
    """By hand: 0.2 is 0.3 better than 0.5 where less is better."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "summary.json").write_text(json.dumps({"mixture_loss": 0.5}))
    identity = searched("loss").identity
    (row,) = local_table(identity, [Trial(0, "a", {}, "Succeeded", values=(0.2,))], tmp_path).rows
    assert row.gain == pytest.approx(0.3)


def test_no_flag_of_our_trainer_is_offered_for_another_program() -> None:
    found = searched("accuracy")
    _, text = configuration(found, conclude(found, None))
    assert text.startswith("x=")


def test_flags_of_another_program_are_not_taken_for_ours() -> None:
    """Its --epochs may be in thousands and its --patience in hours; nobody here knows."""
    made = experiment("accuracy")
    pod = made["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    words = ["--model", "dprnn", "--epochs", "9", "--patience", "2", "--preset", "paper", "--seed", "1"]
    pod["containers"][0]["command"] += words
    identity = Identity("own", "accuracy", True, "max", made["spec"])
    trials = [Trial(n, f"own-{n}", {"x": str(n + 1)}, "Succeeded", values=(0.9, 0.8, 0.7 + n / 10)) for n in range(2)]
    found = local_table(identity, trials, Path("/nonexistent"))
    assert (found.model, found.spec, found.budget) == ("", None, None)
    assert all(row.reason == "" for row in found.rows)
    assert configuration(found, conclude(found, None))[1].startswith("x=")
    assert "patience" not in entry(found, "", None)


def test_the_plot_of_architectures_has_the_digits_of_its_metric() -> None:
    """A loss of 1e-5 is 0.00 to two digits."""
    plan = FollowUpPlan(
        purpose="arch",
        search="own",
        seeds=(1,),
        seen=(),
        groups=(Group(configuration={"layers": "2"}),),
        field="layers",
    )
    drawn = pareto_page(
        plan, [Variant("2", {1: 1.25e-5}, 1.25e-5, None, parameters=7)], Measure("loss"), direction=Direction.MINIMIZE
    )
    assert "seed 1: 1.25e-05" in drawn
    assert "2 (1.25e-05)" in drawn
