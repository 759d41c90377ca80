"""What the loader makes of an epoch's excerpts: sample by sample, with and without a reading process, in memory that is
used again.
"""

import os
import signal
from collections.abc import Iterable, Iterator
from typing import cast

import pytest
import torch

from tests.trainer.test_sampling import Numbers
from trainer.data import sampling
from trainer.data.sampling import (
    Batch,
    Excerpt,
    _leave_signals_to_the_parent,
    _Memory,
    loader,
)
from trainer.errors import DataFaultError, worker_fault


@pytest.mark.parametrize("workers", [0, 1])
def test_a_batch_holds_its_excerpts_sample_by_sample(workers: int) -> None:
    """Two long rows and two short ones, each repeated up to the segment, with its targets.

    As long as the longest where all are short. In this process and in a reading one.
    """
    subset = Numbers(("clean", 9), ("clean", 8), ("clean", 3), ("clean", 2))
    rows = list(subset.rows)
    batches = [
        [Excerpt(rows[0], "C", 4), Excerpt(rows[2], "C", 0), Excerpt(rows[1], "C", 1)],
        [Excerpt(rows[3], "C", 0), Excerpt(rows[2], "C", 0)],
    ]
    found = list(loader(batches, frames=5, workers=workers, pin=False))
    assert [batch.mixtures.tolist() for batch in found] == [
        [[4, 5, 6, 7, 8], [2000, 2001, 2002, 2000, 2001], [1001, 1002, 1003, 1004, 1005]],
        [[3000, 3001, 3000], [2000, 2001, 2002]],
    ]
    for batch in found:
        assert batch.targets.tolist() == torch.stack([batch.mixtures + 1, batch.mixtures + 2], 1).tolist()
        assert batch.mixtures.dtype == torch.float32
    if not workers:
        assert subset.released == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_a_recording_that_is_gone_ends_the_reading(workers: int) -> None:
    """With the reader's own line, after the batches before it."""
    subset = Numbers(("clean", 9), ("clean", 9), broken=1)
    reading = loader([[Excerpt(row, "C", 0)] for row in subset.rows], frames=5, workers=workers, pin=False)
    assert next(reading).mixtures.shape == (1, 5)
    with pytest.raises(DataFaultError, match=r"^row 1 is gone$"):
        next(reading)


def test_a_batch_beyond_the_last_one_is_none() -> None:
    """Python ends a loop over what has no iterator of its own by IndexError."""
    batches = sampling._Batches([[Excerpt(Numbers(("clean", 9)).rows[0], "C", 0)]], 5)
    assert len(batches) == len([*cast(Iterable[object], batches)]) == 1


def test_reading_draws_no_random_number_of_the_model() -> None:
    """Dropout, for one, must not depend on the number of workers."""
    subset = Numbers(("clean", 9))
    before = torch.get_rng_state()
    for workers in (0, 1):
        list(loader([[Excerpt(subset.rows[0], "C", 0)]], frames=5, workers=workers, pin=False))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_reading_process_that_meets_a_bug_shows_its_trace() -> None:
    """It has not died, and no memory is short."""

    def bug() -> Exception:
        return RuntimeError("a bug")

    batches = [[Excerpt(Numbers(("clean", 9), ("clean", 9), broken=1, error=bug).rows[1], "C", 0)]]
    for workers in (0, 1):
        with pytest.raises(RuntimeError, match="a bug"):
            list(loader(batches, frames=5, workers=workers, pin=False))


def test_a_reading_process_that_dies_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch's DataLoader raises it (torch/utils/data/_utils/signal_handling.py)."""

    def dying(*_: object, **__: object) -> Iterator[Batch]:
        yield Batch(torch.zeros(1, 5), torch.zeros(1, 2, 5))
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")

    monkeypatch.setattr(sampling, "DataLoader", dying)
    reading = loader([], frames=5, workers=1, pin=False)
    next(reading)
    with pytest.raises(
        DataFaultError, match=r"worker \(pid 7\) is killed by signal: Killed\.\); give the container more"
    ):
        next(reading)


