"""Experiments in a Kubernetes namespace: get, apply, delete, with the kubeconfig of the caller. Called by deploy and delete.

The only module that speaks to the API server; whatever it answers becomes one line (`ClusterError`).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes import config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from katib.errors import ClusterError

MANAGER = "sepsweep"
OWNER_LABEL = "app.kubernetes.io/managed-by"
TIMEOUT = 20  # seconds an answer of the API server may take


class Experiments:
    """The Experiments of one namespace. Nothing that lacks our label is ever changed or deleted."""

    def __init__(self, namespace: str, context: str | None = None) -> None:
        try:
            api_client = config.new_client_from_config(context=context)
        except config.ConfigException as cause:
            raise ClusterError(
                f"no usable kubeconfig: {_line(cause)}; see kubectl config get-contexts"
            ) from None
        # Without this an unreachable server is tried for minutes before it is an error.
        api_client.rest_client.pool_manager.connection_pool_kw["retries"] = 1
        self._api = api_client
        self._path = f"/apis/kubeflow.org/v1beta1/namespaces/{namespace}/experiments/"
        self.namespace = namespace
        self.server: str = api_client.configuration.host

    def get(self, name: str) -> dict[str, Any] | None:
        """The Experiment `name`, or None. Raises ClusterError where it is somebody else's."""
        try:
            found = self._request("GET", name)
        except _AbsentError:
            return None
        if (found["metadata"].get("labels") or {}).get(OWNER_LABEL) != MANAGER:
            raise ClusterError(
                f"experiment '{name}' in namespace '{self.namespace}' is not ours (no label {OWNER_LABEL}={MANAGER});"
                " choose another name with NAME="
            )
        return found

    def apply(self, manifest: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Server-side apply of one Experiment; a dry run passes admission and changes nothing."""
        query = [("fieldManager", MANAGER), *([("dryRun", "All")] if dry_run else [])]
        return self._request("PATCH", manifest["metadata"]["name"], manifest, query)

    def delete(self, name: str, uid: str) -> None:
        """Deletes the very object that was shown, with its trials; a new one of that name is left alone."""
        options = {"propagationPolicy": "Foreground", "preconditions": {"uid": uid}}
        self._request("DELETE", name, options)

    def _request(
        self, method: str, name: str, body: object = None, query: list[tuple[str, str]] | None = None
    ) -> dict[str, Any]:
        """One call. The typed client cannot send an apply patch, so all calls go through its transport."""
        kind = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        with self._answers(name):
            answer: dict[str, Any] = self._api.call_api(
                self._path + name,
                method,
                query_params=query or [],
                header_params={"Accept": "application/json", "Content-Type": kind},
                body=body,
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=TIMEOUT,
            )
        return answer

    @contextmanager
    def _answers(self, name: str) -> Iterator[None]:
        """Turns whatever goes wrong on the way into one line that says where and what to do."""
        where = f"experiment '{name}' in namespace '{self.namespace}'"
        try:
            yield
        except ApiException as cause:
            detail = _message(cause)
            if cause.status == 404:
                if f'"{name}"' in detail:
                    raise _AbsentError(f"{where} does not exist") from None
                if "namespaces" in detail:
                    raise ClusterError(f"{detail}; create it with kubectl create namespace") from None
                raise ClusterError(f"{self.server} knows no Katib Experiments; install Katib first") from None
            remedy = REMEDIES.get(cause.status, "")
            raise ClusterError(f"{where}: the API server answers {cause.status}: {detail}{remedy}") from None
        except (HTTPError, OSError) as cause:
            raise ClusterError(
                f"{self.server} cannot be reached ({type(cause).__name__}); see kubectl cluster-info"
            ) from None


class _AbsentError(ClusterError):
    """The object asked for does not exist."""


REMEDIES = {
    401: "; the credentials have expired: log in again",
    403: "; ask the cluster's administrator for this right, or see kubectl auth can-i --list",
    409: "; somebody else changed it meanwhile: look at it and try again",
}


def _message(cause: ApiException) -> str:
    try:
        return _line(json.loads(cause.body)["message"])
    except (TypeError, ValueError, KeyError):
        return _line(cause.reason)


def _line(text: object) -> str:
    return " ".join(str(text).split())
