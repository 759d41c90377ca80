"""What the caller may do, asked of the API server (SelfSubjectAccessReview)."""

from collections.abc import Iterator
from dataclasses import dataclass

from katib.backend.cluster.doctor.result import CONTROL_NAMESPACE, DoctorContext, Result, error, ok, warning
from katib.backend.cluster.kinds import (
    CLAIM,
    EVENT,
    EXPERIMENT,
    JOB,
    POD,
    SERVICE,
    SUGGESTION,
    TRIAL,
    Kind,
)


@dataclass(frozen=True)
class Right:
    """One right, and what it is for."""

    verb: str
    kind: Kind
    use: str
    sub: str = ""
    name: str = ""

    def __str__(self) -> str:
        what = f"{self.verb} {self.kind.plural}{'/' + self.sub if self.sub else ''}"
        return f"{what} '{self.name}'" if self.name else what


NEEDED = (
    Right("get", EXPERIMENT, "deploy"),
    Right("create", EXPERIMENT, "deploy"),
    Right("patch", EXPERIMENT, "deploy"),
)
"""Without these nothing runs."""
USEFUL = (
    Right("list", EXPERIMENT, "status"),
    Right("watch", EXPERIMENT, "status -w"),
    Right("list", TRIAL, "status and results"),
    Right("watch", TRIAL, "status -w, pause and delete"),
    Right("list", POD, "status"),
    Right("watch", POD, "status -w and deploy's waiting"),
    Right("get", POD, "live SI-SNR and logs", "log"),
    Right("list", JOB, "status"),
    Right("watch", JOB, "pause, stop and delete"),
    Right("list", SUGGESTION, "deploy's waiting"),
    Right("list", EVENT, "why something waits"),
    Right("get", CLAIM, "doctor"),
    Right("patch", JOB, "pause, resume and stop"),
    Right("create", JOB, "delete, and deploy of a search that has ended"),
    Right("delete", JOB, "delete, and deploy of a search that has ended"),
    Right("delete", EXPERIMENT, "delete"),
)
"""Without one of these a verb does not work, or not as well."""
OF_KATIB = (
    Right("get", SERVICE, "curves from Katib's database", name="katib-db-manager"),
    Right("list", POD, "curves from Katib's database, and ui --cluster"),
    Right("create", POD, "curves from Katib's database, and ui --cluster", "portforward"),
    Right("get", SERVICE, "ui --cluster", name="katib-ui"),
)
"""In Katib's namespace; a forwarded port is the only way to a curve whose pod is gone, besides the run directory."""
ROLE = "sepsweep-researcher"


def access(context: DoctorContext) -> Iterator[Result]:
    """Yields the rights that the verbs need, in the namespace of the trials and in Katib's."""
    own = context.site.namespace
    groups = ((NEEDED, own, error), (USEFUL, own, warning), (OF_KATIB, CONTROL_NAMESPACE, warning))
    denied = 0
    for rights, place, report in groups:
        if missing := [right for right in rights if not _allowed(context, right, place)]:
            denied += len(missing)
            uses = ", ".join(dict.fromkeys(right.use for right in missing))
            what = ", ".join(map(str, missing))
            yield report("rights", f"in namespace '{place}' you may not {what}", f"needed for {uses}", _grant(place))
    if not denied:
        yield ok("rights", f"all {len(NEEDED) + len(USEFUL) + len(OF_KATIB)} that the verbs need")


def _allowed(context: DoctorContext, right: Right, place: str) -> bool:
    return context.cluster.allowed(right.verb, right.kind, subresource=right.sub, name=right.name, namespace=place)


def _grant(place: str) -> str:
    file = "k8s/katib/ours/researcher.yaml" if place == CONTROL_NAMESPACE else "k8s/base/rbac.yaml"
    bind = f"kubectl -n {place} create rolebinding sepsweep-me --role={ROLE} --user=YOU"
    return f"an administrator: {bind} (the role: {file})"
