"""Makes the few calls of the Kubernetes API that a service in a pod needs, with the pod's own service account.

It uses the standard library: the kubernetes package alone takes 50 MB, as much as the early-stopping service may have.
The rights that it needs are those of k8s/base/services-rbac.yaml: get and list trials, get experiments, patch the
status of trials, list and watch pods, get Jobs.
"""

import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.client import HTTPResponse
from pathlib import Path

from katib.errors import ClusterError
from katib.services.objects import (
    BOOST,
    EXPERIMENT_LABEL,
    TRIAL_LABEL,
    ExperimentObject,
    JobObject,
    PodObject,
    TrialObject,
    WorkloadObject,
)
from katib.tree import Tree, at, items_at, text_at

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT = 10.0
"""Seconds to wait for an answer."""
WATCH_SECONDS = 240
"""The API server ends a watch after so many seconds."""
EARLY_STOPPED = "EarlyStopped"
REFUSED = (401, 403)
ABSENT = 404
CHANGED_MEANWHILE = 422
"""The answer to a JSON patch whose `test` does not hold."""
TRIES = 5
WORKLOAD_VERSIONS = ("v1beta2", "v1beta1")
_VERSION = ("metadata", "resourceVersion")
PAGE = 100
"""Objects of one answer."""


class KubernetesApi:
    """Katib's objects in one namespace. Each call raises ClusterError: refused, or no answer."""

    def __init__(self, server: str, namespace: str, token: Path | None = None, ca: Path | None = None) -> None:
        self.server = server
        self._path = f"{server}/apis/kubeflow.org/v1beta1/namespaces/{namespace}"
        self._pods = f"{server}/api/v1/namespaces/{namespace}/pods"
        self._jobs = f"{server}/apis/batch/v1/namespaces/{namespace}/jobs"
        self._workloads = f"{server}/apis/kueue.x-k8s.io/{{}}/namespaces/{namespace}/workloads"
        self._token = token
        self._tls = ssl.create_default_context(cafile=str(ca)) if ca else None

    def experiment(self, name: str) -> ExperimentObject:
        """Returns an experiment."""
        return ExperimentObject(self._call("GET", f"experiments/{_quoted(name)}"))

    def trial(self, name: str) -> TrialObject:
        """Returns a trial."""
        return TrialObject(self._call("GET", f"trials/{_quoted(name)}"))

    def trials(self, experiment: str) -> Iterator[TrialObject]:
        """Yields the trials of an experiment, except those that are being deleted.

        Deleted ones may belong to an earlier experiment of that name. Trials are requested in pages, because each has
        some 10 KB and not all of them need be in memory at once.
        """
        where = {"limit": str(PAGE), "labelSelector": f"{EXPERIMENT_LABEL}={experiment}"}
        more: str | None = ""
        while more is not None:
            page = self._call("GET", f"trials?{urllib.parse.urlencode({'continue': more, **where})}")
            yield from (trial for trial in map(TrialObject, items_at(page, "items")) if not trial.is_being_deleted)
            more = text_at(page, "metadata", "continue") or None

    def pods(self, experiment: str) -> tuple[list[PodObject], str]:
        """Returns the pods of an experiment's trials, and the version from which a watch continues."""
        answer = self._call("GET", _of_trials(experiment), root=self._pods)
        return [PodObject(item) for item in items_at(answer, "items")], text_at(answer, "metadata", "resourceVersion")

    def job(self, trial: str) -> JobObject | None:
        """Returns the Job of a trial; None where there is none."""
        try:
            return JobObject(self._call("GET", f"/{_quoted(trial)}", root=self._jobs))
        except AbsentError:
            return None

    def has_gone(self, trial: str) -> bool:
        """Returns whether nothing trains for a trial, now or later: its Job has ended, and none of its pods is left."""
        job = self.job(trial)
        if job is not None and not job.has_ended:
            return False
        where = f"?{urllib.parse.urlencode({'labelSelector': f'{TRIAL_LABEL}={trial}'})}"
        pods = items_at(self._call("GET", where, root=self._pods), "items")
        return all(PodObject(pod).has_ended for pod in pods)

    def workloads(self) -> list[WorkloadObject]:
        """Returns Kueue's Workloads in the newest version of its types that is known here and served.

        Raises AbsentError where there is none.
        """
        for version in WORKLOAD_VERSIONS:
            try:
                answer = self._call("GET", "", root=self._workloads.format(version))
            except AbsentError:
                continue
            return [WorkloadObject(item, version) for item in items_at(answer, "items")]
        raise AbsentError("Kueue is not installed")

    def set_boost(self, workload: WorkloadObject, boost: int) -> None:
        """Sets what Kueue adds to the priority of a Workload, as it was read; another change since then prevents it."""
        value = {BOOST: str(boost)}
        path = f"/metadata/annotations/{BOOST.replace('/', '~1')}"
        operations: list[Tree] = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": text_at(workload.tree, *_VERSION)},
            {"op": "add", "path": path, "value": str(boost)}
            if workload.annotations
            else {"op": "add", "path": "/metadata/annotations", "value": value},
        ]
        root = self._workloads.format(workload.version)
        with suppress(_ChangedError):
            self._call("PATCH", f"/{_quoted(workload.name)}", operations, root=root)

    def watch_pods(self, experiment: str, version: str) -> Iterator[tuple[str, PodObject]]:
        """Yields the events of an experiment's pods after `version`, as type and pod, until the watch ends."""
        more = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        where = f"{_of_trials(experiment)}&{urllib.parse.urlencode(more)}"
        with self._open("GET", where, root=self._pods, timeout=WATCH_SECONDS + TIMEOUT) as answer:
            for line in answer:
                event = json.loads(line)
                yield text_at(event, "type"), PodObject(at(event, "object"))

    def mark_early_stopped(self, name: str, reason: str = "") -> bool:
        """Adds the condition EarlyStopped to a trial; returns False where it has the condition already.

        `reason` becomes the condition's message, which Katib keeps as long as the trial.
        """

        def marked(trial: TrialObject) -> list[Tree]:
            has_condition = any(condition.get("type") == EARLY_STOPPED for condition in trial.conditions)
            return [] if has_condition else [_addition(trial, _condition(reason))]

        return self._change_status(name, marked)

    def set_running_message(self, name: str, message: Callable[[TrialObject], str]) -> bool:
        """Sets the message of a trial's condition Running; returns False where it is so already, or has none."""

        def changed(trial: TrialObject) -> list[Tree]:
            for index, condition in enumerate(trial.conditions):
                if condition.get("type") == "Running" and condition.get("message") != (text := message(trial)):
                    return [{"op": "add", "path": f"/status/conditions/{index}/message", "value": text}]
            return []

        return self._change_status(name, changed)

    def _change_status(self, name: str, change: Callable[[TrialObject], list[Tree]]) -> bool:
        """Patches the status of the trial as it was read; reads it again where the controller has written meanwhile."""
        for _ in range(TRIES):
            trial = self.trial(name)
            if not (operations := change(trial)):
                return False
            version = {"op": "test", "path": "/metadata/resourceVersion", "value": trial.version}
            try:
                self._call("PATCH", f"trials/{_quoted(name)}/status", [version, *operations])
            except _ChangedError:
                continue
            return True
        raise ClusterError(f"trial '{name}' changes faster than its status can be set")

    def _call(self, method: str, path: str, body: list[Tree] | None = None, root: str = "") -> Tree:
        with self._open(method, path, body, root) as answer:
            return at(json.load(answer))

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        body: list[Tree] | None = None,
        root: str = "",
        timeout: float = TIMEOUT,
    ) -> Iterator[HTTPResponse]:
        """Yields an answer that is being read; raises ClusterError for whatever goes wrong until its end."""
        where = f"{root or self._path}{path if root else f'/{path}'}"
        request = urllib.request.Request(where, method=method)  # noqa: S310 (https, or a test's server)
        request.add_header("Accept", "application/json")
        if self._token is not None:
            # It is read each time, because Kubernetes replaces it every hour.
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
            kind = {ABSENT: AbsentError, **dict.fromkeys(REFUSED, NoRightError)}.get(error.code, ClusterError)
            raise kind(f"{method} {path}: {error.code} {_message(error)}") from None
        except (OSError, ValueError) as error:
            raise ClusterError(f"{method} {path}: no answer of the Kubernetes API: {error}") from None


