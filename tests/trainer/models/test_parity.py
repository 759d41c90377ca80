"""ConvTasNet, DPRNN and SepFormer against speechbrain's, which stand behind the published baselines."""

import math
import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.steps.reference import reference
from trainer.models import build, find

PARAMETERS = {"convtasnet": 8_708_672, "dprnn": 2_609_793, "sepformer": 25_679_361}
"""Of the published configurations."""

TEMPORAL = {"filters": 12, "bottleneck_channels": 10, "hidden_channels": 14}
DUAL_PATH = {"filters": 12, "chunk_size": 10, "blocks": 2}
ATTENTION = {"transformer_layers": 2, "heads": 3, "feedforward_size": 20}
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "convtasnet": ("convtasnet", TEMPORAL | {"blocks": 3, "repeats": 2}),
    "convtasnet, 5 taps": ("convtasnet", TEMPORAL | {"blocks": 2, "repeats": 1, "block_kernel_size": 5}),
    "dprnn": ("dprnn", DUAL_PATH | {"hidden_size": 9}),
    "sepformer": ("sepformer", DUAL_PATH | ATTENTION | {"positional_encoding": True}),
    "sepformer, no positions": ("sepformer", DUAL_PATH | ATTENTION | {"positional_encoding": False}),
}

LENGTHS = {
    "whole frames": 8 * 64 + 8,
    "3 samples over": 8 * 64 + 11,
    "odd": 8 * 49 - 3,
    "chunks fill up exactly": 8 * 45 + 8,
    "shorter than a chunk": 8 * 8 + 5,
    "one sample": 1,
}
"""In samples. A frame has 16 and the next begins 8 later; a chunk of the small models has 10 frames."""

TOLERANCE = 1e-9
"""In float64, relative to the largest value of a tensor."""

BLOCK = r"masknet.dual_mdl.\1."
LAYER = BLOCK + r"\2_mdl.mdl.layers.\3."
COUNTERPARTS = {
    r"encoder\.conv\.": ["encoder.conv1d."],
    r"norm\.": ["masknet.norm."],
    r"bottleneck\.": ["masknet.conv1d."],
    r"blocks\.(\d+)\.(\w+)_norm\.": [BLOCK + r"\2_norm."],
    r"blocks\.(\d+)\.(\w+)\.lstm\.": [BLOCK + r"\2_mdl.mdl.rnn."],
    r"blocks\.(\d+)\.(\w+)\.projection\.": [BLOCK + r"\2_linear.w."],
    r"blocks\.(\d+)\.(\w+)\.norm\.": [BLOCK + r"\2_mdl.mdl.norm.norm."],
    r"blocks\.(\d+)\.(\w+)\.layers\.(\d+)\.attention_norm\.": [LAYER + "norm1.norm."],
    r"blocks\.(\d+)\.(\w+)\.layers\.(\d+)\.attention\.qkv\.": [LAYER + "self_att.att.in_proj_"],
    r"blocks\.(\d+)\.(\w+)\.layers\.(\d+)\.attention\.output\.": [LAYER + "self_att.att.out_proj."],
    r"blocks\.(\d+)\.(\w+)\.layers\.(\d+)\.feedforward_norm\.": [LAYER + "norm2.norm."],
    r"blocks\.(\d+)\.(\w+)\.layers\.(\d+)\.feedforward\.0\.": [LAYER + "pos_ffn.ffn.0."],
    r"blocks\.(\d+)\.(\w+)\.layers\.(\d+)\.feedforward\.2\.": [LAYER + "pos_ffn.ffn.3."],
    r"activation\.": ["masknet.prelu."],
    r"speakers\.": ["masknet.conv2d."],
    r"gate\.": ["masknet.output.0.", "masknet.output_gate.0."],
    r"mask\.": ["masknet.end_conv1x1."],
    r"decoder\.conv\.": ["decoder."],
}
"""The dual-path models' parameters, and what of speechbrain's each holds, one below the other."""


@pytest.mark.parametrize("model", PARAMETERS)
def test_the_published_configuration_has_the_published_parameters(model: str) -> None:
    """And so has speechbrain's."""
    ours, theirs = build(model, "paper"), reference(model, find(model).presets["paper"])
    assert count(ours) == count(theirs) == PARAMETERS[model]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("small", SMALL)
def test_outputs_and_gradients_equal_speechbrains(small: str, length: str) -> None:
    """Two mixtures through a small configuration, every parameter drawn at random."""
    model, architecture = SMALL[small]
    assert_equal(model, architecture, LENGTHS[length], mixtures=2)


