"""The context of an autograd function: what forward keeps for backward."""

from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.autograd.function import FunctionCtx

if TYPE_CHECKING:

    class Context(FunctionCtx):
        """PyTorch's context, with the attributes that PyTorch leaves untyped."""

        saved_tensors: tuple[Any, ...]

        def save_for_backward(self, *tensors: Tensor | None) -> None:
            """Keeps tensors for backward."""

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: object) -> None: ...
else:
    Context = FunctionCtx
