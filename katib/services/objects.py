"""Typed views of the Kubernetes objects that the services read; what an object leaves out is empty here."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, datetime

from katib.manifest.again import asked
from katib.manifest.configurations import annotated
from katib.manifest.gpu_hours import budget_of
from katib.manifest.object import OWN_SPEC
from katib.manifest.search import Algorithm
from katib.measure import Measure, measure_of
from katib.metrics import rankable
from katib.tree import Tree, at, items_at, labels_at, named_at, text_at
from katib.trial import CONTINUES_LABEL, Direction
from katib.tries import Record, Span, instant, read_record, short, span_of

BOOST = "kueue.x-k8s.io/priority-boost"
"""The annotation of a Workload that Kueue adds to its priority."""
LONGEST_BOOST = 10
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
EXPERIMENT_LABEL, TRIAL_LABEL = "katib.kubeflow.org/experiment", "katib.kubeflow.org/trial"


@dataclass(frozen=True)
class ExperimentObject:
    """An Experiment of Katib."""

    tree: Tree

    @property
    def metric(self) -> str:
        """The name of the objective's metric."""
        return text_at(self.tree, "spec", "objective", "objectiveMetricName")

    @property
    def measure(self) -> Measure:
        """The metric with the unit of its values, as far as the user's own spec says it."""
        return measure_of(self.metric, self.annotations.get(OWN_SPEC, ""))

    @property
    def direction(self) -> Direction:
        """The direction of the objective."""
        return Direction.of(text_at(self.tree, "spec", "objective", "type") == "maximize")

    @property
    def gpu_hours(self) -> float | None:
        """Its budget in GPU-hours; None where it has none. Raises ManifestError where that is no number."""
        return budget_of(self.annotations)

    @property
    def configurations(self) -> int | None:
        """The number of configurations that replaces that of its rule promote; None where none does."""
        return annotated(self.annotations)

    @property
    def again(self) -> tuple[str, ...]:
        """Its failed trials that are to run again."""
        return asked(self.annotations)

    @property
    def annotations(self) -> dict[str, str]:
        """Its annotations."""
        return labels_at(self.tree, "metadata", "annotations")

    @property
    def early_stopping(self) -> Algorithm | None:
        """The stop rule; None where the experiment has none."""
        rule = at(self.tree, "spec", "earlyStopping")
        return Algorithm(text_at(rule, "algorithmName"), named_at(rule, "algorithmSettings")) if rule else None


@dataclass(frozen=True)
class TrialObject:
    """A Trial of Katib."""

    tree: Tree

    @property
    def name(self) -> str:
        """The name of the trial, of its Job and of the rows that it reports."""
        return text_at(self.tree, "metadata", "name")

    @property
    def version(self) -> str:
        """The version of the object, which each change of it replaces."""
        return text_at(self.tree, "metadata", "resourceVersion")

    @property
    def is_being_deleted(self) -> bool:
        """Whether the trial is about to go; it may be one of an earlier experiment of that name."""
        return "deletionTimestamp" in at(self.tree, "metadata")

    @property
    def experiment(self) -> str:
        """The name of its experiment."""
        return text_at(self.tree, "metadata", "labels", EXPERIMENT_LABEL)

    @property
    def continues(self) -> str:
        """The first trial of the configuration that it goes on with; empty for one that began a configuration."""
        return text_at(self.tree, "metadata", "labels", CONTINUES_LABEL)

    @property
    def metric(self) -> str:
        """The name of the objective's metric."""
        return text_at(self.tree, "spec", "objective", "objectiveMetricName")

    @property
    def assignments(self) -> dict[str, str]:
        """The values of its parameters."""
        return named_at(self.tree, "spec", "parameterAssignments")

    @property
    def conditions(self) -> list[Tree]:
        """The conditions of its status, those included that no longer hold."""
        return items_at(self.tree, "status", "conditions")

    @property
    def states(self) -> Set[str]:
        """The types of the conditions that hold."""
        return {text_at(item, "type") for item in self.conditions if item.get("status") == "True"}

    @property
    def marked(self) -> datetime | None:
        """When it was marked as stopped early; None where it was not."""
        times = (text_at(item, "lastTransitionTime") for item in self.conditions if item.get("type") == "EarlyStopped")
        return instant(next(times, None))

    @property
    def started(self) -> datetime | None:
        """When the trial began."""
        return instant(at(self.tree, "status").get("startTime"))

    @property
    def completed(self) -> datetime | None:
        """When the trial ended."""
        return instant(at(self.tree, "status").get("completionTime"))

    @property
    def record(self) -> Record:
        """The record of its tries."""
        return read_record(self.tree)

    def best(self, metric: str, direction: Direction) -> float | None:
        """Returns the best finite value of a metric that Katib has observed; None where there is none."""
        observed = items_at(self.tree, "status", "observation", "metrics")
        texts = [text_at(item, direction.strategy) for item in observed if item.get("name") == metric]
        return next((value for value in map(rankable, texts) if value is not None), None)


