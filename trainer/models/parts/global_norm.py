"""The norm over all channels and positions of a mixture, which every model here has, also with PReLU in front of it.

PyTorch's GroupNorm kernel for CUDA computes the moments of a group in one block of threads, and here a group is a whole
mixture: in Conv-TasNet that took half of the step. On CUDA our own kernels run (kernels/triton_norm.py), which include
PReLU. Elsewhere, and under torch.compile, nn.GroupNorm is used as it is.
"""

import torch
from torch import Tensor, nn

from trainer.kernels.in_triton import in_triton
from trainer.kernels.prelu import PReLU


class GlobalNorm(nn.GroupNorm):
    """Norm over all but the first dimension of [B, C, …], with a gain and a bias per channel."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__(1, channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, …] to the same shape, in fp32 under autocast."""
        if not in_triton(x):
            return nn.functional.group_norm(x, 1, self.weight, self.bias, self.eps)
        from trainer.kernels.triton_norm import global_norm

        dtype = torch.float32 if torch.is_autocast_enabled("cuda") else x.dtype
        return global_norm(x, self.weight, self.bias, self.eps, None, dtype)


class PReLUNorm(nn.Module):
    """PReLU and a GlobalNorm."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.activation = PReLU()
        self.norm = GlobalNorm(channels, eps)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, C, …] to the same shape; under autocast on a GPU in its precision, which convolutions want."""
        if not in_triton(x):
            output: Tensor = self.norm(self.activation(x))
            return output
        from trainer.kernels.triton_norm import global_norm

        norm = self.norm
        dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else x.dtype
        return global_norm(x, norm.weight, norm.bias, norm.eps, self.activation.weight, dtype)
