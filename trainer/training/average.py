"""Averages the weights of the best epochs so far, of which a checkpoint keeps those that count.

The average of k epochs is validated beside each epoch's own weights: it is what the epoch reports and what best.pt
holds, while the training itself goes on from its own weights. The best epochs are chosen by the validation of their own
weights.

References:
    Vaswani et al. 2017, "Attention is all you need", arXiv:1706.03762, section 6.1; Izmailov et al. 2018, "Averaging
    weights leads to wider optima and better generalization", arXiv:1803.05407.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from trainer.training.checkpoint import Kept, Session


def best_of(session: Session, score: float) -> list[Kept]:
    """Returns the best epochs with their weights, the best first, among them the current one with `score` in dB.

    They are at most --average-best; none where that is 1. Of equals the earlier comes first.
    """
    most = session.training.average_best
    if most == 1:
        return []
    weights = {name: value.detach().cpu().clone() for name, value in session.model.state_dict().items()}
    current = Kept(epoch=session.progress.epoch, score=score, model=weights)
    return sorted([*session.kept, current], key=lambda kept: -kept["score"])[:most]


@contextlib.contextmanager
def averaged(network: nn.Module, kept: Sequence[Kept]) -> Iterator[None]:
    """Gives the network the average of the `kept` weights, if there are any, for a while."""
    if not kept:
        yield
        return
    own = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(_mean([one["model"] for one in kept]))
    try:
        yield
    finally:
        network.load_state_dict(own)


def _mean(weights: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Returns the mean of each tensor; of one that holds no fractions, the best epoch's."""
    return {
        name: torch.stack([each[name].double() for each in weights]).mean(0).to(first.dtype)
        if first.is_floating_point()
        else first
        for name, first in weights[0].items()
    }
