"""Starts a trial of the demo's search, observes it, and holds it where a test wants it."""

import json
import os
import signal
import time
from pathlib import Path

from katib.backend.cluster.kinds import EXPERIMENT, SIDECAR
from katib.metrics import MetricParser, metric_filter
from katib.site import Site
from katib.trainer_contract import METRIC
from tests.cluster import rig
from tests.cluster.search import Katib
from tests.cluster.tools import Tools, manifest

NAME = "pods"
EPOCHS = 10_000
"""More than any of these trials reaches: an epoch takes a fraction of a second."""
PATIENCE = 300.0
"""Seconds for what takes some, on a machine with other things to do."""


def begin(
    tools: Tools, site: Site, epochs: int = EPOCHS, tries: int = 3, finished: str = "", name: str = NAME
) -> tuple[Katib, str]:
    """Applies the demo's search and creates a trial of it with short segments, after a finished one for each letter."""
    tools.cluster.apply(EXPERIMENT, manifest(site, "demo", name=name, epochs=epochs, trials=9))
    katib = shortened(Katib(tools, name), tries)
    for letter in finished:
        katib.state(katib.trial(f"{name}-{letter}", job=False), "Succeeded", 50)
    return katib, katib.trial(f"{name}-a1b2c3d4")


def shortened(katib: Katib, tries: int = 3) -> Katib:
    """Returns a Katib whose next trials have short segments and so many tries, and train all of their epochs."""
    job = katib.experiment["spec"]["trialTemplate"]["trialSpec"]["spec"]
    job["backoffLimit"] = tries
    words = job["template"]["spec"]["containers"][0]["command"]
    words[words.index("--segment-seconds") + 1] = "0.5"
    if "--patience" in words:
        at = words.index("--patience")
        del words[at : at + 2]
    return katib


def metrics(text: str) -> list[str]:
    parser = MetricParser([metric_filter(METRIC)], [METRIC])
    return [line for line in text.splitlines() if parser.parse(line)]


def wait_for_line(tools: Tools, pod: str, wanted: str) -> None:
    """Follows the collector's log until it has printed a line with `wanted`."""
    tools.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=300s")
    for line in tools.cluster.follow(pod, SIDECAR):
        if wanted in line:
            return
    raise AssertionError(f"the pod ended without {wanted!r}: {tools.kubectl('logs', pod, '-c', SIDECAR)[-2000:]}")


def process_of(trial: str, program: str) -> int:
    """Returns the process of a trial's `program`, as soon as there is one.

    It is the oldest that has the trial's name in a word: the trainer's readers are younger.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = [it for it, words in rig.in_pods() if program in words and any(trial in word for word in words)]
        if found:
            return min(found)
        time.sleep(0.2)
    raise AssertionError(f"{trial}: there was no process of {program} within {PATIENCE:.0f} s")


def hold(trial: str, folder: Path, epochs: int) -> int:
    """Stops a trial's trainer once so many epochs are on the disk; returns its process, which SIGCONT lets go on.

    The line of the last of them may not be printed yet.
    """
    process, summary = process_of(trial, "trainer"), folder / "summary.json"
    end = time.monotonic() + PATIENCE
    while not summary.exists() or len(json.loads(summary.read_text())["history"]) < epochs:
        assert time.monotonic() < end, f"{trial}: no {epochs} epochs within {PATIENCE:.0f} s"
        time.sleep(0.01)
    os.kill(process, signal.SIGSTOP)
    return process


def terminate_held(place: Tools, pod: str, process: int) -> None:
    """Deletes the pod of a trainer that is held, which goes on as soon as SIGTERM has reached it; waits for its end."""
    place.kubectl("delete", "pod", pod, "--wait=false")
    end = time.monotonic() + PATIENCE
    while not _pending(process) >> (signal.SIGTERM - 1) & 1:
        assert time.monotonic() < end, f"{pod}: no SIGTERM within {PATIENCE:.0f} s"
        time.sleep(0.05)
    os.kill(process, signal.SIGCONT)
    place.kubectl("wait", "--for=delete", f"pod/{pod}", "--timeout=300s")


def _pending(process: int) -> int:
    """Returns the signals that a process has not received yet, a bit each."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("ShdPnd:")), 16)
