"""The rendered trial Job as a real pod: bare Debian, a locked-down namespace, its command wrapped as Katib wraps it."""

import json
import os
import shutil
import site as python_site
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from katib.__main__ import main
from katib.cluster.kinds import EXPERIMENT, JOB, NAMESPACE, POD, SIDECAR, TRIAL_LABEL
from katib.cluster.model import read_pod
from katib.metrics import METRIC, MetricParser, metric_filter
from katib.site import Site, load_site
from tests.cluster import rig
from tests.cluster.conftest import Tools, manifest
from tests.cluster.search import Katib
from tests.cluster.trial_webhook import wrap
from tests.cluster.webhook import Webhook

ROOT = Path(__file__).parents[2]
NAME = "pods"
SECURITY = "pod-security.kubernetes.io/enforce"
EPOCHS = 300
"""More than any of these trials reaches: an epoch takes a fraction of a second."""


@pytest.fixture(scope="module")
def node(katib: Webhook, kubeconfig: Path) -> None:
    """The node of the one-node Kubernetes, with containerd, kubelet and DNS."""
    if reason := rig.missing(node=True):
        pytest.skip(reason)
    if "node1" not in rig.kubectl("get", "nodes", "-o", "name", kubeconfig=kubeconfig):
        rig.script("node.sh")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site without GPUs on the real node."""
    found = load_site().model_dump()
    found |= {
        "namespace": f"node-{os.urandom(4).hex()}",
        "image": "local/base:dev",
        "data_folder": "tiny",
        "parallel_trials": 2,
        "wandb": None,
        "node_selector": {"kubernetes.io/hostname": "node1"},
        "resources": {"gpus": 0, "cpu": "500m", "memory": "2Gi", "shared_memory": "64Mi"},
    }
    return Site.model_validate(found)


@pytest.fixture
def runs(site: Site) -> Iterator[Path]:
    """The folder of the runs claim on this machine."""
    folder = rig.HOME / "run" / "volumes" / site.namespace
    folder.mkdir(parents=True)
    os.chown(folder, site.user.uid, site.user.gid)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def place(node: None, tools: Tools, site: Site, runs: Path, corpus: Path, katib: Webhook) -> Iterator[Tools]:
    """A namespace at `restricted` with the tiny corpus, the runs folder and Python's packages as claims."""
    tools.cluster.merge(NAMESPACE, tools.namespace, {"metadata": {"labels": {SECURITY: "restricted"}}})
    packages = rig.HOME / "run" / "volumes" / "packages"
    for source, target in ((Path(python_site.getsitepackages()[0]), "site-packages"), (ROOT, "repository")):
        _bind(source.resolve(), packages / target)
    data = rig.HOME / "run" / "volumes" / "corpus"
    if not data.exists():
        for name in ("tiny", "broken"):
            shutil.copytree(corpus, data / name)
        _break(data / "broken" / "train" / "mix" / "000_mixFile.wav")
        for path in (data, *data.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    for name, path in ((site.claims.data, data), (site.claims.runs, runs), ("packages", packages)):
        _volume(tools, name, path)
    katib.wrap = partial(wrap, packages="packages")
    yield tools
    katib.wrap = None
    tools.kubectl("delete", "jobs", "--all", "--cascade=foreground", "--timeout=60s")


def begin(tools: Tools, site: Site, epochs: int = EPOCHS, tries: int = 3) -> tuple[Katib, str]:
    """Applies the debug ConvTasNet search and makes its first trial, its segments as short as the mixtures."""
    tools.cluster.apply(EXPERIMENT, manifest(site, "demo", name=NAME, epochs=epochs, trials=2))
    katib = Katib(tools, NAME)
    job = katib.experiment["spec"]["trialTemplate"]["trialSpec"]["spec"]
    job["backoffLimit"] = tries
    words = job["template"]["spec"]["containers"][0]["command"]
    words[words.index("--segment-seconds") + 1] = "0.5"
    return katib, katib.trial(f"{NAME}-a1b2c3d4")


def metrics(text: str) -> list[str]:
    parser = MetricParser([metric_filter(METRIC)], [METRIC])
    return [line for line in text.splitlines() if parser.parse(line)]


def wait_for_line(tools: Tools, pod: str, wanted: str) -> None:
    """Until the collector has printed a line that holds `wanted`; follows its log."""
    tools.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=90s")
    for line in tools.cluster.follow(pod, SIDECAR):
        if wanted in line:
            return
    raise AssertionError(
        f"the pod ended without {wanted!r}: {tools.kubectl('logs', pod, '-c', SIDECAR)[-2000:]}"
    )


def test_trial_runs_to_its_end_with_one_metric_line_an_epoch(place: Tools, site: Site, runs: Path) -> None:
    katib, trial = begin(place, site, epochs=3)
    pod = katib.pod(trial)["metadata"]["name"]
    place.kubectl("wait", "--for=condition=Complete", f"job/{trial}", "--timeout=180s")
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
    place.kubectl("delete", "pod", first, "--timeout=120s")  # waits for preStop
    folder = runs / NAME / trial
    assert json.loads((folder / "summary.json").read_text())["state"] == "stopped"
    assert not (folder / "trainer.pid").exists()
    history = json.loads((folder / "summary.json").read_text())["history"]
    assert history
    second = katib.pod(trial, after=first)["metadata"]["name"]
    wait_for_line(place, second, "goes on with epoch")
    text = place.kubectl("logs", second, "-c", SIDECAR)
    replayed = metrics(text)[: len(history)]
    assert [line.split(" ")[0] for line in replayed] == [record["time"] for record in history]
    found = place.cluster.get(JOB, trial)
    assert found is not None
    assert not found["status"].get("failed") or found["spec"]["backoffLimit"] > found["status"]["failed"]


def test_pause_saves_and_frees_the_node_and_resume_goes_on(
    place: Tools, site: Site, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    katib, trial = begin(place, site)
    first = katib.pod(trial)["metadata"]["name"]
    wait_for_line(place, first, f" {METRIC}=")
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(site.model_dump()))
    assert main(["pause", NAME, "--site", str(file), "--yes"]) == 0
    left = place.cluster.list(POD, f"{TRIAL_LABEL}={trial}")
    assert not {pod["status"]["phase"] for pod in left} & {"Pending", "Running"}
    assert json.loads((runs / NAME / trial / "summary.json").read_text())["state"] == "stopped"
    assert main(["resume", NAME, "--site", str(file), "--yes"]) == 0
    wait_for_line(place, katib.pod(trial, after=first)["metadata"]["name"], "goes on with epoch")
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
    [("broken", "2Gi", "diverged"), ("tiny", "60Mi", "out of memory (the kernel killed it)")],
    ids=["divergence", "out of memory"],
)
def test_out_of_memory_is_told_from_divergence(
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
    place.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", f"pod/{pod}", "--timeout=120s")
    katib.state(trial, "Failed")
    found = place.cluster.get(POD, pod)
    assert found is not None
    assert read_pod(found).terminations["trainer"]["exitCode"] != 0
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(site.model_dump()))
    capsys.readouterr()
    assert main(["status", NAME, "--site", str(file), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)[0]["rows"]
    assert cause in row["cause"], row


def _volume(tools: Tools, name: str, path: Path) -> None:
    """The claim `name` of the namespace, anew, on a folder of this machine."""
    tools.kubectl("delete", "pvc", name, "--ignore-not-found")
    tools.kubectl("delete", "pv", f"{tools.namespace}-{name}", "--ignore-not-found")
    tools.claim(name, path=path)


def _break(path: Path) -> None:
    """One sample is no number, so that the loss is none either."""
    samples = soundfile.read(path, dtype="float32")[0]
    samples[5] = np.nan
    soundfile.write(path, samples, 8000, subtype="FLOAT")


def _bind(source: Path, target: Path) -> None:
    """A bind mount: a hostPath volume does not follow links. teardown.sh unmounts what lies below its state folder."""
    if not target.is_mount():
        target.mkdir(parents=True, exist_ok=True)
        rig.run("mount", "--bind", str(source), str(target))
