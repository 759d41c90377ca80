"""What katib/check/types.json holds: the types of an Experiment and of a batch/v1 Job, from the package
kubeflow-katib-api.

That package has the types of the pod but none of batch/v1, which are below as Katib v0.19 knows them (k8s.io/api v0.34,
batch/v1/types.go). `python -m tests.katib.check.katib_types` writes the file anew.
"""

import json
import types
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from kubeflow_katib_api import models
from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from katib.check import structure
from katib.check.structure import LIST, MAPPING, REQUIRED

FILE = Path(structure.__file__).with_name("types.json")


class Node(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)


class OnExitCodes(Node):
    container_name: StrictStr | None = None
    operator: StrictStr
    values: list[StrictInt]


class OnPodCondition(Node):
    type: StrictStr
    status: StrictStr


class PodFailureRule(Node):
    action: StrictStr
    on_exit_codes: OnExitCodes | None = None
    on_pod_conditions: list[OnPodCondition] | None = None


class PodFailurePolicy(Node):
    rules: list[PodFailureRule]


class SuccessRule(Node):
    succeeded_indexes: StrictStr | None = None
    succeeded_count: StrictInt | None = None


class SuccessPolicy(Node):
    rules: list[SuccessRule]


class PodTemplate(Node):
    metadata: models.IoK8sApimachineryPkgApisMetaV1ObjectMeta | None = None
    spec: models.IoK8sApiCoreV1PodSpec


class JobSpec(Node):
    parallelism: StrictInt | None = None
    completions: StrictInt | None = None
    active_deadline_seconds: StrictInt | None = None
    pod_failure_policy: PodFailurePolicy | None = None
    success_policy: SuccessPolicy | None = None
    backoff_limit: StrictInt | None = None
    backoff_limit_per_index: StrictInt | None = None
    max_failed_indexes: StrictInt | None = None
    selector: models.IoK8sApimachineryPkgApisMetaV1LabelSelector | None = None
    manual_selector: StrictBool | None = None
    template: PodTemplate
    ttl_seconds_after_finished: StrictInt | None = None
    completion_mode: StrictStr | None = None
    suspend: StrictBool | None = None
    pod_replacement_policy: StrictStr | None = None
    managed_by: StrictStr | None = None


class Job(Node):
    api_version: StrictStr
    kind: StrictStr
    metadata: models.IoK8sApimachineryPkgApisMetaV1ObjectMeta | None = None
    spec: JobSpec
    status: Any = None
    """What it holds is not looked at: kubectl create --dry-run writes an empty one, which Go keeps."""


NAMES: dict[Any, str] = {
    str: "str",
    int: "int",
    bool: "bool",
    float: "float",
    datetime: "time",
    Any: "any",
    object: "any",
    models.IoK8sApimachineryPkgApiResourceQuantity: "quantity",
    models.IoK8sApimachineryPkgUtilIntstrIntOrString: "int-or-string",
    models.V1beta1Experiment: "Experiment",
}


def written() -> str:
    """Returns the text of the file."""
    found: dict[str, dict[str, str]] = {}
    for model in (models.V1beta1Experiment, Job):
        _add(model, found)
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _add(model: type[BaseModel], found: dict[str, dict[str, str]]) -> str:
    name = NAMES.get(model, model.__name__)
    if name not in found and name not in ("quantity", "int-or-string"):
        keys = found[name] = {}
        for own, field in model.model_fields.items():
            keys[field.alias or own] = _name(field.annotation, found) + REQUIRED * field.is_required()
    return name


def _name(annotation: Any, found: dict[str, dict[str, str]]) -> str:
    """Returns the annotation without Annotated, Optional and strictness; int | float counts as float."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _name(parts[0], found)
    if origin in (Union, types.UnionType):
        options = {_name(item, found) for item in parts if item is not type(None)}
        return "float" if options == {"int", "float"} else options.pop()
    if origin is list:
        return LIST + _name(parts[0], found)
    if origin is dict:
        return MAPPING + _name(parts[1], found)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _add(annotation, found)
    return NAMES[annotation]


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
