"""Every pod that Sepsweep writes, against the pod security standard `restricted`, whoever wrote the manifest that it
comes from.

The rules are those of kubernetes.io/docs/concepts/security/pod-security-standards, and three of our own: no token, a
root file system that is read-only, and a limit of memory.
"""

import base64
import json
import os
import zlib
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from katib.backend.cluster.run_directories import READ_SCRIPT, SUMMARY_BYTES, directories, job
from katib.errors import ClusterError
from katib.manifest.render import render
from katib.site import load_site
from katib.spec import load_spec, specs
from tests.katib.backend.cluster.test_run_directories import looked_at

Object = dict[str, Any]
CONFIG = Path(__file__).parents[4] / "k8s" / "katib" / "katib-config.yaml"
VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def rendered(model: str) -> Object:
    found: Object = yaml.safe_load(render(load_spec(model), load_site()))
    return found


def hostile() -> Object:
    """Returns somebody else's Experiment, with everything that a pod should not have."""
    made = deepcopy(rendered("dprnn"))
    pod = made["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    (trainer,) = pod["containers"]
    pod |= {
        "hostNetwork": True,
        "hostPID": True,
        "hostIPC": True,
        "shareProcessNamespace": True,
        "serviceAccountName": "sepsweep-services",
        "automountServiceAccountToken": True,
        "restartPolicy": "OnFailure",
        "ephemeralContainers": [{"name": "debug", "image": "evil"}],
        "initContainers": [{"name": "first", "image": "evil", "securityContext": {"privileged": True}}],
        "nodeName": "control-plane",
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["registry"]}],
    }
    pod["containers"] = [trainer, {"name": "second", "image": "evil"}]
    pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    trainer["volumeMounts"].append({"name": "host", "mountPath": "/host"})
    trainer["ports"] = [{"containerPort": 80, "hostPort": 80}]
    trainer["securityContext"] = {
        "privileged": True,
        "allowPrivilegeEscalation": True,
        "procMount": "Unmasked",
        "capabilities": {"add": ["SYS_ADMIN"]},
        "seccompProfile": {"type": "Unconfined"},
    }
    return made


def trial(manifest: Object) -> Object:
    found: Object = manifest["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    return found


def reading(manifest: Object) -> Object:
    found: Object = job(manifest, "read-", ["python", "-c", READ_SCRIPT, "/runs/x"], read_only=True)
    pod: Object = found["spec"]["template"]["spec"]
    return pod


def removing(manifest: Object) -> Object:
    found: Object = job(manifest, "clean-", ["rm", "-rf", "/runs/x"], read_only=False)
    pod: Object = found["spec"]["template"]["spec"]
    return pod


def services() -> Object:
    """Returns a pod with the suggestion container; Katib gives that of early stopping no security context."""
    entry = next(
        item
        for item in yaml.safe_load(CONFIG.read_text())["runtime"]["suggestions"]
        if item["image"].startswith("sepsweep/")
    )
    return {"containers": [entry]}


def _trial_of(model: str) -> Object:
    return trial(rendered(model))


PODS: dict[str, Callable[[], Object]] = {
    **{f"a trial of {model}": partial(_trial_of, model) for model in specs()},
    "a job that reads": lambda: reading(rendered("dprnn")),
    "a job that removes": lambda: removing(rendered("dprnn")),
    "a job that reads for a hostile search": lambda: reading(hostile()),
    "a job that removes for a hostile search": lambda: removing(hostile()),
    "the suggestion service": services,
}


def breaches(pod: Object) -> list[str]:
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC", "nodeName", "hostAliases") if pod.get(key)]
    found += [key for volume in pod.get("volumes", []) for key in volume.keys() - VOLUMES - {"name"}]
    context = pod.get("securityContext", {})
    containers = [*pod["containers"], *pod.get("initContainers", []), *pod.get("ephemeralContainers", [])]
    for container in containers:
        own = container.get("securityContext", {})
        checks = {
            "root": {**context, **own}.get("runAsNonRoot") is True and {**context, **own}.get("runAsUser", 1) != 0,
            "seccomp": {**context, **own}.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "escalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
            "privileged": not own.get("privileged"),
            "proc": own.get("procMount", "Default") == "Default",
            "host port": not any("hostPort" in port for port in container.get("ports", [])),
            "writable root": own.get("readOnlyRootFilesystem") is True,
            "memory": "memory" in container.get("resources", {}).get("limits", {}),
        }
        found += [f"{container.get('name')}: {name}" for name, holds in checks.items() if not holds]
    return found


@pytest.mark.parametrize("which", PODS)
def test_no_pod_has_more_rights_than_it_needs(which: str) -> None:
    pod = PODS[which]()
    assert breaches(pod) == []
    if which != "the suggestion service":
        assert pod["automountServiceAccountToken"] is False
        assert "serviceAccountName" not in pod
        assert len(pod["containers"]) == 1


def test_the_rules_notice_what_they_are_for() -> None:
    """The hostile trial itself breaks them."""
    found = breaches(trial(hostile()))
    assert {"hostNetwork", "hostPID", "hostIPC", "nodeName", "hostPath"} <= set(found)
    assert {"trainer: escalation", "trainer: capabilities", "trainer: seccomp", "second: escalation"} <= set(found)


def line(found: object) -> str:
    return base64.b64encode(zlib.compress(json.dumps(found).encode())).decode()


FALSE_LINES = {
    "a bomb": base64.b64encode(zlib.compress(b" " * (SUMMARY_BYTES + (1 << 20)))).decode(),
    "nested": base64.b64encode(zlib.compress(b"[" * 100_000)).decode(),
    "a list": line([1, 2]),
    "half": base64.b64encode(zlib.compress(b"{}" * 100)[:20]).decode(),
    "no base64": "\x1b[31m",
}


@pytest.mark.parametrize("what", FALSE_LINES)
def test_what_a_foreign_image_prints_instead_of_directories_is_refused(what: str) -> None:
    """The job runs the trials' image, which need not be ours."""
    with pytest.raises(ClusterError, match="damaged"):
        directories(f"{FALSE_LINES[what]}\n1 directories\n", "x")


@pytest.mark.parametrize("kind", ["a link out of the volume", "a pipe", "a folder", "a huge file", "a deep one"])
def test_a_summary_that_is_no_regular_file_is_named_and_not_read(tmp_path: Path, kind: str) -> None:
    """Reading a pipe would never end."""
    (tmp_path / "runs" / "a").mkdir(parents=True)
    place = tmp_path / "runs" / "a" / "summary.json"
    if kind == "a link out of the volume":
        (tmp_path / "secret.json").write_text('{"state": "secret"}')
        place.symlink_to(tmp_path / "secret.json")
    elif kind == "a pipe":
        os.mkfifo(place)
    elif kind == "a folder":
        place.mkdir()
    elif kind == "a deep one":
        place.write_text("[" * 100_000)
    else:
        place.touch()
        os.truncate(place, SUMMARY_BYTES + 1)
    (found,) = directories(looked_at(tmp_path / "runs"), "x")
    assert found.problem
    assert found.summary == {}
