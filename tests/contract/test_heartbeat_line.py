"""The line that the trainer prints within an epoch, as the control side reads it."""

import time

import pytest

from katib.heartbeat import last_line
from tests.katib.test_heartbeat import CONTENT
from trainer.training.heartbeat import line


@pytest.mark.parametrize("without", [(), ("mixtures_per_second", "loss", "grad_norm"), ("epoch_seconds",)], ids=str)
def test_the_trainers_line_is_read_back(without: tuple[str, ...]) -> None:
    begin = time.time()
    found = last_line(["old", line(CONTENT | dict.fromkeys(without)), "epoch 3/50: validation 1.00 dB"])
    assert found is not None
    assert begin - 1 <= found.stepped <= time.time()
    assert (found.epoch, found.epochs, found.step, found.steps) == (4, 50, 1680, 4000)
    assert found.mixtures_per_second == (None if "mixtures_per_second" in without else 15.9)
    assert (found.epoch_seconds, found.step_seconds) == (
        (None, None) if without[-1:] == ("epoch_seconds",) else (1100.0, 0.275)
    )
