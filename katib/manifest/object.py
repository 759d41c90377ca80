"""An Experiment manifest as an object: its name, what its trials run and report, and the same with another command.

It may come from a file, a store or a cluster, and from anybody: what is missing, or has another form than Katib's,
reads as empty. What an engine needs to run trials is in katib/manifest/experiment.py, which is strict.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from katib.eta import epochs_each
from katib.gpus import GpuNeed, gpu_need
from katib.manifest.again import asked
from katib.manifest.command import as_run, flags_in, is_trainer
from katib.manifest.configurations import in_force
from katib.measure import Measure, measure_of
from katib.metrics import DEFAULT_FILTER
from katib.stop_settings import PROMOTE, RUNGS, STOP_RULES, configurations_in, rungs
from katib.trainer_contract import Flags
from katib.tree import Tree, at, items_at, labels_at, named_at, put, text_at, texts_at
from katib.trial import Direction

if TYPE_CHECKING:
    # It needs Pydantic, which the image of Katib's services lacks.
    from katib.manifest.declaration import Declaration

DEFAULT_PARALLEL_TRIALS = 3
"""experiment_defaults.go of Katib v0.19."""
PLAN = "sepsweep/plan"
"""The annotation of an Experiment that follows from a search: what was planned, as JSON."""
OWN_SPEC = "sepsweep/spec"
"""The annotation of an Experiment that was rendered from a user's own spec: that spec, as JSON."""
_TEMPLATE = ("trialTemplate", "trialSpec", "spec", "template")
_POD = (*_TEMPLATE, "spec")
_JOB = ("trialTemplate", "trialSpec")


