"""deploy against the real API server, from its command line."""

import json
import time
from pathlib import Path

import pytest
import yaml

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.deployment import corpus_place
from katib.backend.cluster.kinds import EXPERIMENT, NAMESPACE, POD
from katib.corpus_checks import FOLDER, note_copy
from katib.site import Site, load_site
from katib.spec import SPECS
from katib.trainer_contract import METRIC
from tests.cluster.conftest import Begin, Verb
from tests.cluster.search import NAME, Katib, in_background
from tests.cluster.tools import Tools, manifest
from tests.cluster.watched import Watched


def test_deploy_applies_and_again_changes_nothing(verb: Verb, tools: Tools) -> None:
    code, out, err = verb("deploy", "dprnn", "--yes", "--wait", "0")
    assert (code, err) == (0, "")
    assert f"create: experiment '{NAME}'" in out
    assert "corpus not checked: make corpus-check DATA=…" in out
    before = tools.cluster.get(EXPERIMENT, NAME)
    code, out, _ = verb("deploy", "dprnn", "--yes", "--wait", "0")
    assert code == 0
    assert out == (
        f"experiment '{NAME}' runs as it should; nothing to change\n"
        "  it has fewer trials than it may have: Katib has not started the experiment yet; is its controller up?"
        " make doctor\n"
    )
    assert tools.cluster.get(EXPERIMENT, NAME) == before


def test_deploy_without_waiting_takes_few_calls(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    """The aim is less than 5 s; a test can hold the number of calls, of some milliseconds each."""
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


def test_deploy_shows_and_applies_a_change_of_the_budget(verb: Verb, tools: Tools) -> None:
    verb("deploy", "dprnn", "--yes", "--wait", "0")
    code, out, _ = verb("deploy", "dprnn", "--trials", "40", "--yes", "--wait", "0")
    assert code == 0
    assert "trials: 25 -> 40" in out
    found = tools.cluster.get(EXPERIMENT, NAME)
    assert found is not None
    assert found["spec"]["maxTrialCount"] == 40


def test_a_search_grows_though_the_site_file_has_another_image_by_now(
    verb: Verb, tools: Tools, site: Site, site_file: Path
) -> None:
    """Its trials keep the image that the search started with, since Katib accepts no other, and the diff says so."""
    verb("deploy", "dprnn", "--yes", "--wait", "0")
    site_file.write_text(yaml.safe_dump(site.model_dump() | {"image": "host/trainer:2"}))
    code, out, err = verb("deploy", "dprnn", "--trials", "40", "--yes", "--wait", "0")
    assert (code, err) == (0, "")
    assert "trials: 25 -> 40" in out
    assert "stays as it is, since Katib cannot change it" in out
    found = tools.cluster.get(EXPERIMENT, NAME)
    assert found is not None
    assert found["spec"]["maxTrialCount"] == 40
    assert "host/trainer:2" not in str(found["spec"])


def test_deploy_of_stages_deploys_the_one_that_is_due_unless_the_corpus_is_too_small(
    verb: Verb, tools: Tools, site_file: Path, tmp_path: Path
) -> None:
    spec = yaml.safe_load((SPECS / "dprnn.yaml").read_text())
    spec |= {"name": "grown", "stages": [{"train_limit": 40, "trials": 3}, {"train_limit": 80}]}
    file, out = tmp_path / "grown.yaml", tmp_path / "runs"
    file.write_text(yaml.safe_dump(spec))
    words = ("deploy", str(file), "--yes", "--wait", "0", "--out", str(out))
    note_copy(out, corpus_place(tools.cluster, load_site(site_file)), tmp_path)
    check = {"fingerprint": "v2-0-0", "checked": 1.0, "data_dir": str(tmp_path), "mixtures": {"train": 79}, "found": []}
    record = out / FOLDER / "v2-0-0.json"
    record.write_text(json.dumps(check))
    code, _, err = verb(*words)
    assert code == 2
    assert err == f"error: {file}: stages: 80 mixtures, but the corpus has 79 to train; write all, or fewer\n"
    record.write_text(json.dumps(check | {"mixtures": {"train": 80}}))
    code, printed, err = verb(*words)
    assert (code, err) == (0, "")
    assert "stage 1 of 2: 'grown-1' on 40 mixtures\n" in printed
    assert "create: experiment 'grown-1'" in printed
    assert "corpus checked on 1 January 1970: nothing is wrong" in printed
    found = tools.cluster.get(EXPERIMENT, "grown-1")
    assert found is not None
    assert found["spec"]["maxTrialCount"] == 3
    assert "experiment 'grown-1' runs as it should" in verb(*words)[1]


def test_deploy_of_another_search_wants_another_name(verb: Verb, tools: Tools) -> None:
    verb("deploy", "dprnn", "--yes", "--wait", "0")
    before = tools.cluster.get(EXPERIMENT, NAME)
    code, _, err = verb("deploy", "dprnn", "--epochs", "7", "--yes")
    assert code == 1
    assert "another search, which Katib cannot change in place" in err
    assert "(epochs: 100 -> 7 and 1 more)" in err
    assert "NAME=series3-dprnn-2" in err
    assert tools.cluster.get(EXPERIMENT, NAME) == before


def test_deploy_refuses_fewer_parallel_trials(verb: Verb) -> None:
    """Katib would delete the newest trials, even finished ones."""
    verb("deploy", "dprnn", "--yes", "--wait", "0")
    code, _, err = verb("deploy", "dprnn", "--parallel", "1", "--yes")
    assert code == 1
    assert "delete the newest trials" in err


def test_deploy_refuses_what_katib_would_once_all_trials_exist(verb: Verb, katib_of: Begin) -> None:
    katib_of().count(trials=30)
    code, _, err = verb("deploy", "dprnn", "--trials", "28", "--yes")
    assert code == 1
    assert "TRIALS is at least 31" in err


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives each trial a log with one epoch, since the simulated node has no kubelet."""
    line = f"2026-11-28T10:00:00.000000Z {METRIC}=-1.2500"
    monkeypatch.setattr(Cluster, "log", lambda *_: line)


@pytest.mark.usefixtures("logs")
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


@pytest.mark.usefixtures("logs")
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
        tools.kubectl("wait", "--for=jsonpath={.spec.nodeName}", f"pod/{pod['metadata']['name']}", "--timeout=300s")
        tools.status(POD, pod["metadata"]["name"], {"phase": "Pending", "containerStatuses": [state]})

    player = in_background(play)
    with Watched("deploy", "dprnn", "--yes", "--wait", "600", "--site", str(site_file)) as deploy:
        deploy.until("ErrImagePull: not found")
        player.join(300)
        deploy.interrupt()
        assert "image in k8s/site.yaml" in deploy.printed


@pytest.mark.any_cluster
def test_deploy_into_a_missing_namespace_applies_nothing(verb: Verb, tools: Tools, site_file: Path) -> None:
    missing = f"{tools.namespace}-missing"
    site_file.write_text(site_file.read_text().replace(tools.namespace, missing))
    code, _, err = verb("deploy", "dprnn", "--yes")
    assert code == 1
    assert "nothing was applied: namespace" in err
    assert "kubectl apply -k k8s/base" in err
    assert tools.cluster.get(NAMESPACE, missing) is None


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
