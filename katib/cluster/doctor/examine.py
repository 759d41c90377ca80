"""Runs all checks in the order in which things must be right. Called by the verbs doctor and deploy."""

from collections.abc import Iterator

from katib.cluster.client import ExpiredError, ForbiddenError, NoKindError, UnreachableError
from katib.cluster.doctor.access import access
from katib.cluster.doctor.admission import admission, names
from katib.cluster.doctor.capacity import capacity, claims_of_site, queue, quota
from katib.cluster.doctor.katib import definitions, installation, server, services, webhooks
from katib.cluster.doctor.place import accounts, namespace, priority, wandb
from katib.cluster.doctor.result import Check, Patient, Result, error, warning
from katib.errors import ClusterError

CHECKS: tuple[Check, ...] = (
    definitions,
    installation,
    webhooks,
    services,
    namespace,
    claims_of_site,
    wandb,
    accounts,
    priority,
    quota,
    capacity,
    queue,
    access,
    names,
    admission,
)


def examine(patient: Patient) -> list[Result]:
    """The results of all checks; never raises ClusterError. Without a server that answers there is only the first."""
    try:
        results = list(server(patient))
    except (UnreachableError, ExpiredError) as cause:
        return [_unanswered(cause)]
    for check in CHECKS:
        results += _of(check, patient)
    return results


def _of(check: Check, patient: Patient) -> Iterator[Result]:
    name = check.__name__.replace("_", " ")
    try:
        yield from check(patient)
    except ForbiddenError as cause:
        yield warning(
            name,
            "could not be looked at",
            str(cause),
            "kubectl auth can-i --list; ask for the role of k8s/base/rbac.yaml",
        )
    except (UnreachableError, ExpiredError) as cause:
        yield _unanswered(cause)
    except NoKindError:
        return  # `definitions` has named what is not installed
    except ClusterError as cause:
        yield error(name, "could not be looked at", str(cause), "make doctor, once that is mended")


def _unanswered(cause: ClusterError) -> Result:
    mend = (
        "log in again, then kubectl auth whoami"
        if isinstance(cause, ExpiredError)
        else "kubectl cluster-info"
    )
    return error("API server", str(cause), "nothing can be done on a cluster that does not answer", mend)
