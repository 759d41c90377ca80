"""What the rule promote is expected to spend: a simulation of the very rule."""

from pathlib import Path

import pytest
import yaml

from katib.backend.local.record import Trial
from katib.backend.local.table import table
from katib.budget.estimate import ModelEstimate, as_run, plan
from katib.budget.view import print_estimate
from katib.manifest.render import render
from katib.search.promotion import Promote
from katib.search.spending import epochs_ahead, spending
from katib.site import load_site
from katib.spec import load_spec
from katib.spec_parts import EarlyStopping
from katib.trial import Direction, Identity
from tests.katib.conclude.made import trial

RULE = Promote(Direction.MAXIMIZE, (6, 18, 50), 3.0)
SPEC = load_spec("dprnn").model_copy(update={"early_stopping": EarlyStopping(name="promote"), "trials": 9})


def test_the_simulation_spends_what_the_benchmark_spends() -> None:
    """docs/search.md: 40 DPRNN configurations, two at a time, took 15.9 GPU-hours of 2.5 for 100 epochs."""
    found = spending(RULE, 40, 59)
    assert found == spending(RULE, 40, 59)
    assert found.epochs == pytest.approx(15.9 / 2.5 * 100 / 40, rel=0.02)
    assert 0 < found.continuations <= len(RULE.rung_epochs) * 40 // 3


def test_a_smaller_eta_spends_more_and_without_rungs_every_trial_ends_by_itself() -> None:
    assert spending(Promote(Direction.MINIMIZE, RULE.rung_epochs), 25, 59).epochs > spending(RULE, 25, 59).epochs
    whole = spending(Promote(Direction.MAXIMIZE, (60,)), 5, 59)
    assert (whole.epochs, whole.continuations) == (59, 0)


def test_what_is_ahead_is_shared_by_those_that_are_to_train() -> None:
    """The paused ones may take of it, but nobody knows which; a running one has an epoch ahead at least."""
    assert epochs_ahead(30.0, 1, 2) == (10.0, 10.0, 10.0)
    assert epochs_ahead(-5.0, 2, 0) == (1.0, 1.0)
    assert epochs_ahead(30.0, 0, 0) == ()


def planned(*trials: Trial) -> ModelEstimate:
    """Returns the estimate of a search for nine configurations, two at a time, with these in its record."""
    spec = yaml.safe_load(render(SPEC, load_site()))["spec"]
    found = table(Identity(SPEC.name, "val_si_snr", True, "max", spec), trials, Path("runs"))
    shortened = as_run(found)
    assert shortened is not None
    assert shortened.stop_settings == SPEC.stop_settings
    (model,) = plan([SPEC], {SPEC.name: found}, gpus=2, gpus_per_trial=1, site_parallel=2).models
    return model


def test_a_plan_counts_configurations_and_what_the_rule_has_yet_to_spend() -> None:
    """Paused trials have run few epochs, of which nothing follows for the others."""
    expected = spending(RULE, 9, 59).epochs
    model = planned()
    assert model.epochs_expected == expected
    assert model.ahead == (pytest.approx(expected),) * 9
    paused = [trial(f"{SPEC.name}-{letter}", *[1.0] * 6, state="EarlyStopped") for letter in "abc"]
    model = planned(*paused)
    assert (model.epochs_expected, model.hours_per_epoch, model.measured) == (expected, pytest.approx(90 / 3600), 3)
    assert (len(model.ahead), sum(model.ahead)) == (6, pytest.approx(9 * expected - 18))


def test_an_ended_search_by_promote_has_nothing_ahead() -> None:
    paused = [trial(f"{SPEC.name}-{letter}", *[1.0] * 6, state="EarlyStopped") for letter in "abcdefgh"]
    model = planned(*paused, trial("best", *[1.0] * 60))
    assert (model.ahead, model.gpu_hours_stopping) == ((), model.used.gpu_hours)


def test_the_plan_says_what_promote_does(capsys: pytest.CaptureFixture[str]) -> None:
    print_estimate(plan([SPEC], {}, gpus=2, gpus_per_trial=1, site_parallel=2), 2, "GPU")
    found = " ".join(capsys.readouterr().out.split())
    assert "each of series3-dprnn's 9 configurations pauses after epoch 6, 18 or 50 unless" in found
    assert "the search ends after 14 trials (maxTrialCount)" in found
    assert "and a simulation of promote (docs/results.md): series3-dprnn" in found
    assert "36% of the epochs" not in found
