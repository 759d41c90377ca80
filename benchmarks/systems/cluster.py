"""Measures the verbs of the cluster against their limits, as root on Linux after `make test-cluster`.

python -m benchmarks.systems.cluster

On the API server of the one-node Kubernetes, with a stand-in for Katib and an invented node (tests/cluster): deploy
without waiting, and status of the 110 trials of a series, four of which run. Each verb is a process of its own,
interpreter and imports included. Each figure is printed beside its limit; on a busy machine, times are upper bounds.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.systems.services import figure
from katib.backend.cluster.status import Curves, read_progress
from katib.site import load_site
from katib.spec import load_spec
from tests.cluster import rig
from tests.cluster.conftest import stand_in
from tests.cluster.search import Katib
from tests.cluster.tools import HOSTNAME, Tools

MODELS = ("convtasnet", "dprnn", "sepformer", "spmamba")
RUNNING, ROUNDS = 4, 5


def main() -> None:
    if reason := rig.missing():
        sys.exit(reason)
    with (
        rig.control_plane() as config,
        tempfile.TemporaryDirectory() as folder,
        stand_in(config, Path(folder)),
    ):
        os.environ["KUBECONFIG"] = str(config)
        selector = {"namespace": "benchmark", "node_selector": {HOSTNAME: "gpu-node"}}
        site = load_site().model_copy(update=selector)
        file = Path(folder) / "site.yaml"
        file.write_text(yaml.safe_dump(site.model_dump()))
        tools = Tools(config, site.namespace)
        tools.prepare(site)
        deploy = [run(file, "deploy", model, "--yes", "--wait", "0") for model in MODELS]
        figure("deploy without waiting, slowest of four", max(seconds for seconds, _ in deploy), "s", 5)
        fill(tools)
        tools.cluster.calls = 0
        read_progress(tools.cluster, Curves())
        figure("status of 110 trials", tools.cluster.calls, "calls", 10)
        looks = [run(file, "status") for _ in range(ROUNDS)]
        figure("status of 110 trials, slowest of five", max(seconds for seconds, _ in looks), "s", 2)
        figure("status of 110 trials", max(memory for _, memory in looks), "MB", 200)
        tools.end()


def fill(tools: Tools) -> None:
    """Creates the trials of the four searches, as Katib would have at the end of the series."""
    left = RUNNING
    for model in MODELS:
        katib = Katib(tools, f"series3-{model}")
        for number in range(load_spec(model).trials):
            running = left > 0
            left -= running
            trial = katib.trial(f"series3-{model}-{number:08}", job=running)
            if running:
                katib.train(trial)
            else:
                katib.state(trial, "Succeeded", float(number))


def run(site: Path, *words: str) -> tuple[float, float]:
    """Returns the seconds and peak megabytes of a verb's process."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "katib", *words, "--site", str(site)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: exit code {process.returncode}")
    return time.perf_counter() - begin, usage.ru_maxrss / 1e3


if __name__ == "__main__":
    main()
