"""A search of somebody's own trainer (examples/quadratic), whose trials ask for a slice of a GPU by its resource name."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from katib.__main__ import main
from katib.backend.cluster.kinds import EXPERIMENT, SIDECAR
from katib.manifest.object import Manifest
from katib.manifest.render import render
from katib.metrics import MetricParser
from katib.site import Site
from katib.spec import Spec, load_spec
from tests.cluster import rig
from tests.cluster.pods.trial_webhook import PACKAGES
from tests.cluster.search import Katib
from tests.cluster.tools import Tools

SLICE = "nvidia.com/mig-1g.10gb"
EPOCHS = 5


class Slices:
    """Slices of a GPU that a node claims to have, as Kubernetes lets an administrator make up extended resources."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def give(self, count: int) -> None:
        """Makes the node have so many."""
        self._patch({SLICE: str(count)})

    def take(self) -> None:
        """Removes them."""
        self._patch({SLICE: None})

    def _patch(self, amounts: Mapping[str, str | None]) -> None:
        patch = json.dumps({"status": {"capacity": amounts, "allocatable": amounts}})
        words = ("patch", "node", "node1", "--subresource=status", "--type=merge", "-p", patch)
        rig.kubectl(*words, kubeconfig=self.kubeconfig)


@pytest.fixture
def slices(node: None, kubeconfig: Path) -> Iterator[Slices]:
    """Yields the slices of the node, which has none yet."""
    made = Slices(kubeconfig)
    yield made
    made.take()


@pytest.fixture
def sliced(site: Site) -> Site:
    """Returns the site whose trials ask for a slice."""
    resources = site.resources.model_copy(update={"gpus": 1, "gpu_resource": SLICE})
    return site.model_copy(update={"resources": resources})


def quadratic() -> Spec:
    """Returns the example's spec, whose program is not in the image but on a volume."""
    spec = load_spec("examples/quadratic/quadratic.yaml")
    there = {"train.py": f"{PACKAGES}/repository/examples/quadratic/train.py"}
    command = [there.get(word, word) for word in spec.command or ()]
    return spec.model_copy(update={"command": command, "image": "local/base:dev"})


def test_a_trainer_of_ones_own_waits_for_a_slice_of_a_gpu_and_trains_on_it(
    place: Tools, sliced: Site, runs: Path, slices: Slices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until the node has slices, status says which resource is lacking; then each epoch is found by the spec's metric."""
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(sliced.model_dump()))
    place.cluster.apply(EXPERIMENT, yaml.safe_load(render(quadratic(), sliced)))
    katib = Katib(place, "quadratic")
    trial = katib.trial("quadratic-a1b2c3d4", assignments={"rate": "0.1", "samples": "8"})
    pod = katib.pod(trial)["metadata"]["name"]
    place.kubectl("wait", "--for=condition=PodScheduled=False", f"pod/{pod}", "--timeout=300s")

    def row() -> dict[str, object]:
        capsys.readouterr()
        assert main(["status", "quadratic", "--site", str(file), "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)[0]["rows"]
        return dict(found)

    assert f"Insufficient {SLICE}" in str(row()["cause"])
    slices.give(2)
    place.kubectl("wait", "--for=condition=Complete", f"job/{trial}", "--timeout=300s")
    parser = MetricParser(Manifest.of(katib.experiment).filters, ["loss"])
    text = place.kubectl("logs", pod, "-c", SIDECAR)
    values = [report.value for line in text.splitlines() for report in parser.parse(line)]
    assert len(values) == EPOCHS, text
    found = row()
    assert (found["epoch"], found["best"], found["gpus"]) == (EPOCHS, min(values), 1)
    assert (runs / "quadratic" / trial / "weight.txt").exists()
