"""Every key of a spec and of a site with every kind of wrong value: one plain line, and nothing of pydantic's own text.

The fields are read off the models, so that a new one is tried too. What a line must say comes from a table by the type
of the field and that of the value.
"""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core.core_schema import ErrorType

from katib.defects import defects, shown, worded
from katib.site import Site, default_site
from katib.spec import SPECS, Spec

SPEC: dict[str, Any] = yaml.safe_load((SPECS / "dprnn.yaml").read_text())
SPEC["first_suggestions"] = [{"lr": 0.001, "weight_decay": 1e-5, "grad_clip_norm": 5, "lr_factor": 0.5}]
SPEC["gpu_hours"] = 12.5
SPEC["gpus"] = 2
SPEC["stages"] = [{"train_limit": 2000}, {"train_limit": "all", "trials": 8, "hours_per_run": 3}]
OWN: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "examples/quadratic/quadratic.yaml").read_text())
OWN |= {"resume": True, "wandb": True, "fixed": {"seed": 7}}
OWN["metric"] |= {"regexp": r"loss=(\S+)", "unit": "%", "noise": 0.1}
SITE_: dict[str, Any] = yaml.safe_load(default_site().read_text()) | {
    "pull_secrets": ["registry"],
    "node_selector": {"gpu": "h200"},
    "kueue_queue": "gpus",
    "kueue_priority": "high",
    "priority_class": "low",
    "katib_namespace": "katib",
    "storage": {"data": None, "runs": {"size": "50Gi", "storage_class": "nfs", "access": "ReadWriteMany"}},
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
    "topology_spread": [{"topologyKey": "kubernetes.io/hostname", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}],
    "runtime_class": "nvidia",
    "scheduler": "volcano",
    "autoscaled": True,
    "service_account": "trainer",
    "labels": {"team": "speech"},
    "annotations": {"example.org/owner": "someone"},
    "environment": {"NCCL_DEBUG": "WARN"},
    "trackers": ["tensorboard"],
    "secret_environment": {"HF_TOKEN": {"secret": "hub", "key": "token"}},
    "job": {"retries": 3, "grace_seconds": 120, "linger_seconds": 20, "kept_days": 7},
    "fs_group_change_policy": "OnRootMismatch",
}
SITE_["resources"] |= {"gpu_resource": "nvidia.com/mig-1g.10gb", "trials_per_gpu": 7, "scratch": "4Gi"}
SITE_["tolerations"] += [{"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 5}]
DOCUMENTS: list[tuple[type[BaseModel], dict[str, Any]]] = [(Spec, SPEC), (Spec, OWN), (Site, SITE_)]
WRONG: list[Any] = [
    None,
    True,
    "",
    " ",
    "Two Words",
    "ü/..",
    "x" * 300,
    0,
    -1,
    10**30,
    0.5,
    float("nan"),
    float("inf"),
    [],
    [1],
    {},
    {"nonsense": 1},
    {1: 2},
    ["a", ["b"]],
]
PYDANTIC = [
    re.escape(words)
    for words in (
        "Input should",
        "should match",
        "be a valid",
        "is not valid",
        "unable to",
        "validation error",
        "pydantic",
        "^",
        "[key]",
        "constrained",
        "Extra inputs",
        "Field required",
        "could not convert",
        "datetime",
        "None",
        "Keys should",
    )
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path of each key and item below `value`."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in pairs:
        yield (*path, key)
        yield from places(below, (*path, key))


def with_value(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(document)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


def problem(model: type[BaseModel], document: Any) -> str:
    """Returns what is said of `document`; empty where it is valid."""
    try:
        model.model_validate(document, strict=True)
    except ValidationError as error:
        return defects(error, model)
    return ""


def lines(model: type[BaseModel], document: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], Any, str]]:
    for path in places(document):
        for value in WRONG:
            yield path, value, problem(model, with_value(document, path, value))


@pytest.mark.parametrize(("model", "document"), DOCUMENTS)
def test_no_value_of_any_field_brings_out_a_librarys_words(model: type[BaseModel], document: dict[str, Any]) -> None:
    assert problem(model, document) == ""
    tried = {path[0] for one, other in DOCUMENTS if one is model for path in places(other)}
    assert tried == set(model.model_fields)
    foreign = re.compile("|".join(PYDANTIC))
    refused = 0
    for path, value, said in lines(model, document):
        refused += bool(said)
        assert not foreign.search(said), (path, value, said)
        assert "\n" not in said
        assert len(said) < 1000, (path, value, said)
    assert refused > 400


@pytest.mark.parametrize(("model", "document"), DOCUMENTS)
def test_a_key_that_is_missing_misspelt_or_no_text_is_named(model: type[BaseModel], document: dict[str, Any]) -> None:
    for path in places(document):
        *above, key = path
        holder = document
        for step in above:
            holder = holder[step]
        if not isinstance(holder, dict):
            continue
        without = copy.deepcopy(document)
        inner = without
        for step in above:
            inner = inner[step]
        value = inner.pop(key)
        name = ".".join(map(str, path))
        said = problem(model, without)
        lacks = (f"key '{name}' is missing", f"{'.'.join(map(str, above))}: key '{key}' is missing")
        named = said.startswith(lacks) or "first_suggestions" in said
        of_a_command = "neither model nor command" in said or f"command: {{{key}}} has no range" in said
        of_a_queue = "has no effect without kueue_queue" in said
        assert said == "" or named or of_a_command or of_a_queue, (path, said)
        inner[f"{key}x"] = value
        again = problem(model, without)
        assert "Extra" not in again
        assert again == "" or "did you mean" in again or str(key) in again or above, (path, again)


@pytest.mark.parametrize("kind", sorted(set(get_args(ErrorType)) - {"value_error"}))
def test_each_kind_of_defect_that_pydantic_knows_is_said_in_words_of_ours(kind: str) -> None:
    """By pydantic's own list of its errors. A value error's words are those of our own validators."""
    context = dict.fromkeys(("gt", "ge", "lt", "le", "expected", "max_length"), "1")
    item = {"type": kind, "loc": ("a",), "msg": "PYDANTIC", "input": "x", "ctx": context}
    assert "PYDANTIC" not in worded(item)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "change", "line"),
    [
        (Site, {"namespace": "My Team"}, "'my-team' would do (got 'My Team')"),
        (Site, {"namespace": "a" * 70}, f"at most 63 characters; '{'a' * 63}' would do"),
        (Site, {"data_folder": "/data/Pol SESS/"}, "data_folder: must be the name of one folder"),
        (Site, {"data_folder": ".."}, "data_folder: must be the name of one folder"),
        (Site, {"resources.memory": "32 GB"}, "such as 8, 500m or 32Gi; '32G' would do"),
        (Site, {"resources.memory": "32gib"}, "'32Gi' would do"),
        (Site, {"resources.cpu": 8}, "resources.cpu: must be a text; '8' in quotes would do (got 8)"),
        (Site, {"resources.gpus": "one"}, "resources.gpus: must be a whole number (got 'one')"),
        (Site, {"tolerations.0.effect": "noschedule"}, "did you mean 'NoSchedule'? (got 'noschedule')"),
        (Site, {"tolerations": {"key": "x"}}, "tolerations: must be a list (got a mapping)"),
        (Site, {"claims": ["data"]}, "claims: must be a mapping (got a list)"),
        (Site, {"image": "trainer"}, "image: must be an image with its tag or digest"),
        (Site, {"user.uid": 2**31}, "user.uid: must be at most 2147483647 (got 2147483648)"),
        (Site, {"namespace": None}, "namespace: must be a text (got nothing)"),
        (Spec, {"search.lr.distribution": "log"}, "must be one of uniform, logUniform, normal, logNormal (got 'log')"),
        (Spec, {"search.lr.max": float("inf")}, "search.lr.max: must be a finite number (got inf)"),
        (
            Spec,
            {"baseline.seeds": {"first": 3.0}},
            "baseline.seeds: a key must be a whole number (got 'first')",
        ),
        (Spec, {"fixed.curriculum": "a b"}, "fixed.curriculum: must have letters, digits and"),
        (Spec, {"fixed.curriculum": {"a": 1}}, "fixed.curriculum: must be a number, a word, true, false"),
        (Spec, {"trials": 10**9}, "trials: must be at most 1000000"),
        (Spec, {"algorithm.settings": {"random_state": 42}}, "must be a text; '42' in quotes would do"),
        (Spec, {"name": "My Search"}, "'my-search' would do (got 'My Search')"),
    ],
)
def test_the_line_says_what_would_do(model: type[BaseModel], change: dict[str, Any], line: str) -> None:
    ((place, value),) = change.items()
    path = tuple(int(key) if key.isdigit() else key for key in place.split("."))
    said = problem(model, with_value(SPEC if model is Spec else SITE_, path, value))
    assert line in said, said


def test_a_wrong_value_is_shown_as_in_the_file() -> None:
    values: tuple[object, ...] = (None, True, [1], {}, 0.5, "a\nb")
    assert [shown(value) for value in values] == [
        "nothing",
        "true",
        "a list",
        "a mapping",
        "0.5",
        r"'a\nb'",
    ]
    assert len(shown("x" * 500)) == 60
