"""Turns the API server's refusals into errors: a class for each kind, and a message of one line with the fix."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from katib.backend.cluster.kinds import KATIB
from katib.errors import ClusterError
from katib.tree import Tree, text_at
from katib.untrusted import clean

if TYPE_CHECKING:
    from kubernetes.client.exceptions import ApiException


class AbsentError(ClusterError):
    """The object does not exist."""


class NoKindError(ClusterError):
    """The API server does not know the resource type."""


class ForbiddenError(ClusterError):
    """The caller lacks a right."""


class RefusedError(ClusterError):
    """Admission or validation refuses the object."""


class UnreachableError(ClusterError):
    """The API server cannot be reached, or is overloaded."""


class FailedError(ClusterError):
    """The API server failed, for example because a node does not answer it."""


class ExpiredError(ClusterError):
    """The API server does not accept the caller's credentials."""


def refusal(cause: "ApiException", where: str, server: str) -> ClusterError:
    """Returns the error for a call that the server refused, with one line that says what was called and the fix."""
    status, detail = _status(cause), _message(cause)
    if cause.status == 404:
        return _not_found(status, detail, where, server)
    kind = KINDS.get(cause.status, FailedError if cause.status >= 500 else ClusterError)
    if cause.status == 500 and "webhook" in detail:
        kind = RefusedError
    # Without "cannot" it is not about the caller's rights, but about a quota, pod security or a webhook.
    if kind is ForbiddenError and "cannot" not in detail:
        kind = RefusedError
    fix = "; run make doctor" if kind is RefusedError else FIXES.get(cause.status, "")
    if cause.status == 409 and "is being deleted" in detail:
        fix = "; the old one is still being deleted: try again once it is gone"
    return kind(f"{where}: the API server answers {cause.status}: {detail}{fix}")


def _not_found(status: Tree, detail: str, where: str, server: str) -> ClusterError:
    if text_at(status, "details", "kind") == "namespaces" and not where.startswith("namespace '"):
        return ClusterError(f"{detail}; create it with kubectl apply -k k8s/base")
    if text_at(status, "reason") == "NotFound" and text_at(status, "details", "name"):
        return AbsentError(f"{where} does not exist")
    of_katib = KATIB in where or where.startswith(("experiment ", "trial ", "suggestion "))
    hint = "; install Katib with make install-katib" if of_katib else ""
    return NoKindError(f"{server} has no resource type for {where}{hint}")


KINDS: Mapping[int, type[ClusterError]] = {
    400: RefusedError,
    401: ExpiredError,
    403: ForbiddenError,
    422: RefusedError,
    429: UnreachableError,
    503: UnreachableError,
}
FIXES = {
    401: "; the credentials are wrong or have expired: log in again",
    403: "; ask the cluster's administrator for this right, or see kubectl auth can-i --list",
    409: "; somebody else has changed it in the meantime: look at it and try again",
}


def _status(cause: "ApiException") -> Tree:
    try:
        body = json.loads(cause.body)
    except (TypeError, ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _message(cause: "ApiException") -> str:
    body = cause.body.decode("utf-8", "replace") if isinstance(cause.body, bytes) else cause.body
    return one_line(_status(cause).get("message") or body or cause.reason)


def one_line(message: object) -> str:
    """Returns a message without line ends and control characters."""
    return " ".join(clean(str(message)).split())
