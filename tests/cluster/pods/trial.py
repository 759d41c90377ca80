"""Starts a trial of the demo's search and observes it."""

from katib.backend.cluster.kinds import EXPERIMENT, SIDECAR
from katib.metrics import MetricParser, metric_filter
from katib.site import Site
from katib.trainer_contract import METRIC
from tests.cluster.search import Katib
from tests.cluster.tools import Tools, manifest

NAME = "pods"
EPOCHS = 300
"""More than any of these trials reaches: an epoch takes a fraction of a second."""


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
    """Returns a Katib whose next trials have short segments and so many tries."""
    job = katib.experiment["spec"]["trialTemplate"]["trialSpec"]["spec"]
    job["backoffLimit"] = tries
    words = job["template"]["spec"]["containers"][0]["command"]
    words[words.index("--segment-seconds") + 1] = "0.5"
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
