"""The separation networks by name: `build("convtasnet", "paper")`, and what is known of each before that.

A model is one module of this package with a frozen config, its PRESETS and the network. It is imported when it is asked
for and not before. Called by the epoch loop, the `describe` verb and the benchmarks.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def build(model: str, preset: str, **architecture: Any) -> "nn.Module":
    """Returns the network of `model` in `preset`, with single fields of the architecture replaced.

    Its forward maps a mixture [B, T] to estimates [B, 2, T] for any T >= 1 (samples). Raises ValueError that names the
    nearest valid word where the model, the preset or a field does not exist, and the field where a value does not fit.
    """
    entry = find(model)
    return entry.network(entry.config(preset, **architecture))


def find(model: str) -> "Model":
    """Returns the registry's entry of `model`. Raises ValueError that names the nearest model."""
    if model not in MODELS:
        raise ValueError(f"unknown model '{model}', {_nearest(model, MODELS)}")
    return MODELS[model]


@dataclass(frozen=True)
class Model:
    """What is known of one model: everything but the names is read from its module, which that imports."""

    name: str
    """As on the command line; the module has the same name."""
    class_name: str
    """Of the nn.Module, which takes the config as its only argument."""

    @property
    def presets(self) -> Mapping[str, Any]:
        """Config of each preset: 'paper' as published, 'debug' small enough to be trained on one core."""
        presets: Mapping[str, Any] = self._module().PRESETS
        return presets

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the architecture's fields."""
        return tuple(field.name for field in dataclasses.fields(self.presets["paper"]))

    @property
    def network(self) -> type["nn.Module"]:
        """The network's class."""
        network: type[nn.Module] = getattr(self._module(), self.class_name)
        return network

    def config(self, preset: str, **architecture: Any) -> Any:
        """Returns the config of `preset` with the given fields replaced. Raises ValueError as `build` does."""
        if preset not in self.presets:
            raise ValueError(f"{self.name} has no preset '{preset}', {_nearest(preset, self.presets)}")
        for field in architecture:
            if field not in self.fields:
                raise ValueError(f"{self.name} has no architecture field '{field}', {_nearest(field, self.fields)}")
        return dataclasses.replace(self.presets[preset], **architecture)

    def notes(self, device: Any) -> tuple[str, ...]:
        """Returns what the log should tell of the network on `device`: one line for each choice that depends on it."""
        notes: tuple[str, ...] = getattr(self._module(), "notes", lambda device: ())(device)
        return notes

    def _module(self) -> Any:
        return import_module(f"{__name__}.{self.name}")


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        model.name: model
        for model in (
            Model("convtasnet", "ConvTasNet"),
            Model("dprnn", "DPRNN"),
            Model("sepformer", "SepFormer"),
            Model("spmamba", "SPMamba"),
        )
    }
)


def _nearest(word: str, valid: Iterable[str]) -> str:
    options = sorted(valid)
    close = get_close_matches(word, options, n=1)
    return f"did you mean '{close[0]}'? valid: {', '.join(options)}" if close else f"valid: {', '.join(options)}"