class NoRightError(ClusterError):
    """The pod's account lacks a right."""


class AbsentError(ClusterError):
    """There is no such object."""


class _ChangedError(ClusterError):
    """The object has changed since it was read."""


def in_cluster() -> KubernetesApi | None:
    """Returns the API of the cluster that this pod runs in; None outside, or where the pod has no token."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (ACCOUNT / "token").exists():
        return None
    host = f"[{host}]" if ":" in host else host
    namespace = (ACCOUNT / "namespace").read_text().strip()
    return KubernetesApi(f"https://{host}:{port}", namespace, ACCOUNT / "token", ACCOUNT / "ca.crt")


def _condition(reason: str) -> dict[str, str]:
    """Returns the condition as Katib's own service writes it (medianstop/service.py).

    The times are in UTC; that service writes local time with the Z of UTC.
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


def _addition(trial: TrialObject, condition: Mapping[str, str]) -> Tree:
    """Returns the operation that adds a condition to the list, which it makes where there is none."""
    if trial.conditions:
        return {"op": "add", "path": "/status/conditions/-", "value": condition}
    return {"op": "add", "path": "/status", "value": {**at(trial.tree, "status"), "conditions": [condition]}}


def _of_trials(experiment: str) -> str:
    return f"?{urllib.parse.urlencode({'labelSelector': f'{EXPERIMENT_LABEL}={experiment},{TRIAL_LABEL}'})}"


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return error.reason


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")
