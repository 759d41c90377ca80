"""What an architecture gives and costs: Pareto's front, measured times, what the trainer says of its size."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

from katib.conclude import sizes as module
from katib.conclude.architecture import (
    Variant,
    epochs,
    front,
    plan_architecture,
    require_architectures,
    steps,
    variants,
)
from katib.conclude.sizes import describe, described_words, sizes
from katib.conclude.verdict import judge
from katib.errors import ResultError, SpecError
from katib.manifest.object import Manifest
from katib.manifest.render import Overrides, render
from katib.measure import SI_SNR
from katib.report.pareto import page
from katib.site import load_site
from katib.spec import load_spec
from katib.table.trial_table import Point, TrialRow
from katib.trial import Direction
from tests.katib.conclude.tables import row, table

MANIFEST = Manifest.of(yaml.safe_load(render(load_spec("dprnn"), load_site(), Overrides(name="test", preset="debug"))))
SEARCH = table(row("a", 3.0, lr=0.001, grad_clip_norm=5), row("b", 2.0, lr=0.005, grad_clip_norm=5))
SIZES = ["64", "128", "192"]


def variant(value: str, mean: float | None, parameters: int | None) -> Variant:
    return Variant(value, {42: mean} if mean is not None else {}, mean, 0.1, parameters)


def test_the_front_holds_what_no_other_beats_in_both() -> None:
    small, medium, large = variant("s", 1.0, 10), variant("m", 3.0, 20), variant("l", 2.0, 30)
    unknown, failed = variant("?", 9.0, None), variant("x", None, 5)
    assert front([large, medium, small, unknown, failed], "parameters") == [small, medium]
    assert front([large, medium, small], "parameters", direction=Direction.MINIMIZE) == [small]
    assert front([small, variant("same", 1.0, 10)], "parameters") == [small]
    assert front([unknown], "parameters") == []


def timed(**metrics: tuple[float, ...]) -> TrialRow:
    points = {
        name: tuple(Point(step, value, None) for step, value in enumerate(values, 1))
        for name, values in metrics.items()
    }
    return TrialRow("t", "Succeeded", "", {}, 1.0, 1, 2, 60.0, objective="val_si_snr", metrics=points)


def test_a_steps_time_is_the_epochs_by_its_steps_as_the_run_recorded_them() -> None:
    """An epoch of 10 mixtures in batches of 4 has three steps."""
    assert steps(timed(seconds=(6.0, 9.0), mixtures=(10.0, 10.0)), 4) == [2.0, 3.0]
    assert steps(timed(seconds=(6.0,)), 4) == []
    assert steps(timed(seconds=(6.0,), mixtures=(10.0,)), None) == []


def test_where_a_run_has_not_recorded_its_epochs_the_times_of_its_reports_tell() -> None:
    curve = tuple(Point(step, 1.0, time) for step, time in ((1, 100.0), (2, 130.0), (3, 170.0)))
    assert epochs(TrialRow("t", "Running", "", {}, 1.0, 1, 3, 60.0, objective="m", metrics={"m": curve})) == [
        30.0,
        40.0,
    ]


def test_the_sweep_takes_the_first_candidate_or_what_was_confirmed_and_repeats_no_run() -> None:
    plan = plan_architecture(SEARCH, MANIFEST, "hidden_size", SIZES, seeds=(42, 123), own="128")
    assert [group.configuration["hidden_size"] for group in plan.groups] == ["64", "128", "192"]
    assert {group.configuration["lr"] for group in plan.groups} == {"0.001"}
    assert [group.known for group in plan.groups] == [{}, {42: 3.0}, {}]
    verdict = judge({"lr": "0.005"}, {42: 2.0, 123: 2.1}, others=[], baseline={}, seen={42})
    plan = plan_architecture(SEARCH, MANIFEST, "hidden_size", SIZES, seeds=(42, 123), own="128", verdict=verdict)
    assert {group.configuration["lr"] for group in plan.groups} == {"0.005"}
    assert plan.groups[1].known == {42: 2.0, 123: 2.1}
    with pytest.raises(ResultError, match="no trial yet"):
        plan_architecture(table(), MANIFEST, "hidden_size", SIZES, seeds=(42,))


def test_a_sweep_of_which_every_run_is_known_is_refused(tmp_path: Path) -> None:
    plan = plan_architecture(SEARCH, MANIFEST, "hidden_size", ["128"], seeds=(42,), own="128")
    with pytest.raises(SpecError, match="every run with hidden_size 128 is known; add a value, or SEEDS="):
        require_architectures(plan, MANIFEST, tmp_path / "sizes.json")


def test_the_interval_of_a_variant_has_the_noise_of_all() -> None:
    """Two variants, two seeds each, 0.2 dB apart: one pooled deviation of sqrt(0.02) with two degrees of freedom."""
    plan = plan_architecture(SEARCH, MANIFEST, "hidden_size", ["64", "128"], seeds=(1, 2))
    ended = table(
        *(
            row(f"r{n}", value, run=word)
            for n, (word, value) in enumerate(zip(plan.words, (1.0, 1.2, 3.0, 3.2), strict=True))
        ),
        spec={},
    )
    small, large = variants(plan, ended, 16, [None, None])
    assert (small.mean, large.mean) == (pytest.approx(1.1), pytest.approx(3.1))
    assert small.half_width == pytest.approx(4.3027 * 0.02**0.5 / 2**0.5, rel=1e-4)
    assert (small.parameters, small.step_seconds) == (None, None)
    assert [one.mean for one in variants(plan, None, 16, [None, None])] == [None, None]


def test_the_searchs_own_architecture_is_timed_by_the_searchs_own_runs() -> None:
    """Where its values were taken over from the search and its confirmation, so are their times.

    No other trial counts.
    """
    verdict = judge({"lr": "0.001"}, {42: 3.0, 123: 3.1}, others=[], baseline={}, seen={42})
    plan = plan_architecture(
        SEARCH, MANIFEST, "hidden_size", ["64", "128"], seeds=(42, 123), own="128", verdict=verdict
    )
    metrics = {"seconds": (Point(1, 8.0, None),), "mixtures": (Point(1, 32.0, None),)}
    slow = {"seconds": (Point(1, 99.0, None),), "mixtures": (Point(1, 32.0, None),)}
    before = [
        replace(row("a", 3.0, lr=0.001), metrics=metrics),
        replace(row("b", 3.1, run="lr=0.001,seed=123"), metrics=metrics),
        replace(row("c", 2.0, lr=0.005), metrics=slow),
        replace(row("d", 2.0, run="lr=0.005,seed=123"), metrics=slow),
    ]
    small, own = variants(plan, None, 16, [None, None], before)
    assert (small.step_seconds, own.step_seconds, own.mean) == (None, 4.0, pytest.approx(3.05))


def test_parameters_and_multiply_adds_are_the_trainers_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the real `describe`; the second time from the file, which a damaged one is not."""
    kept = tmp_path / "new" / "sizes.json"
    small, own = sizes(MANIFEST, [{"hidden_size": "8"}, {"lr": "0.001"}], kept)
    assert (small.configuration["hidden_size"], small.parameters < own.parameters) == (8, True)
    assert small.multiply_adds < own.multiply_adds
    kept.write_text(kept.read_text().replace(str(small.parameters), "7"))
    assert sizes(MANIFEST, [{"hidden_size": "8"}], kept)[0].parameters == 7
    kept.write_text("[]")
    assert sizes(MANIFEST, [{"hidden_size": "8"}], kept) == [small]
    kept.write_text(json.dumps({"--model dprnn --preset debug": asdict(own)}))
    monkeypatch.setattr(module, "describe", None)  # the variant that the search had is known
    assert sizes(MANIFEST, [{"hidden_size": str(own.configuration["hidden_size"])}], kept) == [own]