@dataclass(frozen=True)
class PodObject:
    """A Pod of a trial."""

    tree: Tree

    @property
    def trial(self) -> str:
        """The name of the trial that the pod belongs to."""
        return text_at(self.tree, "metadata", "labels", TRIAL_LABEL)

    @property
    def has_ended(self) -> bool:
        """Whether its containers have ended for good."""
        return text_at(self.tree, "status", "phase") in ("Succeeded", "Failed")

    def spans(self, *, deleted: bool = False) -> dict[str, Span]:
        """Returns when the pod ran, by its short name; empty where it has not started.

        A pod that was `deleted` has ended by now.
        """
        span = span_of(self.tree)
        if span is None:
            return {}
        if deleted and span.end is None:
            span = Span(span.start, datetime.now(UTC))
        return {short(text_at(self.tree, "metadata", "name"), self.trial): span}


@dataclass(frozen=True)
class WorkloadObject:
    """A Workload of Kueue, which stands for a Job in its queue."""

    tree: Tree
    version: str
    """The version of Kueue's types in which it was read."""

    @property
    def name(self) -> str:
        """Its own name."""
        return text_at(self.tree, "metadata", "name")

    @property
    def job(self) -> str:
        """The name of its Job, which is that of a trial; empty where it stands for something else."""
        owners = items_at(self.tree, "metadata", "ownerReferences")
        return next((text_at(owner, "name") for owner in owners if owner.get("kind") == "Job"), "")

    @property
    def is_admitted(self) -> bool:
        """Whether its Job may run now."""
        held = {text_at(item, "type") for item in items_at(self.tree, "status", "conditions") if _holds(item)}
        return "Admitted" in held and not held & {"Evicted", "Finished"}

    @property
    def annotations(self) -> dict[str, str]:
        """Its annotations."""
        return labels_at(self.tree, "metadata", "annotations")

    @property
    def boost(self) -> int:
        """What is added to its priority; 0 without the annotation, or where that is no number."""
        text = self.annotations.get(BOOST, "0")
        return int(text) if text.isdecimal() and len(text) < LONGEST_BOOST else 0


@dataclass(frozen=True)
class JobObject:
    """The Job of a trial, which has the trial's name."""

    tree: Tree

    @property
    def has_ended(self) -> bool:
        """Whether it starts no pod any more."""
        conditions = items_at(self.tree, "status", "conditions")
        return any(item.get("type") in ("Complete", "Failed") and item.get("status") == "True" for item in conditions)

    @property
    def is_queued(self) -> bool:
        """Whether Kueue admits it; one that names no queue gets the label from Kueue's webhook."""
        return QUEUE_LABEL in labels_at(self.tree, "metadata", "labels")


def _holds(condition: Tree) -> bool:
    return condition.get("status") == "True"
