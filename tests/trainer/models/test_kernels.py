"""The Triton kernels of the models, wherever they can run."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.skipif(
    find_spec("triton") is None, reason="needs triton, which torch brings on Linux"
)

LSTM_UNITS = 128


def test_the_kernels_equal_pytorchs_operations() -> None:
    """kernels.py, in Triton's interpreter where there is no GPU."""
    interpret = {} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(Path(__file__).with_name("kernels.py"))],
        env={**os.environ, **interpret},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout
    assert "skipped" not in run.stdout


@pytest.mark.parametrize(
    ("module", "kernel"),
    [
        ("triton_norm", "_moments"),
        ("triton_norm", "_normalize"),
        ("triton_norm", "_sums"),
        ("triton_norm", "_input_gradient"),
        ("triton_depthwise", "_forward"),
        ("triton_depthwise", "_backward"),
        ("triton_lstm", "_forward"),
        ("triton_lstm", "_backward"),
    ],
)
def test_the_kernels_compile_for_a_gpu(
    module: str, kernel: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To machine code for compute capability 8.0 and 9.0: the compiler refuses things that the interpreter takes."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from trainer.models import triton_depthwise, triton_lstm, triton_norm

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    of, options, half = {
        "triton_norm": (
            triton_norm,
            triton_norm._tiles(torch.empty(1, 1, 1, 1))[0],
            {"x", "y", "y_grad", "x_grad"},
        ),
        "triton_depthwise": (
            triton_depthwise,
            triton_depthwise._constants(torch.empty(1, 1, 3), 2, 2, True),
            {"x", "y", "y_grad", "x_grad"},
        ),
        "triton_lstm": (
            triton_lstm,
            triton_lstm._constants(LSTM_UNITS),
            {"gates", "recurrent", "hidden", "cells", "hidden_grad", "gates_grad"},
        ),
    }[module]
    function = getattr(of, kernel)
    pointers = {"slope", "gain", "bias", "mean", "scale", "means", "squares", "weight", "shares"}
    pointers |= {name for name in function.arg_names if name.endswith("_share") or name.startswith("mean_")}
    constants = {name: value for name, value in options.items() if name in function.arg_names}
    signature = dict.fromkeys(function.arg_names, "i32")
    signature |= dict.fromkeys(half & signature.keys(), "*bf16")
    signature |= dict.fromkeys(pointers & signature.keys(), "*fp32")
    signature |= dict.fromkeys(constants, "constexpr")
    settings = {name: options[name] for name in options.keys() - constants.keys()}
    for capability in (80, 90):
        source = ASTSource(function, signature, constants)
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=settings)
        assert len(compiled.asm["cubin"]) > 0
