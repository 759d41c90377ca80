"""Defines what a check of doctor takes and what it reports."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from katib.backend.cluster.answers import ForbiddenError
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.doctor.trial import trial_job, trial_pod
from katib.backend.cluster.kinds import (
    CONFIG_MAP,
    DEFINITION,
    JOB,
    LOCAL_QUEUE,
    NAMESPACE,
    POD,
    QUEUE_LABEL,
    Object,
    labels_of,
)
from katib.backend.cluster.kueue import provisions, served
from katib.check.finding import Finding
from katib.errors import ClusterError
from katib.gpus import GpuNeed
from katib.manifest.object import Manifest
from katib.site import Site
from katib.tree import Tree, at


@dataclass(frozen=True, kw_only=True)
class Result(Finding):
    """The outcome of a check; `problem` describes what was found, even where that is no problem.

    With an `error`, a search would fail; with a `warning`, it would run, but not as well as it could. `unknown` means
    that the caller has no right to look, which says nothing about the cluster.
    """

    check: str
    status: Literal["ok", "unknown", "warning", "error"]

    @property
    def record(self) -> dict[str, str]:
        """What `doctor --json` prints of it."""
        return {
            "check": self.check,
            "status": self.status,
            "found": self.problem,
            "meaning": self.effect,
            "mend": self.fix,
        }


@dataclass
class DoctorContext:
    """What the checks examine: a cluster, a site, and the rendered Experiments that are to run."""

    cluster: Cluster
    site: Site
    manifests: Sequence[Object]

    @cached_property
    def namespace(self) -> Object | None:
        """The site's namespace. Raises ForbiddenError where the caller has no right to read it."""
        return self.cluster.get(NAMESPACE, self.site.namespace)

    @property
    def lacks_namespace(self) -> bool:
        """Whether the site's namespace is missing; one that cannot be read is assumed to exist."""
        try:
            return self.namespace is None
        except ForbiddenError:
            return False

    @cached_property
    def experiments(self) -> Sequence[Manifest]:
        """The Experiments as objects."""
        return [Manifest.of(manifest) for manifest in self.manifests]

    @property
    def pod(self) -> Tree:
        """The spec of a trial's pod, from the first Experiment, since all belong to one site."""
        return self.experiments[0].pod

    @cached_property
    def trial_pod(self) -> Object:
        """A trial's pod as the API server would create it: with what its admission adds. Raises ClusterError."""
        return self.cluster.create(POD, trial_pod(self.manifests[0]), dry_run=True)

    @cached_property
    def admitted(self) -> Tree:
        """The spec of that pod; where it is refused, or may not be tried, as it is rendered."""
        try:
            return self.pod if self.lacks_namespace else at(self.trial_pod, "spec")
        except ClusterError:
            return self.pod

    @cached_property
    def queue(self) -> str | None:
        """The queue of Kueue that admits the trials: the site's, or what Kueue gives Jobs that name none."""
        if self.site.kueue_queue is not None:
            return self.site.kueue_queue
        try:
            served(self.cluster, LOCAL_QUEUE)
            job = self.cluster.create(JOB, trial_job(self.manifests[0]), dry_run=True)
        except ClusterError:
            return None
        return labels_of(job).get(QUEUE_LABEL)

    @cached_property
    def grows(self) -> str:
        """What adds nodes when a trial waits for one; empty where nothing is known to."""
        if self.site.autoscaled:
            return "the autoscaler"
        status, pools = "cluster-autoscaler-status", "nodepools.karpenter.sh"
        ways: dict[str, Callable[[], bool]] = {
            "the cluster autoscaler": lambda: self.cluster.get(CONFIG_MAP, status, "kube-system") is not None,
            "Karpenter": lambda: self.cluster.get(DEFINITION, pools) is not None,
            "Kueue's ProvisioningRequest": lambda: bool(self.queue and provisions(self.cluster, self.queue)),
        }
        for name, is_there in ways.items():
            with suppress(ClusterError):  # who may not look at one may look at another
                if is_there():
                    return name
        return ""

    @property
    def gpus(self) -> GpuNeed:
        """The GPUs of a trial."""
        return self.experiments[0].gpu_need

    @property
    def parallel(self) -> int:
        """The number of trials at a time, of all searches together."""
        return sum(manifest["spec"]["parallelTrialCount"] for manifest in self.manifests)


Check = Callable[[DoctorContext], Iterator[Result]]


def ok(check: str, text: str) -> Result:
    """Returns the result of a check that found no problem."""
    return Result(check=check, status="ok", problem=text)


def unknown(check: str, text: str) -> Result:
    """Returns the result of a check that the caller has no right to make."""
    return Result(check=check, status="unknown", problem=text)


def error(check: str, problem: str, effect: str, fix: str) -> Result:
    """Returns the result for a problem that would make a search fail."""
    return Result(check=check, status="error", problem=problem, effect=effect, fix=fix)


def warning(check: str, problem: str, effect: str, fix: str) -> Result:
    """Returns the result for a problem that a search would survive."""
    return Result(check=check, status="warning", problem=problem, effect=effect, fix=fix)


def quantity(text: object) -> float:
    """Returns a Kubernetes quantity as a number: `500m` is 0.5, `1Ki` is 1024."""
    from kubernetes.utils.quantity import parse_quantity  # loads the Kubernetes client

    return float(parse_quantity(str(text)))
