"""Runs all checks, in the order in which problems have to be fixed."""

import re
from collections.abc import Iterator

from katib.backend.cluster.answers import ExpiredError, ForbiddenError, NoKindError, UnreachableError
from katib.backend.cluster.doctor.access import access
from katib.backend.cluster.doctor.admission import experiments, names, namesakes, trials
from katib.backend.cluster.doctor.capacity import capacity, quota
from katib.backend.cluster.doctor.claims import data_claim, runs_claim
from katib.backend.cluster.doctor.devices import gpu_claim, sharing
from katib.backend.cluster.doctor.katib import (
    definitions,
    deployments,
    katib_namespace,
    mutating_webhook,
    server,
    validating_webhook,
)
from katib.backend.cluster.doctor.kueue import queue, queue_priority, queue_resources
from katib.backend.cluster.doctor.namespace import accounts, namespace, priority, wandb
from katib.backend.cluster.doctor.pods import environment, registries, runtime_class, shared_memory, user
from katib.backend.cluster.doctor.result import Check, DoctorContext, Result, error, unknown
from katib.backend.cluster.doctor.scheduler import scheduler
from katib.backend.cluster.doctor.services import service_account, services
from katib.errors import ClusterError

_RIGHT = re.compile(r'cannot (\w+) resource "([^"]+)"')
CHECKS: tuple[Check, ...] = (
    definitions,
    deployments,
    katib_namespace,
    validating_webhook,
    mutating_webhook,
    services,
    service_account,
    namespace,
    data_claim,
    runs_claim,
    wandb,
    accounts,
    registries,
    environment,
    user,
    runtime_class,
    scheduler,
    priority,
    shared_memory,
    sharing,
    gpu_claim,
    quota,
    capacity,
    queue,
    queue_resources,
    queue_priority,
    access,
    names,
    namesakes,
    experiments,
    trials,
)
"""Each check reads one kind of object, so that a missing right disables no other check."""


def examine(context: DoctorContext) -> list[Result]:
    """Returns the results of all checks; where the server does not answer, that is the only result.

    Never raises ClusterError.
    """
    try:
        results = list(server(context))
    except (UnreachableError, ExpiredError) as cause:
        return [_unanswered(cause)]
    for check in CHECKS:
        results += _run(check, context)
    return results


def _run(check: Check, context: DoctorContext) -> Iterator[Result]:
    name = check.__name__.replace("_", " ")
    try:
        yield from check(context)
    except ForbiddenError as cause:
        right = _RIGHT.search(str(cause))
        what = f"{right[1]} {right[2]}" if right else "look at it"
        yield unknown(name, f"you may not {what}; ask an administrator to run make doctor")
    except (UnreachableError, ExpiredError) as cause:
        yield _unanswered(cause)
    except NoKindError:
        return  # the check `definitions` reports it
    except ClusterError as cause:
        yield error(name, "could not be checked", str(cause), "fix that, then run make doctor again")


def _unanswered(cause: ClusterError) -> Result:
    fix = "log in again, then kubectl auth whoami" if isinstance(cause, ExpiredError) else "kubectl cluster-info"
    return error("API server", str(cause), "nothing can be done on a cluster that does not answer", fix)
