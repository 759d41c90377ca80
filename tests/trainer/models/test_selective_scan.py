"""The selective scan against a direct recurrence in float64: what it gives, how it differentiates, what it keeps."""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainer.models.recurrence import assert_equal, recurrence, scan_inputs, with_gradients
from trainer.kernels import selective_scan as package
from trainer.kernels.selective_scan import choose, selective_scan

needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="triton is not installed; `pip install triton` (Linux) brings it"
)
SHAPES = {  # batch, D, L, N
    "tiles filled by many sequences": (70, 32, 19, 16),
    "tiles filled by many steps": (1, 24, 700, 16),
    "wider than a tile": (2, 1100, 11, 16),
    "fewer steps than a tile": (3, 5, 2, 3),
    "one step": (2, 3, 1, 4),
}


def present(inputs: dict[str, Any]) -> list[Tensor]:
    return [x for x in inputs.values() if x is not None]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("without", [(), ("z",), ("z", "delta_bias")], ids=["all", "no gate", "no bias"])
def test_the_tiled_scan_equals_the_recurrence(shape: tuple[int, ...], without: tuple[str, ...]) -> None:
    """Output and the gradient of every argument, to 1e-9, wherever tiles begin and end."""
    inputs = scan_inputs(*shape, without=without)
    got = with_gradients(selective_scan(**inputs), present(inputs))
    assert_equal(got, with_gradients(recurrence(**inputs), present(inputs)), 1e-9)


def test_without_softplus_delta_is_the_step() -> None:
    """Output and gradients again, on steps that are positive as they are."""
    inputs = scan_inputs(3, 8, 21, 4)
    inputs["delta"] = inputs["delta"].detach().abs().requires_grad_()
    got = with_gradients(selective_scan(**inputs, delta_softplus=False), present(inputs))
    expected = with_gradients(recurrence(**inputs, delta_softplus=False), present(inputs))
    assert_equal(got, expected, 1e-9)


def test_any_memory_layout_gives_the_same_bits() -> None:
    """Sequences as transposed views, as the networks pass them, and as they lie in [B, D, L]."""
    inputs = scan_inputs(5, 12, 30, 4)
    views = {
        name: x.detach().transpose(1, 2).contiguous().transpose(1, 2) if x.dim() == 3 else x.detach()
        for name, x in inputs.items()
    }
    views = {name: x.requires_grad_() for name, x in views.items()}
    got = with_gradients(selective_scan(**views), present(views))
    expected = with_gradients(selective_scan(**inputs), present(inputs))
    assert all(map(torch.equal, got, expected))


def test_autocast_leaves_the_scan_in_float32() -> None:
    """bfloat16 inputs give what the same numbers give in float32, rounded once; backward inside autocast too."""
    half = {
        name: x.detach().to(torch.bfloat16 if x.dim() == 3 else torch.float32).requires_grad_()
        for name, x in scan_inputs(4, 16, 40, 8).items()
    }
    single = {name: x.detach().float().requires_grad_() for name, x in half.items()}
    with torch.autocast("cpu", torch.bfloat16):
        output = selective_scan(**half)
        assert output.dtype == torch.bfloat16
        gradients = torch.autograd.grad(output.sum(), present(half))
    expected = selective_scan(**single)
    assert torch.equal(output, expected.bfloat16())
    expected_gradients = torch.autograd.grad(expected.sum(), present(single))
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert torch.equal(ours, theirs.to(ours.dtype))


def test_what_is_kept_for_backward_grows_linearly_and_is_less_than_the_states() -> None:
    """Four times the length keeps four times the numbers, half of the [B, D, N, L] states at most."""
    batch, channels, states = 8, 64, 16

    def kept(length: int) -> int:
        sizes = {}

        def pack(x: Tensor) -> Tensor:
            sizes[x.data_ptr()] = x.numel()
            return x

        inputs = scan_inputs(batch, channels, length, states)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            output = selective_scan(**inputs)
        assert output.requires_grad
        return sum(sizes.values())

    assert kept(1024) == pytest.approx(4 * kept(256), rel=0.01)
    assert kept(1024) < batch * channels * states * 1024 / 2


@pytest.mark.parametrize("name", ["delta", "A", "B", "C", "D", "z", "delta_bias"])
def test_a_shape_that_does_not_fit_is_named(name: str) -> None:
    """The message has the argument, what it should be and what it is."""
    inputs = scan_inputs(2, 3, 5, 4)
    inputs[name] = inputs[name].detach()[..., :-1]
    with pytest.raises(ValueError, match=r"must be .* not ") as error:
        selective_scan(**inputs)
    assert str(error.value).startswith(name if name != "A" else "B")


def test_the_choice_tells_its_reason() -> None:
    """By the device, whatever else is installed."""
    assert str(choose(torch.device("cpu"))) == "selective scan: tiled (the device is cpu)"


@needs_triton
def test_on_a_gpu_it_is_the_triton_kernel() -> None:
    assert str(choose(torch.device("cuda"))) == "selective scan: triton (the device is cuda)"


@pytest.fixture
def without_triton(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(package, "find_spec", lambda name: None if name == "triton" else find_spec(name))
    package.mamba_ssm.cache_clear()
    yield
    package.mamba_ssm.cache_clear()


INTERFACE = "def selective_scan_fn(*inputs): ...\nselective_scan_cuda = "


@pytest.mark.usefixtures("without_triton")
@pytest.mark.parametrize(
    ("interface", "name", "reason"),
    [
        (INTERFACE + "object()", "mamba-ssm", "triton is not installed"),
        (INTERFACE + "None", "tiled", "triton is not installed, mamba-ssm has no CUDA extension"),
        (
            "raise ImportError('undefined symbol: _ZN3c10')",
            "tiled",
            "triton is not installed, mamba-ssm does not load: ImportError: undefined symbol: _ZN3c10",
        ),
    ],
    ids=["whole", "installed without building it", "built for another torch"],
)
def test_without_triton_it_is_a_mamba_ssm_that_works(
    interface: str, name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package of that name, in the states in which people have it."""
    ops = tmp_path / "mamba_ssm" / "ops"
    ops.mkdir(parents=True)
    for folder in (ops, ops.parent):
        (folder / "__init__.py").touch()
    (ops / "selective_scan_interface.py").write_text(interface)
    for module in [module for module in sys.modules if module.split(".")[0] == "mamba_ssm"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.syspath_prepend(tmp_path)
    choice = choose(torch.device("cuda"))
    assert (choice.name, choice.reason) == (name, reason)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU that torch can use")
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_what_runs_on_a_gpu_equals_the_recurrence(shape: tuple[int, ...]) -> None:
    """Whichever implementation is chosen there, in float32, against the recurrence in float64 on the CPU."""
    inputs = scan_inputs(*shape)
    there = {name: x.detach().float().cuda().requires_grad_() for name, x in inputs.items()}
    output = selective_scan(**there)
    got = [x.cpu().double() for x in with_gradients(output, present(there))]
    assert_equal(got, with_gradients(recurrence(**inputs), present(inputs)), 1e-4)
