"""status, pause, resume, stop and results against the real API server, and what all verbs share."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from katib.backend.cluster import lifecycle, run_directories
from katib.backend.cluster.informer import Informer
from katib.backend.cluster.kinds import EXPERIMENT, JOB, TRIAL, TRIAL_LABEL
from tests.cluster.conftest import Begin, Verb
from tests.cluster.search import NAME, Katib, as_json, bury, burying, in_background
from tests.cluster.tools import Tools
from tests.katib.services.rig import START, DbManager, stamp

Between = Callable[[Callable[[], object]], None]
MEASURED = """
import re, sys
from katib.__main__ import main
code = main(sys.argv[1:])
print("peak", re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
sys.exit(code)
"""


def peak_memory(*words: str) -> int:
    """Returns the memory in bytes that a verb's process used at most, in a process of its own for getrusage."""
    command = [sys.executable, "-c", MEASURED, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1]) << 10


def test_status_shows_states_nodes_causes_and_fixes(verb: Verb, katib_of: Begin, tools: Tools) -> None:
    katib = katib_of()
    for name in ("good", "oom", "diverged", "early", "waits"):
        katib.trial(f"{NAME}-{name}")
    katib.state(f"{NAME}-good", "Succeeded", 3.5)
    katib.state(f"{NAME}-early", "EarlyStopped", 1.5)
    pod = katib.pod(f"{NAME}-oom")
    tools.run(pod, trainer={"exitCode": 137, "reason": "OOMKilled"}, metrics_logger_and_collector={"exitCode": 255})
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


def test_pause_frees_the_pods_keeps_the_trials_and_resume_continues(verb: Verb, katib_of: Begin, tools: Tools) -> None:
    katib = katib_of()
    trials = [katib.trial(f"{NAME}-{letter}") for letter in "ab"]
    for trial in trials:
        katib.train(trial)
    reaper = in_background(lambda: bury(tools, 2))
    code, out, err = verb("pause", "dprnn", "--yes")
    reaper.join(300)
    assert (code, err) == (0, "")
    assert all(tools.job(trial)["spec"]["suspend"] for trial in trials)
    assert [row["state"] for row in as_json(verb("status", "--json")[1])[0]["rows"]] == ["Paused", "Paused"]
    assert re.search(r"  paused by \S+ at \d{4}-\d\d-\d\d \d\d:\d\d UTC", verb("status")[1].splitlines()[0])
    assert len(tools.cluster.list(TRIAL)) == 2
    code, out, _ = verb("resume", "dprnn", "--yes")
    assert code == 0
    assert out.count("resumes from its checkpoint") == 2
    assert not any(tools.job(trial)["spec"]["suspend"] for trial in trials)
    assert "paused by" not in verb("status")[1]
    words = [act.word for act in lifecycle.find_search(tools.cluster, NAME).acts]
    assert sorted(words) == ["paused", "resumed"]
    assert verb("resume", "dprnn", "--yes")[1] == f"experiment '{NAME}' is not paused; nothing to change\n"


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Between:
    """Returns a function that has Katib do something once `pause` has found what runs."""

    def do(act: Callable[[], object]) -> None:
        class Late(Informer):
            def __enter__(self) -> Informer:
                act()
                return super().__enter__()

        monkeypatch.setattr(lifecycle, "Informer", Late)

    return do


def test_pause_suspends_the_trial_that_katib_starts_in_a_slot_that_was_free(
    verb: Verb, katib_of: Begin, tools: Tools
) -> None:
    """The next trial begins only when the pod of the first has gone."""
    katib = katib_of()
    first, second = f"{NAME}-a", f"{NAME}-b"
    katib.train(katib.trial(first))

    def play() -> None:
        tools.kubectl("wait", "--for=delete", "pod", "-l", f"{TRIAL_LABEL}={first}", "--timeout=300s")
        katib.trial(second)

    player = in_background(play)
    with burying(tools):
        code, out, err = verb("pause", "dprnn", "--yes")
    player.join(300)
    assert (code, err) == (0, "")
    assert [tools.job(trial)["spec"]["suspend"] for trial in (first, second)] == [True, True]
    assert "note: " not in out


