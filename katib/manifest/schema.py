# ruff: noqa: D101 (the classes are Katib's and Kubernetes' own mappings, documented there)
"""Parses an Experiment manifest into pydantic models of the keys that an engine reads.

Other keys are left to katib/check.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from katib.defects import worded
from katib.errors import ManifestError
from katib.manifest.cluster_only import not_here
from katib.manifest.object import DEFAULT_PARALLEL_TRIALS
from katib.manifest.search import Distribution, ParameterType
from katib.yaml_reader import Document, YamlError, read_documents

Strategy = Literal["max", "min", "latest"]

DEFAULT_BACKOFF_LIMIT = 6
"""Retries of a Kubernetes Job without backoffLimit."""

DEFAULT_GRACE_SECONDS = 30
"""Seconds from SIGTERM to SIGKILL in a pod without terminationGracePeriodSeconds."""


def parse(text: str, source: str) -> tuple["Manifest", dict[str, object]]:
    """Returns the one Experiment in `text`, typed and as it was read. Raises ManifestError."""
    document = experiment_document(text, source)
    if problem := not_here(document.get("spec")):
        raise ManifestError(f"{source}: {problem}")
    try:
        return Manifest.model_validate(document), document
    except ValidationError as error:
        raise ManifestError(f"{source}: {_first(error)}; `check {source}` lists every defect") from None


class Node(BaseModel):
    """A mapping of the manifest. Its keys are camelCase; nothing is converted, so "1" is not a number."""

    model_config = ConfigDict(frozen=True, strict=True, alias_generator=to_camel, extra="ignore", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: object) -> object:
        """Removes keys whose value is null, because Go treats them as missing."""
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


class Metadata(Node):
    name: str
    namespace: str = "default"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class MetricStrategy(Node):
    name: str = ""
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
    value: str = ""


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
    value: str = ""
    value_from: dict[str, object] = {}


def _absolute(path: str) -> str:
    """Returns the path below /, as the kubelet takes a relative one (kubelet_pods.go, makeMounts)."""
    return path if path.startswith("/") else f"/{path}"


class VolumeMount(Node):
    name: str
    mount_path: Annotated[str, Field(min_length=1), AfterValidator(_absolute)]
    sub_path: str = ""
    sub_path_expr: str = ""


class Resources(Node):
    limits: dict[str, object] = {}


class Container(Node):
    name: str
    command: list[str] = []
    args: list[str] = []
    env: list[EnvVar] = []
    env_from: list[dict[str, object]] = []
    working_dir: str = ""
    volume_mounts: list[VolumeMount] = []
    resources: Resources = Resources()


class Labels(Node):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Pod(Node):
    containers: list[Container]
    volumes: list[dict[str, object]] = []
    service_account_name: str = ""
    active_deadline_seconds: int | None = None
    termination_grace_period_seconds: int = DEFAULT_GRACE_SECONDS


class PodTemplate(Node):
    metadata: Labels = Labels()
    spec: Pod


class ExitCodes(Node):
    container_name: str = ""
    operator: Literal["In", "NotIn"]
    values: list[int]


class FailureRule(Node):
    action: str
    on_exit_codes: ExitCodes | None = None


class FailurePolicy(Node):
    rules: list[FailureRule] = []


class JobSpec(Node):
    template: PodTemplate
    backoff_limit: int = DEFAULT_BACKOFF_LIMIT
    active_deadline_seconds: int | None = None
    pod_failure_policy: FailurePolicy = FailurePolicy()


class Job(Node):
    api_version: str
    kind: Literal["Job"]
    metadata: Labels = Labels()
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


def chosen(documents: list[Document]) -> Document | None:
    """Returns the only document of a file, or the only Experiment among several; None if there is no such one."""
    if len(documents) == 1:
        return documents[0]
    experiments = [
        item for item in documents if isinstance(item.value, dict) and item.value.get("kind") == "Experiment"
    ]
    return experiments[0] if len(experiments) == 1 else None


def experiment_document(text: str, source: str) -> dict[str, object]:
    """Returns the one Experiment in `text` as it was read. Raises ManifestError."""
    try:
        documents = read_documents(text)
    except YamlError as error:
        raise ManifestError(f"{source}:{error.line}: not YAML: {error.problem}") from None
    experiment = chosen(documents)
    if experiment is None:
        raise ManifestError(
            f"{source}: holds {len(documents)} YAML documents, of which exactly one must be an Experiment"
        )
    document = experiment.value
    if not isinstance(document, dict) or document.get("kind") != "Experiment":
        kind = document.get("kind") if isinstance(document, dict) else type(document).__name__
        raise ManifestError(f"{source}: kind: found {kind!r}, expected 'Experiment' (apiVersion kubeflow.org/v1beta1)")
    return document


def _first(error: ValidationError) -> str:
    """Returns the first problem as `spec.objective.type: text`, and the number of further ones."""
    problem = error.errors()[0]
    path = ".".join(str(part) for part in problem["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{path}: {'is missing' if problem['type'] == 'missing' else worded(problem)}{more}"
