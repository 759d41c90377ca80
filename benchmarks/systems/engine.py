"""Measures what the local engine adds to its trials: 12 trials that sleep and report 5 times in 1 s, two at a time.

python -m benchmarks.systems.engine [ROUNDS]

Rounds alternate between the engine and the same work by Optuna with a handwritten subprocess objective; the floor is 6
s.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
TRIALS, PARALLEL, REPORTS, SECONDS = 12, 2, 5, 1.0
FLOOR = TRIALS / PARALLEL * SECONDS
TRIAL = f"""
import sys, time
from datetime import UTC, datetime
start = time.time()
print("started", start, flush=True)
for step in range({REPORTS}):
    time.sleep(max(0.0, start + (step + 1) * {SECONDS / REPORTS} - time.time()))
    print(f"{{datetime.now(UTC).isoformat()}} val_si_snr={{float(sys.argv[1]) + step:.4f}}", flush=True)
"""
REFERENCE = """
import subprocess, sys, time, optuna
def objective(trial):
    x = trial.suggest_float("x", 0.1, 1)
    process = subprocess.Popen([sys.executable, sys.argv[1], str(x)], stdout=subprocess.PIPE, text=True)
    step = 0
    for line in process.stdout:
        if line.startswith("started"):
            print(line, end="", flush=True)
        if "val_si_snr=" in line:
            value = float(line.split("=")[1])
            trial.report(value, step := step + 1)
    return value
study = optuna.create_study(storage=f"sqlite:///{sys.argv[2]}/study.db", direction="maximize")
study.optimize(objective, n_trials=int(sys.argv[3]), n_jobs=int(sys.argv[4]))
"""


def main(rounds: int) -> None:
    """Prints medians and spreads of both."""
    measured: dict[str, list[tuple[float, float, float]]] = {"engine": [], "optuna": []}
    ways: dict[str, Callable[[Path], tuple[list[str], Callable[[], list[float]]]]] = {
        "engine": _engine, "optuna": _optuna
    }  # fmt: skip
    for _ in range(rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                command, starts = way(Path(folder))
                measured[name].append(_measure(command, starts, Path(folder)))
    for name, rows in measured.items():
        for label, values in zip(
            ("to the first trial", "in all", "processor, with trials"), zip(*rows, strict=True), strict=True
        ):
            print(f"{name:8} {label:22} {_spread(values)} s")
    totals = [row[1] for row in measured["engine"]]
    print(f"engine   added a trial          {_spread([(total - FLOOR) / TRIALS for total in totals])} s")
    ratios = [mine[1] / other[1] for mine, other in zip(*measured.values(), strict=True)]
    print(f"engine / optuna in all          {_spread(ratios)}")
    print(f"engine while trials sleep       {100 * _idle():.2f} % of a core")


def _measure(command: list[str], starts: Callable[[], list[float]], folder: Path) -> tuple[float, float, float]:
    """Returns the seconds to the first trial's first line, in total, and of processor time, trials included."""
    (folder / "trial.py").write_text(TRIAL)
    began = time.time()
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=_environment())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    total = time.time() - began
    if process.returncode:
        raise SystemExit((folder / "out").read_text())
    return min(starts()) - began, total, usage.ru_utime + usage.ru_stime


def _engine(folder: Path) -> tuple[list[str], Callable[[], list[float]]]:
    (folder / "bench.yaml").write_text(_manifest(folder, TRIALS, [sys.executable, str(folder / "trial.py")]))
    command = [sys.executable, "-m", "katib", "local", "bench.yaml"]
    return command, lambda: [_started(path) for path in folder.glob("runs/bench/*/output.log")]


def _optuna(folder: Path) -> tuple[list[str], Callable[[], list[float]]]:
    (folder / "reference.py").write_text(REFERENCE)
    command = [sys.executable, "reference.py", "trial.py", ".", str(TRIALS), str(PARALLEL)]
    return command, lambda: [
        float(line.split()[1]) for line in (folder / "out").read_text().splitlines() if line.startswith("started")
    ]


def _started(log: Path) -> float:
    return float(log.read_text().split()[1])


def _idle(seconds: float = 10.0) -> float:
    """Returns the engine's processor time, as a share of a core, while two trials sleep and nothing happens."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trial = folder / "trial.py"
        trial.write_text("import time\nprint('t val_si_snr=1', flush=True)\ntime.sleep(3600)\n")
        (folder / "bench.yaml").write_text(_manifest(folder, PARALLEL, [sys.executable, str(trial)]))
        command = [sys.executable, "-m", "katib", "local", "bench.yaml"]
        engine = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=_environment(),
        )
        assert engine.stdout is not None
        reports = 0
        while reports < PARALLEL:
            line = engine.stdout.readline()
            if not line:
                raise SystemExit("the engine ended before its trials reported")
            reports += "epoch 1" in line
        time.sleep(3)  # the model of the search loads meanwhile
        before = _processor(engine.pid)
        time.sleep(seconds)
        share = (_processor(engine.pid) - before) / seconds
        engine.terminate()
        engine.communicate()
        return share


def _processor(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _manifest(folder: Path, trials: int, command: list[str]) -> str:
    container = {"name": "trial", "image": "trial", "command": [*command, "${trialParameters.x}"]}
    metric = r"^\S+ (val_si_snr)=([-+]?\d+(?:\.\d+)?)$"
    spec = {
        "objective": {"type": "maximize", "objectiveMetricName": "val_si_snr"},
        "algorithm": {"algorithmName": "bayesianoptimization"},
        "maxTrialCount": trials,
        "parallelTrialCount": PARALLEL,
        "parameters": [
            {"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0.1", "max": "1",
            "distribution": "uniform"}}
        ],
        "metricsCollectorSpec": {"source": {"filter": {"metricsFormat": [metric]}}},
        "trialTemplate": {
            "primaryContainerName": "trial",
            "trialParameters": [{"name": "x", "reference": "x"}],
            "trialSpec": {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
            },
        },
    }  # fmt: skip
    experiment = {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": {"name": "bench"}}
    return yaml.safe_dump(experiment | {"spec": spec})


def _environment() -> dict[str, str]:
    # With compiled modules kept, as anywhere but in a container.
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}


def _spread(values: list[float] | tuple[float, ...]) -> str:
    return f"{statistics.median(values):6.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
