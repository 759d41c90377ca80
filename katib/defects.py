"""Says in plain words what pydantic found wrong with an input: the key, what it must be, and the nearest valid word.

No message of pydantic itself reaches a user.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from pydantic import AfterValidator, BaseModel, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails

from katib.errors import nearest

MOST_DEFECTS = 10
LONGEST_VALUE = 60
KEY = "[key]"
"""The mark of pydantic for a mapping whose key is wrong, rather than its value."""


def defects(cause: ValidationError, model: type[BaseModel]) -> str:
    """Returns all defects in one line, each with its key and the nearest valid one."""
    found = list(dict.fromkeys(_line(item, model) for item in cause.errors()))
    more = [f"and {len(found) - MOST_DEFECTS} more"] if len(found) > MOST_DEFECTS else []
    return "; ".join([*found[:MOST_DEFECTS], *more])


def worded(item: ErrorDetails) -> str:
    """Returns what is wrong with one value."""
    kind, context = item["type"], item.get("ctx", {})
    if kind == "value_error":
        return item["msg"].removeprefix("Value error, ")
    # NaN lies within no limits, so pydantic would name those.
    if str(item["input"]).strip().lower().lstrip("+-") == "nan":
        return _WORDS["finite_number"]
    if kind == "literal_error":
        words = [word.strip("'") for word in re.split(", | or ", context["expected"])]
        return f"must be one of {', '.join(words)}" + _near(item["input"], words)
    if kind == "string_type" and isinstance(item["input"], int | float | date):
        return f"must be a text; '{shown(item['input'])}' in quotes would do"
    limits = {name: f"{limit:.15g}" if isinstance(limit, float) else limit for name, limit in context.items()}
    return _WORDS.get(kind, "is not valid").format(**limits)


@dataclass(frozen=True)
class _Spelled(AfterValidator):
    """A validator of texts that says in a JSON schema, too, what they match."""

    pattern: str
    longest: int

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, object]:
        length = {"maxLength": self.longest} if self.longest else {}
        return {**handler(core), "pattern": f"^(?:{self.pattern})$", **length}


def spelled(pattern: str, rule: str, *, longest: int = 0, near: Callable[[str], str] = str) -> AfterValidator:
    """Returns a validator for texts that match the whole `pattern` and have at most `longest` characters.

    `rule` says in words what a text must do, and `near` turns a wrong text into one that may be valid.
    """
    whole = re.compile(pattern)

    def fits(text: str) -> bool:
        return whole.fullmatch(text) is not None and (not longest or len(text) <= longest)

    def check(text: str) -> str:
        if fits(text):
            return text
        other = near(text)
        raise ValueError(f"must {rule}" + (f"; '{other}' would do" if other != text and fits(other) else ""))

    return _Spelled(check, pattern, longest)


def hyphenated(longest: int, first: str = "a-z0-9") -> Callable[[str], str]:
    """Returns a function that turns a text into a Kubernetes name of lower-case letters, digits and '-'."""

    def near(text: str) -> str:
        bare = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
        words = re.sub(r"[^a-z0-9]+", "-", bare.lower())
        return re.sub(rf"^[^{first}]+", "", words)[:longest].strip("-")

    return near


def shown(value: object) -> str:
    """Returns a wrong value as it looks in YAML."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    text = value.isoformat() if isinstance(value, date) else repr(value) if isinstance(value, str) else f"{value}"
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


_WORDS = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "json_invalid": "is not JSON",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "invalid_key": "must be a text",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
}
"""The words for each type of defect that pydantic knows; `spelled` validates the length and spelling of texts."""


def _near(value: object, words: list[str]) -> str:
    hint = nearest(value, words) if isinstance(value, str) else ""
    return f"; {hint}" if hint.startswith("did you mean") else ""


def _line(item: ErrorDetails, model: type[BaseModel]) -> str:
    keys = [str(part) for part in item["loc"]]
    if keys[-1:] == [KEY] or item["type"] == "invalid_key":
        place = ".".join(keys[: -2 if keys[-1] == KEY else -1])
        return f"{f'{place}: ' if place else ''}a key {worded(item)} (got {shown(item['input'])})"
    where = ".".join(keys)
    if item["type"] == "extra_forbidden":
        hint, places = nearest(keys[-1], _fields(model, keys[:-1])), [*_places(model, keys[-1])]
        if places and not hint.startswith("did you mean"):
            hint = f"did you mean '{places[0]}'?"
        return f"unknown key '{where}': {hint}"
    if item["type"] == "missing":
        return f"key '{where}' is missing"
    # A message about a whole section names the values itself; printing the section would fill a screen.
    own = item["type"] == "value_error" and isinstance(item["input"], dict)
    found = "" if own else f" (got {shown(item['input'])})"
    return f"{where}: {worded(item)}{found}" if where else f"{worded(item)}{found}"


def _fields(model: type[BaseModel], keys: list[str]) -> set[str]:
    """Returns the keys that the section at `keys` may hold.

    For a mapping with free keys (search, fixed), these are the keys of its values.
    """
    section: type[BaseModel] = model
    for key in keys:
        field = section.model_fields.get(key)
        if field is None:
            continue
        found = _section(field.annotation)
        if found:
            section = found
    return set(section.model_fields)


def _places(model: type[BaseModel], key: str) -> Iterator[str]:
    """Yields where else `key` belongs: its path through the sections of `model`, without lists and mappings."""
    if key in model.model_fields:
        yield key
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from (f"{name}.{place}" for place in _places(kind, key))


def _section(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _section(argument)
        if found:
            return found
    return None