def test_a_workers_death_is_told_from_other_errors() -> None:
    """By the words of torch's DataLoader (torch/utils/data/_utils/signal_handling.py), in one line."""
    fault = worker_fault(RuntimeError("DataLoader worker (pid 7) is killed\n by signal: Killed. "))
    assert isinstance(fault, DataFaultError)
    assert str(fault).startswith("a reading process has died (DataLoader worker (pid 7) is killed by signal: Killed.)")
    assert worker_fault(RuntimeError("CUDA error: out of memory")) is None


def test_a_reading_process_leaves_signals_to_the_training() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        _leave_signals_to_the_parent(0)
        for number in numbers:
            os.kill(os.getpid(), number)
        assert [signal.getsignal(number) for number in numbers] == [signal.SIG_IGN] * 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Moved:
    """Stands in for a tensor: says what was asked of it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def pin_memory(self) -> str:
        return f"{self.name} pinned"

    def to(self, device: torch.device, *, non_blocking: bool) -> str:
        assert non_blocking  # a copy from pinned memory then runs beside the computation (torch's notes on CUDA)
        return f"{self.name} on {device}"


def test_a_batch_moves_as_a_whole() -> None:
    batch = Batch(Moved("mixtures"), Moved("targets"))  # type: ignore[arg-type]
    assert batch.pin_memory() == Batch("mixtures pinned", "targets pinned")  # type: ignore[arg-type]
    moved = batch.to(torch.device("meta"))
    assert moved == Batch("mixtures on meta", "targets on meta")  # type: ignore[arg-type]


def test_a_batch_is_read_into_pinned_memory_where_a_gpu_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [[Excerpt(Numbers(("clean", 9)).rows[0], "C", 0)]]
    monkeypatch.setattr(Batch, "pin_memory", lambda batch: f"{len(batch.mixtures)} pinned")
    assert list(loader(batches, frames=5, workers=0, pin=True)) == ["1 pinned"]
    assert isinstance(next(loader(batches, frames=5, workers=0, pin=False)), Batch)


def test_a_batch_is_split_into_parts_that_make_it_up() -> None:
    mixtures, targets = torch.randn(5, 4), torch.randn(5, 2, 4)
    parts = list(Batch(mixtures, targets).split(2))
    assert [len(part.mixtures) for part in parts] == [2, 2, 1]
    assert torch.equal(torch.cat([part.mixtures for part in parts]), mixtures)
    assert torch.equal(torch.cat([part.targets for part in parts]), targets)


def test_memory_is_used_again_only_when_nobody_holds_it() -> None:
    """A view of a tensor holds it too; another size is other memory."""
    memory = _Memory()
    first = memory.tensor(2, 3)
    assert (first.shape, first.dtype) == ((2, 3), torch.float32)
    place, view = first.data_ptr(), first[1:]
    del first
    second = memory.tensor(6)
    assert second.data_ptr() != place
    del view
    assert memory.tensor(5).data_ptr() != place
    assert memory.tensor(3, 2).data_ptr() == place


def test_memory_of_lengths_that_no_longer_come_is_let_go() -> None:
    """Validation has a batch of each length; of a thousand lengths no more than a few blocks stay."""
    memory = _Memory()
    for size in range(1, 1001):
        memory.tensor(size)
        assert len(memory._free) <= 10


def test_the_blocks_of_one_batch_after_the_other_stay() -> None:
    """Eight of one size, which a batch with two reading threads may hold at once."""
    memory = _Memory()
    held = [memory.tensor(7) for _ in range(8)]
    places = {tensor.data_ptr() for tensor in held}
    for _ in range(3):
        held.clear()
        assert len(memory._free) == 8
        held.append(memory.tensor(7))
        assert len(memory._free) == 7
        held.clear()
        held += [memory.tensor(7) for _ in range(8)]
        assert {tensor.data_ptr() for tensor in held} == places
