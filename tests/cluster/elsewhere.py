"""Uses an existing cluster with a real Katib: `make test-cluster CONTEXT=name SITE=file`.

Nothing of the cluster changes but a namespace that each test creates and removes: k8s/base with claims of 1 GiB, one
access mode and the default storage class.
"""

import io
import json
import subprocess
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from katib.backend.cluster.kinds import Object
from katib.site import Site
from tests.cluster import rig

BASE = Path(__file__).parents[2] / "k8s" / "base"
# All is read before anything can go wrong: kubectl waits for ever for a process that has ended and not read its input.
UNPACK = "import io, sys, tarfile; tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())).extractall('/data')"


def kubeconfig(context: str, folder: Path) -> Path:
    """Returns a kubeconfig with only this context, which is its current one."""
    path = folder / "kubeconfig"
    words = ["kubectl", "config", "view", "--minify", "--flatten", "--raw", "--context", context]
    path.write_text(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return path


def host(context: str) -> str:
    """Returns the address of the context's API server."""
    words = ["kubectl", "config", "view", "--minify", "--context", context]
    words += ["-o", "jsonpath={.clusters[0].cluster.server}"]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    found = urlsplit(done.stdout).hostname
    if found is None:
        raise pytest.UsageError(f"--context {context}: {done.stderr.strip()}; see kubectl config get-contexts")
    return found


def base(namespace: str) -> list[Object]:
    """Returns the objects of k8s/base, in another namespace."""
    made = subprocess.run(["kubectl", "kustomize", str(BASE)], check=True, capture_output=True, text=True)
    found: list[Object] = list(yaml.safe_load_all(made.stdout))
    for item in found:
        if item["kind"] == "Namespace":
            item["metadata"]["name"] = namespace
        else:
            item["metadata"]["namespace"] = namespace
        if item["kind"] == "PersistentVolumeClaim":
            item["spec"] |= {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return found


def upload(config: Path, site: Site, folder: Path) -> None:
    """Copies `folder` into the data claim of the site's namespace, with a pod of the trainer's image."""
    there = ("-n", site.namespace)
    pod = _uploader(site)
    name = pod["metadata"]["name"]
    rig.kubectl(*there, "apply", "-f", "-", stdin=json.dumps(pod), kubeconfig=config)
    rig.kubectl(*there, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=100s", kubeconfig=config)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(folder, site.data_folder or ".", filter=_readable)
    words = ["kubectl", "--kubeconfig", str(config), *there, "exec", "-i", name]
    subprocess.run([*words, "--", "python", "-c", UNPACK], input=packed.getvalue(), check=True, timeout=100)
    rig.kubectl(*there, "delete", "pod", name, "--grace-period=1", kubeconfig=config)


def _readable(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.mode = 0o755 if info.isdir() else 0o644
    return info


def _uploader(site: Site) -> Object:
    ids = {"runAsUser": site.user.uid, "runAsGroup": site.user.gid, "fsGroup": site.user.gid}
    container = {
        "name": "upload",
        "image": site.image,
        "command": ["python", "-c", "import time; time.sleep(600)"],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "upload"},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": ids,
            "nodeSelector": site.node_selector,
            "tolerations": [item.model_dump(exclude_none=True) for item in site.tolerations],
            "imagePullSecrets": [{"name": name} for name in site.pull_secrets],
            "containers": [container],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": site.claims.data}}],
        },
    }
