"""The JSON schemas for editors: current, true to what the program accepts, and named in every file that is shipped."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from katib.schemas import FILES, schema
from katib.site import default_site
from katib.spec import SPECS
from katib.yaml_reader import read_yaml

ROOT = Path(__file__).parents[2]
SHIPPED = [default_site(), *sorted(SPECS.glob("*.yaml")), *sorted((ROOT / "examples").rglob("*.yaml"))]
MARK = "# yaml-language-server: $schema="


def valid(path: Path, document: Any) -> list[str]:
    """Returns what the schema that the file names says against a document."""
    named = path.read_text().splitlines()[0]
    assert named.startswith(MARK), path
    tree = json.loads((path.parent / named.removeprefix(MARK)).read_text())
    jsonschema.Draft7Validator.check_schema(tree)
    return [error.message for error in jsonschema.Draft7Validator(tree).iter_errors(document)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_schema_is_that_of_its_model(path: Path) -> None:
    assert path.read_text() == schema(FILES[path]), "run: make schemas"
    assert json.loads(schema(FILES[path]))["additionalProperties"] is False


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_each_shipped_file_names_its_schema_and_meets_it(path: Path) -> None:
    assert valid(path, read_yaml(path.read_text())) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"namspace": "x"}, "'namspace' was unexpected"),
        ({"image": "no tag"}, "does not match"),
        ({"resources": {"gpus": -1, "cpu": "8", "memory": "1Gi", "shared_memory": "1Gi"}}, "less than the minimum"),
        ({"resources": {"gpus": 1, "cpu": 8, "memory": "1Gi", "shared_memory": "1Gi"}}, "is not of type 'string'"),
        ({"tolerations": [{"effect": "noschedule"}]}, "is not valid under any"),
        ({"namespace": "a" * 64}, "is too long"),
    ],
)
def test_an_editor_marks_what_the_program_refuses(change: dict[str, Any], words: str) -> None:
    found = valid(default_site(), yaml.safe_load(default_site().read_text()) | change)
    assert any(words in line for line in found), found


def test_an_editor_shows_what_a_key_is() -> None:
    tree = json.loads((ROOT / "k8s" / "site.schema.json").read_text())
    assert "nvidia.com/mig-1g.10gb" in tree["$defs"]["Resources"]["properties"]["gpu_resource"]["description"]
