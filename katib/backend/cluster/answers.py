"""What the API server's refusals mean: a class for each kind of them, and one line that says what to do."""

import json
from typing import TYPE_CHECKING

from katib.backend.cluster.kinds import KATIB, Object
from katib.errors import ClusterError
from katib.untrusted import clean

if TYPE_CHECKING:
    from kubernetes.client.exceptions import ApiException


class AbsentError(ClusterError):
    """The object asked for does not exist."""


class NoKindError(ClusterError):
    """The API server does not know the resource type."""


class ForbiddenError(ClusterError):
    """The caller lacks a right."""


class RefusedError(ClusterError):
    """Admission or validation refused the object."""


class UnreachableError(ClusterError):
    """The API server does not answer, or not now."""


class FailedError(ClusterError):
    """The API server could not do it, for example because a node does not answer it."""


class ExpiredError(ClusterError):
    """The API server does not know who calls."""


def refusal(cause: "ApiException", where: str, server: str) -> ClusterError:
    """Returns the error for an answer that is none, in one line that says where and what to do."""
    status, detail = _status(cause), _message(cause)
    if cause.status == 404:
        about = (status.get("details") or {}).get("kind")
        if about == "namespaces" and not where.startswith("namespace '"):
            return ClusterError(f"{detail}; create it with kubectl apply -k k8s/base")
        if status.get("reason") == "NotFound" and status.get("details", {}).get("name"):
            return AbsentError(f"{where} does not exist")
        of_katib = KATIB in where or where.startswith(("experiment ", "trial ", "suggestion "))
        hint = "; install Katib with make install-katib" if of_katib else ""
        return NoKindError(f"{server} has no resource type for {where}{hint}")
    kinds: dict[int, type[ClusterError]] = {
        401: ExpiredError,
        403: ForbiddenError,
        400: RefusedError,
        422: RefusedError,
    }
    kinds |= {429: UnreachableError, 503: UnreachableError}
    kind = kinds.get(cause.status, FailedError if cause.status >= 500 else ClusterError)
    if cause.status == 500 and "webhook" in detail:
        kind = RefusedError
    if kind is ForbiddenError and "cannot" not in detail:  # not the caller's rights: quota, pod security, a webhook
        kind = RefusedError
    fix = "; run make doctor" if kind is RefusedError else REMEDIES.get(cause.status, "")
    return kind(f"{where}: the API server answers {cause.status}: {detail}{fix}")


REMEDIES = {
    401: "; the credentials are wrong or have expired: log in again",
    403: "; ask the cluster's administrator for this right, or see kubectl auth can-i --list",
    409: "; somebody else changed it meanwhile: look at it and try again",
}


def _status(cause: "ApiException") -> Object:
    try:
        found = json.loads(cause.body)
    except (TypeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _message(cause: "ApiException") -> str:
    body = cause.body.decode("utf-8", "replace") if isinstance(cause.body, bytes) else cause.body
    return one_line(_status(cause).get("message") or body or cause.reason)


def one_line(text: object) -> str:
    """Returns the text without line ends, and without what a terminal would obey."""
    return " ".join(clean(str(text)).split())
