"""Writes the JSON schemas of site and spec from their models, by which editors complete and check: `make schemas`."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel

from katib import ranges, site, site_pods, spec, spec_command, spec_parts
from katib.program import ROOT

FILES: dict[Path, type[BaseModel]] = {
    ROOT / "k8s" / "site.schema.json": site.Site,
    spec.SPECS / "spec.schema.json": spec.Spec,
}
MODULES: tuple[ModuleType, ...] = (ranges, site, site_pods, spec, spec_command, spec_parts)
DRAFT = "http://json-schema.org/draft-07/schema#"
"""The draft that editors' YAML servers know best; nothing here needs a later one."""


def schema(model: type[BaseModel]) -> str:
    """Returns the JSON schema of a model, with the docstrings of its keys as descriptions."""
    tree = model.model_json_schema()
    for name, node in {model.__name__: tree, **tree.get("$defs", {})}.items():
        section = _section(name)
        for key, words in _keys(section) if section else ():
            node["properties"].get(key, {})["description"] = words
    return json.dumps({"$schema": DRAFT, **_untitled(tree)}, indent=1, ensure_ascii=False) + "\n"


def write() -> None:
    """Writes both schemas where they are shipped."""
    for path, model in FILES.items():
        path.write_text(schema(model), encoding="utf-8")


def _section(name: str) -> type[BaseModel] | None:
    """Returns the model of this name; None where it is pydantic's own, such as JsonValue."""
    found = (getattr(module, name, None) for module in MODULES)
    return next((each for each in found if isinstance(each, type) and issubclass(each, BaseModel)), None)


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yields each key that has a docstring, with its text on one line."""
    (source,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    body = source.body if isinstance(source, ast.ClassDef) else []
    for field, text in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            yield field.target.id, " ".join(str(text.value.value).split())


def _untitled(node: object, *, named: bool = False) -> dict[str, object]:
    """Returns the schema without the titles that pydantic makes of its keys; `named` where its keys are names."""
    assert isinstance(node, dict)  # noqa: S101  (called for mappings alone)
    names = ("properties", "$defs")
    return {
        key: _untitled(value, named=key in names and not named) if isinstance(value, dict) else value
        for key, value in node.items()
        if named or key != "title"
    }


if __name__ == "__main__":
    write()
