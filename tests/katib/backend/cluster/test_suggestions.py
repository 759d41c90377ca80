"""Why a search has no trials, according to its Suggestion, the pods of its service and the namespace's warnings.

They are written as by Kubernetes and Katib v0.19.
"""

from functools import partial
from typing import Any, cast

import pytest

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import (
    EVENT,
    EXPERIMENT_LABEL,
    POD,
    SUGGESTION,
    SUGGESTION_LABEL,
    Kind,
    Object,
)
from katib.backend.cluster.model import Search, read_search
from katib.backend.cluster.objects import read_event, read_service_pod, read_suggestion
from katib.backend.cluster.suggestions import shortage, shortage_of, warnings_of
from katib.errors import ClusterError
from tests.katib.backend.cluster.test_plan_and_causes import running

SEARCH = read_search(running(trials=0))
NAME = SEARCH.name
SERVICE = f"{NAME}-bayesianoptimization"


def suggestion(ready: bool = False, requests: int = 2, given: int = 0, **conditions: str) -> Object:
    message = "Deployment is ready" if ready else "Deployment is not ready"
    listed = [
        {"type": "Created", "status": "True", "message": "Suggestion is created"},
        {"type": "DeploymentReady", "status": str(ready), "message": message},
        *({"type": kind, "status": "True", "message": text} for kind, text in conditions.items()),
    ]
    status = {"conditions": listed, "suggestionCount": given}
    return {"metadata": {"name": NAME}, "spec": {"requests": requests}, "status": status}


def service(*containers: Object, **status: Any) -> Object:
    labels = {SUGGESTION_LABEL: NAME, EXPERIMENT_LABEL: NAME}
    metadata = {"name": f"{SERVICE}-5d7-x2x4k", "labels": labels, "creationTimestamp": "2026-11-28T10:00:00Z"}
    return {
        "metadata": metadata,
        "status": {"phase": "Pending", "containerStatuses": list(containers), **status},
    }


def container(name: str, reason: str, message: str = "", code: int | None = None) -> Object:
    last = {} if code is None else {"terminated": {"exitCode": code, "reason": "Error"}}
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}, "lastState": last}


def event(kind: str, name: str, message: str, reason: str = "ReconcileError", at: int = 0) -> Object:
    about = {"kind": kind, "name": name}
    stamp = f"2026-11-28T10:0{at}:00Z"
    return {"involvedObject": about, "reason": reason, "message": message, "lastTimestamp": stamp}


def refused(what: str) -> Object:
    message = f'Error creating: pods "{SERVICE}-5d7-x2x4k" is forbidden: {what}'
    return event("ReplicaSet", f"{SERVICE}-5d7", message, "FailedCreate")


