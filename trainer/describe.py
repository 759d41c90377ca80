"""`python -m trainer describe`: a model's size, cost and memory, before it is trained.

The numbers are those of one step on the CPU, because formulas would go stale when a model changes. With a model of ours
the tensors of that step have shapes and no values (PyTorch's FakeTensorMode), so that it takes neither the time nor the
memory of a real one; a model of one's own, which may look at values, is run. Multiply-adds are those of a real step;
memory is as well, within 0.2 % at the paper sizes, and 2.5 % too high for dual-path Mamba.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from trainer.config import check_architecture
from trainer.data.readers.subset import SAMPLE_RATE
from trainer.kernels.linear import operations
from trainer.kernels.recording import shapes_alone
from trainer.models import find, is_own
from trainer.requests import Describe
from trainer.training.losses import pit_si_snr


@dataclass(frozen=True)
class Description:
    """A model in numbers."""

    model: str
    preset: str
    configuration: dict[str, object]
    """The fields of the model's config."""
    parameters: int
    multiply_adds: int
    """Per forward pass over one mixture: matrix products, convolutions and attention."""
    receptive_field: int | None
    """Samples of the mixture that a sample of an estimate depends on; None: all of them. Global norms, which every
    model has, are not counted."""
    seconds: float
    """Length of a mixture."""
    batch_size: int
    memory: int
    """Bytes of a training step in fp32: weights, gradients, Adam's two moments, and the tensors that each mixture keeps
    for the backward pass."""


def describe(request: Describe) -> Description:
    """Describes the model from a step with one mixture on the CPU. Raises ConfigError where an option does not fit."""
    config = check_architecture(request.model, request.preset, request.architecture)
    network = find(request.model).network(config)
    samples = round(request.segment_seconds * SAMPLE_RATE)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    in_onednn = (
        {torch.ops.mkldnn._linear_pointwise: operations} if hasattr(torch.ops.mkldnn, "_linear_pointwise") else {}
    )
    values = nullcontext() if is_own(request.model) else _without_values()
    with values, FlopCounterMode(display=False, custom_mapping=in_onednn) as counter:
        kept = _kept_bytes(network, samples)
    return Description(
        model=request.model,
        preset=request.preset,
        configuration=asdict(config),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiply_adds=counter.get_total_flops() // 2,
        receptive_field=getattr(config, "receptive_field", None),
        seconds=request.segment_seconds,
        batch_size=request.batch_size,
        memory=4 * weights + request.batch_size * kept,
    )


def text(description: Description, as_json: bool) -> str:
    """Returns the description as aligned lines for people, or as one JSON object."""
    if as_json:
        return json.dumps(asdict(description), indent=2)
    field, batch = description.receptive_field, description.batch_size
    rows = {
        "parameters": f"{description.parameters:,}",
        "multiply-adds": f"{description.multiply_adds / 1e9:.3g} G for {description.seconds:g} s of audio",
        "receptive field": f"{field} samples, {field / SAMPLE_RATE:.3g} s" if field else "the whole mixture",
        "memory": f"about {description.memory / 1e9:.2g} GB for a training step, batch {batch}, fp32",
    } | {name: str(value) for name, value in description.configuration.items()}
    width = max(map(len, rows))
    lines = [f"{name:{width}}  {value}" for name, value in rows.items()]
    return "\n".join([f"{description.model} ({description.preset})", *lines])


def _kept_bytes(network: torch.nn.Module, samples: int) -> int:
    """Returns the bytes of the tensors, weights aside, that a forward pass of one mixture keeps for the backward pass.

    Memory that several tensors share counts once.
    """
    own = {_storage(parameter) for parameter in network.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[_storage(tensor)] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        pit_si_snr(network(torch.rand(1, samples)), torch.rand(1, 2, samples))
    return sum(tensor.untyped_storage().nbytes() for address, tensor in kept.items() if address not in own)


def _storage(tensor: Tensor) -> int:
    """Returns what tells the memory of one tensor from that of others, also where it has no address."""
    storage: int = tensor.untyped_storage()._cdata
    return storage


@contextmanager
def _without_values() -> Iterator[None]:
    """Has new tensors get a shape and no values; what a network then reads of its weights is a half."""
    with shapes_alone(), FakeTensorMode(allow_non_fake_inputs=True), _Halves():  # type: ignore[no-untyped-call]
        yield


class _Halves(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers with a half where a number is read from a tensor: the slope of our PReLU."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return 0.5
        return func(*args, **(kwargs or {}))
