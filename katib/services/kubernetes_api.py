"""The few calls of the Kubernetes API that a service in a pod makes, with the pod's own service account.

Over the standard library: the kubernetes package alone takes 50 MB, which is what the early-stopping service may have.
The rights that it needs are k8s/base/services-rbac.yaml: get and list trials, get experiments, patch the status of
trials, list and watch pods.
"""

import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPResponse
from pathlib import Path

from katib.errors import ClusterError
from katib.tree import Tree, at, items_at, text_at

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = 10.0
WATCH_SECONDS = 240
"""After which the API server ends a watch."""
EXPERIMENT_LABEL, TRIAL_LABEL = "katib.kubeflow.org/experiment", "katib.kubeflow.org/trial"
EARLY_STOPPED = "EarlyStopped"
REFUSED = (401, 403)
CHANGED_MEANWHILE = 422
"""What a JSON patch is answered with whose `test` does not hold."""
TRIES = 5
PAGE = 100
"""Objects of one answer."""


class KubernetesApi:
    """Katib's objects in one namespace. Each call raises ClusterError: refused, or no answer."""

    def __init__(self, server: str, namespace: str, token: Path | None = None, ca: Path | None = None) -> None:
        self.server = server
        self._path = f"{server}/apis/kubeflow.org/v1beta1/namespaces/{namespace}"
        self._pods = f"{server}/api/v1/namespaces/{namespace}/pods"
        self._token = token
        self._tls = ssl.create_default_context(cafile=str(ca)) if ca else None

    def experiment(self, name: str) -> Tree:
        """Returns an Experiment as the API has it."""
        return self._call("GET", f"experiments/{_quoted(name)}")

    def trial(self, name: str) -> Tree:
        """Returns a Trial as the API has it."""
        return self._call("GET", f"trials/{_quoted(name)}")

    def trials(self, experiment: str) -> Iterator[Tree]:
        """Yields the trials of an experiment, without those that are being deleted: they may be of an earlier one of
        that name.

        They come by pages, because a trial has some 10 KB and not all of them need be in memory at once.
        """
        where = {"limit": str(PAGE), "labelSelector": f"{EXPERIMENT_LABEL}={experiment}"}
        more: str | None = ""
        while more is not None:
            page = self._call("GET", f"trials?{urllib.parse.urlencode({'continue': more, **where})}")
            yield from (item for item in items_at(page, "items") if "deletionTimestamp" not in at(item, "metadata"))
            more = text_at(page, "metadata", "continue") or None

    def pods(self, experiment: str) -> tuple[list[Tree], str]:
        """Returns the pods of an experiment's trials, and the version from which a watch continues."""
        answer = self._call("GET", _of_trials(experiment), root=self._pods)
        return items_at(answer, "items"), text_at(answer, "metadata", "resourceVersion")

    def watch_pods(self, experiment: str, version: str) -> Iterator[tuple[str, Tree]]:
        """Yields what becomes of them after `version`, as type and object, until the server ends the watch."""
        more = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        where = f"{_of_trials(experiment)}&{urllib.parse.urlencode(more)}"
        with self._open("GET", where, root=self._pods, timeout=WATCH_SECONDS + TIMEOUT) as answer:
            for line in answer:
                event = json.loads(line)
                yield event["type"], event["object"]

    def mark_early_stopped(self, name: str, reason: str = "") -> bool:
        """Adds the condition that Katib's controller and UI know such a trial by; False where it has it already.

        `reason` becomes the condition's message, which Katib keeps as long as the trial.
        """

        def marked(trial: Tree) -> list[Tree]:
            conditions = items_at(trial, "status", "conditions")
            there = any(condition.get("type") == EARLY_STOPPED for condition in conditions)
            return [] if there else [_added(trial, _condition(reason))]

        return self._change_status(name, marked)

    def note_running(self, name: str, words: Callable[[Tree], str]) -> bool:
        """Makes what `words` says of the trial the message of its condition Running.

        False where it has it, or has none.
        """

        def noted(trial: Tree) -> list[Tree]:
            conditions = items_at(trial, "status", "conditions")
            for index, condition in enumerate(conditions):
                if condition.get("type") == "Running" and condition.get("message") != (text := words(trial)):
                    return [{"op": "add", "path": f"/status/conditions/{index}/message", "value": text}]
            return []

        return self._change_status(name, noted)

    def _change_status(self, name: str, change: Callable[[Tree], list[Tree]]) -> bool:
        """Patches the status of the very trial that was read, and reads it again where the controller has written
        since.
        """
        for _ in range(TRIES):
            trial = self.trial(name)
            if not (operations := change(trial)):
                return False
            version = text_at(trial, "metadata", "resourceVersion")
            unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
            try:
                self._call("PATCH", f"trials/{_quoted(name)}/status", [unchanged, *operations])
            except _ChangedError:
                continue
            return True
        raise ClusterError(f"trial '{name}' changes faster than its status can be set")

    def _call(self, method: str, path: str, body: object = None, root: str = "") -> Tree:
        with self._open(method, path, body, root) as answer:
            return at(json.load(answer))

    @contextmanager
    def _open(
        self, method: str, path: str, body: object = None, root: str = "", timeout: float = TIMEOUT
    ) -> Iterator[HTTPResponse]:
        """Yields an answer that is being read. Whatever goes wrong until its end is a ClusterError."""
        where = f"{root or self._path}{path if root else f'/{path}'}"
        request = urllib.request.Request(where, method=method)  # noqa: S310 (https, or a test's server)
        request.add_header("Accept", "application/json")
        if self._token is not None:
            # Read anew each time: Kubernetes replaces it every hour.
            request.add_header("Authorization", f"Bearer {self._token.read_text().strip()}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json-patch+json")
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self._tls) as answer:  # noqa: S310
                yield answer
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
    """Returns the API of the cluster that this pod runs in; None outside, or where the pod has no token."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (ACCOUNT / "token").exists():
        return None
    host = f"[{host}]" if ":" in host else host
    namespace = (ACCOUNT / "namespace").read_text().strip()
    return KubernetesApi(f"https://{host}:{port}", namespace, ACCOUNT / "token", ACCOUNT / "ca.crt")


def _condition(reason: str) -> dict[str, str]:
    """As Katib's own service writes it (medianstop/service.py), but for the zone: that one gives local time the Z of
    UTC.
    """
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": EARLY_STOPPED,
        "status": "True",
        "reason": "TrialEarlyStopped",
        "message": reason or "Trial is early stopped",
        "lastUpdateTime": now,
        "lastTransitionTime": now,
    }


def _added(trial: Tree, condition: Mapping[str, str]) -> Tree:
    """Adds to the list rather than replace it."""
    if items_at(trial, "status", "conditions"):
        return {"op": "add", "path": "/status/conditions/-", "value": condition}
    return {"op": "add", "path": "/status", "value": {**at(trial, "status"), "conditions": [condition]}}


def _of_trials(experiment: str) -> str:
    return f"?{urllib.parse.urlencode({'labelSelector': f'{EXPERIMENT_LABEL}={experiment},{TRIAL_LABEL}'})}"


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return error.reason


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
