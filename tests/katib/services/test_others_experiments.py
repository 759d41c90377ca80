"""Experiments of users of Katib, whose trainers are none of ours, through the services as processes, over gRPC."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
import yaml

from katib.services.stubs import rpc
from tests.katib.services.controller import EPOCHS, Controller, Manifest, misfit
from tests.katib.services.rig import Condition, DbManager, TrialServer, channel

EXPERIMENTS = {
    item["metadata"]["name"]: item
    for item in yaml.safe_load_all((Path(__file__).parent / "experiments.yaml").read_text())
}
IN_A_POD = """
import sys
import katib.services.{name} as service
from katib.services.kubernetes_api import KubernetesApi
service.in_cluster = lambda: KubernetesApi("{server}", "sweeps")
sys.exit(service.main())
"""
"""A service whose pod's account leads to the test's API server."""


class Services(NamedTuple):
    """Both services, and what they look things up in."""

    suggestion: int
    stopping: int
    cluster: TrialServer
    db: DbManager


@contextmanager
def process(name: str, cluster: TrialServer, db: DbManager) -> Iterator[int]:
    """Yields the port of a service that runs as a process of its own."""
    code = IN_A_POD.format(name=name, server=cluster.api.server)
    words = [sys.executable, "-c", code, "--port", "0", "--db-manager", db.address]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as started:
        assert started.stderr
        bound = re.search(r"answers on port (\d+)", started.stderr.readline())
        assert bound
        log = started.stderr
        try:
            yield int(bound[1])
            assert started.poll() is None, "the service has crashed"
        finally:
            started.terminate()
            text = log.read()
    assert "Traceback" not in text
    assert started.returncode == 0


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    db, cluster = DbManager(), TrialServer()
    with process("suggestion", cluster, db) as first, process("early_stopping", cluster, db) as second:
        yield Services(first, second, cluster, db)
    db.away()
    cluster.close()


@contextmanager
def controller(manifest: Manifest, services: Services) -> Iterator[Controller]:
    with channel(services.suggestion) as one, channel(services.stopping) as two:
        suggestion, stopping = rpc.SuggestionStub(one), rpc.EarlyStoppingStub(two)
        yield Controller(manifest, suggestion, stopping, services.cluster, services.db)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs_to_its_end(name: str, services: Services) -> None:
    """Each proposal is in its space, and only a continuation repeats one; one trial fails in between."""
    with controller(EXPERIMENTS[name], services) as katib:
        katib.validate()
        katib.run()
    assert {trial: misfit(katib.manifest, point) for trial, point in katib.points.items()} == dict.fromkeys(
        katib.points, ""
    )
    firsts = set(katib.first.values())
    assert len({tuple(katib.points[first].items()) for first in firsts}) == len(firsts)
    ends = list(katib.ended.values())
    assert ends.count(Condition.Value("FAILED")) == 1
    stopped = [trial for trial, end in katib.ended.items() if end == Condition.Value("EARLYSTOPPED")]
    assert bool(stopped) == ("earlyStopping" in katib.manifest["spec"])
    assert len(firsts) == (len(katib.points) if name != "promotion" else 8)
    if name == "promotion":
        went_on = [trial for trial in katib.points if katib.first[trial] != trial]
        assert all(katib.points[trial] == katib.points[katib.first[trial]] for trial in went_on)
        assert any(len(katib.trained[katib.first[trial]]) == EPOCHS for trial in went_on)


def test_a_search_goes_on_with_another_pod_of_the_service(services: Services) -> None:
    """By resumePolicy FromVolume Katib deletes the service's pod, and starts another once maxTrialCount is raised."""
    manifest = EXPERIMENTS["resumed-from-volume"] | {"metadata": {"name": "went-on"}}
    with controller(manifest, services) as katib:
        katib.run()
        with process("suggestion", services.cluster, services.db) as another, channel(another) as opened:
            katib.suggestion = rpc.SuggestionStub(opened)
            katib.validate()
            katib.search.spec.max_trial_count = 20
            katib.run()
    assert len({tuple(point.items()) for point in katib.points.values()}) == 20


def changed(name: str, **keys: Any) -> Manifest:
    return {"metadata": {"name": "refused"}, "spec": EXPERIMENTS[name]["spec"] | keys}


def algorithm(name: str, **settings: str) -> dict[str, Any]:
    return {
        "algorithmName": name,
        "algorithmSettings": [{"name": key, "value": value} for key, value in settings.items()],
    }


RANDOM = "random-two-metrics"
REFUSED: dict[str, tuple[Manifest, str]] = {
    **{
        name: (changed(RANDOM, algorithm=algorithm(name)), f"algorithm {name}: only Katib's own service")
        for name in ("cmaes", "hyperband", "enas", "darts", "pbt")
    },
    "architecture search": (
        {"metadata": {"name": "nas"}, "spec": {k: v for k, v in changed(RANDOM)["spec"].items() if k != "parameters"}},
        "parameters: there is none",
    ),
    "grid without a step": (
        changed(RANDOM, algorithm=algorithm("grid")),
        "parameter 'lr' needs a feasibleSpace step",
    ),
    "grid that is too small": (changed("grid-of-steps", maxTrialCount=13), "12 points in all and maxTrialCount 13"),
    "a setting of another algorithm": (
        changed(RANDOM, algorithm=algorithm("bayesianoptimization", n_startup_trials="3")),
        "unknown setting 'n_startup_trials'",
    ),
    "a rule that is none": (changed(RANDOM, earlyStopping=algorithm("hyperband")), "unknown"),
    "a setting of the rule": (
        changed(RANDOM, earlyStopping=algorithm("medianstop", start_step="soon")),
        "start_step is 'soon'",
    ),
    "promote without rungs": (
        changed(RANDOM, earlyStopping=algorithm("promote")),
        "promote needs the setting 'rung_epochs'",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_supported_is_refused_in_one_line(what: str, services: Services) -> None:
    """When the experiment begins, with the status that makes Katib fail it and show the line."""
    manifest, says = REFUSED[what]
    with controller(manifest, services) as katib, pytest.raises(grpc.RpcError) as caught:
        katib.validate()
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert says in str(caught.value.details())
    assert "\n" not in str(caught.value.details())
