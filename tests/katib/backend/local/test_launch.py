"""The command of a trial on this machine, from the manifest that a cluster would run."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from katib.backend.local.corpus import of_tables
from katib.backend.local.launch import Launch, Launcher, launcher
from katib.backend.local.pace import pace
from katib.errors import ManifestError
from katib.manifest.experiment import load_experiment
from katib.manifest.render import render
from katib.program import ROOT
from katib.site import load_site
from katib.spec import load_spec
from tests.katib.backend.local.rig import as_text, job, pod, script


@pytest.mark.parametrize(("device", "asked"), [(None, "cpu"), ("0", "cuda"), ("GPU-1b2c", "cuda")])
def test_a_manifest_for_gpus_trains_on_the_processor_where_there_is_none(
    device: str | None, asked: str, tmp_path: Path
) -> None:
    """With a GPU the trainer is held to it; without one the same manifest still runs, and the engine says so once."""
    experiment = load_experiment(render(load_spec("demo"), load_site()), "test")
    start = Launcher(experiment, tmp_path, tmp_path, (device,))
    assignments = {parameter.name: "1" for parameter in experiment.search.parameters}
    argv = start.launch("demo-abcd1234", assignments, device).argv
    assert argv[argv.index("--device") + 1] == asked
    assert [word for word in argv if word in ("cpu", "cuda")] == [asked]
    assert start.without_gpu == (device is None)


@pytest.mark.parametrize(
    ("here", "asked", "parallel", "slots"),
    [
        ("", "1", 3, (None, None, None)), ("0,1,2", None, 2, ("0", "1")), ("0,1,2", "1", 4, ("0", "1", "2")),
        ("0,1,2,3,4", "2", 4, ("0,1", "2,3")), ("0,1,2,3", 2, 1, ("0,1",)),
    ],
)  # fmt: skip
def test_a_trial_gets_the_gpus_that_it_asks_for(
    here: str, asked: Any, parallel: int, slots: tuple[str | None, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", here)
    search = script("echo $X", parallelTrialCount=parallel)
    pod(search)["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": asked} if asked else {}}
    start = launcher(load_experiment(as_text(search), "test"), None, Path("/none"))
    assert start.slots == slots
    said = f"{len(slots)} trials at a time, given the GPUs of this machine; parallelTrialCount asks for {parallel}"
    assert list(start.notes()) == ([said] if here and len(slots) < parallel else [])
    pod(search)["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "9"}}
    if here:
        with pytest.raises(ManifestError, match=r"test: a trial asks for 9 GPUs \(nvidia.com/gpu\)"):
            launcher(load_experiment(as_text(search), "test"), None, Path("/none"))


def test_our_trainer_behind_a_shell_is_started_as_without(tmp_path: Path) -> None:
    """The device, the corpus and the interpreter are filled in as in a command without a shell."""
    search = script("", values=("1",))
    container = pod(search)["containers"][0]
    container |= {
        "command": ["sh", "-c"],
        "args": ["exec python -m trainer --device cuda --gpus 4 --data-dir /data --lr $(X)"],
    }
    pod(search)["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "d"}}]
    container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    start = Launcher(load_experiment(as_text(search), "test"), tmp_path, tmp_path / "runs", (None,))
    launch = start.launch("test-a", {"x": "3"}, None)
    words = ("-P", "-m", "trainer", "--device", "cpu", "--gpus", "1", "--data-dir", str(tmp_path), "--lr", "3")
    assert launch.argv[1:] == words
    on_four = start.launch("test-a", {"x": "3"}, "0,1,2,3")
    assert on_four.argv[4:8] == ("--device", "cuda", "--gpus", "4")
    assert on_four.env["CUDA_VISIBLE_DEVICES"] == "0,1,2,3"
    assert (launch.ours, start.ours, start.without_gpu) == (True, True, True)


def test_words_that_only_a_shell_can_read_are_left_to_it(tmp_path: Path) -> None:
    """The trainer is ours, but nobody asks it before for its corpus or its pace."""
    search = script("python -m trainer --data-dir /data --lr $X", values=("1",))
    pod(search)["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "d"}}]
    pod(search)["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    start = Launcher(load_experiment(as_text(search), "test"), tmp_path, tmp_path / "runs", (None,))
    launch = start.launch("test-a", {"x": "3"}, None)
    assert (launch.ours, launch.argv) == (
        True,
        ("sh", "-c", f"python -m trainer --data-dir {tmp_path} --lr $X"),
    )
    assert pace(start) is None
    assert start.corpus() == of_tables(tmp_path)


def test_python_behind_a_shell_is_this_interpreter(tmp_path: Path) -> None:
    start = Launcher(load_experiment(as_text(script("python x.py")), "test"), None, tmp_path, (None,))
    path = start.launch("test-a", {"x": "3"}, None).env["PATH"]
    assert path.split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_an_installed_program_leaves_the_trainers_of_others_the_users_own_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do they see its packages, which may be for another Python. Ours has no other; nor has a shell without one."""

    def launch(*command: str) -> Launch:
        search = script("", values=("1",))
        pod(search)["containers"][0] |= {"command": list(command), "args": []}
        start = Launcher(load_experiment(as_text(search), "test"), None, tmp_path, (None,))
        return start.launch("test-a", {"x": "3"}, None)

    monkeypatch.setattr("katib.backend.local.launch.CHECKOUT", False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    assert launch("python", "x.py").argv[0] == sys.executable
    (tmp_path / "python").write_text("#!/bin/sh\n")
    (tmp_path / "python").chmod(0o755)
    theirs, ours = launch("python", "x.py"), launch("python", "-m", "trainer")
    assert (theirs.argv[0], ours.argv[0]) == ("python", sys.executable)
    assert theirs.env["PATH"] == theirs.env["PYTHONPATH"] == str(tmp_path)
    assert ours.env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert ours.env["PYTHONPATH"].split(os.pathsep)[0] == str(ROOT)


def test_what_kubernetes_would_do_to_a_container_and_nobody_does_here_is_said(tmp_path: Path) -> None:
    search = script("echo val_si_snr=$X", values=("1",))
    job(search)["suspend"] = True
    container = pod(search)["containers"][0]
    container |= {
        "livenessProbe": {"exec": {"command": ["true"]}},
        "lifecycle": {"postStart": {}, "preStop": {}},
    }
    beside = {"name": "helper", "image": "x", "livenessProbe": {}}
    pod(search)["containers"].insert(0, beside)
    assert list(Launcher(load_experiment(as_text(search), "test"), None, tmp_path, (None,)).notes()) == [
        "the container helper of a trial's pod does not run here",
        "suspend: true of a trial's Job is not followed: each trial begins at once",
        "livenessProbe of the container trial is not run here",
        "lifecycle.postStart of the container trial is not run here",
        "lifecycle.preStop of the container trial is not run here",
    ]


def test_a_manifest_of_ours_has_nothing_that_is_left_out(tmp_path: Path) -> None:
    """Its preStop is the cluster's way of the signal that the engine sends itself."""
    experiment = load_experiment(render(load_spec("demo"), load_site()), "test")
    assert list(Launcher(experiment, tmp_path, tmp_path, (None, None)).notes()) == []


@pytest.mark.parametrize("kind", ["File", "TensorFlowEvent", "PrometheusMetric", "Custom", "Push", "None"])
def test_a_collector_of_anything_but_the_output_is_refused_by_name(kind: str) -> None:
    search = script("echo val_si_snr=$X", values=("1",), metricsCollectorSpec={"collector": {"kind": kind}})
    with pytest.raises(ManifestError, match=f"test: metrics collector {kind}: this machine reads StdOut only; have"):
        launcher(load_experiment(as_text(search), "test"), None, Path("/none"))


@pytest.mark.parametrize(
    ("strategies", "strategy"),
    [([], "min"), ([{"name": "val_si_snr", "value": "latest"}], "latest"), ([{"name": "loss", "value": "max"}], "min")],
)  # fmt: skip
def test_the_objectives_strategy_follows_from_its_type_where_none_is_given(
    strategies: list[dict[str, str]], strategy: str
) -> None:
    """experiment_defaults.go, setDefaultObjective: max of what is maximized, min of what is minimized."""
    objective = {"type": "minimize", "objectiveMetricName": "val_si_snr", "metricStrategies": strategies}
    assert load_experiment(as_text(script("echo $X", objective=objective)), "test").strategy == strategy


@pytest.mark.skipif(sys.platform != "linux", reason="macOS binds no process to processors")
def test_a_trial_takes_the_processors_that_its_engine_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A job of Slurm or `taskset` has some of the machine's; threads for all of them would wait for one another."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    mine = os.sched_getaffinity(0)
    start = launcher(load_experiment(as_text(script("echo $X", parallelTrialCount=1)), "test"), None, tmp_path)
    try:
        os.sched_setaffinity(0, {min(mine)})
        bound = start.launch("test-abcd1234", {"x": "1"}, None)
    finally:
        os.sched_setaffinity(0, mine)
    assert bound.env["OMP_NUM_THREADS"] == "1"
    assert start.launch("test-abcd1234", {"x": "1"}, None).env["OMP_NUM_THREADS"] == str(len(mine))
