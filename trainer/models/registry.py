"""The registry of models: what each file of this package says of its model, in an entry of its own.

    MODEL = Model(
        network=ConvTasNet,                  an nn.Module; its only argument is a config
        presets={"paper": …, "debug": …},    a frozen dataclass for each size; its fields are flags of the trainer
        curriculum=Curriculum.of(…),         which variants an epoch trains on
        cuda_graph=True,                     a GPU may record its steps
    )

Every file with such an entry is a model of the same name. An entry elsewhere is a model, too, named by its module and
entry, as in my_package.my_model:MODEL. The command line needs the fields before torch, whose import takes seconds.
They, and the curricula of the models here, are therefore read from the source of the file (source.py), which is
imported only when its network or its presets are needed.
"""

import ast
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_type_hints

from trainer.data.curriculum import ALL_VARIANTS, Curriculum
from trainer.errors import ConfigError
from trainer.models.parts.checks import most
from trainer.models.source import KINDS, ConfigField, CurrentFolder, own_source, read_source
from trainer.text import nearest, one_line

if TYPE_CHECKING:
    import torch
    from _typeshed import DataclassInstance
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What the command line knows of a model of this package without importing it."""

    fields: Mapping[str, ConfigField]
    """Of its config; by name."""
    curriculum: Curriculum | None = None
    """As published; a model without one trains on all variants."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model: its network, the sizes that it comes in, and what it trains on."""

    network: "Callable[..., nn.Module]"
    """Maps a mixture [B, T] to estimates [B, 2, T] for any T >= 1 samples; takes the config as its only argument."""
    presets: "Mapping[str, DataclassInstance]"
    """Config of each preset: 'paper' as published, 'debug' small enough for one CPU core."""
    curriculum: Curriculum | None = None
    """As published; a model without one trains on all variants."""
    cuda_graph: bool = False
    """Whether a GPU may record its steps as a CUDA graph: forward then reads no value of a tensor, and draws nothing in
    Python."""
    notes: "Callable[[torch.device], tuple[str, ...]]" = lambda device: ()
    """Returns lines for the log: the choices that depend on the device."""

    def __post_init__(self) -> None:
        kinds = {type(config) for config in self.presets.values()}
        if len(kinds) != 1 or not all(map(dataclasses.is_dataclass, kinds)):
            raise ValueError("the presets of a Model are one or more instances of one dataclass")

    @property
    def config_type(self) -> "type[DataclassInstance]":
        """The dataclass of its presets."""
        return type(next(iter(self.presets.values())))

    @property
    def name(self) -> str:
        """The file's name and the word on the command line, for a model of this package; for others the module."""
        return self.network.__module__.removeprefix(f"{__package__}.")

    def config(self, preset: str, **architecture: object) -> "DataclassInstance":
        """Returns the config of `preset` with the given fields replaced. Raises ValueError as `build` does."""
        if preset not in self.presets:
            raise ValueError(f"{self.name} has no preset '{preset}', {nearest(preset, self.presets)}")
        known = [field.name for field in dataclasses.fields(self.config_type)]
        for field in architecture:
            if field not in known:
                raise ValueError(f"{self.name} has no architecture field '{field}', {nearest(field, known)}")
        return dataclasses.replace(self.presets[preset], **architecture)


def build(model: str, preset: str, **architecture: object) -> "nn.Module":
    """Returns the network of `model` in `preset`, with single fields of its config replaced.

    Raises ValueError that names the nearest valid word where the model, the preset or a field does not exist, and the
    field where a value does not fit; ConfigError as `find` does.
    """
    entry = find(model)
    return entry.network(entry.config(preset, **architecture))


def is_own(model: str) -> bool:
    """Returns whether the word names a model outside this package, by its module and entry."""
    return ":" in model


def find(model: str) -> Model:
    """Returns the entry of `model` and imports its file.

    Raises ValueError that names the nearest model, and ConfigError where a module of one's own has no such entry or
    cannot be imported. A module without the entry is not run, because a checkpoint names its model, too.
    """
    if is_own(model):
        return _find_own(model)
    if model not in MODELS:
        raise ValueError(f"unknown model '{model}', {nearest(model, MODELS)}")
    entry: Model = import_module(f"{__package__}.{model}").MODEL
    return entry


def _find_own(model: str) -> Model:
    own_source(model)
    module, _, name = model.partition(":")
    try:
        with CurrentFolder():
            entry = getattr(import_module(module), name)
    # Whatever the module of somebody else may raise.
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"model {model}: cannot be imported ({type(error).__name__}: {one_line(str(error))})"
        ) from error
    if not isinstance(entry, Model):
        raise ConfigError(f"model {model}: {name} is no trainer.models.Model, but {type(entry).__name__}")
    return entry


def config_fields(model: str) -> Mapping[str, ConfigField]:
    """Returns the fields of the config of `model` that are flags; none for an unknown model.

    Where the source of a model of one's own does not tell them, its module is imported. Raises ConfigError as `find`.
    """
    if not is_own(model):
        return MODELS[model].fields if model in MODELS else {}
    return _own_fields(model)


@cache
def _own_fields(model: str) -> Mapping[str, ConfigField]:
    fields = own_source(model).fields
    if fields is not None:
        return fields
    kinds = {name: getattr(hint, "__name__", "") for name, hint in get_type_hints(find(model).config_type).items()}
    return {name: ConfigField(kind=kind) for name, kind in kinds.items() if kind in KINDS}


def curriculum_of(name: str) -> Curriculum | None:
    """Returns the curriculum of this name: a model's own, or `all`; None where there is none. Raises as `find` does."""
    return find(name).curriculum if is_own(name) else CURRICULA.get(name)


def _listing(file: Path) -> Listing | None:
    """Returns what the file's entry says, without running the file; None where it has no entry."""
    source = read_source(file)
    if source is None:
        return None
    if source.fields is None:
        raise ImportError(
            f"{file}: the presets of MODEL are read before it is imported; write them as {{name: Config(…)}}"
        )
    curriculum = source.arguments.get("curriculum")
    # checks.check_types of each config says so.
    whole = {
        name: dataclasses.replace(field, least=1, most=most(name))
        for name, field in source.fields.items()
        if field.kind == "int"
    }
    return Listing(
        fields={**source.fields, **whole}, curriculum=None if curriculum is None else _value(file, curriculum)
    )


def _value(file: Path, expression: ast.expr) -> Any:
    """Returns the value of an expression of literals and Curriculum. Raises ImportError for any other name."""
    code = compile(ast.Expression(expression), str(file), "eval")
    try:
        return eval(code, {"Curriculum": Curriculum})  # noqa: S307 - our own source
    except NameError as error:
        raise ImportError(
            f"{file}, line {expression.lineno}: MODEL's curriculum is read before it is imported and may use only "
            f"literals and Curriculum ({error})"
        ) from error


def _listings() -> dict[str, Listing]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return {file.stem: listing for file in files if (listing := _listing(file)) is not None}


MODELS: Mapping[str, Listing] = MappingProxyType(_listings())
"""By name, in alphabetical order."""

CURRICULA: Mapping[str, Curriculum] = MappingProxyType(
    {name: model.curriculum for name, model in MODELS.items() if model.curriculum} | {"all": ALL_VARIANTS}
)
"""By model, as published (Series 3 keeps them fixed); 'all' has every variant from the first epoch on."""
