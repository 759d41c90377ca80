"""The Job that reads run directories: its pod against a trial's, and its script on real folders.

Without a cluster.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.run_directories import READ_SCRIPT, directories, job, read
from katib.errors import ClusterError
from katib.site import Site, load_site
from tests.katib.backend.cluster.test_plan_and_causes import manifest

SITE = Site.model_validate(
    load_site().model_dump()
    | {
        "priority_class": "low",
        "pull_secrets": ["registry"],
        "kueue_queue": "gpus",
        "node_selector": {"pool": "a100"},
        "tolerations": [{"key": "team", "operator": "Equal", "value": "audio", "effect": "NoSchedule"}],
        "user": {"uid": 1234, "gid": 2345},
    }
)
OF_TRAINING = {"containers", "volumes", "terminationGracePeriodSeconds"}


def test_its_pod_can_start_wherever_a_trials_pod_can_and_uses_no_gpu() -> None:
    """Every key of the rendered trial's pod that not only training needs is the same."""
    trial = manifest(SITE)["spec"]["trialTemplate"]["trialSpec"]
    made = job(manifest(SITE), "clean-x-", ["true"], read_only=False)
    pod, theirs = made["spec"]["template"]["spec"], trial["spec"]["template"]["spec"]
    assert {key: pod[key] for key in pod.keys() - OF_TRAINING} == {
        key: theirs[key] for key in theirs.keys() - OF_TRAINING
    }
    assert {
        "tolerations",
        "nodeSelector",
        "imagePullSecrets",
        "priorityClassName",
        "securityContext",
    } <= pod.keys()
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    (container,), trainer = pod["containers"], theirs["containers"][0]
    assert container["securityContext"] == trainer["securityContext"]
    assert container["image"] == trainer["image"]
    assert "nvidia.com/gpu" not in json.dumps(container)
    assert [volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]] == [SITE.claims.runs]
    assert "katib.kubeflow.org/experiment" not in json.dumps(made)  # it is no trial's


def looked_at(root: Path) -> str:
    return subprocess.run(
        [sys.executable, "-c", READ_SCRIPT, str(root)], capture_output=True, text=True, check=True
    ).stdout


def summary(state: str, epochs: int) -> dict[str, Any]:
    return {
        "state": state,
        "history": [{"epoch": epoch, "val_si_snr": 1.0} for epoch in range(1, epochs + 1)],
    }


def test_summaries_and_sizes_are_read_from_the_log(tmp_path: Path) -> None:
    for name, content in (("a", json.dumps(summary("stopped", 24))), ("b", ""), ("c", None)):
        (tmp_path / name / "wandb").mkdir(parents=True)
        (tmp_path / name / "wandb" / "x").write_bytes(b"12345")
        if content is not None:
            (tmp_path / name / "summary.json").write_text(content)
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("/")
    found = {item.trial: item for item in directories(looked_at(tmp_path), "x")}
    assert {name: (item.epochs, item.state, bool(item.problem)) for name, item in found.items()} == {
        "a": (24, "stopped", False),
        "b": (0, "", True),
        "c": (0, "", False),
    }
    assert found["c"].bytes == 5


def test_a_missing_folder_has_no_directories(tmp_path: Path) -> None:
    assert directories(looked_at(tmp_path / "none"), "x") == []


@pytest.mark.parametrize("cut", [slice(1, None), slice(None, -1), slice(0, 0)], ids=["head", "tail", "all"])
def test_an_incomplete_log_is_refused(tmp_path: Path, cut: slice) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    lines = looked_at(tmp_path).splitlines()
    with pytest.raises(ClusterError, match="could not be read"):
        directories("\n".join(lines[cut]), "run directories of 'x' could not be read")


@pytest.mark.parametrize("name", ["..", "a/../..", "", "-rf", "A"])
def test_a_name_that_no_experiment_has_reaches_no_folder(name: str) -> None:
    with pytest.raises(ClusterError, match="no name of an experiment"):
        read(Cluster.__new__(Cluster), manifest(), name)
