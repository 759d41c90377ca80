"""Reads a YAML input (a spec, a site) into its frozen model, and names each defect with file and key."""

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from katib.defects import defects, spelled
from katib.errors import SepsweepError
from katib.untrusted import given_text
from katib.yaml_reader import YamlError, read_documents

Model = TypeVar("Model", bound=BaseModel)
Image = Annotated[
    str,
    spelled(
        r"[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9._-]+|@sha256:[0-9a-f]{64})",
        "be an image with its tag or digest, such as registry.example/sepsweep/trainer:0.1.0",
    ),
]


class Strict(BaseModel):
    """The base of every section: it is frozen, has no unknown keys and no infinite numbers, and converts no types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


def load(path: Path, model: type[Model], error: type[SepsweepError]) -> Model:
    """Returns the `model` that the YAML file `path` holds. Raises `error` with all defects in one line."""
    data = read_yaml(path, error)
    if not isinstance(data, dict):
        raise error(f"{path}: holds no keys; it must have {', '.join(sorted(model.model_fields))}")
    if data.get("kind") == "Experiment" and "kind" not in model.model_fields:
        raise error(
            f"{path}: is an Experiment manifest, and a {model.__name__.lower()} is wanted here; the verbs local and"
            " check take the manifest, results, best and report its name"
        )
    needed = [key for key, field in model.model_fields.items() if field.is_required()]
    if needed and not set(needed) & set(data):
        raise error(f"{path}: is no {model.__name__.lower()}, which must have the keys {', '.join(needed)}")
    try:
        return model.model_validate(data, strict=True)
    except ValidationError as cause:
        raise error(f"{path}: {defects(cause, model)}") from None


def read_yaml(path: Path, error: type[SepsweepError]) -> object:
    """Returns the value of the only document in `path`, as kubectl would read it. Raises `error`."""
    try:
        documents = read_documents(given_text(path))
    except OSError as cause:
        raise error(f"{path}: cannot be read ({cause.strerror})") from None
    except UnicodeDecodeError as cause:
        raise error(f"{path}: is not UTF-8 text (byte {cause.start})") from None
    except YamlError as cause:
        raise error(f"{path}:{cause.line}: is not YAML: {cause.problem}") from None
    if len(documents) > 1:
        line = documents[1].lines[()]
        raise error(f"{path}:{line}: a second document begins here; the file must hold only one")
    for document in documents:
        for fault in document.faults:
            key = ".".join(map(str, fault.path))
            raise error(f"{path}:{document.lines[fault.path]}: {key}: {fault.what}")
    return documents[0].value if documents else None
