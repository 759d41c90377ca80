"""Provides a real API server with a Katib stand-in, and a fresh namespace for every test.

With --context the cluster is an existing one with a real Katib (elsewhere.py): tests that need a cluster of their own
are skipped then, and those of a whole search run.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from katib.__main__ import main
from katib.backend.cluster.kinds import POD
from katib.site import Site, load_site
from tests.cluster import elsewhere, rig
from tests.cluster.search import NAME, Katib
from tests.cluster.tools import HOSTNAME, NOWHERE, Tools
from tests.cluster.webhook import Webhook, registrations

FOLDER = Path(__file__).parent
ONE_NODE_ONLY = "breaks the cluster, or plays Katib's controller: on the one-node Kubernetes alone (no CONTEXT=)"
REAL_ONLY = "needs a cluster with a real Katib: make test-cluster CONTEXT=name SITE=file"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cluster")
    group.addoption("--context", default="", help="kubeconfig context of a cluster with a real Katib")
    group.addoption("--site", default=None, type=Path, help="the site file of that cluster (k8s/site.yaml)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "any_cluster: runs with --context too; leaves that cluster as it was")
    config.addinivalue_line("markers", "real_katib: runs with --context alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    context = config.getoption("--context", "")
    hosts = [rig.HOST, rig.API, "127.0.0.1", "::1", *([elsewhere.host(context)] if context else [])]
    for item in items:
        if FOLDER not in item.path.parents:
            continue
        item.add_marker(pytest.mark.allow_hosts(hosts))
        real = item.get_closest_marker("real_katib") is not None
        if real and not context:
            item.add_marker(pytest.mark.skip(REAL_ONLY))
        elif context and not real and item.get_closest_marker("any_cluster") is None:
            item.add_marker(pytest.mark.skip(ONE_NODE_ONLY))


@pytest.fixture(scope="session")
def context(pytestconfig: pytest.Config) -> str:
    """Returns the context of an existing cluster; '' for the one-node Kubernetes."""
    return str(pytestconfig.getoption("--context", ""))


@pytest.fixture(scope="session")
def kubeconfig(context: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Returns the administrator's kubeconfig."""
    if context:
        yield elsewhere.kubeconfig(context, tmp_path_factory.mktemp("context"))
        return
    if reason := rig.missing():
        pytest.skip(reason)
    with rig.control_plane() as path:
        yield path


@pytest.fixture(scope="session")
def katib(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    """Yields the stand-in for Katib's installation, with a webhook that answers and a simulated node with four GPUs."""
    with stand_in(kubeconfig, tmp_path_factory.mktemp("webhook")) as webhook:
        yield webhook


@contextmanager
def stand_in(kubeconfig: Path, folder: Path) -> Iterator[Webhook]:
    """Yields what the fixture `katib` does, for benchmarks too."""
    rig.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(FOLDER / "katib_types.yaml"))
    rig.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(FOLDER / "katib_stand_in.yaml"))
    rig.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=300s")
    webhook = Webhook(rig.HOST, folder)
    world = Tools(kubeconfig, "kubeflow")
    for manifest in registrations(webhook):
        rig.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(manifest))
    world.node("gpu-node", {"cpu": "64", "memory": "256Gi", "pods": "110", "nvidia.com/gpu": "4"})
    for name in ("controller", "db-manager"):
        world.run(world.first(POD, f"katib.kubeflow.org/component={name}"))
        world.kubectl("rollout", "status", f"deployment/katib-{name}", "--timeout=300s")
    yield webhook
    webhook.close()


@pytest.fixture
def site(context: str, pytestconfig: pytest.Config) -> Site:
    """Returns k8s/site.yaml, or the file of --site, in a namespace of the test's own."""
    own: dict[str, Any] = {"namespace": f"test-{secrets.token_hex(4)}", "parallel_trials": 2}
    if context:
        return load_site(pytestconfig.getoption("--site")).model_copy(update=own)
    return load_site().model_copy(update=own | {"node_selector": {HOSTNAME: "gpu-node"}})


@pytest.fixture
def site_file(site: Site, tmp_path: Path) -> Path:
    """Returns the site as a file, for the command line."""
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(site.model_dump()))
    return path


@pytest.fixture
def claim_folders(site: Site) -> dict[str, Path]:
    """Returns the claims of the test's namespace, with the folder of this machine that each leads to."""
    return dict.fromkeys((site.claims.data, site.claims.runs), NOWHERE)


@pytest.fixture
def tools(
    context: str,
    kubeconfig: Path,
    site: Site,
    claim_folders: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Tools]:
    """Yields a namespace that is fit for the searches of `site`, and removes it afterwards."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    made = Tools(kubeconfig, site.namespace)
    if context:
        for manifest in elsewhere.base(site.namespace):
            made.make(manifest)
    else:
        request.getfixturevalue("katib").inject = True
        made.prepare(site, claim_folders)
    yield made
    made.end()


Verb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verb(tools: Tools, site_file: Path, capsys: pytest.CaptureFixture[str]) -> Verb:
    """Returns a function that runs a verb on the test's namespace and returns exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([*words, "--site", str(site_file)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


Begin = Callable[[], Katib]


@pytest.fixture
def katib_of(tools: Tools, verb: Verb) -> Begin:
    """Returns a function that deploys the DPRNN search and plays Katib for it."""

    def begin() -> Katib:
        assert verb("deploy", "dprnn", "--yes", "--wait", "0")[0] == 0
        return Katib(tools, NAME)

    return begin