def test_a_pause_is_recorded_only_where_a_trial_was_paused(
    verb: Verb, katib_of: Begin, tools: Tools, between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No trial runs, so that there is nothing; then Kueue admits the one that begins meanwhile, so that it is refused."""
    katib = katib_of()
    monkeypatch.setattr(lifecycle, "SETTLE_SECONDS", 0.5)
    code, _, err = verb("pause", "dprnn", "--yes")
    assert (code, err.splitlines()) == (1, [
        f"error: experiment '{NAME}': no trial runs, so nothing is paused; pause it once one does: make status MODEL=dprnn"
    ])  # fmt: skip
    labels = katib.experiment["spec"]["trialTemplate"]["trialSpec"]["metadata"]["labels"]
    labels["kueue.x-k8s.io/queue-name"] = "trials"
    between(lambda: katib.trial(f"{NAME}-late"))
    code, _, err = verb("pause", "dprnn", "--yes")
    assert code == 1
    assert "is admitted by Kueue" in err
    assert lifecycle.find_search(tools.cluster, NAME).acts == ()


def test_stop_ends_running_trials_and_starts_no_more(verb: Verb, katib_of: Begin, tools: Tools) -> None:
    """One that waits in a queue of Kueue stays suspended, and ends as soon as it is admitted."""
    katib = katib_of()
    katib.trial(f"{NAME}-done")
    katib.state(f"{NAME}-done", "Succeeded", 2.0)
    katib.trial(f"{NAME}-runs")
    katib.train(f"{NAME}-runs")
    job = katib.experiment["spec"]["trialTemplate"]["trialSpec"]
    job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "trials"
    job["spec"]["suspend"] = True  # as Kueue's webhook does
    katib.trial(f"{NAME}-waits")

    def play() -> None:
        bury(tools, 1)
        tools.kubectl("wait", "--for=condition=Failed", f"job/{NAME}-runs", "--timeout=300s")
        katib.state(f"{NAME}-runs", "Failed")
        katib.end("Failed")

    player = in_background(play)
    code, out, err = verb("stop", "dprnn", "--yes")
    player.join(300)
    assert (code, err) == (0, "")
    assert f"trial '{NAME}-waits': ends once its queue admits it" in out
    waits = tools.cluster.get(JOB, f"{NAME}-waits")
    assert waits is not None
    assert (waits["spec"]["activeDeadlineSeconds"], waits["spec"]["suspend"]) == (1, True)
    found = tools.cluster.get(EXPERIMENT, NAME)
    assert found is not None
    assert found["spec"]["maxFailedTrialCount"] == 1
    records = as_json(verb("results", "dprnn", "--cluster", "--json")[1])
    assert (records[0]["trial"], records[0]["val_si_snr"]) == (f"{NAME}-done", 2.0)
    assert re.fullmatch(r"stopped by \S+ at \d{4}-\d\d-\d\d \d\d:\d\d UTC", records[1]["reason"])
    assert verb("stop", "dprnn", "--yes")[0] == 1


def test_a_search_whose_budget_is_spent_is_deleted_and_not_stopped(verb: Verb, katib_of: Begin, tools: Tools) -> None:
    """Katib would never end it, since no trial is left that could fail."""
    katib = katib_of()
    katib.state(katib.trial(f"{NAME}-paused", job=False), "EarlyStopped", 2.0)
    tools.cluster.merge(EXPERIMENT, NAME, {"metadata": {"annotations": {"sepsweep/gpu-hours": "0.5"}}})
    code, _, err = verb("stop", "dprnn", "--yes")
    assert (code, "its budget in GPU-hours is spent" in err, "make delete" in err) == (1, True, True), err
    found = tools.cluster.get(EXPERIMENT, NAME)
    assert found is not None
    assert "sepsweep/stopped" not in found["metadata"]["annotations"]


def test_a_search_whose_stop_has_not_come_to_its_end_is_not_deployed_over(
    verb: Verb, katib_of: Begin, tools: Tools
) -> None:
    """The API server would answer 409 for the count that stop has changed."""
    katib_of()
    stop = {"metadata": {"annotations": {"sepsweep/stopped": "ann at 2026-11-28T14:05:31Z"}}}
    tools.cluster.merge(EXPERIMENT, NAME, {**stop, "spec": {"maxFailedTrialCount": 1}})
    code, _, err = verb("deploy", "dprnn", "--yes", "--wait", "0")
    assert (code, err.count("\n"), f"make stop EXPERIMENT={NAME} waits for its end" in err) == (1, 1, True), err
    assert "somebody else" not in err


def test_results_have_every_metric_of_the_db_manager_by_epoch_and_time(
    verb: Verb, katib_of: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manager speaks gRPC; only kubectl's forwarding is played, because this node runs no pods."""
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


def test_110_trials_of_four_models(
    verb: Verb, tools: Tools, site_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status takes at most ten calls and 200 MB, and results and delete agree with the test's own count."""
    from katib.backend.cluster.status import Curves, read_progress

    plan = {"convtasnet": 20, "dprnn": 25, "sepformer": 30, "spmamba": 35}
    assert verb("deploy", "all", "--yes", "--wait", "0")[0] == 0
    for model, count in plan.items():
        katib = Katib(tools, f"series3-{model}")
        for number in range(count):
            name = katib.trial(f"series3-{model}-{number:03}", job=number >= count - 2)
            if number < count - 2:
                katib.state(name, "Succeeded", float(number))
    calls = tools.cluster.calls
    found = read_progress(tools.cluster, Curves())
    assert tools.cluster.calls - calls <= 10
    assert {item.search.model: len(item.rows) for item in found} == plan
    assert peak_memory("status", "--site", str(site_file)) < 200 << 20
    records = as_json(verb("results", "spmamba", "--cluster", "--json")[1])
    assert len(records) == 35
    assert records[0]["val_si_snr"] == 32.0
    monkeypatch.setattr(run_directories, "TIMEOUT_SECONDS", 1.0)  # no node here runs a pod
    assert verb("delete", "spmamba", "--yes", "--unsaved", "--out", str(tmp_path))[0] == 0
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
