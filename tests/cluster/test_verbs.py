"""deploy, status, pause, resume, stop and delete against the real API server, by their command lines."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from katib.cluster.kinds import CONFIG_MAP, EXPERIMENT, NAMESPACE, POD, SUGGESTION, TRIAL, Object
from katib.errors import ClusterError
from katib.results.local_table import read_table
from katib.site import Site
from tests.cluster.conftest import Tools, Verb, manifest
from tests.cluster.faults import denied
from tests.cluster.search import Katib, as_json
from tests.cluster.watched import Watched
from tests.katib.services.rig import START, DbManager, stamp

NAME = "series3-dprnn"


@pytest.fixture
def katib_of(tools: Tools, verb: Verb) -> Callable[[], Katib]:
    """Deploys the DPRNN search and plays Katib for it."""

    def begin() -> Katib:
        assert verb("deploy", "dprnn", "--yes", "--wait", "0")[0] == 0
        return Katib(tools, NAME)

    return begin


MEASURED = """
import re, sys
from katib.__main__ import main
code = main(sys.argv[1:])
print("peak", re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
sys.exit(code)
"""


def peak_memory(*words: str) -> int:
    """Bytes that a verb's process held at most; its own, which getrusage takes for those of who started it."""
    command = [sys.executable, "-c", MEASURED, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1]) << 10


def in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_deploy_applies_and_again_changes_nothing(verb: Verb, tools: Tools) -> None:
    code, out, err = verb("deploy", "dprnn", "--yes", "--wait", "0")
    assert (code, err) == (0, "")
    assert f"create: experiment '{NAME}'" in out
    before = tools.cluster.get(EXPERIMENT, NAME)
    code, out, _ = verb("deploy", "dprnn", "--yes", "--wait", "0")
    assert (code, out) == (0, f"experiment '{NAME}' runs as it should; nothing to change\n")
    assert tools.cluster.get(EXPERIMENT, NAME) == before


