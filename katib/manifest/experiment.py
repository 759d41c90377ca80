"""Typed view of an Experiment manifest (kubeflow.org/v1beta1): the search, its trials' command and reports.

The manifest is read once, here; nothing after it sees YAML. Called by the local engine, results and cluster. What Katib
would refuse or misread is the business of katib/check.py; this raises where it cannot read on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import re2

from katib.errors import ManifestError, nearest
from katib.metrics import DEFAULT_FILTER, compile_filter
from katib.trial import Identity

if TYPE_CHECKING:
    # At work it is loaded with the first manifest: pydantic takes 20 MB, and a service that is asked over gRPC has
    # none.
    from katib.manifest import schema as schema
    from katib.manifest.schema import Distribution, ParameterType, Strategy


@dataclass(frozen=True)
class Parameter:
    """One axis of the search space; numbers are the manifest's own strings.

    double and int have `min` and `max`, discrete and categorical have `values`.
    """

    name: str
    type: ParameterType
    min: str | None
    max: str | None
    step: str | None
    values: tuple[str, ...]
    distribution: Distribution


@dataclass(frozen=True)
class Algorithm:
    """A service of Katib by name, with its settings."""

    name: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class TrialPod:
    """A trial's pod with its values filled in; of its containers there is the primary one alone."""

    name: str
    """Of the trial and of its Job."""
    template: schema.PodTemplate

    @property
    def container(self) -> schema.Container:
        """The primary container."""
        return self.template.spec.containers[0]

    @property
    def argv(self) -> tuple[str, ...]:
        """Its words as the manifest has them."""
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
class Experiment:
    """A search, as the manifest describes it. `filters` are RE2; a count that is None has no limit."""

    name: str
    namespace: str
    metric: str
    maximize: bool
    goal: float | None
    strategy: Strategy
    additional_metrics: tuple[str, ...]
    collector: str
    filters: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    algorithm: Algorithm
    early_stopping: Algorithm | None
    max_trials: int | None
    parallel_trials: int
    max_failed_trials: int | None
    backoff_limit: int
    failure_rules: tuple[FailureRule, ...]
    grace_seconds: int
    """From SIGTERM to SIGKILL where Kubernetes ends a trial's pod."""
    job_deadline: int | None
    """Seconds from a trial's first try on, for all of them; None: without end."""
    pod_deadline: int | None
    """Seconds of one try."""
    trial_parameters: Mapping[str, str]
    """Placeholder -> reference: a parameter of the search or a `${trialSpec.…}`."""
    trial_meta: Mapping[str, str]
    """What is the same for each trial, by its `${trialSpec.…}`: kind, labels and such."""
    labels: Mapping[str, str]
    pod: str
    """The template of a trial's pod as JSON, placeholders and all; of its containers the primary one."""
    spec: Mapping[str, Any]
    """The `spec` of the manifest as it was read: what makes two searches the same search."""

    def identity(self, corpus: str = "") -> Identity:
        """Returns what its searches on one corpus are known by."""
        return Identity(self.name, self.metric, self.maximize, self.strategy, dict(self.spec), corpus)

    def trial(self, trial_name: str, assignments: Mapping[str, str]) -> TrialPod:
        """Returns the pod of the trial that Katib would create for these assignments (manifest/generator.go).

        Raises ManifestError where a placeholder refers to nothing.
        """
        text = self.pod
        for name, reference in self.trial_parameters.items():
            value = self._resolve(reference, trial_name, assignments)
            text = text.replace(f"${{trialParameters.{name}}}", json.dumps(value)[1:-1])
        from katib.manifest.schema import PodTemplate

        return TrialPod(trial_name, PodTemplate.model_validate_json(text))

    def _resolve(self, reference: str, trial_name: str, assignments: Mapping[str, str]) -> str:
        known = {**assignments, **self.trial_meta}
        known |= {"${trialSpec.Name}": trial_name, "${trialSpec.Namespace}": self.namespace}
        if reference not in known:
            raise ManifestError(f"trialParameters: nothing is called '{reference}' ({nearest(reference, known)})")
        return known[reference]


def load_experiment(text: str, source: str) -> Experiment:
    """Read one manifest; `source` is what messages call it (a file name, a model).

    Raises ManifestError: not YAML, not one document, not an Experiment, a key missing or of the wrong type, a trial
    that is not a Job, a filter that RE2 does not accept.
    """
    from katib.manifest.schema import parse

    manifest, document = parse(text, source)
    spec = manifest.spec
    template = spec.trial_template
    job = template.trial_spec.spec
    pod = job.template.spec.model_copy(update={"containers": [_primary_container(template, source)]})
    objective, collector = spec.objective, spec.metrics_collector_spec
    maximize = objective.type == "maximize"
    strategies = {strategy.name: strategy.value for strategy in objective.metric_strategies}
    return Experiment(
        name=manifest.metadata.name,
        namespace=manifest.metadata.namespace,
        metric=objective.objective_metric_name,
        maximize=maximize,
        goal=objective.goal,
        strategy=strategies.get(objective.objective_metric_name, "max" if maximize else "min"),
        additional_metrics=tuple(objective.additional_metric_names),
        collector=collector.collector.kind,
        filters=_filters(collector, source),
        parameters=tuple(_parameter(parameter, source) for parameter in spec.parameters),
        algorithm=_algorithm(spec.algorithm),
        early_stopping=_algorithm(spec.early_stopping) if spec.early_stopping else None,
        max_trials=spec.max_trial_count,
        parallel_trials=spec.parallel_trial_count,
        max_failed_trials=spec.max_failed_trial_count,
        backoff_limit=job.backoff_limit,
        failure_rules=_failure_rules(job, pod),
        grace_seconds=pod.termination_grace_period_seconds,
        job_deadline=job.active_deadline_seconds,
        pod_deadline=pod.active_deadline_seconds,
        trial_parameters={parameter.name: parameter.reference for parameter in template.trial_parameters},
        trial_meta=_meta(template.trial_spec),
        labels=manifest.metadata.labels,
        pod=job.template.model_copy(update={"spec": pod}).model_dump_json(by_alias=True),
        spec=document["spec"],
    )


def parameters_of(spec: Mapping[str, Any], source: str) -> tuple[Parameter, ...]:
    """Returns the axes of a search whose manifest's `spec` was read before, as a store keeps it.

    None where it holds none.

    Raises ManifestError as `load_experiment` does.
    """
    from pydantic import ValidationError

    from katib.defects import worded
    from katib.manifest.schema import Parameter as Raw

    try:
        listed = spec.get("parameters") or ()
        if not isinstance(listed, list | tuple):
            raise ManifestError(f"{source}: parameters: must be a list")
        return tuple(_parameter(Raw.model_validate(raw), source) for raw in listed)
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
    """Returns those that look at exit codes of the primary container.

    The others see what happens to nodes and to other containers.
    """
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
