"""Checks the caller's rights, by asking the API server (SelfSubjectAccessReview)."""

from collections.abc import Iterator
from dataclasses import dataclass

from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, warning
from katib.backend.cluster.kinds import (
    CLAIM,
    EVENT,
    EXPERIMENT,
    JOB,
    KATIB_UI,
    POD,
    SERVICE,
    SUGGESTION,
    TRIAL,
    Kind,
)


@dataclass(frozen=True)
class Right:
    """A right, and what it is for."""

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
"""The rights without which nothing runs."""
USEFUL = (
    Right("list", EXPERIMENT, "status"),
    Right("watch", EXPERIMENT, "status -w"),
    Right("list", TRIAL, "status and results"),
    Right("watch", TRIAL, "status -w, pause and delete"),
    Right("list", POD, "status"),
    Right("watch", POD, "status -w and deploy's waiting"),
    Right("get", POD, "live SI-SNR and logs", "log"),
    Right("get", POD, "data, and fetch from the cluster", "exec"),
    Right("create", POD, "data, and fetch from the cluster", "exec"),
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
"""The rights without which a verb does not work, or not as well."""
OF_KATIB = (
    Right("get", SERVICE, "curves from Katib's database", name="katib-db-manager"),
    Right("list", POD, "curves from Katib's database"),
    Right("create", POD, "curves from Katib's database", "portforward"),
    Right("get", SERVICE, "ui --cluster", "proxy", KATIB_UI),
)
"""The rights in Katib's namespace: besides the run directory, only a forwarded port leads to a lost pod's curve."""
ROLE = "sepsweep-researcher"


def access(context: DoctorContext) -> Iterator[Result]:
    """Checks the rights that the verbs need, in the namespace of the trials and in Katib's."""
    own, of_katib = context.site.namespace, context.site.katib_namespace
    groups = ((NEEDED, own, error), (USEFUL, own, warning), (OF_KATIB, of_katib, warning))
    complete = True
    for rights, namespace, report in groups:
        if missing := [right for right in rights if not _allowed(context, right, namespace)]:
            complete = False
            uses = ", ".join(dict.fromkeys(right.use for right in missing))
            actions = ", ".join(map(str, missing))
            problem = f"in namespace '{namespace}' you may not {actions}"
            yield report("rights", problem, f"needed for {uses}", _grant(namespace, ours=namespace == own))
    if complete:
        yield ok("rights", f"all {len(NEEDED) + len(USEFUL) + len(OF_KATIB)} that the verbs need")


def _allowed(context: DoctorContext, right: Right, namespace: str) -> bool:
    return context.cluster.allowed(right.verb, right.kind, subresource=right.sub, name=right.name, namespace=namespace)


def _grant(namespace: str, *, ours: bool) -> str:
    """Returns the command with which an administrator grants the rights."""
    file = "k8s/base/rbac.yaml" if ours else "k8s/katib/ours/researcher.yaml"
    bind = f"kubectl -n {namespace} create rolebinding sepsweep-me --role={ROLE} --user=YOU"
    return f"an administrator: {bind} (the role: {file})"
