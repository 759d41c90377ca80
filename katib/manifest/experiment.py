"""An Experiment manifest (kubeflow.org/v1beta1) as an engine runs it: what is searched, and what a trial is.

The manifest is read once, here; nothing after it sees YAML. What Katib would refuse or misread is the business of
katib/check; this module raises ManifestError where a manifest cannot be run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import re2
from pydantic import ValidationError

from katib.defects import worded
from katib.errors import ManifestError, nearest
from katib.manifest import schema
from katib.manifest.gpu_hours import budget_of
from katib.manifest.object import OWN_SPEC
from katib.manifest.search import Algorithm, Parameter, Search
from katib.measure import Measure, measure_of
from katib.metrics import DEFAULT_FILTER, compile_filter
from katib.tree import at
from katib.trial import Direction, Identity


@dataclass(frozen=True)
class TrialPod:
    """A trial's pod with its values filled in; it has the primary container alone."""

    name: str
    """The name of the trial and of its Job."""
    template: schema.PodTemplate

    @property
    def container(self) -> schema.Container:
        """The primary container."""
        return self.template.spec.containers[0]

    @property
    def argv(self) -> tuple[str, ...]:
        """The words of its command, as in the manifest."""
        return (*self.container.command, *self.container.args)


@dataclass(frozen=True)
class FailureRule:
    """A rule of a Job's podFailurePolicy that looks at exit codes: those `values`, or all others."""

    action: str
    values: frozenset[int]
    others: bool
    any_container: bool
    """Whether the exit code of Katib's collector counts too."""


@dataclass(frozen=True)
class TrialTemplate:
    """What a trial is: its pod with placeholders, how often and how long it may try, and how its values are read."""

    pod: str
    """The template of a trial's pod as JSON, placeholders included; it holds the primary container alone."""
    parameters: Mapping[str, str]
    """Placeholder -> reference: a parameter of the search or a `${trialSpec.…}`."""
    meta: Mapping[str, str]
    """What is the same for each trial, by its `${trialSpec.…}`: kind, namespace, labels and such."""
    collector: str
    filters: tuple[str, ...]
    """RE2 expressions of the metrics collector."""
    backoff_limit: int
    failure_rules: tuple[FailureRule, ...]
    grace_seconds: int
    """From SIGTERM to SIGKILL where Kubernetes ends a trial's pod."""
    job_deadline: int | None
    """Seconds from the start of a trial's first try, for all its tries together; None: no deadline."""
    pod_deadline: int | None
    """Seconds of one try."""

    def trial(self, trial_name: str, assignments: Mapping[str, str]) -> TrialPod:
        """Returns the pod of the trial that Katib would create for these assignments (manifest/generator.go).

        Raises ManifestError where a placeholder refers to nothing.
        """
        values = {**assignments, **self.meta, "${trialSpec.Name}": trial_name}
        text = self.pod
        for name, reference in self.parameters.items():
            if reference not in values:
                raise ManifestError(f"trialParameters: nothing is called '{reference}' ({nearest(reference, values)})")
            text = text.replace(f"${{trialParameters.{name}}}", json.dumps(values[reference])[1:-1])
        return TrialPod(trial_name, schema.PodTemplate.model_validate_json(text))


@dataclass(frozen=True)
class Experiment:
    """A manifest: a search, the template of its trials, and when and in which namespace it runs and ends."""

    search: Search
    template: TrialTemplate
    namespace: str
    labels: Mapping[str, str]
    strategy: schema.Strategy
    """Which of a trial's values becomes its result."""
    goal: float | None
    """The result that ends the search; None: it has no goal."""
    max_failed_trials: int | None
    """The number of failed trials that ends the search; None: they never do."""
    gpu_hours: float | None
    """The budget that ends the search, in GPU-hours; None: it has none."""
    own_spec: str
    """The user's own spec that it was rendered from, as JSON; empty where there is none."""
    spec: Mapping[str, object]
    """The `spec` of the manifest as it was read: what makes two searches the same search."""

    @property
    def name(self) -> str:
        """The name of the search, which the Experiment and its folder have too."""
        return self.search.name

    @property
    def measure(self) -> Measure:
        """Its metric with the unit of its values."""
        return measure_of(self.search.metric, self.own_spec)

    def identity(self, corpus: str = "") -> Identity:
        """Returns what identifies this search on the given corpus."""
        return Identity(
            self.name,
            self.search.metric,
            self.search.direction is Direction.MAXIMIZE,
            self.strategy,
            dict(self.spec),
            corpus,
            self.gpu_hours,
            self.own_spec,
        )

    def trial(self, trial_name: str, assignments: Mapping[str, str]) -> TrialPod:
        """Returns the pod of a trial with these assignments. Raises ManifestError where a placeholder has no value."""
        return self.template.trial(trial_name, assignments)


