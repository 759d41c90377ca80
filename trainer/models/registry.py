"""The registry of models: what each file of this package says of its model, in an entry of its own.

    MODEL = Model(
        network=ConvTasNet,                  an nn.Module; its only argument is a config
        presets={"paper": …, "debug": …},    a frozen dataclass for each size
        options={"blocks": Option(…)},       fields of that dataclass that are flags of the trainer, too
        curriculum=Curriculum.of(…),         which variants an epoch trains on
    )

Every file with such an entry is a model of the same name. The command line needs the options and the curriculum before
torch, whose import takes seconds. These two are therefore read from the source of the file, which is imported only when
its network or its presets are needed.
"""

import ast
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trainer.data.curriculum import ALL_VARIANTS, Curriculum
from trainer.text import nearest

if TYPE_CHECKING:
    import torch
    from _typeshed import DataclassInstance
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Option:
    """A field of a model's config that is a flag of the trainer, too."""

    type: type[int] | type[bool]
    """An int is 1 or more."""
    help: str
    """A sentence for --help, without the model's name."""
    unit: str = ""
    """What an int counts, in the plural."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What the command line knows of a model without importing it."""

    options: Mapping[str, Option] = dataclasses.field(default_factory=dict)
    """By the name of the field."""
    curriculum: Curriculum | None = None
    """As published; a model without one trains on all variants."""


@dataclass(frozen=True, kw_only=True)
class Model(Listing):
    """A model: its network, the sizes that it comes in, and what the command line knows of it."""

    network: "type[nn.Module]"
    """Maps a mixture [B, T] to estimates [B, 2, T] for any T >= 1 samples; takes the config as its only argument."""
    presets: "Mapping[str, DataclassInstance]"
    """Config of each preset: 'paper' as published, 'debug' small enough for one CPU core."""
    notes: "Callable[[torch.device], tuple[str, ...]]" = lambda device: ()
    """Returns lines for the log: the choices that depend on the device."""

    def __post_init__(self) -> None:
        for option in self.options:
            if option not in self.fields:
                raise ValueError(
                    f"{self.name}: option '{option}' is no field of its config, {nearest(option, self.fields)}"
                )

    @property
    def name(self) -> str:
        """The file's name and the word on the command line."""
        return self.network.__module__.rpartition(".")[2]

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the config's fields."""
        return tuple(field.name for field in dataclasses.fields(self.presets["paper"]))

    def config(self, preset: str, **architecture: int) -> "DataclassInstance":
        """Returns the config of `preset` with the given fields replaced. Raises ValueError as `build` does."""
        if preset not in self.presets:
            raise ValueError(f"{self.name} has no preset '{preset}', {nearest(preset, self.presets)}")
        for field in architecture:
            if field not in self.fields:
                raise ValueError(f"{self.name} has no architecture field '{field}', {nearest(field, self.fields)}")
        return dataclasses.replace(self.presets[preset], **architecture)


def build(model: str, preset: str, **architecture: int) -> "nn.Module":
    """Returns the network of `model` in `preset`, with single fields of its config replaced.

    Raises ValueError that names the nearest valid word where the model, the preset or a field does not exist, and the
    field where a value does not fit.
    """
    entry = find(model)
    return entry.network(entry.config(preset, **architecture))


def find(model: str) -> Model:
    """Returns the entry of `model` and imports its file. Raises ValueError that names the nearest model."""
    if model not in MODELS:
        raise ValueError(f"unknown model '{model}', {nearest(model, MODELS)}")
    entry: Model = import_module(f"{__package__}.{model}").MODEL
    return entry


def _listing(file: Path) -> Listing | None:
    """Returns what the file's entry says, without running the file; None where it has no entry."""
    wanted = {field.name for field in dataclasses.fields(Listing)}
    for node in ast.parse(file.read_bytes(), str(file)).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="MODEL")], value=ast.Call(keywords=keywords)):
                expressions = {keyword.arg: keyword.value for keyword in keywords if keyword.arg in wanted}
                return Listing(**{str(name): _value(file, value) for name, value in expressions.items()})
    return None


def _value(file: Path, expression: ast.expr) -> Any:
    """Returns the value of an expression of literals, Option and Curriculum. Raises ImportError for any other name."""
    code = compile(ast.Expression(expression), str(file), "eval")
    try:
        return eval(code, {"Option": Option, "Curriculum": Curriculum})  # noqa: S307 - our own source
    except NameError as error:
        raise ImportError(
            f"{file}, line {expression.lineno}: MODEL's options and curriculum are read before it is imported and "
            f"may use only literals, Option and Curriculum ({error})"
        ) from error


def _listings() -> dict[str, Listing]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return {file.stem: listing for file in files if (listing := _listing(file)) is not None}


def _options(models: Mapping[str, Listing]) -> dict[str, Option]:
    """Returns the options of all models; the help of each names the models that have it.

    Raises ImportError where two models mean different things by the same name.
    """
    options: dict[str, Option] = {}
    for model, listing in models.items():
        for name, option in listing.options.items():
            known = options.get(name, dataclasses.replace(option, help=""))
            if (known.type, known.unit) != (option.type, option.unit):
                raise ImportError(
                    f"trainer/models/{model}.py: another model has an option '{name}' of another type or unit"
                )
            options[name] = dataclasses.replace(known, help=f"{known.help} {model}: {option.help}".lstrip())
    return options


MODELS: Mapping[str, Listing] = MappingProxyType(_listings())
"""By name, in alphabetical order."""

OPTIONS: Mapping[str, Option] = MappingProxyType(_options(MODELS))
"""By the name of the config's field, in the order of the models."""

CURRICULA: Mapping[str, Curriculum] = MappingProxyType(
    {name: model.curriculum for name, model in MODELS.items() if model.curriculum} | {"all": ALL_VARIANTS}
)
"""By model, as published (Series 3 keeps them fixed); 'all' has every variant from the first epoch on."""
