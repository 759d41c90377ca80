"""Experiments for the tests of the engine, and the engine as a process of its own."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import yaml

from katib.backend.local.process import HOLD, end_leftovers
from katib.backend.local.table import read_table
from katib.table.formats import as_json
from tests.verbs import SECONDS, environment, katib

WORK = Path(__file__).with_name("work.py")


def manifest(*flags: str, name: str = "test", values: tuple[str, ...] = (), **spec: Any) -> dict[str, Any]:
    """Returns an Experiment whose trials are work.py with `flags`.

    `values` makes x a list that a grid goes through in order.
    """
    space = {"list": list(values)} if values else {"min": "1", "max": "10", "distribution": "uniform"}
    command = ["python", str(WORK), "--run", f"/runs/{name}/${{trialParameters.name}}"]
    container = {
        "name": "trial",
        "image": "registry.example.org/trial:1",
        "command": [*command, "--x", "${trialParameters.x}", *flags],
        "volumeMounts": [{"name": "runs", "mountPath": "/runs"}],
    }
    pod = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": volume, "persistentVolumeClaim": {"claimName": volume}} for volume in ("data", "runs")],
    }
    job = {"backoffLimit": 1, "template": {"spec": pod}}
    defaults = {
        "objective": {"type": "maximize", "objectiveMetricName": "val_si_snr"},
        "algorithm": {"algorithmName": "grid" if values else "random"},
        "maxTrialCount": len(values) or 3,
        "parallelTrialCount": 1,
        "parameters": [{"name": "x", "parameterType": "discrete" if values else "double", "feasibleSpace": space}],
        "metricsCollectorSpec": {
            "collector": {"kind": "StdOut"},
            "source": {"filter": {"metricsFormat": [r"^\S+ (val_si_snr)=([-+]?\d+(?:\.\d+)?)$"]}},
        },
        "trialTemplate": {
            "retain": True,
            "primaryContainerName": "trial",
            "trialParameters": [
                {"name": "name", "reference": "${trialSpec.Name}"},
                {"name": "x", "reference": "x"},
            ],
            "trialSpec": {"apiVersion": "batch/v1", "kind": "Job", "spec": job},
        },
    }
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": defaults | spec,
    }


def script(text: str, **spec: Any) -> dict[str, Any]:
    """Returns an Experiment whose trials are a shell script, which sees the trial's x as $X: no trainer of ours."""
    search = manifest(**spec)
    container = pod(search)["containers"][0]
    container |= {"command": ["sh", "-c", text], "env": [{"name": "X", "value": "${trialParameters.x}"}]}
    source = {"filter": {"metricsFormat": [r"^(val_si_snr)=([-+]?\d+(?:\.\d+)?)$"]}}
    search["spec"]["metricsCollectorSpec"]["source"] = source
    template = search["spec"]["trialTemplate"]
    template["trialParameters"] = [item for item in template["trialParameters"] if item["name"] == "x"]
    return search


def job(search: dict[str, Any]) -> dict[str, Any]:
    """Returns the `spec` of a trial's Job."""
    found: dict[str, Any] = search["spec"]["trialTemplate"]["trialSpec"]["spec"]
    return found


def pod(search: dict[str, Any]) -> dict[str, Any]:
    """Returns the `spec` of a trial's pod."""
    found: dict[str, Any] = job(search)["template"]["spec"]
    return found


def as_text(search: dict[str, Any]) -> str:
    """Returns the manifest as YAML."""
    return yaml.safe_dump(search)


def medianstop(start_step: int, trials: int) -> dict[str, Any]:
    """Returns the `earlyStopping` of a manifest."""
    settings = {"start_step": str(start_step), "min_trials_required": str(trials)}
    listed = [{"name": name, "value": value} for name, value in settings.items()]
    return {"algorithmName": "medianstop", "algorithmSettings": listed}


class Rig:
    """The engine on manifests in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "runs"
        self._engines: list[subprocess.Popen[str]] = []

    def start(self, search: dict[str, Any] | str, *flags: str) -> "subprocess.Popen[str]":
        """Start the engine on a manifest, or on a model; its stdout and stderr can be read."""
        return self.begin("local", self._given(search), *flags)

    def begin(self, verb: str, *words: str, seconds: float = SECONDS) -> "subprocess.Popen[str]":
        """Start any verb that works on this folder of runs; after so many seconds it is killed."""
        engine = subprocess.Popen(
            [sys.executable, "-m", "katib", verb, *words, "--out", str(self.out)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self._engines.append(engine)
        # A test that waits for what never comes fails by this, and hangs never.
        watchdog = threading.Timer(seconds, engine.kill)
        watchdog.daemon = True
        watchdog.start()
        return engine

    def run(self, search: dict[str, Any] | str, *flags: str) -> "subprocess.CompletedProcess[str]":
        """Run it to its end, in this process."""
        return self.verb("local", self._given(search), *flags)

    def verb(self, verb: str, *words: str, seconds: float = SECONDS) -> "subprocess.CompletedProcess[str]":
        """Run any verb to its end, in this process."""
        return katib(verb, *words, "--out", str(self.out), seconds=seconds)

    def _given(self, search: dict[str, Any] | str) -> str:
        """Returns a model as it is, a manifest as the file that it is written to."""
        if isinstance(search, str):
            return search
        path = self.folder / f"{search['metadata']['name']}.yaml"
        path.write_text(as_text(search))
        return str(path)

    def results(self, name: str = "test") -> list[dict[str, Any]]:
        """Returns what `results --json` prints, without a process of its own."""
        found: list[dict[str, Any]] = json.loads("".join(as_json(read_table(self.out, name))))
        return found

    def starts(self, name: str = "test") -> dict[str, list[int]]:
        """Trial -> the processes that were started for it."""
        files = (self.out / name).glob("*/starts")
        return {path.parent.name: [int(line) for line in path.read_text().split()] for path in files}

    def close(self) -> None:
        """Leave no engine behind, nor the trials of one that was killed."""
        for engine in self._engines:
            if engine.poll() is None:
                engine.terminate()
            engine.communicate()
        end_leftovers([path.parent for path in self.out.glob(f"*/*/{HOLD}")], grace=5)


def ended(engine: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
    """Returns what it printed, once it has ended."""
    out, err = engine.communicate()
    return subprocess.CompletedProcess(engine.args, engine.returncode, out, err)


def read_until(engine: "subprocess.Popen[str]", part: str, times: int = 1) -> list[str]:
    """Lines of stdout up to the one in which `part` comes for the last of so many times."""
    assert engine.stdout is not None
    lines = []
    for line in engine.stdout:
        lines.append(line.rstrip("\n"))
        if part in line and (times := times - 1) == 0:
            return lines
    raise AssertionError(f"no line with {part!r} came: {lines} {engine.stderr and engine.stderr.read()}")
