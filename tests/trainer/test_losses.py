"""SI-SNR and the permutation-invariant loss against torchmetrics, and where torchmetrics is no guide:
silence."""

import pytest
import torch
from torchmetrics.functional.audio import permutation_invariant_training, scale_invariant_signal_noise_ratio

from trainer.losses import pit_si_snr, si_snr

SILENCE = -80.0


def signals(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("noise", [0.01, 0.3, 1.0, 10.0])
def test_si_snr_equals_torchmetrics_on_ordinary_signals(noise: float) -> None:
    """From 40 dB down to -20 dB, with an offset that both must remove; four decimals, as facts of both
    allow."""
    target = signals(3, 8000) + 0.5
    estimate = 0.2 * target + 0.2 * noise * signals(3, 8000, seed=1) - 2.0
    expected = scale_invariant_signal_noise_ratio(estimate, target)
    torch.testing.assert_close(si_snr(estimate, target), expected, atol=1e-3, rtol=1e-4)


def test_pit_equals_torchmetrics_whatever_the_order_of_the_speakers() -> None:
    """The second mixture's estimates are swapped: both implementations find the better assignment of each
    mixture."""
    targets = signals(2, 2, 4000)
    estimates = targets + 0.5 * signals(2, 2, 4000, seed=1)
    estimates[1] = estimates[1].flip(0)
    expected, _ = permutation_invariant_training(estimates, targets, scale_invariant_signal_noise_ratio)
    torch.testing.assert_close(pit_si_snr(estimates, targets), expected, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.3])
def test_a_silent_estimate_or_target_scores_badly_and_not_zero(constant: float) -> None:
    """A constant signal is silent too, once its mean is gone; torchmetrics gives 0 dB for a silent
    estimate."""
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