def load_experiment(text: str, source: str) -> Experiment:
    """Reads one manifest; `source` is what messages call it (a file name, a model).

    Raises ManifestError: not YAML, not one document, not an Experiment, a key missing or of the wrong type, a trial
    that is not a Job, a filter that RE2 does not accept.
    """
    manifest, document = schema.parse(text, source)
    spec = manifest.spec
    template = _template(spec, manifest.metadata.namespace, source)
    search = _search(spec, manifest.metadata.name, source)
    strategies = {strategy.name: strategy.value for strategy in spec.objective.metric_strategies}
    return Experiment(
        search=search,
        template=template,
        namespace=manifest.metadata.namespace,
        labels=manifest.metadata.labels,
        strategy=strategies.get(search.metric, search.direction.strategy),
        goal=spec.objective.goal,
        max_failed_trials=spec.max_failed_trial_count,
        gpu_hours=budget_of(manifest.metadata.annotations),
        own_spec=manifest.metadata.annotations.get(OWN_SPEC, ""),
        spec=at(document, "spec"),
    )


def _search(spec: schema.Spec, name: str, source: str) -> Search:
    return Search(
        name=name,
        metric=spec.objective.objective_metric_name,
        direction=Direction(spec.objective.type),
        parameters=tuple(_parameter(parameter, source) for parameter in spec.parameters),
        algorithm=_algorithm(spec.algorithm),
        early_stopping=_algorithm(spec.early_stopping) if spec.early_stopping else None,
        max_trials=spec.max_trial_count,
        parallel_trials=spec.parallel_trial_count,
    )


def _template(spec: schema.Spec, namespace: str, source: str) -> TrialTemplate:
    template, collector = spec.trial_template, spec.metrics_collector_spec
    job = template.trial_spec.spec
    pod = job.template.spec.model_copy(update={"containers": [_primary_container(template, source)]})
    return TrialTemplate(
        pod=job.template.model_copy(update={"spec": pod}).model_dump_json(by_alias=True),
        parameters={parameter.name: parameter.reference for parameter in template.trial_parameters},
        meta={**_meta(template.trial_spec), "${trialSpec.Namespace}": namespace},
        collector=collector.collector.kind,
        filters=_filters(collector, source),
        backoff_limit=job.backoff_limit,
        failure_rules=_failure_rules(job, pod),
        grace_seconds=pod.termination_grace_period_seconds,
        job_deadline=job.active_deadline_seconds,
        pod_deadline=pod.active_deadline_seconds,
    )


def parameters_of(spec: Mapping[str, object], source: str) -> tuple[Parameter, ...]:
    """Returns the axes of a search from its manifest's `spec`, such as a store keeps; an empty tuple if it has none.

    Raises ManifestError as `load_experiment` does.
    """
    try:
        listed = spec.get("parameters") or ()
        if not isinstance(listed, list | tuple):
            raise ManifestError(f"{source}: parameters: must be a list")
        return tuple(_parameter(schema.Parameter.model_validate(raw), source) for raw in listed)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        problem = "is missing" if first["type"] == "missing" else worded(first)
        raise ManifestError(f"{source}: parameters: {where}: {problem}") from None


def _filters(collector: schema.MetricsCollector, source: str) -> tuple[str, ...]:
    filters = tuple(collector.source.filter.metrics_format) or (DEFAULT_FILTER,)
    for text in filters:
        try:
            compile_filter(text)
        except re2.error as error:
            raise ManifestError(f"{source}: metricsFormat: RE2 does not accept '{text}': {error}") from None
    return filters


def _parameter(raw: schema.Parameter, source: str) -> Parameter:
    space = raw.feasible_space
    if raw.parameter_type in ("double", "int"):
        lacks = "min and max" if space.min is None or space.max is None else ""
    else:
        lacks = "" if space.values else "list"
    if lacks:
        raise ManifestError(f"{source}: parameter '{raw.name}': {raw.parameter_type} needs feasibleSpace {lacks}")
    values = tuple(space.values)
    return Parameter(raw.name, raw.parameter_type, space.min, space.max, space.step, values, space.distribution)


def _algorithm(raw: schema.Algorithm) -> Algorithm:
    return Algorithm(raw.algorithm_name, {setting.name: setting.value for setting in raw.algorithm_settings})


def _primary_container(template: schema.TrialTemplate, source: str) -> schema.Container:
    name = template.primary_container_name
    containers = {container.name: container for container in template.trial_spec.spec.template.spec.containers}
    if name not in containers:
        where = f"{source}: spec.trialTemplate.primaryContainerName"
        raise ManifestError(f"{where}: no container '{name}' ({nearest(name, containers)})")
    return containers[name]


def _failure_rules(job: schema.JobSpec, pod: schema.Pod) -> tuple[FailureRule, ...]:
    """Returns the rules for exit codes of the primary container; the others are about nodes and other containers."""
    name = pod.containers[0].name
    return tuple(
        FailureRule(rule.action, frozenset(codes.values), codes.operator == "NotIn", not codes.container_name)
        for rule in job.pod_failure_policy.rules
        if (codes := rule.on_exit_codes) is not None and codes.container_name in ("", name)
    )


def _meta(job: schema.Job) -> dict[str, str]:
    return {
        "${trialSpec.Kind}": job.kind,
        "${trialSpec.APIVersion}": job.api_version,
        **{f"${{trialSpec.Labels[{key}]}}": value for key, value in job.metadata.labels.items()},
        **{f"${{trialSpec.Annotations[{key}]}}": value for key, value in job.metadata.annotations.items()},
    }
