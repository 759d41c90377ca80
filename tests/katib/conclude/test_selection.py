"""Candidates: what all trials say together, against the luck of a single one."""

import math
from dataclasses import replace

import numpy as np
import pytest

from katib.conclude.noise import PRIOR, Noise
from katib.conclude.selection import candidates, seed_noise
from katib.spec import load_spec
from katib.table.trial_table import TrialRow
from tests.katib.conclude.tables import SPACE, row, table


def surface(lr: float, clip: float) -> float:
    return 4.0 - 1.5 * (math.log10(lr) + 2.7) ** 2 - 0.02 * (clip - 5) ** 2


def search(count: int = 24, noise: float = 0.05) -> list[TrialRow]:
    generator = np.random.default_rng(3)
    found = []
    for number in range(count):
        lr, clip = 10 ** generator.uniform(-4, -2), generator.uniform(1, 10)
        value = surface(lr, clip) + noise * generator.normal()
        found.append(row(f"t{number}", value, lr=lr, grad_clip_norm=clip))
    return found


def test_a_lucky_run_among_poor_neighbours_is_not_the_first_candidate() -> None:
    """Its observed value is the best of all; the seeds' noise, as it is known, explains a part of it."""
    rows = search()
    lucky = row("lucky", 4.3, lr=0.0062, grad_clip_norm=8.5)
    around = [
        row(f"near{n}", surface(lr, clip), lr=lr, grad_clip_norm=clip)
        for n, (lr, clip) in enumerate([(0.006, 8.4), (0.0064, 8.6), (0.0062, 8.3), (0.0061, 8.7), (0.0063, 8.5)])
    ]
    found = candidates(table(lucky, *rows, *around), 3, Noise(0.4, 8))
    assert table(lucky, *rows).rows[0].trial == "lucky"
    assert "lucky" not in found[0].trials
    assert surface(*(float(found[0].configuration[name]) for name in ("lr", "grad_clip_norm"))) > 3.7
    told = {one.trials[0]: one for one in candidates(table(lucky, *rows, *around), 99, Noise(0.4, 8))}
    assert told["lucky"].rank == 1
    assert told["lucky"].mean < told["lucky"].observed - 0.2


def test_the_posterior_lies_nearer_the_truth_than_what_was_observed() -> None:
    """Root mean square error of the better half of 24 trials with 0.2 dB of noise.

    How bad the bad ones are matters less.
    """
    rows = search(noise=0.2)
    found = candidates(table(*rows), 12, Noise(0.2, 8))
    truth = [surface(*(float(one.configuration[name]) for name in ("lr", "grad_clip_norm"))) for one in found]
    believed = np.subtract([one.mean for one in found], truth)
    observed = np.subtract([one.observed for one in found], truth)
    assert np.sqrt(np.mean(believed**2)) < 0.8 * np.sqrt(np.mean(observed**2))


def test_a_stopped_trial_counts_as_what_it_would_have_come_to() -> None:
    """Stopped at 2.0 where the others had less and went on to gain 2 dB; its own place is as good as theirs."""
    grown = [
        row(f"t{n}", 3.8, curve=(1.0, 1.8, 3.8), lr=lr, grad_clip_norm=5) for n, lr in enumerate((0.001, 0.002, 0.004))
    ]
    stopped = row("stopped", 2.0, "EarlyStopped", curve=(1.2, 2.0), lr=0.0021, grad_clip_norm=5)
    told = {one.trials[0]: one for one in candidates(table(*grown, stopped), 9)}
    assert told["stopped"].mean == pytest.approx(3.9, abs=0.2)
    assert (told["stopped"].state, told["stopped"].observed) == ("EarlyStopped", 2.0)


def test_failed_and_running_trials_are_no_candidates() -> None:
    rows = [
        row("good", 3.0, lr=0.001, grad_clip_norm=5),
        row("fair", 2.5, lr=0.003, grad_clip_norm=4),
        row("failed", 9.0, "Failed", lr=0.0099, grad_clip_norm=9),
        row("running", 8.0, "Running", lr=0.0005, grad_clip_norm=2),
        row("new", None, "Created", lr=0.0004, grad_clip_norm=2),
    ]
    assert [one.trials for one in candidates(table(*rows), 9)] == [("good",), ("fair",)]


@pytest.mark.parametrize("rows", [[], [row("failed", None, "Failed", lr=0.001, grad_clip_norm=5)]])
def test_where_nothing_ended_with_a_value_there_is_no_candidate(rows: list[TrialRow]) -> None:
    assert candidates(table(*rows)) == []


def test_one_trial_is_believed_as_it_is() -> None:
    (only,) = candidates(table(row("only", 2.5, lr=0.001, grad_clip_norm=5)))
    assert (only.mean, only.sd, only.rank) == (2.5, PRIOR.sd, 1)


def test_trials_that_are_all_equal_are_believed_to_be() -> None:
    rows = [row(f"t{n}", 2.5, lr=lr, grad_clip_norm=5) for n, lr in enumerate((0.001, 0.002, 0.003))]
    assert [one.mean for one in candidates(table(*rows))] == pytest.approx([2.5] * 3)


def test_trials_that_differ_in_their_seed_alone_are_one_configuration() -> None:
    spec = {
        "parameters": [
            *SPACE["parameters"],
            {"name": "seed", "parameterType": "discrete", "feasibleSpace": {"list": ["1", "2"]}},
        ]
    }
    rows = [
        row("a1", 3.0, lr=0.001, grad_clip_norm=5, seed=1),
        row("a2", 3.6, lr=0.001, grad_clip_norm=5, seed=2),
        row("b1", 3.4, lr=0.004, grad_clip_norm=5, seed=1),
    ]
    found = candidates(table(*rows, spec=spec))
    assert {frozenset(one.trials): one.observed for one in found} == {
        frozenset({"a1", "a2"}): pytest.approx(3.3),
        frozenset({"b1"}): pytest.approx(3.4),
    }
    assert all("seed" not in one.configuration for one in found)


def test_the_noise_is_from_repeated_seeds_and_the_baselines_else_the_prior() -> None:
    rows = [row("a", 3.0, lr=0.001, grad_clip_norm=5)]
    assert seed_noise(table(*rows)) == PRIOR
    noisy = seed_noise(replace(table(*rows), spec=load_spec("convtasnet")))
    assert noisy is not None
    assert PRIOR.sd < noisy.sd < 0.30  # the three seeds of ConvTasNet differ by 0.30 dB


def test_a_metric_to_minimize() -> None:
    rows = [row("low", 0.1, lr=0.001, grad_clip_norm=5), row("high", 0.9, lr=0.008, grad_clip_norm=5)]
    found = candidates(table(*rows, maximize=False))
    assert [one.trials[0] for one in found] == ["low", "high"]
    assert found[0].mean < found[1].mean


def test_a_table_that_has_lost_its_space_and_an_epoch_is_ranked_by_what_it_has() -> None:
    rows = [
        row(f"t{n}", surface(lr, 5), lr=lr, grad_clip_norm=5, kind="abc"[n % 3])
        for n, lr in enumerate((0.0001, 0.002, 0.01))
    ]
    rows.append(row("partly", 1.0, "EarlyStopped", lr=0.0003, grad_clip_norm=5, kind="a"))
    rows.append(row("foreign", 9.0, other=1))
    found = candidates(table(*rows, spec={}), 9)
    assert found[0].trials == ("t1",)
    assert all("foreign" not in one.trials for one in found)
