"""A search's folder cannot have a program of a stranger started by what follows from it (confirm, arch): only our
trainer is.
"""

import copy
import json
from typing import Any

import pytest
import yaml

from katib.backend.local.own_program import require_own_program
from katib.errors import ManifestError
from katib.manifest.object import Manifest
from katib.manifest.render import render
from katib.site import load_site
from katib.spec import load_spec

SPEC: dict[str, Any] = yaml.safe_load(render(load_spec("dprnn"), load_site()))["spec"]


def container(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pod(spec)["containers"][0]
    return found


def pod(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = spec["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    return found


def test_what_we_render_is_started() -> None:
    require_own_program(Manifest(SPEC), "experiment.yaml")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda spec: container(spec).update(command=["sh", "-c", "rm -rf ~"]), "another program"),
        (lambda spec: container(spec).update(command=["python", "-c", "import os"]), "another program"),
        (
            lambda spec: container(spec).update(command=["python", "-m", "trainer", "evaluate"]),
            "another program",
        ),
        (lambda spec: container(spec).update(command=None, args=["x"]), "no Jobs|another program"),
        (
            lambda spec: pod(spec)["containers"].append({"name": "other", "command": ["sh"]}),
            "another program",
        ),
        (
            lambda spec: container(spec)["env"].append({"name": "LD_PRELOAD", "value": "/runs/x.so"}),
            "variable LD_PRELOAD",
        ),
        (lambda spec: container(spec)["env"].append({"name": "PATH", "value": "/runs"}), "variable PATH"),
        (
            lambda spec: container(spec)["env"].append({"name": "PYTHONPATH", "value": "/runs"}),
            "variable PYTHONPATH",
        ),
        (
            lambda spec: container(spec)["env"].append({"name": "WANDB_BASE_URL", "value": "https://x"}),
            "variable WANDB_BASE_URL",
        ),
        (lambda spec: pod(spec)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}), "mounts a path"),
        (lambda spec: container(spec)["volumeMounts"][0].update(subPath="../.."), "mounts a path"),
        (lambda spec: container(spec).update(workingDir="/home"), "works in /home"),
        (lambda spec: container(spec)["command"].extend(["--run-dir", "/home/me"]), "works in /home/me"),
        (lambda spec: container(spec)["command"].extend(["--run-dir=/runs/../x"]), "works in /runs/../x"),
        (lambda spec: container(spec)["command"].extend(["--continue-from", "/home/me"]), "works in /home/me"),
        (
            lambda spec: spec["parameters"].append({"feasibleSpace": {"list": ["lr=0.1,continue_from=/runs/../x"]}}),
            "works in /runs/../x",
        ),
        (lambda spec: pod(spec).update(containers=7), "no Jobs"),
        (lambda spec: spec.pop("trialTemplate"), "no Jobs"),
    ],
)
def test_what_a_stranger_adds_is_not(change: Any, what: str) -> None:
    spec = copy.deepcopy(SPEC)
    change(spec)
    with pytest.raises(ManifestError, match=what) as refused:
        require_own_program(Manifest(spec), "runs/x-confirm/experiment.yaml")
    assert "make local FILE=runs/x-confirm/experiment.yaml" in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert json.dumps(str(refused.value))