def test_what_the_trainer_cannot_describe_is_one_line() -> None:
    with pytest.raises(ResultError, match=r"^--layers: dprnn has no such field") as error:
        describe(["--model", "dprnn", "--preset", "debug", "--layers", "3"])
    assert "\n" not in str(error.value)


def test_what_describe_is_asked_is_what_the_trials_train() -> None:
    assert described_words(MANIFEST, {"lr": "0.001", "hidden_size": "64"}) == [
        "--model",
        "dprnn",
        "--preset",
        "debug",
        "--hidden-size",
        "64",
    ]
    assert MANIFEST.number("--batch-size") == 16


def test_the_plot_needs_no_network_and_shows_each_known_cost() -> None:
    plan = plan_architecture(SEARCH, MANIFEST, "hidden_size", ["64", "128"], seeds=(1, 2))
    text = page(plan, [variant("64", 1.0, 10), variant("128", 2.0, 20)], SI_SNR)
    assert not re.search(r"<(script|link)[^>]+(src|href)=", text)
    assert "default-src 'none'" in text.replace("&#39;", "'")
    wide, narrow = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert "drawn across" in wide
    assert "drawn narrow" in narrow
    points = re.findall(r'<circle class="dot s-Succeeded" data-tip="(.*?)" cx="(.*?)" cy="(.*?)"', wide)
    assert [words.split(":")[0] for words, _, _ in points] == ["64", "128"]
    # Half the parameters and 1 dB less: further left and lower.
    assert float(points[0][1]) < float(points[1][1])
    assert float(points[0][2]) > float(points[1][2])
    assert "No other hidden_size is both better and cheaper than 64 (1.00 dB), 128 (2.00 dB)." in text
    assert text.count("Not enough data") == 2
    assert len(text.encode()) < 60_000
    assert page(plan, [variant("64", None, None), variant("128", 1.0, None)], SI_SNR).count("Not enough data") == 3
