"""The services as the processes that Katib starts, and the configuration that makes it start them."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from katib.search.algorithms import ALGORITHMS
from katib.stop_settings import STOP_RULES
from tests.katib.services.rig import channel

ROOT = Path(__file__).parents[3]
KATIB = ROOT / "k8s" / "katib"


@contextmanager
def process(*module: str, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], int]]:
    started = subprocess.Popen([sys.executable, "-m", *module, "--port", str(port)], stderr=subprocess.PIPE, text=True)
    assert started.stderr
    bound = None
    while bound is None and (line := started.stderr.readline()):
        bound = re.search(r"answers on port (\d+)", line)
    assert bound
    yield started, int(bound[1])
    if started.poll() is None:
        started.kill()
    started.wait()
    started.stderr.close()


@pytest.mark.parametrize("name", ["suggestion", "early_stopping"])
def test_a_service_answers_until_sigterm(name: str) -> None:
    """By its module, with the health that a probe asks for; a second one on its port is refused in one line."""
    with process(f"katib.services.{name}") as (started, port):
        with channel(port) as opened:
            stub = health_pb2_grpc.HealthStub(opened)
            reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=600, wait_for_ready=True)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        command = [sys.executable, "-m", f"katib.services.{name}", "--port", str(port)]
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert second.returncode == 1
        assert f"port {port} is taken" in second.stderr.splitlines()[-1]
        started.send_signal(signal.SIGTERM)
        assert started.wait(600) == 0


def test_the_entrypoint_without_arguments_is_the_early_stopper() -> None:
    """Katib gives that container none, and its configuration has no place for a command."""
    code = "import sys; sys.argv[1:] = []; import katib.services.early_stopping as e; e.PORT = 0;"
    code += "from katib.services.__main__ import main; sys.exit(main([]))"
    started = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert started.stderr
    assert "early stopping answers on port" in started.stderr.readline()
    started.send_signal(signal.SIGTERM)
    assert started.wait(600) == 0
    started.stderr.close()


def test_katib_config_puts_one_image_in_place_of_each_service() -> None:
    """Every algorithm and stop rule that the search knows, and the collectors of StdOut and File.

    Nothing else is changed to it.
    """
    runtime = yaml.safe_load((KATIB / "katib-config.yaml").read_text())["runtime"]
    image = "sepsweep/services:0.1.0"

    def ours(entries: Sequence[dict[str, Any]], key: str) -> set[str]:
        assert len({entry[key] for entry in entries}) == len(entries)
        return {entry[key] for entry in entries if entry["image"] == image}

    assert ours(runtime["suggestions"], "algorithmName") == set(ALGORITHMS)
    assert ours(runtime["earlyStoppings"], "algorithmName") == set(STOP_RULES)
    assert ours(runtime["metricsCollectors"], "kind") == {"StdOut", "File"}
    for entry in runtime["suggestions"]:
        if entry["image"] != image:
            continue
        assert entry["command"] == ["python", "-m", "katib.services.suggestion"]
        assert entry["securityContext"]["runAsNonRoot"]
        assert entry["securityContext"]["readOnlyRootFilesystem"]
        assert entry["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_services_may_do_what_they_ask_for_and_no_more() -> None:
    """The rights of the account that katib-config names, against the calls of katib/services/kubernetes_api.py."""
    account, role, binding = yaml.safe_load_all((KATIB.parent / "base" / "services-rbac.yaml").read_text())
    rights = {(resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert rights == {
        ("trials", "get"),
        ("trials", "list"),
        ("experiments", "get"),
        ("trials/status", "patch"),
        ("pods", "list"),
        ("pods", "watch"),
        ("jobs", "get"),
    }
    name = account["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": name}]
    runtime = yaml.safe_load((KATIB / "katib-config.yaml").read_text())["runtime"]
    accounts = {entry.get("serviceAccountName") for entry in runtime["suggestions"]}
    assert accounts == {name, None}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        (
            "collector.__main__",
            "pydantic optuna numpy yaml kubernetes kubeflow.katib katib.manifest.search",
        ),
        ("early_stopping", "pydantic optuna numpy yaml kubernetes kubeflow.katib"),
        ("suggestion", "torch kubernetes kubeflow.katib scipy.stats pydantic"),
    ],
)
def test_a_service_loads_no_more_than_it_needs(module: str, unwanted: str) -> None:
    """Each is kept within its memory by what it does not import."""
    code = f"import sys, katib.services.{module}; print(*sorted(set({unwanted.split()!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_port_that_is_none_is_refused() -> None:
    """gRPC would take it for another one."""
    command = [sys.executable, "-m", "katib.services.suggestion", "--port", "99999"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "99999 is not 0 to 65535" in done.stderr
