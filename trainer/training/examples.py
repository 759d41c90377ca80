"""A separated mixture for the tracker, to listen to."""

import torch
from torch import Tensor

from trainer.data.readers.subset import SAMPLE_RATE
from trainer.data.sampling import Batch
from trainer.tracking.example import Signals
from trainer.training.losses import gains, si_snr


def separated(variant: str, batch: Batch, estimates: Tensor) -> Signals:
    """Returns a separated mixture; the estimates get the order of the targets and the level of the mixture.

    Args:
        variant: what the mixture shows.
        batch: one mixture.
        estimates: [2, T], in any order.
    """
    estimates = estimates.float()
    orders = torch.stack((estimates, estimates.flip(0)))  # [2, 2, T]
    best = orders[si_snr(orders, batch.targets).mean(1).argmax()].cpu()
    mixture, targets = batch.mixtures.cpu(), batch.targets[0].cpu()
    best = best * gains(best.unsqueeze(0), mixture)[0]
    score = si_snr(best, targets).mean()
    channels = torch.cat([mixture, best, targets])
    return Signals(f"{variant}, {score:.2f} dB", channels.numpy(), SAMPLE_RATE)
