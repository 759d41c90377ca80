"""Starts our services as Katib's controller does: their image, a search's pod and Service, a trial's collector.

The image has what images/services/Dockerfile installs, taken from this environment, and runs as that file says; the
containers are those of k8s/katib/katib-config.yaml, assembled as Katib v0.19 does (suggestion/composer/composer.go,
pod/inject_webhook.go).
"""

import hashlib
import json
import re
import sys
import time
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from katib.backend.cluster.kinds import EXPERIMENT_LABEL, MANAGER, OWNER_LABEL, SUGGESTION_LABEL, Object
from katib.metrics import metric_filter
from katib.trainer_contract import METRIC
from tests.cluster import rig
from tests.cluster.one_node import images
from tests.cluster.tools import Tools

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "images/services/Dockerfile").read_text()
RUNTIME = yaml.safe_load((ROOT / "k8s/katib/katib-config.yaml").read_text())["runtime"]
ACCOUNT = ROOT / "k8s/base/services-rbac.yaml"
PREFIX = "/opt/sepsweep"
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
SOCKET = "/run/k8s-containerd/containerd.sock"
KEPT = 4
"""The images of other versions that stay in the node's store."""
RULE = f"{METRIC};-1e+30;less;1"
"""That of our early-stopping service: it never fires by itself."""


def image(socket: str = SOCKET) -> str:
    """Returns the reference of the image in a node's store, which is built where its contents have changed."""
    rig.run("mkdir", "-p", str(images.IMAGES))
    ours = images.layer("services", copy=_into_image([ROOT / "katib"]), compiled=True)
    layers = [_dependencies(), ours]
    together = hashlib.sha256("".join(map(images.digest, layers)).encode()).hexdigest()
    ref = f"local/services:{together[:16]}"
    ctr = ("ctr", "-a", socket, "-n", "k8s.io", "images")
    kept = [name for name in rig.run(*ctr, "ls", "-q").split() if name.startswith("docker.io/local/services:")]
    if f"docker.io/{ref}" not in kept:
        if len(kept) > KEPT:
            rig.run(*ctr, "rm", *kept, seconds=300)
        archive = images.IMAGES / "services.tar"
        base = images.layer("python", links=[("usr/bin/python", "python3")])
        images.write([{**_settings(), "ref": ref, "layers": [images.base(), base, *layers]}], archive)
        rig.run(*ctr, "import", str(archive), seconds=300)
    return ref


def _dependencies() -> Path:
    """Returns the layer below ours: what katib needs, which is written and unpacked anew only with other versions."""
    found = _installed()
    versions = sorted(f"{name} {distribution(name).version}" for name in found)
    name = hashlib.sha256(" ".join([sys.version, *versions]).encode()).hexdigest()[:12]
    path = images.IMAGES / f"layer-services-{name}.tar"
    if not path.exists():
        for old in images.IMAGES.glob("layer-services-*.tar"):
            old.unlink()
        # A name of its own until it is whole.
        images.layer(
            "dependencies",
            copy=_into_image(_tops(found)),
            files=[(f"{PREFIX}/pyvenv.cfg".lstrip("/"), b"home = /usr/bin\ninclude-system-site-packages = false\n")],
            links=[(f"{PREFIX}/bin/python".lstrip("/"), f"/usr/bin/{PYTHON}")],
            compiled=True,
        ).rename(path)
    return path


def _into_image(sources: Iterable[Path]) -> list[tuple[str, str]]:
    return [(str(source), f"{PREFIX}/lib/{PYTHON}/site-packages/{source.name}") for source in sources]


def _settings() -> dict[str, Any]:
    """Returns how the image runs, according to the Dockerfile's last stage."""
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :].replace("\\\n", " ")
    given = dict(re.findall(r"^ARG (\w+)=(.*)$", last, re.MULTILINE))
    last = re.sub(r"\$\{(\w+)\}", lambda found: given.get(found[1], found[0]), last)
    said = dict(re.findall(r"^(ENV|WORKDIR|USER|ENTRYPOINT) (.*)$", last, re.MULTILINE))
    env = said["ENV"].replace("$PATH", images.PATH.removeprefix("PATH=")).split()
    return {
        "env": env,
        "cwd": said["WORKDIR"],
        "user": said["USER"],
        "entrypoint": json.loads(said["ENTRYPOINT"]),
    }


def _installed() -> set[str]:
    """Returns the packages that the Dockerfile installs.

    Of one line it installs everything that is required, of the other only what is named.
    """
    joined = DOCKERFILE.replace("\\\n", " ")
    whole, alone = re.findall(r"pip install ([^&]*)", joined)
    names = [Requirement(word.strip('"')).name for word in _words(whole)]
    found = {name for name in _words(alone) if name != "."}
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name not in found:
            found.add(name)
            names += _required(name)
    return found


