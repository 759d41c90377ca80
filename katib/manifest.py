# ruff: noqa: D101 (the classes are Katib's and Kubernetes' own mappings, documented there)
"""The keys of an Experiment manifest that are read on this side, as pydantic models; YAML is parsed here alone.

Keys that are not listed are left to katib/check.py. Called by katib/experiment.py.
"""

from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from katib.elsewhere import not_here
from katib.errors import ManifestError

ParameterType = Literal["double", "int", "discrete", "categorical"]
Distribution = Literal["uniform", "logUniform", "normal", "logNormal"]
Strategy = Literal["max", "min", "latest"]

DEFAULT_PARALLEL_TRIALS = 3
"""experiment_defaults.go of Katib v0.19."""

DEFAULT_BACKOFF_LIMIT = 6
"""Retries of a Kubernetes Job that names no backoffLimit."""


def parse(text: str, source: str) -> tuple["Manifest", dict[str, Any]]:
    """The one document of `text`, typed and as it was read. Raises ManifestError."""
    document = _document(text, source)
    if isinstance(spec := document.get("spec"), dict) and (found := not_here(spec)):
        raise ManifestError(f"{source}: {found}")
    try:
        return Manifest.model_validate(document), document
    except ValidationError as error:
        raise ManifestError(f"{source}: {_first(error)}; `check {source}` lists every defect") from None


class Node(BaseModel):
    """A mapping of the manifest. Keys are camelCase there; nothing is converted, so "1" is no number."""

    model_config = ConfigDict(frozen=True, strict=True, alias_generator=to_camel, extra="ignore")


class Metadata(Node):
    name: str
    namespace: str = "default"


class MetricStrategy(Node):
    name: str
    value: Strategy


class Objective(Node):
    type: Literal["maximize", "minimize"]
    objective_metric_name: str = Field(min_length=1)
    goal: float | None = None
    additional_metric_names: list[str] = []
    metric_strategies: list[MetricStrategy] = []


class FeasibleSpace(Node):
    min: str | None = None
    max: str | None = None
    step: str | None = None
    values: list[str] = Field([], alias="list")
    distribution: Distribution = "uniform"


class Parameter(Node):
    name: str
    parameter_type: ParameterType
    feasible_space: FeasibleSpace


class Setting(Node):
    name: str
    value: str


class Algorithm(Node):
    algorithm_name: str
    algorithm_settings: list[Setting] = []


class Filter(Node):
    metrics_format: list[str] = []


class Source(Node):
    filter: Filter = Filter()


class Collector(Node):
    kind: str = "StdOut"


class MetricsCollector(Node):
    collector: Collector = Collector()
    source: Source = Source()


class EnvVar(Node):
    name: str
    value: str | None = None


class VolumeMount(Node):
    name: str
    mount_path: str = Field(pattern="^/")
    read_only: bool = False


class Container(Node):
    name: str
    command: list[str] = Field(min_length=1)
    args: list[str] = []
    env: list[EnvVar] = []
    working_dir: str = ""
    volume_mounts: list[VolumeMount] = []


class Pod(Node):
    containers: list[Container]
    active_deadline_seconds: int | None = None


class PodTemplate(Node):
    spec: Pod


class JobSpec(Node):
    template: PodTemplate
    backoff_limit: int = DEFAULT_BACKOFF_LIMIT
    active_deadline_seconds: int | None = None


class JobMetadata(Node):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Job(Node):
    api_version: str
    kind: Literal["Job"]
    metadata: JobMetadata = JobMetadata()
    spec: JobSpec


class TrialParameter(Node):
    name: str
    reference: str


class TrialTemplate(Node):
    primary_container_name: str
    trial_parameters: list[TrialParameter]
    trial_spec: Job


class Spec(Node):
    objective: Objective
    algorithm: Algorithm
    early_stopping: Algorithm | None = None
    max_trial_count: int | None = Field(None, gt=0)
    parallel_trial_count: int = Field(DEFAULT_PARALLEL_TRIALS, gt=0)
    max_failed_trial_count: int | None = Field(None, ge=0)
    metrics_collector_spec: MetricsCollector = MetricsCollector()
    parameters: list[Parameter] = Field(min_length=1)
    trial_template: TrialTemplate


class Manifest(Node):
    api_version: Literal["kubeflow.org/v1beta1"]
    metadata: Metadata
    spec: Spec


def _document(text: str, source: str) -> dict[str, Any]:
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ManifestError(f"{source}{line}: not YAML: {problem}") from None
    if len(documents) != 1:
        raise ManifestError(f"{source}: holds {len(documents)} YAML documents; an experiment is exactly one")
    document = documents[0]
    if not isinstance(document, dict) or document.get("kind") != "Experiment":
        kind = document.get("kind") if isinstance(document, dict) else type(document).__name__
        raise ManifestError(
            f"{source}: kind: found {kind!r}, expected 'Experiment' (apiVersion kubeflow.org/v1beta1)"
        )
    return document


def _first(error: ValidationError) -> str:
    """The first problem as `spec.objective.type: text`, and how many there are beside it."""
    problem = error.errors()[0]
    path = ".".join(str(part) for part in problem["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{path}: {problem['msg']}{more}"
