"""A whole search on a cluster with a real Katib, whichever services it has: make test-cluster CONTEXT=name SITE=file.

Debug Conv-TasNet trains two mixtures per second: a trial takes a fraction of a minute, mostly in Katib and Kubernetes.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import EXPERIMENT, OWNER_LABEL, POD, TRIAL, TRIAL_LABEL, Object
from katib.backend.cluster.kubectl import forwarded
from katib.backend.cluster.model import read_search, read_trial
from katib.backend.cluster.pod import read_pod
from katib.services.observations import ObservationLogs
from katib.site import Site
from katib.trainer_contract import METRIC
from tests.cluster import elsewhere
from tests.cluster.conftest import Verb
from tests.cluster.search import as_json
from tests.cluster.tools import Tools
from tests.tiny_corpus import write_subset

pytestmark = [pytest.mark.real_katib, pytest.mark.any_cluster]
EPOCHS = 20
PATIENCE = 1800.0
"""Seconds for what takes a fraction of a minute on a cluster with nothing else to do."""


@pytest.fixture
def name() -> str:
    """Returns a name unlike any other on the cluster, since Katib mixes up the trials of namesakes."""
    return f"whole-{secrets.token_hex(3)}"


@pytest.fixture
def place(tools: Tools, site: Site, tmp_path: Path) -> Tools:
    """Returns the namespace, with a corpus in its data claim."""
    root = tmp_path / (site.data_folder or "corpus")
    write_subset(root, "train", 16, 2.0, seed=1)
    write_subset(root, "val", 4, 2.0, seed=2)
    elsewhere.upload(tools.kubeconfig, site, root)
    return tools


@pytest.fixture
def observations(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObservationLogs]:
    """Yields Katib's DB manager, through a forwarded port."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    with forwarded("katib-db-manager", 6789, "kubeflow") as port:
        yield ObservationLogs(f"127.0.0.1:{port}")


def deploy(verb: Verb, name: str, trials: int, epochs: int = EPOCHS) -> None:
    """Deploys the demo's search under another name, and waits until its first trial trains."""
    words = ("--name", name, "--trials", str(trials), "--epochs", str(epochs), "--parallel", "2")
    code, out, err = verb("deploy", "demo", *words, "--yes")
    assert code == 0, out + err
    assert "trains on node" in out, out
    assert "no metrics collector" not in out
    again = verb("deploy", "demo", *words, "--yes")
    assert (again[0], again[2]) == (0, "")
    assert again[1].startswith(f"experiment '{name}' runs as it should; nothing to change\n")


def wait_for_epoch(tools: Tools, experiment: str) -> Object:
    """Returns the first pod of a trial of `experiment` whose log has a metric line."""
    only = f"katib.kubeflow.org/experiment={experiment},{TRIAL_LABEL}"
    pod = tools.first(POD, only, lambda found: read_pod(found).running, PATIENCE)
    assert any(f" {METRIC}=" in line for line in _log(tools.cluster, pod))
    return pod


def _log(cluster: Cluster, pod: Object) -> Iterator[str]:
    seen = read_pod(pod)
    return cluster.follow(seen.name, seen.log_container)


def ended(tools: Tools, experiment: str) -> str:
    """Returns how the experiment has ended, once it has."""
    found = tools.first(
        EXPERIMENT,
        "",
        lambda item: item["metadata"]["name"] == experiment and read_search(item).finished,
        PATIENCE,
    )
    return read_search(found).state


