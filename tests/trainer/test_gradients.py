"""A batch's loss and gradients, in parts, and on a GPU recorded."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from tests.trainer.models.recurrence import gradient_of
from trainer.models import build
from trainer.training.gradients import Gradients, Recorded
from trainer.training.losses import pit_si_snr

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU that torch can use")


def batch(size: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    return torch.randn(size, 3000, device=device), torch.randn(size, 2, 3000, device=device)


def gradients_of(network: nn.Module) -> Tensor:
    """Returns all gradients in one vector, because single ones may be as small as their rounding."""
    return torch.cat([gradient_of(parameter).flatten() for parameter in network.parameters()])


def assert_equal(got: Tensor, expected: Tensor, tolerance: float) -> None:
    assert expected.norm() > 0
    assert (got - expected).norm() <= tolerance * expected.norm()


def test_a_batch_in_parts_has_the_gradients_of_the_whole() -> None:
    network = build("convtasnet", "debug")
    mixtures, targets = batch(5)
    loss = -pit_si_snr(network(mixtures), targets).mean()
    loss.backward()
    expected = gradients_of(network)
    gradients = Gradients(network, "fp32", GradScaler("cpu", enabled=False), 2, record=False)
    gradients.zero()
    parts = zip(mixtures.split(2), targets.split(2), strict=True)
    assert sum(gradients(*part, 1 / 5) for part in parts) == pytest.approx(loss.item(), rel=1e-5)
    assert_equal(gradients_of(network), expected, 1e-4)


@needs_gpu
@pytest.mark.parametrize("model", ["convtasnet", "dprnn", "sepformer", "spmamba", "dpmamba", "tfgridnet"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_recorded_step_equals_one_that_is_not(model: str, precision: str) -> None:
    """Of whole batches and of the last one, which is smaller, before and after the record."""
    network = build(model, "debug").cuda()
    sides = [
        (side, Gradients(side, precision, GradScaler("cuda", enabled=False), 4, record=record))
        for side, record in ((network, True), (deepcopy(network), False))
    ]
    tolerance = 1e-3 if precision == "fp32" else 5e-2
    for size in (3, 4, 4, 1):
        mixtures, targets = batch(size, "cuda")
        losses, vectors, estimates = [], [], []
        for side, gradients in sides:
            gradients.zero()
            losses.append(gradients(mixtures, targets, 1 / size).item())
            vectors.append(gradients_of(side))
            with torch.inference_mode():
                estimates.append(gradients.estimate(mixtures))
        assert losses[0] == pytest.approx(losses[1], rel=tolerance)
        assert_equal(vectors[0], vectors[1], tolerance)
        assert_equal(estimates[0], estimates[1], tolerance)


def test_what_is_recorded_has_run_with_the_same_shapes_just_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for CUDA's graphs: a batch of another length that comes second is not what is recorded, or every
    later one would run kernel by kernel.
    """
    events: list[str] = []

    class Graph:
        def replay(self) -> None:
            events.append("replay")

    @contextmanager
    def recording(*words: object, **settings: object) -> Iterator[None]:
        events.append("record")
        yield

    monkeypatch.setattr("torch.cuda.CUDAGraph", Graph)
    monkeypatch.setattr("torch.cuda.graph", recording)

    def double(x: Tensor) -> Tensor:
        events.append(str(len(x)))
        return 2 * x

    function = Recorded(double, None)
    for size in (4, 3, 4, 4, 4, 3, 4):
        function(torch.zeros(size))
    assert events == ["4", "3", "4", "record", "4", "replay", "replay", "3", "replay"]