def test_deploy_without_waiting_takes_few_calls(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under 5 s is the aim; calls are what a test can hold, at some milliseconds each."""
    from katib.cluster.client import Cluster

    made: list[Cluster] = []
    begin = Cluster.__init__

    def remember(self: Cluster, *words: object, **more: object) -> None:
        begin(self, *words, **more)  # type: ignore[arg-type]
        made.append(self)

    monkeypatch.setattr(Cluster, "__init__", remember)
    assert verb("deploy", "dprnn", "--yes", "--wait", "0")[0] == 0
    assert made[-1].calls <= 60


def test_deploy_all_deploys_the_four(verb: Verb, tools: Tools) -> None:
    assert verb("deploy", "all", "--yes", "--wait", "0")[0] == 0
    names = {found["metadata"]["name"] for found in tools.cluster.list(EXPERIMENT)}
    assert names == {f"series3-{model}" for model in ("convtasnet", "dprnn", "sepformer", "spmamba")}


def test_deploy_shows_and_makes_a_change_of_the_budget(verb: Verb, tools: Tools) -> None:
    verb("deploy", "dprnn", "--yes", "--wait", "0")
    code, out, _ = verb("deploy", "dprnn", "--trials", "40", "--yes", "--wait", "0")
    assert code == 0
    assert "maxTrialCount: 25 -> 40" in out
    found = tools.cluster.get(EXPERIMENT, NAME)
    assert found is not None
    assert found["spec"]["maxTrialCount"] == 40


def test_deploy_of_another_search_wants_another_name(verb: Verb, tools: Tools) -> None:
    verb("deploy", "dprnn", "--yes", "--wait", "0")
    before = tools.cluster.get(EXPERIMENT, NAME)
    code, _, err = verb("deploy", "dprnn", "--epochs", "7", "--yes")
    assert code == 1
    assert "another search, which Katib cannot change in place" in err
    assert "earlyStopping.algorithmSettings[1].value: 20 -> 7" in err
    assert "NAME=series3-dprnn-2" in err
    assert tools.cluster.get(EXPERIMENT, NAME) == before


def test_deploy_refuses_fewer_parallel_trials(verb: Verb) -> None:
    """Katib would delete its newest trials, finished ones among them."""
    verb("deploy", "dprnn", "--yes", "--wait", "0")
    code, _, err = verb("deploy", "dprnn", "--parallel", "1", "--yes")
    assert code == 1
    assert "delete its newest trials" in err


def test_deploy_refuses_what_katib_would_once_all_trials_exist(
    verb: Verb, katib_of: Callable[[], Katib]
) -> None:
    katib_of().count(trials=30)
    code, _, err = verb("deploy", "dprnn", "--trials", "28", "--yes")
    assert code == 1
    assert "TRIALS is at least 31" in err


def test_deploy_waits_with_reasons_until_the_first_trial_trains(verb: Verb, tools: Tools) -> None:
    played: list[Katib] = []

    def play() -> None:
        tools.first(EXPERIMENT, "")
        katib = Katib(tools, NAME)
        played.append(katib)
        katib.trial(f"{NAME}-aaaa")
        time.sleep(1)  # not a wait: the reason in between shall be seen
        katib.train(f"{NAME}-aaaa")

    player = in_background(play)
    code, out, _ = verb("deploy", "dprnn", "--yes", "--wait", "300")
    player.join(300)
    assert code == 0
    assert f"trial '{NAME}-aaaa'" in out
    assert "trains on node 'gpu-node'" in out
    assert "warning" not in out


def test_deploy_warns_of_a_pod_without_collector(verb: Verb, tools: Tools, katib: object) -> None:
    katib.inject = False  # type: ignore[attr-defined]

    def play() -> None:
        tools.first(EXPERIMENT, "")
        trial = Katib(tools, NAME).trial(f"{NAME}-aaaa")
        pod = tools.first(POD, f"batch.kubernetes.io/job-name={trial}")
        labels = {"katib.kubeflow.org/trial": trial, "katib.kubeflow.org/experiment": NAME}
        tools.cluster.merge(POD, pod["metadata"]["name"], {"metadata": {"labels": labels}})
        tools.run(pod)

    player = in_background(play)
    code, out, _ = verb("deploy", "dprnn", "--yes", "--wait", "300")
    player.join(300)
    assert code == 0
    assert "has no metrics collector" in out


def test_deploy_says_why_a_pod_cannot_start(tools: Tools, site_file: Path) -> None:
    def play() -> None:
        tools.first(EXPERIMENT, "")
        katib = Katib(tools, NAME)
        pod = katib.pod(katib.trial(f"{NAME}-aaaa"))
        waiting = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
        state = {
            "name": "trainer",
            "image": "x",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": waiting,
        }
        tools.kubectl(
            "wait", "--for=jsonpath={.spec.nodeName}", f"pod/{pod['metadata']['name']}", "--timeout=300s"
        )
        tools.status(POD, pod["metadata"]["name"], {"phase": "Pending", "containerStatuses": [state]})

    player = in_background(play)
    with Watched("deploy", "dprnn", "--yes", "--wait", "600", "--site", str(site_file)) as deploy:
        deploy.until("ErrImagePull: not found")
        player.join(300)
        deploy.interrupt()
        assert "image in k8s/site.yaml" in deploy.printed


def test_status_shows_states_nodes_causes_and_remedies(
    verb: Verb, katib_of: Callable[[], Katib], tools: Tools
) -> None:
    katib = katib_of()
    for name in ("good", "oom", "diverged", "early", "waits"):
        katib.trial(f"{NAME}-{name}")
    katib.state(f"{NAME}-good", "Succeeded", 3.5)
    katib.state(f"{NAME}-early", "EarlyStopped", 1.5)
    pod = katib.pod(f"{NAME}-oom")
    tools.run(
        pod, trainer={"exitCode": 137, "reason": "OOMKilled"}, metrics_logger_and_collector={"exitCode": 255}
    )
    katib.state(f"{NAME}-oom", "Failed")
    pod = katib.pod(f"{NAME}-diverged")
    tools.run(pod, trainer={"exitCode": 3, "reason": "Error"}, metrics_logger_and_collector={"exitCode": 255})
    katib.state(f"{NAME}-diverged", "Failed")
    code, out, _ = verb("status", "dprnn", "--json")
    assert code == 0
    (found,) = as_json(out)
    rows = {row["trial"].removeprefix(f"{NAME}-"): row for row in found["rows"]}
    assert (rows["good"]["state"], rows["good"]["best"]) == ("Succeeded", 3.5)
    assert rows["early"]["state"] == "EarlyStopped"
    assert "out of memory" in rows["oom"]["cause"]
    assert "resources.memory" in rows["oom"]["remedy"]
    assert "diverged" in rows["diverged"]["cause"]
    assert rows["waits"]["state"] == "Waiting"
    assert rows["waits"]["cause"]
    assert (found["trials"], found["max_trials"]) == (5, 25)
    code, out, _ = verb("status")
    assert code == 0
    assert "3.50 dB" in out
    assert "out of memory" in out


def test_pause_frees_the_pods_keeps_the_trials_and_resume_goes_on(
    verb: Verb, katib_of: Callable[[], Katib], tools: Tools
) -> None:
    katib = katib_of()
    trials = [katib.trial(f"{NAME}-{letter}") for letter in "ab"]
    for trial in trials:
        katib.train(trial)
    reaper = in_background(lambda: _bury(tools, 2))
    code, out, err = verb("pause", "dprnn", "--yes")
    reaper.join(300)
    assert (code, err) == (0, "")
    assert all(tools.job(trial)["spec"]["suspend"] for trial in trials)
    assert [row["state"] for row in as_json(verb("status", "--json")[1])[0]["rows"]] == ["Paused", "Paused"]
    assert len(tools.cluster.list(TRIAL)) == 2
    code, out, _ = verb("resume", "dprnn", "--yes")
    assert code == 0
    assert out.count("goes on at its checkpoint") == 2
    assert not any(tools.job(trial)["spec"]["suspend"] for trial in trials)
    assert verb("resume", "dprnn", "--yes")[1] == f"experiment '{NAME}' is not paused; nothing to change\n"


def test_stop_ends_running_trials_and_begins_no_more(
    verb: Verb, katib_of: Callable[[], Katib], tools: Tools
) -> None:
    katib = katib_of()
    katib.trial(f"{NAME}-done")
    katib.state(f"{NAME}-done", "Succeeded", 2.0)
    katib.trial(f"{NAME}-runs")
    katib.train(f"{NAME}-runs")

    def play() -> None:
        _bury(tools, 1)
        tools.kubectl("wait", "--for=condition=Failed", f"job/{NAME}-runs", "--timeout=300s")
        katib.state(f"{NAME}-runs", "Failed")
        katib.end("Failed")

    player = in_background(play)
    code, _, err = verb("stop", "dprnn", "--yes")
    player.join(300)
    assert (code, err) == (0, "")
    found = tools.cluster.get(EXPERIMENT, NAME)
    assert found is not None
    assert found["spec"]["maxFailedTrialCount"] == 1
    records = as_json(verb("results", "dprnn", "--cluster", "--json")[1])
    assert (records[0]["trial"], records[0]["val_si_snr"]) == (f"{NAME}-done", 2.0)
    assert verb("stop", "dprnn", "--yes")[0] == 1


def test_delete_exports_first_and_takes_only_what_is_ours(
    verb: Verb, katib_of: Callable[[], Katib], tools: Tools, tmp_path: Path
) -> None:
    katib = katib_of()
    katib.trial(f"{NAME}-done", job=False)
    katib.state(f"{NAME}-done", "Succeeded", 2.0)
    theirs = manifest(Site.model_validate(_site(tools)), "convtasnet")
    theirs["metadata"]["labels"] = {"owner": "somebody"}
    tools.make(theirs)
    code, out, err = verb("delete", "dprnn", "--yes", "--out", str(tmp_path))
    assert code == 0
    assert "katib-db-manager does not answer" in err
    assert "1 trials" in out
    exported = as_json((tmp_path / NAME / "cluster-trials.json").read_text())
    assert exported["trials"][0]["val_si_snr"] == 2.0
    assert read_table(tmp_path, NAME).rows[0].value == 2.0
    tools.kubectl("wait", "--for=delete", f"experiment/{NAME}", f"trial/{NAME}-done", "--timeout=300s")
    code, _, err = verb("delete", "convtasnet", "--yes", "--out", str(tmp_path))
    assert code == 1
    assert "is not ours" in err
    assert tools.cluster.get(EXPERIMENT, "series3-convtasnet") is not None


def test_results_have_every_metric_of_the_db_manager_by_epoch_and_time(
    verb: Verb, katib_of: Callable[[], Katib], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manager speaks gRPC; kubectl's forwarding alone is played, because this node runs no pods."""
    katib = katib_of()
    for name, state, value in (("good", "Succeeded", 3.0), ("fair", "EarlyStopped", 1.5)):
        katib.trial(f"{NAME}-{name}", job=False)
        katib.state(f"{NAME}-{name}", state, value)
    manager = DbManager()
    manager.put(f"{NAME}-good", [1.0, 3.0, 2.0])
    manager.put(f"{NAME}-fair", [0.5, 1.5])
    manager.rows[f"{NAME}-fair"] += [(stamp(2), "train_loss", "-4.0")]
    played = tmp_path / "kubectl"
    port = manager.address.rpartition(":")[2]
    played.write_text(f"#!/bin/sh\necho 'Forwarding from 127.0.0.1:{port} -> 6789'\nexec sleep 60\n")
    played.chmod(0o755)
    with monkeypatch.context() as patched:  # the test's end needs the real one
        patched.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        code, out, err = verb("results", "dprnn", "--cluster", "--json")
        manager.away()
        away = verb("results", "dprnn", "--cluster")
    good, fair = as_json(out)
    assert code == 0
    assert good["metrics"]["val_si_snr"]["value"] == [1.0, 3.0, 2.0]
    assert (good["best_epoch"], good["epochs"], good["gpu_hours"]) == (2, 3, 1.0)
    assert fair["metrics"]["train_loss"] == {"epoch": [1], "value": [-4.0], "time": [START.timestamp() + 120]}
    assert err == f"note: {NAME}: 1 trial of 2 lack train_loss: {NAME}-good for one\n"
    code, out, err = away
    assert (code, err.count("\n")) == (0, 1)
    assert "katib-db-manager does not answer (UNAVAILABLE" in err
    assert "3.00 dB" in out


def test_delete_is_not_undone_by_katibs_suggestion_controller(
    verb: Verb, katib_of: Callable[[], Katib], tools: Tools, tmp_path: Path
) -> None:
    """That makes the service of each Suggestion anew where it is missing, and does not look whether that is being deleted."""
    experiment = katib_of().experiment
    made = tools.cluster.create(SUGGESTION, _owned("Suggestion", NAME, experiment))
    service = _owned("ConfigMap", f"{NAME}-service", made)

    def play() -> None:
        while tools.cluster.get(SUGGESTION, NAME):
            with suppress(ClusterError):
                tools.cluster.create(CONFIG_MAP, service)

    player = in_background(play)
    code, _, err = verb("delete", "dprnn", "--yes", "--out", str(tmp_path))
    assert code == 0, err
    assert err.startswith(
        "note: katib-db-manager does not answer"
    )  # here is none; the trials' table goes without
    assert err.count("\n") == 1
    assert tools.cluster.get(SUGGESTION, NAME) is None
    tools.kubectl("wait", "--for=delete", f"experiment/{NAME}", "--timeout=300s")
    player.join(300)
    assert not player.is_alive()


def test_delete_that_cannot_export_deletes_nothing(
    verb: Verb, katib_of: Callable[[], Katib], tools: Tools, tmp_path: Path
) -> None:
    katib_of()
    (tmp_path / "file").write_text("")
    code, _, err = verb("delete", "dprnn", "--yes", "--out", str(tmp_path / "file"))
    assert code == 2
    assert "nothing was deleted" in err
    assert tools.cluster.get(EXPERIMENT, NAME) is not None


def test_delete_with_runs_removes_the_run_directories_by_a_job(
    verb: Verb, katib_of: Callable[[], Katib], tools: Tools, tmp_path: Path
) -> None:
    katib_of()
    seen: list[list[str]] = []

    def play() -> None:
        pod = tools.first(POD, f"batch.kubernetes.io/job-name=clean-{NAME}")
        seen.append(pod["spec"]["containers"][0]["command"])
        tools.run(pod, clean={"exitCode": 0})

    player = in_background(play)
    code, _, err = verb("delete", "dprnn", "--yes", "--runs", "--out", str(tmp_path))
    player.join(300)
    assert code == 0, err
    assert seen == [["rm", "-rf", "--one-file-system", f"/runs/{NAME}"]]
    tools.kubectl("wait", "--for=delete", f"job/clean-{NAME}", "--timeout=300s")


def test_110_trials_of_four_models(verb: Verb, tools: Tools, site_file: Path, tmp_path: Path) -> None:
    """Status within ten calls and 200 MB, results and delete right, by a count that the test keeps."""
    from katib.cluster.status import Curves, look

    plan = {"convtasnet": 20, "dprnn": 25, "sepformer": 30, "spmamba": 35}
    assert verb("deploy", "all", "--yes", "--wait", "0")[0] == 0
    for model, count in plan.items():
        katib = Katib(tools, f"series3-{model}")
        for number in range(count):
            name = katib.trial(f"series3-{model}-{number:03}", job=number >= count - 2)
            if number < count - 2:
                katib.state(name, "Succeeded", float(number))
    calls = tools.cluster.calls
    found = look(tools.cluster, Curves())
    assert tools.cluster.calls - calls <= 10
    assert {item.search.model: len(item.rows) for item in found} == plan
    assert peak_memory("status", "--site", str(site_file)) < 200 << 20
    records = as_json(verb("results", "spmamba", "--cluster", "--json")[1])
    assert len(records) == 35
    assert records[0]["val_si_snr"] == 32.0
    assert verb("delete", "spmamba", "--yes", "--out", str(tmp_path))[0] == 0
    tools.kubectl("wait", "--for=delete", "experiment/series3-spmamba", "--timeout=300s")
    left = {trial["metadata"]["name"].rpartition("-")[0] for trial in tools.cluster.list(TRIAL)}
    assert left == {"series3-convtasnet", "series3-dprnn", "series3-sepformer"}


@pytest.mark.any_cluster
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("deploy", "dprnn", "--context", "elsewhere"), "no context 'elsewhere'"),
        (("status", "--context", "elsewhere"), "no context 'elsewhere'"),
        (("status", "dprnnn"), "no experiment 'dprnnn' of ours"),
        (("pause", "dprnn"), "no experiment 'series3-dprnn' of ours"),
        (("logs", "nothing-here"), "no trial 'nothing-here' of ours"),
        (("deploy", "all", "--name", "x"), "NAME= names one experiment"),
        (("deploy", "dprnnn"), "did you mean 'dprnn'?"),
    ],
)
def test_bad_input_is_one_line(verb: Verb, words: tuple[str, ...], message: str) -> None:
    code, _, err = verb(*words)
    assert code in (1, 2)
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.any_cluster
def test_no_kubeconfig_is_one_line(verb: Verb, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    code, _, err = verb("status")
    assert code == 1
    assert "no usable kubeconfig" in err
    assert err.count("\n") == 1


@pytest.mark.any_cluster
def test_deploy_into_a_missing_namespace_applies_nothing(verb: Verb, tools: Tools) -> None:
    tools.kubectl("delete", "namespace", tools.namespace, "--timeout=300s")
    code, _, err = verb("deploy", "dprnn", "--yes")
    assert code == 1
    assert "nothing was applied: namespace" in err
    assert "kubectl apply -k k8s/base" in err
    assert tools.cluster.get(NAMESPACE, tools.namespace) is None
    tools.make({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tools.namespace}})


