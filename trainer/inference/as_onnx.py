"""Writes a network as ONNX by torch.onnx, and runs what was written by ONNX Runtime; both are the extra `onnx`.

Batch and length stay open.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from trainer.inference.separator import Separator

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
LOOPING = ("dpmamba", "spmamba")
"""Models with a loop over time in Python, which would be unrolled: for minutes, and for one length."""
TOLERANCE = 1e-4
"""-80 dB. Another program computes the same sums in another order, through up to a hundred layers."""


def write(separator: Separator, mixtures: Tensor, file: Path, details: Mapping[str, object], least: int) -> None:
    """Writes the network, whose input is `mixtures` [batch, samples] and whose output `voices`; raises torch's errors.

    `mixtures` [B, T] are of the corpus and not used: the network is followed with symbols in place of batch and length,
    which neither 1 nor a whole number of frames may stand for at first.
    """
    if separator.identity["model"] in LOOPING:
        raise NotImplementedError("it loops over time, which would be unrolled for one length; TorchScript takes it")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    dynamic = torch.export.Dim.DYNAMIC
    with torch.no_grad():
        program = torch.onnx.export(
            separator.network,
            (torch.zeros(2, least + 3, device=mixtures.device),),
            dynamo=True,
            dynamic_shapes=({0: dynamic, 1: dynamic},),
            input_names=["mixtures"],
            output_names=["voices"],
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx returned nothing")
    program.model.metadata_props.update({name: str(value) for name, value in details.items()})
    program.save(file)


def read(file: Path) -> Callable[[Tensor], Tensor]:
    """Returns what the file computes, on the CPU."""
    import onnxruntime  # an extra

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def run(mixtures: Tensor) -> Tensor:
        (voices,) = session.run(None, {"mixtures": mixtures.numpy()})
        return torch.from_numpy(voices)

    return run