def _tops(names: Iterable[str]) -> list[Path]:
    """Returns the files and folders of these packages."""
    tops: set[Path] = set()
    for name in names:
        files = distribution(name).files or []
        tops |= {Path(str(files[0].locate())).parents[len(files[0].parts) - 1] / file.parts[0] for file in files}
    return sorted(top for top in tops if top.name not in ("..", "__pycache__", "bin"))


def _words(line: str) -> list[str]:
    words = line.split()
    values = {words[index + 1] for index, word in enumerate(words) if word == "-c"}
    return [word for word in words if not word.startswith("-") and word not in values]


def _required(name: str) -> list[str]:
    """Returns what a package requires on this platform, without extras."""
    needed = map(Requirement, distribution(name).requires or [])
    return [item.name for item in needed if item.marker is None or item.marker.evaluate({"extra": ""})]


def start(tools: Tools, experiment: str, ref: str) -> str:
    """Starts a search's pod and Service with bayesianoptimization and medianstop.

    Returns the Service's address once it answers.
    """
    tools.kubectl("apply", "-f", str(ACCOUNT))
    name = deploy(tools, experiment, ref)
    ready(tools, name)
    _wait_for_db_manager(tools, name)
    return tools.kubectl("get", "service", name, "-o", "jsonpath={.spec.clusterIP}")


def _wait_for_db_manager(tools: Tools, name: str) -> None:
    """Waits until the Deployment's pod reaches the DB manager: a name that was away before is unknown for a while."""
    word = "import socket; socket.create_connection(('katib-db-manager.kubeflow', 6789), 5)"
    end = time.monotonic() + 120
    while True:
        try:
            tools.kubectl("exec", f"deployment/{name}", "-c", "suggestion", "--", f"{PREFIX}/bin/python", "-c", word)
            return
        except RuntimeError:
            if time.monotonic() > end:
                raise
            time.sleep(1)


def deploy(tools: Tools, experiment: str, ref: str) -> str:
    """Creates the Deployment and the Service of a search as Katib does, and returns their name."""
    name = f"{experiment}-bayesianoptimization"
    labels = {
        OWNER_LABEL: MANAGER,
        EXPERIMENT_LABEL: experiment,
        SUGGESTION_LABEL: experiment,
        "katib.kubeflow.org/deployment": name,
    }
    deployment: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(ref)},
        },
    }
    ports = [{"name": "katib-api", "port": 6789}, {"name": "early-stopping", "port": 6788}]
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": labels, "ports": ports},
    }
    tools.make(service)
    tools.make(deployment)
    return name


def ready(tools: Tools, name: str) -> None:
    """Waits until the Deployment's pod answers its probes."""
    tools.kubectl("rollout", "status", f"deployment/{name}", "--timeout=300s")


def pod_spec(ref: str, *, stopping: bool = True) -> Object:
    """Returns the pod of the two services; Katib gives the second one no security context."""
    (entry,) = [item for item in RUNTIME["suggestions"] if item["algorithmName"] == "bayesianoptimization"]
    account = entry["serviceAccountName"]
    suggestion = {key: entry[key] for key in entry if key not in ("algorithmName", "serviceAccountName")}
    probe = {"grpc": {"port": 6789, "service": "manager.v1beta1.Suggestion"}, "periodSeconds": 1}
    containers = [
        {
            **suggestion,
            "name": "suggestion",
            "image": ref,
            "ports": [{"name": "suggestion-api", "containerPort": 6789}],
            "readinessProbe": probe,
        }
    ]
    if stopping:
        (entry,) = [item for item in RUNTIME["earlyStoppings"] if item["algorithmName"] == "medianstop"]
        settings = {key: entry[key] for key in entry if key != "algorithmName"}
        containers.append({**settings, "name": "early-stopping", "image": ref, "ports": [{"containerPort": 6788}]})
    pod: Object = {"serviceAccountName": account, "containers": containers}
    return pod


def collector(ref: str, tools: Tools, experiment: str, trial: str) -> dict[str, Any]:
    """Returns the collector's container, without its name, its security context and the volume that it shares."""
    (entry,) = [item for item in RUNTIME["metricsCollectors"] if item["kind"] == "StdOut"]
    arguments = {
        "-t": trial,
        "-m": METRIC,
        "-o-type": "maximize",
        "-s-db": "katib-db-manager.kubeflow:6789",
        "-path": "/var/log/katib/metrics.log",
        "-f": metric_filter(METRIC),
        "-format": "TEXT",
        "-stop-rule": RULE,
        "-s-earlystop": f"{experiment}-bayesianoptimization.{tools.namespace}:6788",
    }
    words = [word for pair in arguments.items() for word in pair]
    return {**{key: entry[key] for key in entry if key != "kind"}, "image": ref, "args": words}
