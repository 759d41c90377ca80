"""SI-SNR and the loss of speech separation: the best SI-SNR over the orders in which speakers can be assigned.

Called by the epoch loop (trainer/training/fit.py) for training and validation alike, so that both speak of the same
number.
"""

from itertools import permutations

import torch
from torch import Tensor

EPS = 1e-8
"""Keeps silence finite: a silent estimate or target scores -80 dB, never 0 dB or NaN."""


def pit_si_snr(estimates: Tensor, targets: Tensor) -> Tensor:
    """SI-SNR in dB of the best assignment of estimates to targets, averaged over speakers: [B, S, T] x 2 -> [B].

    Permutation-invariant training as in Yu et al. 2017 (arXiv 1607.00325); its negative mean is the loss.
    """
    pairwise = si_snr(estimates.unsqueeze(2), targets.unsqueeze(1))  # [B, S, S]
    speakers = range(targets.shape[1])
    assignments = [
        torch.stack([pairwise[:, order[target], target] for target in speakers]).mean(0)
        for order in permutations(speakers)
    ]
    return torch.stack(assignments).amax(0)  # [B]


def si_snr(estimate: Tensor, target: Tensor) -> Tensor:
    """Scale-invariant signal-to-noise ratio in dB, both signals made zero-mean: [..., T] x 2 -> [...].

    Le Roux et al. 2019, "SDR - half-baked or well done?" (arXiv 1811.02508), equation 3. Computed in float32 or better,
    because in half precision the energy of a few seconds overflows.
    """
    estimate, target = (signal.to(torch.promote_types(signal.dtype, torch.float32)) for signal in (estimate, target))
    estimate = estimate - estimate.mean(-1, keepdim=True)
    target = target - target.mean(-1, keepdim=True)
    scale = (estimate * target).sum(-1, keepdim=True) / (target.square().sum(-1, keepdim=True) + EPS)
    projection = scale * target
    noise = estimate - projection
    # EPS is added to the ratio, not to the projection: a silent estimate has neither signal nor noise
    # and must not score 0 dB.
    return 10 * torch.log10(projection.square().sum(-1) / (noise.square().sum(-1) + EPS) + EPS)


def aligned(estimates: Tensor, targets: Tensor) -> Tensor:
    """Returns the estimates of each mixture in the order in which they fit its targets best: [B, S, T] x 2 -> [B, S,
    T].
    """
    orders = torch.tensor(list(permutations(range(targets.shape[1]))), device=targets.device)  # [O, S]
    pairwise = si_snr(estimates.unsqueeze(2), targets.unsqueeze(1))  # [B, S, S]
    speakers = torch.arange(targets.shape[1], device=targets.device)
    best = orders[pairwise[:, orders, speakers].mean(-1).argmax(1)]  # [B, S]
    return estimates.gather(1, best.unsqueeze(-1).expand_as(estimates))


def gains(estimates: Tensor, mixtures: Tensor) -> Tensor:
    """Factors [B, S, 1] by which the estimates [B, S, T] of a mixture [B, T] explain it best, in the sense of least
    squares.

    SI-SNR leaves level and polarity open; a source's own are those with which it is in the mixture.
    """
    size = estimates.double().norm(dim=-1, keepdim=True).clamp(min=EPS)  # [B, S, 1]
    unit = estimates.double() / size
    # A little of the diagonal bounds the factors where estimates are alike.
    gram = unit @ unit.mT + 1e-3 * torch.eye(unit.shape[1], dtype=unit.dtype, device=unit.device)  # [B, S, S]
    factors: Tensor = torch.linalg.solve(gram, unit @ mixtures.double().unsqueeze(-1)) / size
    return factors.to(estimates.dtype)  # [B, S, 1]