def test_deploy_does_not_touch_somebody_elses_experiment(verb: Verb, tools: Tools, site: Site) -> None:
    theirs = manifest(site)
    theirs["metadata"]["labels"] = {"owner": "somebody"}
    tools.make(theirs)
    before = tools.cluster.get(EXPERIMENT, NAME)
    for words in (
        ("deploy", "dprnn", "--yes"),
        ("pause", "dprnn", "--yes"),
        ("stop", "dprnn", "--yes"),
        ("resume", "dprnn", "--yes"),
    ):
        code, _, err = verb(*words)
        assert code == 1
        assert "is not ours" in err
    assert tools.cluster.get(EXPERIMENT, NAME) == before


def test_a_researchers_role_is_enough(
    tools: Tools, site: Site, verb: Verb, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Role of k8s/base, and nothing more, lets every verb work."""
    import yaml

    from tests.cluster import rig

    text = (Path(__file__).parents[2] / "k8s/base/rbac.yaml").read_text()
    (role,) = [item for item in yaml.safe_load_all(text) if item["kind"] == "Role"]
    rules = [
        (group, resource, word)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for word in rule["verbs"]
    ]
    with denied(*rules)(tools, site):
        monkeypatch.setenv("KUBECONFIG", str(tools.kubeconfig.parent / "visitor.conf"))
        code, _, err = verb("deploy", "dprnn", "--yes", "--wait", "0")
        assert (code, err) == (0, "")
        katib = Katib(tools, NAME)
        katib.train(katib.trial(f"{NAME}-a"))
        assert verb("status")[0] == 0
        reaper = in_background(lambda: _bury(tools, 1))
        assert verb("pause", "dprnn", "--yes")[0] == 0
        reaper.join(300)
        assert verb("resume", "dprnn", "--yes")[0] == 0
        assert verb("delete", "dprnn", "--yes", "--out", str(rig.HOME / "run" / "out"))[0] == 0


def _bury(tools: Tools, count: int) -> None:
    """What a kubelet does with pods that are being deleted: it reports them as gone."""
    gone = 0
    end = time.monotonic() + 300
    while gone < count and time.monotonic() < end:
        for pod in tools.cluster.list(POD):
            if "deletionTimestamp" in pod["metadata"]:
                tools.kubectl(
                    "delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0", "--wait=false"
                )
                gone += 1
        time.sleep(0.1)


def _site(tools: Tools) -> dict[str, object]:
    from katib.site import load_site

    return load_site().model_copy(update={"namespace": tools.namespace}).model_dump()


def _owned(kind: str, name: str, owner: Object) -> Object:
    """An object that goes with its owner, and keeps it from going before."""
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    reference |= {"controller": True, "blockOwnerDeletion": True}
    version = "v1" if kind == "ConfigMap" else "kubeflow.org/v1beta1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "ownerReferences": [reference]}}
