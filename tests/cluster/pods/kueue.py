"""Runs Kueue's real controller beside the one-node Kubernetes, where somebody has built it (one_node/README.md)."""

import base64
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from katib.services.kubernetes_api import KubernetesApi
from tests.cluster import rig
from tests.cluster.tools import Tools

PROGRAM, OBJECTS = rig.HOME / "bin" / "kueue", rig.HOME / "kueue.yaml"
NAMESPACE, SERVICE, SECRET = "kueue-system", "kueue-webhook-service", "kueue-webhook-server-cert"
PORT, HEALTH = 9443, "127.0.0.1:18081"
NOT_HERE = ("Deployment", "APIService")
"""Its own pod, and the visibility server's registration: the controller is a process of this machine."""


def missing() -> str:
    """Returns what is missing here of Kueue; '' where nothing is."""
    absent = [path.name for path in (PROGRAM, OBJECTS) if not path.exists()]
    return f"not built: {', '.join(absent)} of Kueue; tests/cluster/one_node/README.md says how" if absent else ""


@contextmanager
def installed(kubeconfig: Path, folder: Path) -> Iterator[None]:
    """Installs Kueue meanwhile, with the feature gate PriorityBoost.

    Afterwards its types are gone: those that other tests make have no webhook that converts them.
    """
    objects = [item for item in yaml.safe_load_all(OBJECTS.read_text()) if item["kind"] not in NOT_HERE]
    hooks = [item for item in objects if item["kind"].endswith("WebhookConfiguration")]
    others = [_reachable(item) for item in objects if item not in hooks]
    _apply([item for item in others if item["kind"] == "Namespace"])
    _apply([*others, *_endpoints()])
    rig.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=300s")
    _apply(hooks)
    config, certificates = folder / "kueue.yaml", folder / "certificates"
    certificates.mkdir()
    config.write_text(yaml.safe_dump(_config(certificates)))
    words = [str(PROGRAM), f"--config={config}"]
    with (rig.HOME / "run" / "log" / "kueue.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, "KUBECONFIG": str(kubeconfig)})
    try:
        _await(process, certificates)
        yield
        # While the controller runs, which lets go of what is deleted.
        rig.kubectl(
            "delete", "--all", "--all-namespaces", "--timeout=120s", "localqueues,clusterqueues,resourceflavors"
        )
        types = [item["metadata"]["name"] for item in objects if item["kind"] == "CustomResourceDefinition"]
        rig.kubectl("delete", "customresourcedefinitions", *types, "--timeout=120s")
    finally:
        process.terminate()
        process.wait(60)
        for item in hooks:
            rig.kubectl("delete", item["kind"], item["metadata"]["name"])


def service(place: Tools, kubeconfig: Path, folder: Path) -> KubernetesApi:
    """Returns the API server as the suggestion service reaches it: with its own account's rights."""
    token, ca = folder / "token", folder / "ca.crt"
    token.write_text(place.kubectl("create", "token", "sepsweep-services"))
    cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    ca.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    return KubernetesApi(cluster["server"], place.namespace, token, ca)


def _config(certificates: Path) -> dict[str, Any]:
    """Returns the controller's configuration."""
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "namespace": NAMESPACE,
        "health": {"healthProbeBindAddress": HEALTH},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": rig.HOST, "port": PORT, "certDir": str(certificates)},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": True, "webhookServiceName": SERVICE, "webhookSecretName": SECRET},
        "integrations": {"frameworks": ["batch/job"]},
        "featureGates": {"PriorityBoost": True, "VisibilityOnDemand": False},
    }


def _reachable(item: dict[str, Any]) -> dict[str, Any]:
    """Returns an object of Kueue; the Service of its webhooks without a selector, since no pod is behind it."""
    if (item["kind"], item["metadata"]["name"]) != ("Service", SERVICE):
        return item
    return {**item, "spec": {"ports": [{"name": "webhook", "port": 443, "targetPort": PORT}]}}


def _endpoints() -> list[dict[str, Any]]:
    """Returns where the Service leads; the API server looks at the second one (webhook.py)."""
    place, ports = {"name": SERVICE, "namespace": NAMESPACE}, [{"name": "webhook", "port": PORT}]
    return [
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
         "metadata": {**place, "labels": {"kubernetes.io/service-name": SERVICE}},
         "endpoints": [{"addresses": [rig.HOST]}], "ports": ports},
        {"apiVersion": "v1", "kind": "Endpoints",
         "metadata": {**place, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
         "subsets": [{"addresses": [{"ip": rig.HOST}], "ports": ports}]},
    ]  # fmt: skip


def _apply(objects: list[dict[str, Any]]) -> None:
    rig.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(objects))


def _await(process: "subprocess.Popen[bytes]", certificates: Path) -> None:
    """Waits until the controller is ready; meanwhile brings it its certificates, as the mount of a Secret does."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert process.poll() is None, "Kueue's controller has ended; kueue.log says why"
        secret = json.loads(rig.kubectl("-n", NAMESPACE, "get", "secret", SECRET, "-o", "json"))
        for name, value in (secret.get("data") or {}).items():
            (certificates / name).write_bytes(base64.b64decode(value))
        with suppress(urllib.error.URLError):
            urllib.request.urlopen(f"http://{HEALTH}/readyz", timeout=5).close()
            return
        time.sleep(0.5)
    raise AssertionError("Kueue's controller is not ready after 120 s; kueue.log says why")
