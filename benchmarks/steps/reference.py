"""Builds speechbrain's ConvTasNet, DPRNN and SepFormer in any configuration of ours: the published baselines' models.

They are assembled as in speechbrain's recipes for WSJ0-2mix. The parity tests compare with them too.
"""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

# speechbrain imports torchaudio at once, which does not load beside this torch; the models need nothing of it.
_torchaudio = ModuleType("torchaudio")
_torchaudio.__spec__ = ModuleSpec("torchaudio", None)
_torchaudio.__dict__["__version__"] = "2.11.0"
sys.modules["torchaudio"] = _torchaudio
from speechbrain.lobes.models import conv_tasnet, dual_path  # noqa: E402

del sys.modules["torchaudio"]
# speechbrain leaves stand-ins of renamed modules that import what is not there as soon as anything looks at them, as
# hypothesis does with every loaded module.
for _name, _module in list(sys.modules.items()):
    if type(_module).__module__ == "speechbrain.utils.importutils":
        del sys.modules[_name]


class Reference(nn.Module):
    """An encoder, a mask network and a decoder of speechbrain, assembled as in its recipes."""

    def __init__(self, filters: int, kernel_size: int, masknet: nn.Module) -> None:
        super().__init__()
        self.encoder = dual_path.Encoder(kernel_size, filters)
        self.masknet = masknet
        self.decoder = dual_path.Decoder(filters, 1, kernel_size, stride=kernel_size // 2, bias=False)

    def forward(self, mixture: Tensor) -> Tensor:
        """Returns estimates [B, 2, T'] of mixtures [B, T]; T' is T without what does not fill a frame."""
        frames = self.encoder(mixture)  # [B, N, L]
        masked = torch.stack([frames] * 2) * self.masknet(frames)  # [2, B, N, L]
        return torch.stack([self.decoder(speaker) for speaker in masked], dim=1)  # [B, 2, T']


def reference(model: str, config: Any) -> Reference:
    """Returns speechbrain's network of the architecture that `config`, the config of our `model`, describes."""
    masknet = {"convtasnet": _convtasnet, "dprnn": _dprnn, "sepformer": _sepformer}[model](config)
    return Reference(config.filters, config.kernel_size, masknet)


def _convtasnet(config: Any) -> Any:
    return conv_tasnet.MaskNet(
        N=config.filters,
        B=config.bottleneck_channels,
        H=config.hidden_channels,
        P=config.block_kernel_size,
        X=config.blocks,
        R=config.repeats,
        C=2,
    )


def _dprnn(config: Any) -> Any:
    def path() -> Any:
        return dual_path.SBRNNBlock(config.filters, config.hidden_size, 1, "LSTM", bidirectional=True)

    return _dual_path(config, path(), path(), linear_layer_after_inter_intra=True)


def _sepformer(config: Any) -> Any:
    def path() -> Any:
        return dual_path.SBTransformerBlock(
            config.transformer_layers,
            config.filters,
            config.heads,
            config.feedforward_size,
            dropout=0.0,
            use_positional_encoding=config.positional_encoding,
            norm_before=True,
        )

    return _dual_path(config, path(), path(), linear_layer_after_inter_intra=False)


def _dual_path(config: Any, intra: nn.Module, inter: nn.Module, **options: bool) -> Any:
    return dual_path.Dual_Path_Model(
        config.filters, config.filters, intra, inter, config.blocks, "ln", config.chunk_size, 2, **options
    )
