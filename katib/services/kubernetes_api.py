"""The few calls of the Kubernetes API that a service in a pod makes, with the pod's own service account.

Over the standard library: the kubernetes package alone takes 50 MB, which is what the early-stopping service may have. The
rights that it needs are k8s/base/services-rbac.yaml: get and list trials, get experiments, patch the status of trials.
"""

import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from katib.errors import ClusterError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = 10.0
EXPERIMENT_LABEL = "katib.kubeflow.org/experiment"
EARLY_STOPPED = "EarlyStopped"
REFUSED = (401, 403)
CHANGED_MEANWHILE = 422
"""What a JSON patch is answered with whose `test` does not hold."""
TRIES = 5


class KubernetesApi:
    """Katib's objects in one namespace. Each call raises ClusterError: refused, or no answer."""

    def __init__(
        self, server: str, namespace: str, token: Path | None = None, ca: Path | None = None
    ) -> None:
        self._path = f"{server}/apis/kubeflow.org/v1beta1/namespaces/{namespace}"
        self._token = token
        self._tls = ssl.create_default_context(cafile=str(ca)) if ca else None

    def experiment(self, name: str) -> Mapping[str, Any]:
        """An Experiment as the API has it."""
        found: Mapping[str, Any] = self._call("GET", f"experiments/{_quoted(name)}")
        return found

    def trial(self, name: str) -> Mapping[str, Any]:
        """A Trial as the API has it."""
        found: Mapping[str, Any] = self._call("GET", f"trials/{_quoted(name)}")
        return found

    def trials(self, experiment: str) -> list[Mapping[str, Any]]:
        """All trials of an experiment."""
        selector = urllib.parse.urlencode({"labelSelector": f"{EXPERIMENT_LABEL}={experiment}"})
        items: list[Mapping[str, Any]] = self._call("GET", f"trials?{selector}")["items"]
        return items

    def mark_early_stopped(self, name: str, reason: str = "") -> bool:
        """Adds the condition that Katib's controller and UI know such a trial by; False where it has it already.

        `reason` becomes the condition's message, which Katib keeps as long as the trial.
        """
        for _ in range(TRIES):
            trial = self.trial(name)
            conditions = trial.get("status", {}).get("conditions") or []
            if any(condition.get("type") == EARLY_STOPPED for condition in conditions):
                return False
            try:
                self._call("PATCH", f"trials/{_quoted(name)}/status", _patch(trial, _condition(reason)))
            except _ChangedError:
                continue  # the controller has written in between
            return True
        raise ClusterError(f"trial '{name}' changes faster than its status can be set")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(f"{self._path}/{path}", method=method)  # noqa: S310 (https, or a test's server)
        request.add_header("Accept", "application/json")
        if self._token is not None:
            # Read anew each time: Kubernetes replaces it every hour.
            request.add_header("Authorization", f"Bearer {self._token.read_text().strip()}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json-patch+json")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT, context=self._tls) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == CHANGED_MEANWHILE and method == "PATCH":
                raise _ChangedError("changed meanwhile") from None
            kind = NoRightError if error.code in REFUSED else ClusterError
            raise kind(f"{method} {path}: {error.code} {_message(error)}") from None
        except (OSError, ValueError) as error:
            raise ClusterError(f"{method} {path}: no answer of the Kubernetes API: {error}") from None


class NoRightError(ClusterError):
    """The pod's account lacks a right."""


class _ChangedError(ClusterError):
    """The object is no longer what was read."""


def in_cluster() -> KubernetesApi | None:
    """The API of the cluster that this pod runs in; None outside, or where the pod has no token."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (ACCOUNT / "token").exists():
        return None
    host = f"[{host}]" if ":" in host else host
    namespace = (ACCOUNT / "namespace").read_text().strip()
    return KubernetesApi(f"https://{host}:{port}", namespace, ACCOUNT / "token", ACCOUNT / "ca.crt")


def _condition(reason: str) -> dict[str, str]:
    """As Katib's own service writes it (medianstop/service.py), but for the zone: that one gives local time the Z of UTC."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": EARLY_STOPPED,
        "status": "True",
        "reason": "TrialEarlyStopped",
        "message": reason or "Trial is early stopped",
        "lastUpdateTime": now,
        "lastTransitionTime": now,
    }


def _patch(trial: Mapping[str, Any], condition: Mapping[str, str]) -> list[dict[str, Any]]:
    """Adds to the list rather than replace it, and only to the very object that was read."""
    version = trial["metadata"]["resourceVersion"]
    unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
    if trial.get("status", {}).get("conditions"):
        return [unchanged, {"op": "add", "path": "/status/conditions/-", "value": condition}]
    status = {**trial.get("status", {}), "conditions": [condition]}
    return [unchanged, {"op": "add", "path": "/status", "value": status}]


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return error.reason


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