def test_a_search_outlives_a_deleted_pod_and_leaves_nothing(
    place: Tools, verb: Verb, name: str, observations: ObservationLogs, tmp_path: Path
) -> None:
    """deploy, status, a trial's pod deleted in the middle, Succeeded, results, delete.

    The rows of the database are compared with the epochs.
    """
    deploy(verb, name, trials=3)
    pod = wait_for_epoch(place, name)
    trial = read_pod(pod).trial
    (found,) = as_json(verb("status", name, "--json")[1])
    (row,) = [row for row in found["rows"] if row["trial"] == trial]
    assert (found["state"], row["state"]) == ("Running", "Running")
    assert row["epoch"] >= 1
    assert row["node"] == read_pod(pod).node

    place.kubectl("delete", "pod", read_pod(pod).name, "--timeout=120s")
    successor = place.first(
        POD,
        f"{TRIAL_LABEL}={trial}",
        lambda item: item["metadata"]["uid"] != pod["metadata"]["uid"] and read_pod(item).phase != "Pending",
        PATIENCE,
    )
    assert any("resumes epoch" in line for line in _log(place.cluster, successor))

    assert ended(place, name) == "Succeeded"
    records = {record["trial"]: record for record in as_json(verb("results", name, "--cluster", "--json")[1])}
    assert len(records) == 3
    assert {record["state"] for record in records.values()} <= {"Succeeded", "EarlyStopped"}
    assert all(record["val_si_snr"] is not None for record in records.values())
    for one, record in records.items():
        rows = list(observations.read(one))
        assert len({row.time for row in rows}) == len(rows), f"doubled rows of {one}"
        assert len(rows) == EPOCHS if record["state"] == "Succeeded" else 0 < len(rows) < EPOCHS
        assert max(float(row.value) for row in rows) == record["val_si_snr"]

    code, out, err = verb("delete", name, "--runs", "--yes", "--out", str(tmp_path))
    assert (code, err) == (0, ""), out
    place.kubectl("wait", "--for=delete", f"experiment/{name}", *(f"trial/{one}" for one in records), "--timeout=120s")
    left = ("pods,jobs,suggestions.kubeflow.org", "-l", f"katib.kubeflow.org/experiment={name}")
    place.kubectl("wait", "--for=delete", *left, "--timeout=120s")
    assert not list(observations.read(trial))
    exported = as_json((tmp_path / name / "cluster-trials.json").read_text())
    assert len(exported["trials"]) == 3


def test_pause_resume_and_stop_do_so_to_katibs_own_trials(place: Tools, verb: Verb, name: str) -> None:
    """Paused, it has no pod and Katib starts no other trial; after stop the experiment has ended with its results."""
    deploy(verb, name, trials=8, epochs=400)
    wait_for_epoch(place, name)
    code, out, err = verb("pause", name, "--yes")
    assert (code, err) == (0, ""), out
    before = {item["metadata"]["name"] for item in place.cluster.list(TRIAL)}
    alive = [pod for pod in map(read_pod, place.cluster.list(POD, TRIAL_LABEL)) if pod.phase in ("Pending", "Running")]
    assert not alive
    (found,) = as_json(verb("status", name, "--json")[1])
    assert {row["state"] for row in found["rows"]} == {"Paused"}

    code, out, err = verb("resume", name, "--yes")
    assert (code, err) == (0, "")
    pod = wait_for_epoch(place, name)
    assert any("resumes epoch" in line for line in _log(place.cluster, pod))
    trials = list(map(read_trial, place.cluster.list(TRIAL)))
    assert {trial.name for trial in trials} == before
    assert {trial.state for trial in trials} == {"Running"}

    code, out, err = verb("stop", name, "--yes")
    assert (code, err) == (0, ""), out
    assert ended(place, name) == "Failed"
    assert {item["metadata"]["name"] for item in place.cluster.list(TRIAL)} == before
    assert verb("delete", name, "--yes", "--out", str(place.kubeconfig.parent))[0] == 0


def test_katibs_own_webhook_takes_what_deploy_changes_and_deploy_refuses_the_rest(
    place: Tools, verb: Verb, name: str
) -> None:
    """Only the budget changes; not the search, to fewer parallel trials, or without our label."""

    def deploy(*words: str) -> tuple[int, str, str]:
        parallel = () if "--parallel" in words else ("--parallel", "2")
        return verb("deploy", "demo", "--name", name, *parallel, *words, "--yes", "--wait", "0")

    def spec() -> Object:
        found = place.cluster.get(EXPERIMENT, name)
        assert found is not None
        return dict(found["spec"])

    code, out, err = deploy("--trials", "4")
    assert (code, err) == (0, ""), out
    code, out, err = deploy("--trials", "9")
    assert (code, err) == (0, ""), out
    assert "trials: 4 -> 9" in out
    before = spec()
    assert before["maxTrialCount"] == 9
    for words, message in (
        (("--trials", "9", "--epochs", "3"), "another search"),
        (("--trials", "9", "--parallel", "1"), "delete the newest trials"),
    ):
        code, _, err = deploy(*words)
        assert (code, message in err) == (1, True), err
    place.cluster.merge(EXPERIMENT, name, {"metadata": {"labels": {OWNER_LABEL: "somebody"}}})
    for verb_of_ours in ("pause", "resume", "stop", "delete"):
        code, _, err = verb(verb_of_ours, name, "--yes")
        assert (code, "is not ours" in err) == (1, True), err
    assert deploy("--trials", "12")[0] == 1
    assert spec() == before
