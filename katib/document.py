"""Reads a YAML input (a spec, a site) into its frozen model; each defect is told with file, key and the nearest valid key."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from katib.errors import SepsweepError, nearest
from katib.yaml_reader import YamlError, read_documents

Model = TypeVar("Model", bound=BaseModel)

MOST_DEFECTS = 10
LONGEST_VALUE = 80


class Strict(BaseModel):
    """Base of every section: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def load(path: Path, model: type[Model], error: type[SepsweepError]) -> Model:
    """The `model` that the YAML file `path` holds. Raises `error` with all defects in one line."""
    data = _data(path, error)
    if not isinstance(data, dict):
        raise error(f"{path}: holds no keys; it must be a mapping of {', '.join(sorted(model.model_fields))}")
    try:
        return model.model_validate(data, strict=True)
    except ValidationError as cause:
        raise error(f"{path}: {defects(cause, model)}") from None


def _data(path: Path, error: type[SepsweepError]) -> Any:
    """The value of the one document of `path`, as kubectl would read it. Raises `error`."""
    try:
        documents = read_documents(path.read_text(encoding="utf-8-sig"))
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror})") from None
    except UnicodeDecodeError as cause:
        raise error(f"{path}: is not UTF-8 text (byte {cause.start})") from None
    except YamlError as cause:
        raise error(f"{path}:{cause.line}: is not YAML: {cause.problem}") from None
    if len(documents) > 1:
        line = documents[1].lines[()]
        raise error(f"{path}:{line}: a second document begins here, and one belongs into the file")
    for document in documents:
        for fault in document.faults:
            key = ".".join(map(str, fault.path))
            raise error(f"{path}:{document.lines[fault.path]}: {key}: {fault.what}")
    return documents[0].value if documents else None


def defects(cause: ValidationError, model: type[BaseModel]) -> str:
    """All defects in one line, each with its key and the nearest valid one."""
    found = cause.errors()
    more = [f"and {len(found) - MOST_DEFECTS} more"] if len(found) > MOST_DEFECTS else []
    return "; ".join([*(_line(item, model) for item in found[:MOST_DEFECTS]), *more])


def worded(item: ErrorDetails) -> str:
    """What is wrong with one value, in plain words."""
    words = _WORDS.get(item["type"])
    return words.format(**item.get("ctx", {})) if words else item["msg"].removeprefix("Value error, ")


_WORDS = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "must match {pattern}",
}
"""By pydantic's type of the defect; what the type lacks here says it in the words of our own validators."""


def _line(item: ErrorDetails, model: type[BaseModel]) -> str:
    keys = [str(part) for part in item["loc"]]
    where = ".".join(keys)
    if item["type"] == "extra_forbidden":
        return f"unknown key '{where}': {nearest(keys[-1], _fields(model, keys[:-1]))}"
    if item["type"] == "missing":
        return f"key '{where}' is missing"
    problem = worded(item)
    # What holds for a whole section names its values itself; the section would take a screen.
    found = "" if isinstance(item["input"], dict) else f" (got {_shown(item['input'])})"
    return f"{where}: {problem}{found}" if where else f"{problem}{found}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _fields(model: type[BaseModel], keys: list[str]) -> set[str]:
    """The keys that the section at `keys` may hold; a mapping with free keys (search, fixed) has those of its values."""
    section: type[BaseModel] = model
    for key in keys:
        field = section.model_fields.get(key)
        if field is None:
            continue
        found = _section(field.annotation)
        if found:
            section = found
    return set(section.model_fields)


def _section(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _section(argument)
        if found:
            return found
    return None
