"""A search of somebody's own trainer (examples/quadratic), whose trials ask for a GPU by a resource's name or by a claim."""

import json
import time
from collections.abc import Iterator
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
from tests.cluster.pods.devices import Claims, Devices, Slices
from tests.cluster.pods.trial import PATIENCE
from tests.cluster.pods.trial_webhook import PACKAGES
from tests.cluster.search import Katib
from tests.cluster.tools import Tools

EPOCHS = 5


@pytest.fixture(params=[Slices, Claims], ids=["a slice", "a claim"])
def devices(request: pytest.FixtureRequest, node: None, kubeconfig: Path) -> Iterator[Devices]:
    """Yields GPUs for the node, which has none yet."""
    made: Devices = request.param()
    yield made
    made.take(kubeconfig)


@pytest.fixture
def site(site: Site, devices: Devices) -> Site:
    """Returns the site whose trials ask for such a GPU."""
    resources = site.resources.model_copy(update={"gpus": 1, devices.asked[0]: devices.asked[1]})
    return site.model_copy(update={"resources": resources})


def quadratic() -> Spec:
    """Returns the example's spec, whose program is not in the image but on a volume."""
    spec = load_spec("examples/quadratic/quadratic.yaml")
    there = {"train.py": f"{PACKAGES}/repository/examples/quadratic/train.py"}
    command = [there.get(word, word) for word in spec.command or ()]
    return spec.model_copy(update={"command": command, "image": "local/base:dev"})


def test_a_trainer_of_ones_own_waits_for_a_gpu_and_trains_on_it(
    place: Tools,
    site: Site,
    runs: Path,
    devices: Devices,
    kubeconfig: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Until the node has one, status says what is lacking; then each epoch is found by the spec's metric."""
    devices.announce(kubeconfig, place.namespace)
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(site.model_dump()))
    place.cluster.apply(EXPERIMENT, yaml.safe_load(render(quadratic(), site)))
    katib = Katib(place, "quadratic")
    trial = katib.trial("quadratic-a1b2c3d4", assignments={"rate": "0.1", "samples": "8"})
    pod = katib.pod(trial)["metadata"]["name"]
    place.kubectl("wait", "--for=condition=PodScheduled=False", f"pod/{pod}", "--timeout=300s")

    def row() -> dict[str, object]:
        capsys.readouterr()
        assert main(["status", "quadratic", "--site", str(file), "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)[0]["rows"]
        return dict(found)

    end = time.monotonic() + PATIENCE
    while devices.missing not in (cause := str(row()["cause"])):  # the scheduler may first have missed the volumes
        assert time.monotonic() < end, cause
        time.sleep(0.5)
    devices.give(kubeconfig)
    place.kubectl("wait", "--for=condition=Complete", f"job/{trial}", "--timeout=300s")
    parser = MetricParser(Manifest.of(katib.experiment).filters, ["loss"])
    text = place.kubectl("logs", pod, "-c", SIDECAR)
    values = [report.value for line in text.splitlines() for report in parser.parse(line)]
    assert len(values) == EPOCHS, text
    found = row()
    assert (found["epoch"], found["best"], found["gpus"]) == (EPOCHS, min(values), 1)
    assert (runs / "quadratic" / trial / "weight.txt").exists()
