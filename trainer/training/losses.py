"""SI-SNR and the loss of speech separation: the best SI-SNR over all assignments of estimates to speakers.

Training and validation use the same function, so that their numbers can be compared.
"""

from itertools import permutations

import torch
from torch import Tensor

EPS = 1e-8
"""Keeps silence finite: a silent estimate or target scores -80 dB, never 0 dB or NaN."""


def pit_si_snr(estimates: Tensor, targets: Tensor) -> Tensor:
    """Returns the SI-SNR [B] in dB of the best assignment of estimates to targets, averaged over speakers.

    The negative mean is the loss of permutation-invariant training.

    Args:
        estimates: [B, S, T].
        targets: [B, S, T].

    References:
        Yu et al. 2017, "Permutation invariant training of deep models for speaker-independent multi-talker speech
        separation", arXiv:1607.00325.
    """
    pairwise = si_snr(estimates.unsqueeze(2), targets.unsqueeze(1))  # [B, S, S]
    speakers = range(targets.shape[1])
    assignments = [
        torch.stack([pairwise[:, order[target], target] for target in speakers]).mean(0)
        for order in permutations(speakers)
    ]
    return torch.stack(assignments).amax(0)  # [B]


def si_snr(estimate: Tensor, target: Tensor) -> Tensor:
    """Returns the scale-invariant signal-to-noise ratio [...] in dB; the means of both signals are removed.

    It is computed in float32 or better, because in half precision the energy of a few seconds overflows.

    Args:
        estimate: [..., T].
        target: [..., T].

    References:
        Le Roux et al. 2019, "SDR - half-baked or well done?", arXiv:1811.02508, equation 3.
    """
    estimate, target = (signal.to(torch.promote_types(signal.dtype, torch.float32)) for signal in (estimate, target))
    estimate = estimate - estimate.mean(-1, keepdim=True)
    target = target - target.mean(-1, keepdim=True)
    scale = (estimate * target).sum(-1, keepdim=True) / (target.square().sum(-1, keepdim=True) + EPS)
    projection = scale * target
    noise = estimate - projection
    # EPS is added to the ratio, not to the projection: a silent estimate has neither signal nor noise and must not
    # score 0 dB.
    return 10 * torch.log10(projection.square().sum(-1) / (noise.square().sum(-1) + EPS) + EPS)


def aligned(estimates: Tensor, targets: Tensor) -> Tensor:
    """Returns the estimates [B, S, T] of each mixture in the order that fits its targets [B, S, T] best."""
    orders = torch.tensor(list(permutations(range(targets.shape[1]))), device=targets.device)  # [O, S]
    pairwise = si_snr(estimates.unsqueeze(2), targets.unsqueeze(1))  # [B, S, S]
    speakers = torch.arange(targets.shape[1], device=targets.device)
    best = orders[pairwise[:, orders, speakers].mean(-1).argmax(1)]  # [B, S]
    return estimates.gather(1, best.unsqueeze(-1).expand_as(estimates))


def gains(estimates: Tensor, mixtures: Tensor) -> Tensor:
    """Returns the factors [B, S, 1] of the estimates [B, S, T] whose sum fits the mixtures [B, T] in least squares.

    SI-SNR leaves level and polarity open; those of a source are the ones that it has in the mixture.
    """
    size = estimates.double().norm(dim=-1, keepdim=True).clamp(min=EPS)  # [B, S, 1]
    unit = estimates.double() / size
    # A small diagonal bounds the factors where estimates are alike.
    gram = unit @ unit.mT + 1e-3 * torch.eye(unit.shape[1], dtype=unit.dtype, device=unit.device)  # [B, S, S]
    factors: Tensor = torch.linalg.solve(gram, unit @ mixtures.double().unsqueeze(-1)) / size
    return factors.to(estimates.dtype)  # [B, S, 1]
