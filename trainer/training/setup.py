"""Prepares PyTorch for a training, the same in each process of it."""

import os

import torch

from trainer.config import Run
from trainer.models import find
from trainer.training.checkpoint import Session
from trainer.training.gradients import Gradients


def device_of(run: Run, first: torch.device, rank: int) -> torch.device:
    """Returns the device of process `rank`, where that of the first one is `first`."""
    return torch.device("cuda", rank) if run.gpus > 1 and first.type == "cuda" else first


def set_up_torch(run: Run, device: torch.device) -> None:
    """Allows TF32 for fp32 products where the GPU has it, and only reproducible kernels where `run` requests them.

    Several processes share the processor's cores.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        # cuBLAS needs this to be reproducible, and reads it when CUDA starts, which is later.
        if run.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        if run.gpus > 1:
            torch.cuda.set_device(device)
    elif run.gpus > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // run.gpus))
    # Only where it changes something: the call imports PyTorch's compiler, which takes as long as PyTorch itself.
    if run.deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(run.deterministic)


def gradients_of(run: Run, session: Session) -> Gradients:
    """Returns what computes the gradients of `session`; compiles the network where `run` asks for it."""
    if run.compile:
        session.model.compile()
    record = run.cuda_graph and session.device.type == "cuda" and find(run.training.model).cuda_graph
    return Gradients(
        session.model, run.training.precision, session.scaler, run.rows, record, run.training.loss_threshold
    )
