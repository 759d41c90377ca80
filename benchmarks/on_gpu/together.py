"""Measures how many mixtures a second several trials train that share a GPU, by turns and by CUDA's MPS.

Each trial is a process with the step of a training as it is. All are there from the beginning, and of them one, two
and four train at a time; the others wait.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.measure import Load
from benchmarks.on_gpu.rows import AbsentError, Row, Sizes, synchronize
from benchmarks.on_gpu.whole_step import AsItIs

SHARING = ("convtasnet", "spmamba")
"""A model with a large batch, and one with a single mixture in a step."""
LEAST_GAIN = ">= 1.4"
"""Of two trials, in mixtures of one."""
CONTROL = "nvidia-cuda-mps-control"


def by_turns(sizes: Sizes) -> Iterator[Row]:
    """Yields what several trials train on a GPU where their processes take turns."""
    yield from _shared(sizes, "by turns", {})


def by_mps(sizes: Sizes) -> Iterator[Row]:
    """Yields what several trials train on a GPU with MPS. Raises AbsentError where MPS cannot be started."""
    if sizes.device != "cuda" or shutil.which(CONTROL) is None:
        raise AbsentError(f"{CONTROL} is not installed")
    with _mps() as environment:
        yield from _shared(sizes, "by MPS", environment)


def _shared(sizes: Sizes, how: str, environment: Mapping[str, str]) -> Iterator[Row]:
    for model in sizes.models:
        if model not in SHARING:
            continue
        with ExitStack() as running:
            trials = [_started(running, sizes.load(model), environment) for _ in range(max(sizes.trials))]
            for trial in trials:
                _answer(trial)
            alone = 0.0
            for count in sizes.trials:
                for trial in trials[:count]:
                    print(sizes.share_seconds, file=trial.stdin, flush=True)
                speeds = [_answer(trial) for trial in trials[:count]]
                alone = alone or speeds[0]
                yield Row(what=f"{model}, {count} trials {how}", value=sum(speeds), unit="mixtures/s in sum")
                if count > 1:
                    limit = LEAST_GAIN if count == 2 and sizes.preset == "paper" else ""
                    yield Row(
                        what=f"{model}, {count} trials {how} / one", value=sum(speeds) / alone, unit="", limit=limit
                    )


def _started(running: ExitStack, load: Load, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "benchmarks.on_gpu.together", json.dumps(asdict(load))]
    pipe: Any = subprocess.PIPE
    trial = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, env=os.environ | dict(environment))
    running.enter_context(trial)
    running.callback(trial.kill)
    return trial


def _answer(trial: subprocess.Popen[str]) -> float:
    assert trial.stdout is not None
    line = trial.stdout.readline()
    if not line:
        raise RuntimeError(f"a trial has ended with exit code {trial.wait()}")
    return float(line)


@contextmanager
def _mps() -> Iterator[Mapping[str, str]]:
    """Runs MPS with a folder of its own and yields the environment of its clients; changes no setting of the GPU."""
    with tempfile.TemporaryDirectory(prefix="mps-") as folder:
        environment = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        whole = os.environ | environment
        started = subprocess.run([CONTROL, "-d"], env=whole, capture_output=True, text=True, check=False)
        if started.returncode:
            raise AbsentError(f"MPS does not start here: {(started.stderr or started.stdout).strip()}")
        try:
            yield environment
        finally:
            subprocess.run([CONTROL], input="quit\n", env=whole, text=True, check=False, timeout=10)


def _train(load: Load) -> None:
    """Trains for as many seconds as each line of the input says, and prints the mixtures a second."""
    torch.set_num_threads(1)
    step = AsItIs(load)
    for _ in range(3):
        step()
    print(0, flush=True)
    for line in sys.stdin:
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < float(line):
            step()
            steps += 1
        synchronize(load.device)
        print(steps * load.batch / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    _train(Load(**json.loads(sys.argv[1])))
