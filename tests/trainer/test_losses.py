"""SI-SNR and the permutation-invariant loss against torchmetrics and the papers' formulas in plain loops.

Levels against numpy's least squares; and where these are no guide: silence.
"""

from itertools import permutations

import numpy as np
import pytest
import torch
from torchmetrics.functional.audio import permutation_invariant_training, scale_invariant_signal_noise_ratio

from trainer.training.losses import aligned, gains, pit_si_snr, si_snr

SILENCE = -80.0


def signals(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def definition(estimate: np.ndarray, target: np.ndarray) -> float:
    """Returns the SI-SNR of signals without their means in double precision.

    It follows equation 3 of Le Roux et al. 2019, arXiv:1811.02508.
    """
    estimate, target = (np.float64(signal) - np.float64(signal).mean() for signal in (estimate, target))
    scaled = np.dot(estimate, target) / np.dot(target, target) * target
    return float(10 * np.log10(np.sum(scaled**2) / np.sum((scaled - estimate) ** 2)))


def by_hand(estimates: torch.Tensor, targets: torch.Tensor) -> tuple[list[float], list[tuple[int, ...]]]:
    """Returns the best mean SI-SNR of each mixture, and for each target the estimate that it belongs to.

    Every order is tried, as in Yu et al. 2017, arXiv:1607.00325.
    """
    values, orders = [], []
    for estimate, target in zip(estimates.numpy(), targets.numpy(), strict=True):
        tried = {}
        for order in permutations(range(len(target))):
            each = [definition(estimate[order[place]], target[place]) for place in range(len(target))]
            tried[order] = sum(each) / len(each)
        orders.append(max(tried, key=lambda order: tried[order]))
        values.append(tried[orders[-1]])
    return values, orders


def shuffled() -> tuple[torch.Tensor, torch.Tensor]:
    """Returns estimates and targets of six mixtures of three speakers, 10 to 0 dB, one for each order of speakers."""
    targets, noise = signals(6, 3, 1000), signals(6, 3, 1000, seed=1)
    estimates = torch.stack(
        [
            (0.5 * target + 0.1 * (1 + index) * extra)[list(order)]
            for index, (target, extra, order) in enumerate(zip(targets, noise, permutations(range(3)), strict=True))
        ]
    )
    return estimates, targets


def test_the_best_of_all_orders_counts() -> None:
    """Three speakers in each of the six orders, against the formulas; the mean is over the speakers of one mixture."""
    estimates, targets = shuffled()
    values, _ = by_hand(estimates, targets)
    np.testing.assert_allclose(pit_si_snr(estimates, targets), values, atol=1e-3)


def test_estimates_are_put_into_the_order_of_their_targets() -> None:
    """By the order that the formulas find best, whole signals, unchanged."""
    estimates, targets = shuffled()
    _, orders = by_hand(estimates, targets)
    assert len(set(orders)) == 6
    expected = [estimate[list(order)] for estimate, order in zip(estimates, orders, strict=True)]
    assert torch.equal(aligned(estimates, targets), torch.stack(expected))


@pytest.mark.parametrize("level", [1e-3, 1e-5, 1e-7])
def test_no_signal_scores_better_than_by_definition(level: float) -> None:
    """However faint it is: what keeps silence finite takes from the score and never adds to it."""
    target = level * signals(1000).double()
    estimate = 0.5 * target + 0.1 * level * signals(1000, seed=1).double()
    assert si_snr(estimate, target) <= definition(estimate.numpy(), target.numpy())


def test_a_fainter_copy_never_scores_better() -> None:
    """The same estimate and target in 40 steps from loud to far below one digit of 24 bits: the score falls to
    silence's.
    """
    target, noise = signals(1000).double(), signals(1000, seed=1).double()
    levels = torch.logspace(-3, -8, 40, dtype=torch.float64)
    scores = [si_snr(level * (0.5 * target + 0.1 * noise), level * target).item() for level in levels]
    assert scores == sorted(scores, reverse=True)


def test_a_perfect_estimate_scores_a_finite_value_above_100_db() -> None:
    target = signals(4000)
    assert 100 < si_snr(target, target) < 200


def test_gains_are_those_of_least_squares_with_a_little_ridge() -> None:
    """Of each mixture by numpy: the estimates at length one, below them sqrt(0.001) of the identity, so that a factor
    beyond need costs (Hoerl and Kennard 1970). Levels and polarity that were taken away are found to 1 %.
    """
    sources, levels = signals(3, 2, 1000), torch.tensor([[0.5, -2.0], [1e-4, 30.0], [-1.0, 1.0]])
    mixtures = (levels.unsqueeze(-1) * sources).sum(1)
    found = gains(sources, mixtures)
    assert found.shape == (3, 2, 1)
    assert found.dtype == torch.float32
    for source, mixture, factor in zip(sources.double().numpy(), mixtures.numpy(), found.numpy(), strict=True):
        length = np.linalg.norm(source, axis=1)
        stacked = np.vstack([(source / length[:, None]).T, np.sqrt(1e-3) * np.eye(2)])
        expected = np.linalg.lstsq(stacked, np.append(mixture, [0, 0]))[0] / length
        np.testing.assert_allclose(factor[:, 0], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[[0, 2], :, 0], levels[[0, 2]], rtol=0.01)


def test_estimates_that_are_alike_share_the_mixture_and_a_silent_one_takes_no_part() -> None:
    """Factors stay finite where the least squares have no single answer."""
    voice = signals(1, 1, 1000)
    alike = gains(voice.expand(1, 2, 1000), voice[:, 0])
    np.testing.assert_allclose(alike.flatten(), [0.5, 0.5], rtol=0.01)
    silent = gains(torch.cat((voice, torch.zeros_like(voice)), 1), voice[:, 0])
    np.testing.assert_allclose(silent.flatten(), [1, 0], rtol=0.01)


@pytest.mark.parametrize("noise", [0.01, 0.3, 1.0, 10.0])
def test_si_snr_equals_torchmetrics_on_ordinary_signals(noise: float) -> None:
    """From 40 dB down to -20 dB, with an offset that both must remove; four decimals, as facts of both allow."""
    target = signals(3, 8000) + 0.5
    estimate = 0.2 * target + 0.2 * noise * signals(3, 8000, seed=1) - 2.0
    expected = scale_invariant_signal_noise_ratio(estimate, target)
    torch.testing.assert_close(si_snr(estimate, target), expected, atol=1e-3, rtol=1e-4)


def test_pit_equals_torchmetrics_whatever_the_order_of_the_speakers() -> None:
    """The second mixture's estimates are swapped: both implementations find the better assignment of each mixture."""
    targets = signals(2, 2, 4000)
    estimates = targets + 0.5 * signals(2, 2, 4000, seed=1)
    estimates[1] = estimates[1].flip(0)
    expected, _ = permutation_invariant_training(estimates, targets, scale_invariant_signal_noise_ratio)
    torch.testing.assert_close(pit_si_snr(estimates, targets), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_a_silent_estimate_or_target_scores_badly_and_not_zero(constant: float) -> None:
    """A constant signal is silent too, once its mean is gone; torchmetrics gives 0 dB for a silent estimate."""
    silent, sound = torch.full((4000,), constant), signals(4000)
    for estimate, target in ((silent, sound), (sound, silent), (silent, silent)):
        assert si_snr(estimate, target).item() == pytest.approx(SILENCE, abs=15)


def test_a_silent_estimate_has_a_finite_gradient() -> None:
    """So that a model which outputs zeros, as ReLU masks can, learns on instead of becoming NaN."""
    estimates = torch.zeros(1, 2, 4000, requires_grad=True)
    torch.autograd.backward(-pit_si_snr(estimates, signals(1, 2, 4000)).mean())
    assert estimates.grad is not None
    assert estimates.grad.isfinite().all()


def test_half_precision_estimates_are_scored_in_single_precision() -> None:
    """The energy of 4 s overflows float16, and bfloat16 has two digits."""
    target = 10 * signals(32_000)
    estimate = (target + signals(32_000, seed=1)).half()
    assert si_snr(estimate, target).dtype == torch.float32
    torch.testing.assert_close(si_snr(estimate, target), si_snr(estimate.float(), target))


def test_double_precision_stays_so() -> None:
    target = signals(1000).double()
    estimate = 0.5 * target + 0.1 * signals(1000, seed=1).double()
    assert si_snr(estimate, target).dtype == torch.float64
    assert si_snr(estimate, target).item() == pytest.approx(definition(estimate.numpy(), target.numpy()), abs=1e-6)