@pytest.mark.parametrize("model", PARAMETERS)
def test_the_published_configuration_equals_speechbrains(model: str) -> None:
    """On an eighth of a second, of which the dual-path models make two chunks."""
    assert_equal(model, {}, 995, mixtures=1)


def test_convtasnets_deterministic_padding_equals_the_other() -> None:
    """The same comparison with speechbrain's, while only reproducible kernels may be used."""
    torch.use_deterministic_algorithms(True)
    try:
        assert_equal("convtasnet", SMALL["convtasnet, 5 taps"][1], LENGTHS["odd"], mixtures=2)
    finally:
        torch.use_deterministic_algorithms(False)


def assert_equal(model: str, architecture: dict[str, Any], length: int, mixtures: int) -> None:
    """Copies the reference's weights; compares the estimates and the gradient of each parameter and the mixture."""
    torch.manual_seed(0)
    config = find(model).config("paper", **architecture)
    theirs = reference(model, config).double()
    ours = build(model, "paper", **architecture).double()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.2 if parameter.ndim == 1 else parameter[0].numel() ** -0.5)
    held = counterparts(model, ours, theirs)
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            parameter.copy_(stacked(held[name]).view_as(parameter))
    mixture = torch.randn(mixtures, length, dtype=torch.float64)
    direction = torch.randn(mixtures, 2, length, dtype=torch.float64)

    our_estimates, our_gradient = run(ours, mixture, direction, fill=0)
    our_gradients = {name: gradient_of(parameter) for name, parameter in ours.named_parameters()}
    del ours  # the published networks take a few hundred MB each
    their_estimates, their_gradient = run(theirs, mixture, direction, fill_up(length, model, config))
    assert_close("estimates", our_estimates, their_estimates)
    assert_close("gradient of the mixture", our_gradient, their_gradient)
    for name, gradient in our_gradients.items():
        expected = stacked([gradient_of(part) for part in held[name]])
        assert_close(f"gradient of {name}", gradient, expected.view_as(gradient))


def run(network: nn.Module, mixture: Tensor, direction: Tensor, fill: int) -> tuple[Tensor, Tensor]:
    """Returns the estimates [B, 2, T] of a mixture, and the gradient [B, T] of their product with `direction`.

    `fill` zeros are added behind the mixture, and cut off the estimates again.
    """
    mixture = mixture.clone().requires_grad_()
    estimates = network(F.pad(mixture, (0, fill)))[..., : mixture.shape[-1]]
    estimates.backward(direction)
    return estimates.detach(), gradient_of(mixture)


def fill_up(length: int, model: str, config: Any) -> int:
    """Returns how many zeros the reference needs: up to the end of the last frame.

    ConvTasNet also needs one frame more than the longest reflection. Without the zeros it drops samples or fails.
    """
    shortest = config.block_kernel_size // 2 * 2 ** (config.blocks - 1) + 1 if model == "convtasnet" else 1
    frames = max(math.ceil((length - 16) / 8) + 1, shortest)
    return 16 + 8 * (frames - 1) - length


def counterparts(model: str, ours: nn.Module, theirs: nn.Module) -> dict[str, list[Tensor]]:
    """Returns for each of our parameters those of the reference that it contains; each of these occurs once."""
    if model == "convtasnet":  # both have them in the order of the signal
        pairs = zip(ours.named_parameters(), theirs.parameters(), strict=True)
        return {name: [parameter] for (name, _), parameter in pairs}
    reference_parameters = dict(theirs.named_parameters())
    held: dict[str, list[Tensor]] = {}
    for name, _ in ours.named_parameters():
        prefix, leaf = re.fullmatch(r"(.*\.)(\w+)", name).groups()  # type: ignore[union-attr]
        (pattern,) = (pattern for pattern in COUNTERPARTS if re.fullmatch(pattern, prefix))
        held[name] = [reference_parameters.pop(re.sub(pattern, part, prefix) + leaf) for part in COUNTERPARTS[pattern]]
    assert reference_parameters == {}
    return held


def stacked(parts: list[Tensor]) -> Tensor:
    return torch.cat([part.detach() for part in parts])


def gradient_of(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def assert_close(what: str, ours: Tensor, theirs: Tensor) -> None:
    difference = (ours - theirs).abs().max() / theirs.abs().max()
    assert difference < TOLERANCE, f"{what}: {difference:.1e}"


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
