"""The Triton kernels of the models, wherever they can run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="needs triton, which torch brings on Linux")


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


def kernels() -> Iterator[tuple[Any, dict[str, Any], dict[str, str]]]:
    """Yields each kernel, its constants at the models' sizes, and the types of its arguments; the others are sizes."""
    from trainer.kernels import triton_depthwise, triton_lstm, triton_norm
    from trainer.kernels.selective_scan import triton_kernels, triton_scan

    norm, scan = (
        triton_norm._tiles(torch.empty(1, 1, 1, 1))[0],
        triton_scan._constants(
            torch.empty(16, 256),
            True,
            dict.fromkeys(("u", "delta", "z", "B", "C", "y_grad"), torch.empty(1, 1, 256)),
        ),
    )
    depthwise = triton_depthwise._constants(torch.empty(1, 1, 3), 2, 2, True)
    lstm = triton_lstm._constants(128)
    signals = dict.fromkeys(("x", "y", "y_grad", "x_grad"), "*bf16")
    weights = dict.fromkeys(("slope", "gain", "bias", "weight"), "*fp32")
    moments = dict.fromkeys(("mean", "scale", "means", "squares", "mean_grad", "mean_product"), "*fp32")
    shares = dict.fromkeys(("shares", "bias_share", "gain_share", "slope_share"), "*fp32")
    for function in (
        triton_norm._moments,
        triton_norm._normalize,
        triton_norm._sums,
        triton_norm._input_gradient,
    ):
        yield function, norm, signals | weights | moments | shares
    yield triton_norm._combine, norm | {"BLOCK": 1024}, moments | {"eps": "fp32"}
    for function in (triton_depthwise._forward, triton_depthwise._backward):
        yield function, depthwise, signals | weights | shares
    gates = ("gates", "recurrent", "hidden", "cells", "hidden_grad", "gates_grad")
    for function in (triton_lstm._forward, triton_lstm._backward):
        yield function, lstm, dict.fromkeys(gates, "*bf16")
    walk = triton_scan._walk(scan, "y_grad", "C", True)
    for function, options in (
        (triton_kernels.chunk_ends, walk),
        (triton_kernels.scan_forward, scan),
        (triton_kernels.scan_backward, scan),
    ):
        tensors = set(function.arg_names) - set(triton_kernels.SIZES)
        yield function, options, dict.fromkeys(tensors, "*fp32")


@pytest.mark.parametrize("number", range(12))
def test_the_kernels_compile_for_a_gpu(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To machine code for compute capability 8.0 and 9.0: the compiler refuses things that the interpreter takes."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    function, options, types = list(kernels())[number]
    constants = {name: value for name, value in options.items() if name in function.arg_names}
    signature = {name: types.get(name, "i32") for name in function.arg_names}
    signature |= dict.fromkeys(constants, "constexpr")
    settings = {name: options[name] for name in options.keys() - constants.keys()}
    for capability in (80, 90):
        source = ASTSource(function, signature, constants)
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=settings)
        assert len(compiled.asm["cubin"]) > 0
