"""Trials of a program that is not ours are treated as Kubernetes, Katib's webhook and its collector treat them."""

from pathlib import Path
from typing import Any

import pytest

from katib.backend.local.view import Lines
from tests.katib.backend.local.rig import Rig, job, medianstop, pod, script


def test_a_failed_trial_is_never_the_best_and_reaches_no_goal(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """x 1 prints the best value and fails; it has no result in any verb."""
    monkeypatch.chdir(tmp_path)
    objective = {"type": "maximize", "objectiveMetricName": "val_si_snr", "goal": 0.95}
    text = "if [ $X = 1 ]; then echo val_si_snr=0.9$((8+X)); false; else echo val_si_snr=0.$X; fi"
    search = script(text, values=("1", "4", "5"), objective=objective)
    job(search)["backoffLimit"] = 0
    done = rig.run(search)
    assert done.returncode == 0, done.stderr
    assert "goal reached" not in done.stdout
    assert "0.99" not in done.stdout.partition("Failed")[2]
    rows = rig.results()
    assert [(row["state"], row["val_si_snr"], row["best_epoch"]) for row in rows] == [
        ("Succeeded", 0.5, 1), ("Succeeded", 0.4, 1), ("Failed", None, None)
    ]  # fmt: skip
    for verb in ("best", "log", "report"):
        said = rig.verb(verb, "test")
        assert said.returncode == 0, said.stderr
        assert "0.99" not in said.stdout, verb
    assert "0.99" not in Path("EXPERIMENT_LOG.md").read_text()
    assert rows[0]["trial"] in done.stdout.partition("best: ")[2]


@pytest.mark.parametrize("second", ["1 2", "91 2", "91 92", "91 92 93 94"])
def test_of_a_trial_that_is_tried_again_the_completed_try_counts(rig: Rig, tmp_path: Path, second: str) -> None:
    """The first try prints three values and fails.

    Katib takes what the pod that completed has printed, and that alone.
    """
    mark = tmp_path / "mark"
    line = "do echo val_si_snr=$v loss=${v}0; done"
    first = f"touch {mark}; for v in 91 92 93; {line}; false"
    text = f"if [ -e {mark} ]; then for v in {second}; {line}; test -n $X; else {first}; fi"
    objective = {"type": "maximize", "objectiveMetricName": "val_si_snr", "additionalMetricNames": ["loss"]}
    search = script(text, values=("1",), objective=objective)
    source = search["spec"]["metricsCollectorSpec"]["source"]
    source["filter"]["metricsFormat"] = [r"(val_si_snr|loss)=(\d+)"]
    done = rig.run(search)
    assert done.returncode == 0, done.stderr
    (row,) = rig.results()
    values = [float(value) for value in second.split()]
    assert (row["state"], row["val_si_snr"], row["epochs"]) == ("Succeeded", max(values), len(values))
    assert row["metrics"]["val_si_snr"]["value"] == values
    assert row["metrics"]["loss"]["value"] == [10 * value for value in values]
    assert row["restarts"] == 1


@pytest.mark.parametrize("code", [2, 3, 126, 127])
def test_an_exit_code_of_another_program_ends_no_search(rig: Rig, code: int) -> None:
    search = script(f"echo val_si_snr=$X; (exit {code})", values=("1", "2"))
    done = rig.run(search)
    assert (done.returncode, done.stderr) == (0, "")
    assert [(row["state"], row["reason"]) for row in rig.results()] == 2 * [("Failed", f"exit code {code}")]
    assert done.stdout.count("try 2 of 2") == 2


def test_a_trial_is_ended_at_the_deadline_of_its_job(rig: Rig) -> None:
    """One that does not end when asked is killed once its pod's grace is over."""
    search = script("trap '' TERM; echo val_si_snr=$X; while :; do sleep 0.05; done", values=("1",))
    job(search)["activeDeadlineSeconds"] = 1
    pod(search)["terminationGracePeriodSeconds"] = 0
    done = rig.run(search)
    assert done.returncode == 0, done.stderr
    (row,) = rig.results()
    assert (row["state"], row["val_si_snr"]) == ("Failed", None)
    assert row["reason"] == "ran past its deadline (activeDeadlineSeconds 1 of the Job)"
    assert row["restarts"] == 0


def test_variables_are_put_in_as_by_the_kubelet(rig: Rig) -> None:
    search = script("", values=("5",))
    container = pod(search)["containers"][0]
    container["command"] = ["echo", "val_si_snr=$(VALUE)"]
    container["env"].append({"name": "VALUE", "value": "$(X).25"})
    done = rig.run(search)
    assert done.returncode == 0, done.stderr
    assert rig.results()[0]["val_si_snr"] == 5.25


def test_a_trial_begins_in_its_working_directory(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("val_si_snr=7\n")
    search = script("cat value; test -n $X", values=("1",))
    pod(search)["containers"][0]["workingDir"] = str(tmp_path)
    assert rig.run(search).returncode == 0
    assert rig.results()[0]["val_si_snr"] == 7.0


def test_a_volume_of_the_pod_is_a_folder_that_is_there(rig: Rig) -> None:
    """An emptyDir, and a working directory below it, which a container runtime makes."""
    search = script("pwd > /no-such-scratch/place && echo val_si_snr=$X", values=("1",))
    container = pod(search)["containers"][0]
    container["volumeMounts"].append({"name": "scratch", "mountPath": "/no-such-scratch"})
    container["workingDir"] = "/no-such-scratch/work"
    pod(search)["volumes"].append({"name": "scratch", "emptyDir": {}})
    assert rig.run(search).returncode == 0
    assert rig.results()[0]["state"] == "Succeeded"
    (place,) = rig.out.glob("test/*/scratch/place")
    assert place.read_text() == f"{place.parent}/work\n"


@pytest.mark.parametrize("end", ["", "; echo the end"])
def test_a_trial_that_is_stopped_early_behind_a_shell_may_save(rig: Rig, tmp_path: Path, end: str) -> None:
    """The program behind the shell is asked, and has its time: what it does last takes longer than the shell lives."""
    saved = tmp_path / "saved"
    program = tmp_path / "program.py"
    program.write_text(
        "import signal, sys, time\n"
        f"signal.signal(15, lambda *_: (time.sleep(0.3), open('{saved}', 'w').close(), sys.exit(0)))\n"
        "for epoch in range(3 if sys.argv[1] == '9' else 400):\n"
        "    print(f'val_si_snr={sys.argv[1]}', flush=True)\n"
        "    time.sleep(0.05)\n"
    )
    search = script(f"cd /tmp && python3 {program} $X{end}", values=("9", "1"), earlyStopping=medianstop(2, 1))
    done = rig.run(search)
    assert done.returncode == 0, done.stderr
    assert [row["state"] for row in rig.results()] == ["Succeeded", "EarlyStopped"]
    assert saved.exists()


def test_values_of_a_try_that_failed_are_gone_while_the_next_one_waits_and_runs(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, tuple[float, ...]]] = []
    monkeypatch.setattr(Lines, "change", lambda _, trial: seen.append((trial.state, trial.values)))
    mark = tmp_path / "mark"
    text = f"if [ -e {mark} ]; then echo val_si_snr=5; else touch {mark}; echo val_si_snr=9$X; false; fi"
    assert rig.run(script(text, values=("1",))).returncode == 0
    assert seen == [
        ("Created", ()), ("Running", ()), ("Created", ()), ("Running", ()), ("Succeeded", (5.0,)),
    ]  # fmt: skip


def _changed(**changes: Any) -> dict[str, Any]:
    """Returns a manifest whose trial has other keys: of its Job, its pod (`pod`) or its container (`container`)."""
    search = script("echo val_si_snr=$X", values=("1",))
    trial = search["spec"]["trialTemplate"]["trialSpec"]
    container = pod(search)["containers"][0]
    container |= changes.pop("container", {})
    if not container["command"]:
        del container["command"]
    pod(search).update(changes.pop("pod", {}))
    trial |= changes
    return search


PREPARE = {"name": "prepare", "image": "busybox:1.36", "command": ["touch", "/tmp/ready"]}


def _source(kind: str, **source: Any) -> dict[str, Any]:
    """Returns a manifest whose container sees a volume of this kind."""
    container = {"volumeMounts": [{"name": "v", "mountPath": "/no-such"}]}
    return _changed(container=container, pod={"volumes": [{"name": "v", kind: source}]})


def _job(**changes: Any) -> dict[str, Any]:
    search = script("echo val_si_snr=$X", values=("1",))
    job(search).update(changes)
    return search


X = {"name": "X", "value": "${trialParameters.x}"}
SECRET = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}}
REFUSED = {
    "env TOKEN: its value is in the Secret 'keys'": _changed(container={"env": [X, SECRET]}),
    "envFrom: the variables of the ConfigMap 'all'": _changed(
        container={"envFrom": [{"configMapRef": {"name": "all"}}]}
    ),
    "volume v: ConfigMap 'settings' is in a cluster; create /no-such": _source("configMap", name="settings"),
    "volume v: claim 'models' is in a cluster": _source("persistentVolumeClaim", claimName="models"),
    "volume v: hostPath /no-such-host: no such folder": _source("hostPath", path="/no-such-host"),
    "trialSpec.spec.completions is 2": _job(completions=2, parallelism=1),
    "trialSpec.spec.parallelism is 0": _job(parallelism=0),
    "completionMode: Indexed": _job(completionMode="Indexed", completions=1),
    "initContainers: 'prepare' is not run here": _changed(pod={"initContainers": [PREPARE]}),
    "workingDir /no/such/place: no such folder": _changed(container={"workingDir": "/no/such/place"}),
    "command no-such-program: no such program": _changed(container={"command": ["no-such-program"]}),
    "has no command: that of its image registry.example.org/trial:1": _changed(
        container={"command": None, "args": ["--x=${trialParameters.x}"]}
    ),
    "trials of kind MPIJob (kubeflow.org/v1) are not run here": _changed(
        apiVersion="kubeflow.org/v1",
        kind="MPIJob",
        spec={"mpiReplicaSpecs": {"Launcher": {"template": {"spec": pod(script("echo val_si_snr=$X"))}}}},
    ),
}


@pytest.mark.parametrize(("message", "search"), REFUSED.items(), ids=list(REFUSED))
def test_what_cannot_be_done_here_is_said_by_name_before_anything_starts(
    rig: Rig, message: str, search: dict[str, Any]
) -> None:
    done = rig.run(search)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert message in line
    assert not rig.out.exists() or not list(rig.out.glob("*/*/"))
