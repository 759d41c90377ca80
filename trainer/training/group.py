"""What the processes of one training tell each other: losses, gradients, scores, and that one of them has failed.

Each process computes its share of every batch with its own copy of the network. What they add up here is the same in
each, bit for bit, so that the copies stay equal. Messages go through the processor (gloo), gradients of GPUs from one
to the other (NCCL). The gradients are added up after the backward pass and not within it, as the hooks of torch's
DistributedDataParallel do: a recorded step (CUDA graph) then holds no communication, and a process may have no mixture
of a small last batch.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from trainer.data.sampling import WHOLE, Share
from trainer.errors import DataFaultError, TrainerError

T = TypeVar("T")
DATA, MEMORY, OTHER = "data", "memory", "other"
"""Kinds of failures."""
TIMEOUT = timedelta(days=20)
"""Nobody waits by the clock: the first process may wait for hours for room on its volume."""
_INLINE = 56
"""Bytes of a message that are sent with its length; a longer one follows as a whole."""


class ReplicaError(TrainerError):
    """Another process of this training has failed."""


class PeerLostError(ReplicaError):
    """Another process of this training no longer answers."""


@dataclass(frozen=True)
class Group:
    """The processes that train together, of which this is one; alone it is all of them, and nothing is exchanged.

    All of them must call a method that exchanges something. It raises the failure of another process (DataFaultError,
    MemoryError, ReplicaError), or PeerLostError.
    """

    share: Share = WHOLE

    @property
    def first(self) -> bool:
        """Whether this process is the one that prints, and that writes the run directory."""
        return self.share.rank == 0

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self.share.size == 1

    def total(self, loss: float) -> float:
        """Returns the sum of the losses of all processes."""
        return loss if self.alone else sum(self._exchange(loss))

    def interleaved(self, rows: list[list[float]]) -> list[list[float]]:
        """Returns the rows of all processes in order: process r of n has the rows r, r + n, r + 2 n and so on."""
        if self.alone:
            return rows
        parts = self._exchange(rows)
        return [parts[i % len(parts)][i // len(parts)] for i in range(sum(map(len, parts)))]

    def add_gradients(self, network: nn.Module) -> None:
        """Replaces the gradients of `network` by their sums over all processes."""
        if self.alone:
            return
        # A gradient of zeros would let Adam's weight decay move what is frozen.
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        # A process without a mixture of this batch has none.
        used = [float(parameter.grad is not None) for parameter in parameters]
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), gradients[0].new_tensor(used)])
        with _listening():
            dist.all_reduce(flat)
        *parts, used_by = torch.split(flat, [*map(torch.Tensor.numel, gradients), len(gradients)])
        # Who has every gradient knows that each is used, and need not wait for the GPU to be told.
        processes = used if all(used) else used_by.tolist()
        for parameter, gradient, part, of_any in zip(parameters, gradients, parts, processes, strict=True):
            # What no process uses has no gradient with one process, either.
            if of_any:
                parameter.grad = gradient.copy_(part.view_as(gradient))

    def spread(self, data: bytes | memoryview) -> bytes:
        """Returns the first process's `data`, whatever the others have."""
        size = self._exchange(len(data))[0]
        content = torch.frombuffer(bytearray(data) if self.first else bytearray(size), dtype=torch.uint8)
        with _listening():
            dist.broadcast(content, 0)
        return content.numpy().tobytes()

    def fail(self, kind: str, text: str) -> None:
        """Tells the others, in whatever they do together next, that this process has failed."""
        _gathered(json.dumps({"failure": [kind, text]}).encode())

    def _exchange(self, value: T) -> list[T]:
        """Returns the values of all processes, which JSON can hold."""
        messages = [json.loads(text) for text in _gathered(json.dumps({"value": value}).encode())]
        for rank, message in enumerate(messages):
            if "failure" in message:
                raise failure(rank, *message["failure"])
        return [message["value"] for message in messages]


ALONE = Group()


def join(share: Share, rendezvous: Path, device: torch.device) -> Group:
    """Returns the group of the processes that meet in the file `rendezvous`. Raises PeerLostError."""
    # All are in one pod or on one machine, and nobody else should reach them.
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(name, "lo" if sys.platform == "linux" else "lo0")
    backend = "gloo" if device.type == "cpu" else f"cpu:gloo,{device.type}:nccl"
    store = dist.FileStore(str(rendezvous), share.size)  # type: ignore[attr-defined]
    with _listening():
        dist.init_process_group(backend, store=store, rank=share.rank, world_size=share.size, timeout=TIMEOUT)
    return Group(share)


def failure(rank: int, kind: str, text: str) -> Exception:
    """Returns the error of process `rank`, of one of three kinds."""
    if kind == DATA:
        return DataFaultError(text)
    return MemoryError(text) if kind == MEMORY else ReplicaError(f"process {rank} of the training has failed: {text}")


def _gathered(message: bytes) -> list[bytes]:
    """Returns the messages of all processes."""
    heads = _all(len(message).to_bytes(8, "little") + message, 8 + _INLINE)
    sizes = [int.from_bytes(head[:8], "little") for head in heads]
    longest = max(sizes)
    whole = [head[8:] for head in heads] if longest <= _INLINE else _all(message, longest)
    return [data[:size] for data, size in zip(whole, sizes, strict=True)]


def _all(data: bytes, size: int) -> list[bytes]:
    """Returns the first `size` bytes of all processes' data."""
    mine = torch.frombuffer(bytearray(data[:size].ljust(size)), dtype=torch.uint8)
    gathered: list[Tensor] = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    with _listening():
        dist.all_gather(gathered, mine)
    return [part.numpy().tobytes() for part in gathered]


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise PeerLostError(f"the processes of the training have lost each other ({error})") from error
