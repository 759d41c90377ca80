"""The rendered trial Job as a real pod: bare Debian, a locked-down namespace, its command wrapped as Katib does it."""

import json
from pathlib import Path

import pytest
import yaml

from katib.__main__ import main
from katib.backend.cluster import lifecycle
from katib.backend.cluster.kinds import JOB, POD, SIDECAR, TRIAL_LABEL
from katib.backend.cluster.pod import read_pod
from katib.site import Site
from katib.trainer_contract import METRIC
from tests.cluster.pods.trial import NAME, begin, metrics, wait_for_line
from tests.cluster.tools import Tools
from tests.cluster.webhook import Webhook


def test_trial_runs_to_its_end_with_one_metric_line_an_epoch(place: Tools, site: Site, runs: Path) -> None:
    katib, trial = begin(place, site, epochs=3)
    pod = katib.pod(trial)["metadata"]["name"]
    place.kubectl("wait", "--for=condition=Complete", f"job/{trial}", "--timeout=300s")
    text = place.kubectl("logs", pod, "-c", SIDECAR)
    assert len(metrics(text)) == 3, text
    summary = json.loads((runs / NAME / trial / "summary.json").read_text())
    assert summary["state"] == "finished"
    assert (runs / NAME / trial / "summary.json").stat().st_uid == site.user.uid
    found = place.cluster.get(POD, pod)
    assert found is not None
    assert all(item["securityContext"]["readOnlyRootFilesystem"] for item in found["spec"]["containers"])


def test_deleted_pod_keeps_its_checkpoint_and_its_successor_replays_the_history(
    place: Tools, site: Site, runs: Path
) -> None:
    katib, trial = begin(place, site)
    first = katib.pod(trial)["metadata"]["name"]
    wait_for_line(place, first, f" {METRIC}=")
    place.kubectl("delete", "pod", first, "--timeout=300s")  # waits for preStop
    folder = runs / NAME / trial
    assert json.loads((folder / "summary.json").read_text())["state"] == "stopped"
    assert not (folder / "trainer.pid").exists()
    history = json.loads((folder / "summary.json").read_text())["history"]
    assert history
    second = katib.pod(trial, after=first)["metadata"]["name"]
    wait_for_line(place, second, "resumes epoch")
    text = place.kubectl("logs", second, "-c", SIDECAR)
    replayed = metrics(text)[: len(history)]
    assert [line.split(" ")[0] for line in replayed] == [record["time"] for record in history]
    found = place.cluster.get(JOB, trial)
    assert found is not None
    assert not found["status"].get("failed") or found["spec"]["backoffLimit"] > found["status"]["failed"]


def test_pause_saves_and_frees_the_node_and_resume_continues(
    place: Tools,
    site: Site,
    runs: Path,
    katib: Webhook,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Katib's controller is away meanwhile; without its webhook there is no next pod until it is back."""
    monkeypatch.setattr(lifecycle, "SETTLE_SECONDS", 1.0)
    search, trial = begin(place, site)
    first = search.pod(trial)["metadata"]["name"]
    wait_for_line(place, first, f" {METRIC}=")
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(site.model_dump()))
    katib.away = True
    assert main(["pause", NAME, "--site", str(file), "--yes"]) == 0
    left = place.cluster.list(POD, f"{TRIAL_LABEL}={trial}")
    assert not {pod["status"]["phase"] for pod in left} & {"Pending", "Running"}
    assert json.loads((runs / NAME / trial / "summary.json").read_text())["state"] == "stopped"
    # A pause that has outlasted the deadline: Kubernetes ends a Job that is resumed with no more than that.
    place.cluster.merge(JOB, trial, {"spec": {"activeDeadlineSeconds": 2}})
    assert main(["resume", NAME, "--site", str(file), "--yes"]) == 0
    katib.away = False
    second = search.pod(trial, after=first)["metadata"]["name"]
    place.cluster.merge(JOB, trial, {"spec": {"activeDeadlineSeconds": 3600}})
    wait_for_line(place, second, "resumes epoch")
    capsys.readouterr()
    assert main(["status", NAME, "--site", str(file), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)[0]["rows"]
    assert row["state"] == "Running"
    assert row["epoch"] >= 1
    assert row["node"] == "node1"
    assert main(["logs", trial, "--site", str(file)]) == 0
    assert metrics(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("data", "memory", "cause"),
    [
        ("broken", "2Gi", "is no sound, sample 0 is nan"),
        ("voices", "60Mi", "out of memory (the kernel killed it)"),
    ],
    ids=["a broken corpus", "out of memory"],
)
def test_out_of_memory_and_a_broken_corpus_are_told_apart(
    data: str,
    memory: str,
    cause: str,
    place: Tools,
    site: Site,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    resources = site.resources.model_copy(update={"memory": memory})
    small = site.model_copy(update={"resources": resources, "data_folder": data})
    katib, trial = begin(place, small, tries=0)
    pod = katib.pod(trial)["metadata"]["name"]
    place.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", f"pod/{pod}", "--timeout=300s")
    katib.state(trial, "Failed")
    found = place.cluster.get(POD, pod)
    assert found is not None
    assert read_pod(found).terminations["trainer"].exit_code != 0
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(site.model_dump()))
    capsys.readouterr()
    assert main(["status", NAME, "--site", str(file), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)[0]["rows"]
    assert cause in row["cause"], row