@dataclass(frozen=True)
class Manifest:
    """The `spec` and the `metadata` of an Experiment as they were read; a store keeps the `spec` alone."""

    spec: Tree
    metadata: Tree = field(default_factory=dict)
    declared: Declaration | None = None
    """What can be repeated of the trials' command, where the user has named the spec that declares it."""

    @classmethod
    def of(cls, document: Tree) -> Manifest:
        """Returns the manifest that a parsed file, or an object of the Kubernetes API, holds.

        Its stop rule has as many configurations as the annotation says, where there is one.
        """
        return cls(in_force(document), at(document, "metadata"))

    @property
    def name(self) -> str:
        """The name of the Experiment."""
        return text_at(self.metadata, "name")

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the Experiment."""
        return labels_at(self.metadata, "labels")

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of the Experiment."""
        return labels_at(self.metadata, "annotations")

    @property
    def metrics(self) -> list[str]:
        """The metrics that Katib collects, the objective first."""
        objective = at(self.spec, "objective")
        return [text_at(objective, "objectiveMetricName"), *texts_at(objective, "additionalMetricNames")]

    @property
    def measure(self) -> Measure:
        """The objective's metric with the unit of its values."""
        return measure_of(self.metrics[0], self.annotations.get(OWN_SPEC, ""))

    @property
    def direction(self) -> Direction:
        """Which values of the objective are better."""
        return Direction.of(text_at(self.spec, "objective", "type") == "maximize")

    @property
    def filters(self) -> list[str]:
        """The RE2 expressions that find the metrics in what a trial prints."""
        return texts_at(self.spec, "metricsCollectorSpec", "source", "filter", "metricsFormat") or [DEFAULT_FILTER]

    @property
    def goal(self) -> float | None:
        """The value of the objective that ends the search; None where it has no goal."""
        goal = at(self.spec, "objective").get("goal")
        return goal if isinstance(goal, int | float) else None

    @property
    def stop_settings(self) -> dict[str, str]:
        """The settings of the stop rule."""
        return named_at(self.spec, "earlyStopping", "algorithmSettings")

    @property
    def pauses(self) -> bool:
        """Whether a trial that is stopped early may go on."""
        return text_at(self.spec, "earlyStopping", "algorithmName") == PROMOTE

    @property
    def configurations(self) -> int | None:
        """How many configurations it begins: with promote the rule's own setting, and else maxTrialCount.

        That is without the trials that go on with a failed one (katib/manifest/again.py).
        """
        own = configurations_in(self.stop_settings) if self.pauses else None
        most = self.spec.get("maxTrialCount")
        return own if own is not None else most - len(asked(self.annotations)) if isinstance(most, int) else None

    @property
    def epochs_each(self) -> float | None:
        """About how many epochs a configuration gets under promote; None with another rule, or where unknown."""
        given, takes, epochs = self.stop_settings, STOP_RULES[PROMOTE].all, self.number(Flags.EPOCHS)
        listed, eta = given.get(RUNGS, ""), given.get("eta", "2")
        if not self.pauses or epochs is None or not (takes[RUNGS].takes(listed) and takes["eta"].takes(eta)):
            return None
        return epochs_each(rungs(listed), float(eta), epochs)

    @property
    def parallel(self) -> int:
        """How many trials run at a time."""
        count = self.spec.get("parallelTrialCount")
        return count if isinstance(count, int) and count else DEFAULT_PARALLEL_TRIALS

    @property
    def job(self) -> Tree:
        """The Job of a trial, with placeholders."""
        return at(self.spec, *_JOB)

    @property
    def pod(self) -> Tree:
        """The spec of a trial's pod."""
        return at(self.spec, *_POD)

    @cached_property
    def container(self) -> Tree:
        """The primary container of a trial's pod; its only container, whatever its name."""
        listed, primary = items_at(self.pod, "containers"), text_at(self.spec, "trialTemplate", "primaryContainerName")
        return next((item for item in listed if len(listed) == 1 or item.get("name") == primary), {})

    @property
    def gpus(self) -> int:
        """The GPUs that the containers of a trial's pod ask for together."""
        return self.gpu_need.count

    @property
    def gpu_need(self) -> GpuNeed:
        """The GPUs of a trial's pod: how many, of which resource, and whether others share them."""
        return gpu_need(at(self.spec, *_TEMPLATE))

    @property
    def references(self) -> dict[str, str]:
        """What each placeholder of a trial refers to: a parameter of the search or a `${trialSpec.…}`."""
        return named_at(self.spec, "trialTemplate", "trialParameters", of="reference")

    @cached_property
    def command(self) -> list[str]:
        """The words that a trial runs, with placeholders."""
        return list(as_run([*texts_at(self.container, "command"), *texts_at(self.container, "args")]))

    @cached_property
    def flags(self) -> dict[str, list[str]]:
        """Each flag of the command with the words after it; of a flag that is given twice, the last one."""
        return flags_in(self.command)

    @property
    def trains_ours(self) -> bool:
        """Whether trials are runs of our trainer, whose exit codes and messages are known."""
        return is_trainer(self.command)

    @property
    def trainer_flags(self) -> dict[str, list[str]]:
        """The flags of our trainer; none of another program, whose --epochs or --patience may mean something else."""
        return self.flags if self.trains_ours else {}

    @property
    def model(self) -> str:
        """The model of ours that trials train; empty where they train none."""
        return " ".join(self.trainer_flags.get(Flags.MODEL, []))

    @property
    def is_tracked(self) -> bool:
        """Whether trials report to W&B."""
        return any(item.get("name") == "WANDB_PROJECT" for item in items_at(self.container, "env"))

    def number(self, flag: str) -> int | None:
        """Returns the whole number that the command gives to a flag of our trainer; None where it gives none."""
        words = self.trainer_flags.get(flag, [])
        return int(words[0]) if len(words) == 1 and words[0].isdecimal() else None

    def with_container(self, container: Tree) -> Manifest:
        """Returns the same manifest with another primary container."""
        containers = [container if item is self.container else item for item in items_at(self.pod, "containers")]
        return replace(self, spec=put(self.spec, (*_POD, "containers"), containers))

    def with_job(self, job: Tree) -> Manifest:
        """Returns the same manifest with another Job of a trial."""
        return replace(self, spec=put(self.spec, _JOB, job))
