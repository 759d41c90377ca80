"""What a check is and what it reports. Called by every module of this package."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from kubernetes.utils.quantity import parse_quantity

from katib.backend.cluster.answers import ForbiddenError
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import NAMESPACE, Object
from katib.site import Site

CONTROL_NAMESPACE = "kubeflow"
"""Where Katib lives; its webhook and the collector's address are fixed to it."""


@dataclass(frozen=True)
class Result:
    """The outcome of one check.

    `fix` is a command or an edit; a search would fail with an error, and suffers from a warning.

    `unknown`: the caller may not look there, which says nothing about the cluster.
    """

    check: str
    status: Literal["ok", "unknown", "warning", "error"]
    finding: str
    effect: str = ""
    fix: str = ""

    @property
    def record(self) -> dict[str, str]:
        """What `doctor --json` prints of it."""
        return {
            "check": self.check,
            "status": self.status,
            "found": self.finding,
            "meaning": self.effect,
            "mend": self.fix,
        }


@dataclass
class DoctorContext:
    """What is examined: a cluster, a site, and the rendered Experiments that are to run."""

    cluster: Cluster
    site: Site
    manifests: Sequence[Object]

    @cached_property
    def namespace(self) -> Object | None:
        """The site's namespace. Raises ForbiddenError where the caller may not read it."""
        return self.cluster.get(NAMESPACE, self.site.namespace)

    @property
    def homeless(self) -> bool:
        """Whether the site's namespace is known to be missing; one that cannot be read is taken to be there."""
        try:
            return self.namespace is None
        except ForbiddenError:
            return False

    @property
    def pod(self) -> Object:
        """The pod template of a trial; that of the first Experiment, as all are of one site."""
        template: Object = self.manifests[0]["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]
        return template

    @property
    def parallel(self) -> int:
        """Trials at a time, of all searches together."""
        return sum(manifest["spec"]["parallelTrialCount"] for manifest in self.manifests)


Check = Callable[[DoctorContext], Iterator[Result]]


def ok(check: str, finding: str) -> Result:
    """Returns all is well."""
    return Result(check, "ok", finding)


def unknown(check: str, finding: str) -> Result:
    """Returns the caller may not look there."""
    return Result(check, "unknown", finding)


def error(check: str, finding: str, effect: str, fix: str) -> Result:
    """Returns a search would fail."""
    return Result(check, "error", finding, effect, fix)


def warning(check: str, finding: str, effect: str, fix: str) -> Result:
    """Returns a search would run, but not as well as it could."""
    return Result(check, "warning", finding, effect, fix)


def quantity(text: object) -> float:
    """Returns a Kubernetes quantity as a number: `500m` is 0.5, `1Ki` 1024."""
    return float(parse_quantity(str(text)))
