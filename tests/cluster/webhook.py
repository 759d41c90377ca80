"""Stands in for the admission side of Katib v0.19 where its controller cannot run: the rules that our verbs meet.

Answers the API server over HTTPS as Katib's webhook does: it validates changes of an Experiment (validator.go) and puts
the labels and the collector into the pods of trials (inject_webhook.go, pod/utils.go).
"""

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from katib.backend.cluster.kinds import INJECTION_LABEL

NAME = "katib-controller.kubeflow.svc"
EDITABLE = ("parallelTrialCount", "maxTrialCount", "maxFailedTrialCount")
COLLECTOR = {
    "name": "metrics-logger-and-collector",
    "resources": {"limits": {"cpu": "500m", "memory": "100Mi"}, "requests": {"cpu": "50m", "memory": "10Mi"}},
}


class Webhook:
    """The server, on `host` at a free port; `certificate` is what the API server must trust."""

    def __init__(self, host: str, folder: Path) -> None:
        self.host, self.inject = host, True
        self.away = False
        """Whether it answers as a controller that is not there; then no pod of a trial can be made."""
        self.wrap: Callable[[dict[str, Any]], dict[str, Any]] | None = None
        """Makes more of a trial's pod than its labels and a container of the right name; for a node that runs it."""
        key, certificate = folder / "key.pem", folder / "cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key), "-out", str(certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
        self.certificate = base64.b64encode(certificate.read_bytes()).decode()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                if webhook.away:
                    self.send_error(503)
                    return
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = webhook.review(self.path.partition("?")[0], review["request"])
                data = json.dumps({**review, "request": None, "response": answer}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _injection(self, pod: dict[str, Any]) -> list[dict[str, Any]]:
        labels = _labels(pod)
        if not labels:
            return []
        spec = (self.wrap or _collected)(pod)["spec"]
        metadata = {**pod["metadata"], "labels": {**(pod["metadata"].get("labels") or {}), **labels}}
        return [
            {"op": "replace", "path": "/spec", "value": spec},
            {"op": "replace", "path": "/metadata", "value": metadata},
        ]

    def review(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        """Returns the AdmissionResponse to one request."""
        answer: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if path == "/validate-experiment" and (refusal := _refusal(request)):
            answer |= {"allowed": False, "status": {"code": 400, "message": refusal}}
        if path == "/mutate-pod" and self.inject and (patch := self._injection(request["object"])):
            answer |= {
                "patchType": "JSONPatch",
                "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
            }
        return answer


def registrations(webhook: Webhook) -> list[dict[str, Any]]:
    """Returns Katib's two webhook configurations and the Service through which they are called."""

    def hook(name: str, path: str, resource: str, **more: Any) -> dict[str, Any]:
        group, operations = ("kubeflow.org", ["CREATE", "UPDATE"]) if resource == "experiments" else ("", ["CREATE"])
        version = "v1beta1" if group else "v1"
        service = {"name": "katib-controller", "namespace": "kubeflow", "path": path}
        return {
            "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"service": service, "caBundle": webhook.certificate},
            "rules": [{"apiGroups": [group], "apiVersions": [version], "operations": operations, "resources": [resource]}],
            **more,
        }  # fmt: skip

    labelled = {"namespaceSelector": {"matchLabels": {INJECTION_LABEL: "enabled"}}}
    api = "admissionregistration.k8s.io/v1"
    place = {"name": "katib-controller", "namespace": "kubeflow"}
    port = {"name": "webhook", "port": webhook.port}
    return [
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
         "metadata": {**place, "labels": {"kubernetes.io/service-name": "katib-controller"}},
         "endpoints": [{"addresses": [webhook.host]}], "ports": [port]},
        # What the API server itself looks at; kept from being mirrored into a second slice.
        {"apiVersion": "v1", "kind": "Endpoints",
         "metadata": {**place, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
         "subsets": [{"addresses": [{"ip": webhook.host}], "ports": [port]}]},
        {"apiVersion": api, "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "katib.kubeflow.org"},
         "webhooks": [hook("validator.experiment.katib.kubeflow.org", "/validate-experiment", "experiments")]},
        {"apiVersion": api, "kind": "MutatingWebhookConfiguration", "metadata": {"name": "katib.kubeflow.org"},
         "webhooks": [hook("defaulter.experiment.katib.kubeflow.org", "/mutate-experiment", "experiments"),
                      hook("mutator.pod.katib.kubeflow.org", "/mutate-pod", "pods", **labelled)]},
    ]  # fmt: skip


def _refusal(request: dict[str, Any]) -> str:
    """Returns why a change is refused: the part about changes of ValidateExperiment in validator.go."""
    new, old = request["object"], request.get("oldObject")
    spec = new["spec"]
    if spec["parallelTrialCount"] > spec["maxTrialCount"]:
        return "spec.parallelTrialCount must be less than or equal to spec.maxTrialCount"
    if not old or old["spec"] == spec:
        return ""
    rest = [{key: value for key, value in item["spec"].items() if key not in EDITABLE} for item in (old, new)]
    if rest[0] != rest[1]:
        return "only spec.parallelTrialCount, spec.maxTrialCount and spec.maxFailedTrialCount are editable"
    trials = (old.get("status") or {}).get("trials") or 0
    if spec["maxTrialCount"] <= trials:
        return f"spec.maxTrialCount must be greater than {trials}"
    return ""


def _labels(pod: dict[str, Any]) -> dict[str, str]:
    """Returns the trial's labels, for the pod of a Job, which has the trial's name."""
    owners = pod["metadata"].get("ownerReferences") or []
    if not owners or owners[0]["kind"] != "Job" or owners[0]["name"].startswith(("clean-", "read-", "data-", "fetch-")):
        return {}
    trial = owners[0]["name"]
    return {"katib.kubeflow.org/trial": trial, "katib.kubeflow.org/experiment": trial.rpartition("-")[0]}


def _collected(pod: dict[str, Any]) -> dict[str, Any]:
    """Returns the collector's container, since nothing runs it here."""
    spec = pod["spec"]
    first = spec["containers"][0]
    sidecar = {**COLLECTOR, "image": first["image"], "securityContext": first.get("securityContext", {})}
    return {
        **pod,
        "spec": {**spec, "containers": [*spec["containers"], sidecar], "shareProcessNamespace": True},
    }
