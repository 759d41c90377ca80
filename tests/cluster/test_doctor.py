"""Doctor against the real API server: a fit cluster, and one fault after the other put into it."""

from katib.cluster.client import Cluster
from katib.cluster.doctor import Patient, Result, examine
from katib.site import Site
from tests.cluster.conftest import Tools, manifest


def diagnose(tools: Tools, site: Site, model: str = "dprnn") -> list[Result]:
    return examine(Patient(tools.cluster, site, [manifest(site, model)]))


def unwell(results: list[Result]) -> list[tuple[str, str, str]]:
    return [(result.status, result.check, result.found) for result in results if result.status != "ok"]


def test_a_fit_cluster_has_nothing_to_mend(tools: Tools, site: Site) -> None:
    assert unwell(diagnose(tools, site)) == []