RPC = "rpc error: code = InvalidArgument desc = "
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "message": "0/2 nodes are available: 2 Insufficient memory.",
}
CASES: dict[str, tuple[Object | None, list[Object], list[Object], str, str]] = {
    "not taken up": (None, [], [], "has not started the experiment", "controller"),
    "not to be taken up": (
        None,
        [],
        [event("Experiment", NAME, "Failed to reconcile: x")],
        "Failed to reconcile: x",
        "",
    ),
    "starting": (suggestion(), [service()], [], "service is starting (Deployment is not ready)", ""),
    "image": (
        suggestion(),
        [service(container("suggestion", "ImagePullBackOff", 'Back-off pulling image "nowhere/x:1"'))],
        [],
        "container 'suggestion': ImagePullBackOff: Back-off pulling image \"nowhere/x:1\"",
        "katib-config",
    ),
    "early-stopping image": (
        suggestion(),
        [
            service(
                {"name": "suggestion", "state": {"running": {}}},
                container("early-stopping", "ErrImagePull", "no such"),
            )
        ],
        [],
        "container 'early-stopping': ErrImagePull: no such",
        "katib-config",
    ),
    "crash": (
        suggestion(),
        [service(container("suggestion", "CrashLoopBackOff", "back-off 10s", code=1))],
        [],
        "CrashLoopBackOff: back-off 10s, it ended with exit code 1",
        "",
    ),
    "no room": (
        suggestion(),
        [service(conditions=[UNSCHEDULABLE])],
        [],
        "2 Insufficient memory",
        "resources.memory",
    ),
    "quota": (
        suggestion(),
        [],
        [refused("exceeded quota: sepsweep, requested: pods=1, used: pods=9, limited: pods=9")],
        "exceeded quota: sepsweep",
        "describe quota",
    ),
    "account": (
        suggestion(),
        [],
        [
            refused(
                'error looking up service account lab/sepsweep-services: serviceaccount "sepsweep-services" not found'
            )
        ],
        'serviceaccount "sepsweep-services" not found',
        "services-rbac.yaml",
    ),
    "pod security": (
        suggestion(),
        [],
        [refused('violates PodSecurity "restricted:latest"')],
        "PodSecurity",
        "doctor",
    ),
    "refused": (
        suggestion(True, Failed=f"Validation failed: {RPC}min '2' does not lie below max '1'"),
        [],
        [],
        "min '2' does not lie below max '1'",
        "",
    ),
    "proposes nothing": (
        suggestion(True),
        [service()],
        [
            event("Suggestion", NAME, f"{RPC}an old line", at=1),
            event("Suggestion", NAME, f"{RPC}9 trials, and only 2 were asked for", at=2),
            event("Suggestion", f"{NAME}-2", f"{RPC}another's", at=3),
        ],
        "proposes nothing: 9 trials, and only 2 were asked for",
        "",
    ),
    "proposes": (suggestion(True), [service()], [], "is proposing the first trials", ""),
    "proposes more": (suggestion(True, 5, 3), [service()], [], "is proposing 2 more", ""),
    "no trial made": (
        suggestion(True, 2, 2),
        [],
        [event("Experiment", NAME, "Failed to reconcile: quota")],
        "cannot create the trials: Failed to reconcile: quota",
        "",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_cause_of_missing_trials_is_named_with_the_fix(case: str) -> None:
    found, pods, warnings, words, fix = CASES[case]
    cause = shortage_of(
        SEARCH,
        read_suggestion(found) if found else None,
        list(map(read_service_pod, pods)),
        list(map(read_event, warnings)),
    )
    assert words in cause.problem
    assert fix in cause.fix
    assert "rpc error" not in cause.problem


class Server(Cluster):
    """A cluster with warnings, unless they are forbidden, and the log of a service."""

    def __init__(self, log: str = "", forbidden: bool = False) -> None:
        self.text, self.forbidden = log, forbidden

    def list(self, kind: Kind, selector: str = "", namespace: str | None = None, fields: str = "") -> list[Object]:
        assert (kind, fields) == (EVENT, "type=Warning")
        if self.forbidden:
            raise ClusterError("forbidden")
        return [event("Suggestion", NAME, f"{RPC}no room")]

    def log(self, pod: str, container: str, limit_bytes: int) -> str:
        assert container == "suggestion"
        return self.text


def why(server: Cluster, found: Object, *pods: Object, search: Search = SEARCH) -> Any:
    objects: dict[Kind, list[Object]] = {SUGGESTION: [found], POD: list(pods)}
    return shortage(server, search, [], objects, partial(warnings_of, server))


def test_a_service_that_crashes_is_reported_with_its_last_line() -> None:
    crashed = service(container("suggestion", "CrashLoopBackOff", "back-off", code=1))
    cause = why(Server("Traceback\nImportError: no scipy\n\n"), suggestion(), crashed)
    assert str(cause).count("its last line: ImportError: no scipy") == 1


def test_forbidden_events_keep_nothing_else_from_being_reported() -> None:
    assert "no room" in str(why(Server(), suggestion(True)))
    cause = why(Server(forbidden=True), suggestion(True))
    assert str(cause) == "the suggestion service is proposing the first trials"


@pytest.mark.parametrize("state", ["Succeeded", "Failed"])
def test_nothing_is_read_for_a_search_that_has_ended(state: str) -> None:
    ended = running(trials=0)
    ended["status"]["conditions"] = [{"type": state, "status": "True"}]
    assert why(cast(Cluster, None), suggestion(True), search=read_search(ended)) is None
