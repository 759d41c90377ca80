"""Reads from the source of a model's file what the command line and the control side need, without running the file.

That is a top-level `MODEL = Model(…)`: the names of its presets, and the fields of its config, which are flags. Both
must stand in the file as literals and as a dataclass; what is written otherwise is None here, and known to Python only.
"""

import ast
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import ConfigError
from trainer.text import nearest, one_line

KINDS: Mapping[str, type[int] | type[float] | type[bool] | type[str]] = {
    kind.__name__: kind for kind in (int, float, bool, str)
}
"""The types of fields that are flags; fields of other types keep the preset's value."""


@dataclass(frozen=True, kw_only=True)
class ConfigField:
    """A field of a model's config: a flag of the trainer for this model, searched and swept like any other."""

    kind: str
    """int, float, bool or str."""
    choices: tuple[str, ...] = ()
    """The values of a Literal."""
    least: int | None = None
    """An int is not below this, as far as the command line knows; the config itself may be stricter."""
    most: int | None = None
    """An int is not above this; given with `least`."""
    help: str = ""
    """The docstring below the field."""

    @property
    def row(self) -> dict[str, object]:
        """What the control side wants to know of it, as in katib/trainer_flags.json."""
        row: dict[str, object] = {"type": self.kind, "optional": True}
        if self.choices:
            row["choices"] = list(self.choices)
        if self.least is not None and self.most is not None:
            row |= {"least": self.least, "below": self.most + 1, "expected": f"{self.least} to {self.most}"}
        return row


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the source of a file says of its model; None where only Python could tell."""

    arguments: Mapping[str, ast.expr]
    """The keyword arguments of Model(…)."""
    presets: tuple[str, ...] | None
    fields: Mapping[str, ConfigField] | None


class AbsentModuleError(ConfigError):
    """The module of a model of one's own is not among those that Python finds here."""


def read_source(file: Path, entry: str = "MODEL") -> Source | None:
    """Returns what `file` says of its model; None where it has no `entry`. Raises ConfigError for what is no Python."""
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(f"{file}: cannot be read as Python ({one_line(str(error))})") from error
    call = entries(tree).get(entry)
    if call is None:
        return None
    arguments = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    match arguments.get("presets"):
        case ast.Dict(keys=keys, values=values):
            names = tuple(key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
            configs = {
                value.func.id for value in values if isinstance(value, ast.Call) and isinstance(value.func, ast.Name)
            }
            config = classes.get(next(iter(configs))) if len(configs) == 1 else None
            return Source(
                arguments=arguments,
                presets=names if len(names) == len(keys) else None,
                fields=_fields(config) if config is not None and not config.bases else None,
            )
    return Source(arguments=arguments, presets=None, fields=None)


def entries(tree: ast.Module) -> dict[str, ast.Call]:
    """Returns the calls of Model that the file assigns to a name."""
    found = {}
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=called) as call)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=called) as call)
            ) if "Model" in (getattr(called, "id", ""), getattr(called, "attr", "")):
                found[name] = call
    return found


def locate(module: str) -> Path:
    """Returns the file of `module`, found as an import would, but without running its packages.

    Raises ConfigError that names the part that is not there.
    """
    parts = module.split(".")
    path: list[str] | None = None
    for number in range(1, len(parts) + 1):
        name = ".".join(parts[:number])
        finders = (finder.find_spec(name, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next(filter(None, finders), None)
        if spec is None:
            raise AbsentModuleError(
                f"no module {name} here; start in the folder that holds {parts[0]}, or put that folder on PYTHONPATH"
            )
        if number == len(parts) and spec.origin and spec.origin.endswith(".py"):
            return Path(spec.origin)
        locations = spec.submodule_search_locations
        # Listing the locations of a nested package without __init__.py would import its parent.
        path = list(getattr(locations, "_path", locations) or ())
    raise ConfigError(f"{module} is no Python file; name the module that has the entry")


def own_source(word: str) -> Source:
    """Returns what the source of the model `word`, such as my_package.my_model:MODEL, says; the module is not run.

    The current folder is searched last. Raises ConfigError where there is no such module or entry.
    """
    module, _, entry = word.partition(":")
    if not (entry.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ConfigError(f"model {word}: name a module and its entry, such as my_package.my_model:MODEL")
    try:
        with CurrentFolder():
            file = locate(module)
        source = read_source(file, entry)
    except ConfigError as error:
        raise type(error)(f"model {word}: {error}") from error
    if source is None:
        known = entries(ast.parse(file.read_bytes()))
        having = nearest(entry, known) if known else "write one (docs/extend.md, A model)"
        raise ConfigError(f"model {word}: {file} has no entry {entry} = Model(…); {having}")
    return source


def require_importable(word: str) -> None:
    """Raises ConfigError where Python itself does not find the module of a model that a checkpoint names.

    The current folder does not count unless Python searches it: it may have come with the checkpoint.
    """
    try:
        locate(word.partition(":")[0])
    except ConfigError as error:
        problem = str(error).partition(";")[0]
        raise ConfigError(f"model {word}: {problem}; put the folder that holds its package on PYTHONPATH") from error


class CurrentFolder:
    """Has imports look into the current folder, too, after all others, where Python itself was told not to (-P)."""

    def __enter__(self) -> None:
        self.folder = str(Path.cwd())
        sys.path.append(self.folder)

    def __exit__(self, *_: object) -> None:
        # The last one: the same folder may stand there for another reason.
        position = len(sys.path) - 1 - sys.path[::-1].index(self.folder)
        del sys.path[position]


def _fields(config: ast.ClassDef) -> dict[str, ConfigField]:
    """Returns the fields of a dataclass that can be flags, with the docstrings below them."""
    found = {}
    for node, after in zip(config.body, [*config.body[1:], None], strict=True):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation):
                if field := _field(annotation, _docstring(after)):
                    found[name] = field
    return found


def _field(annotation: ast.expr, text: str) -> ConfigField | None:
    """Returns the flag of a field of this type; None for a type that no flag has."""
    match annotation:
        case ast.Name(id=kind) if kind in KINDS:
            return ConfigField(kind=kind, help=text)
        case ast.Subscript(value=ast.Name(id="Literal") | ast.Attribute(attr="Literal"), slice=listed):
            values = [
                one.value
                for one in (listed.elts if isinstance(listed, ast.Tuple) else [listed])
                if isinstance(one, ast.Constant)
            ]
            kinds = {type(value).__name__ for value in values}
            if len(kinds) == 1 and (kind := kinds.pop()) in ("int", "str"):
                return ConfigField(kind=kind, choices=tuple(map(str, values)), help=text)
    return None


def _docstring(node: ast.stmt | None) -> str:
    match node:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return one_line(text)
    return ""
