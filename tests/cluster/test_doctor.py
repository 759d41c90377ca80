"""Doctor against the real API server: a fit cluster, and one fault after the other."""

import pytest

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.doctor import DoctorContext, Result, examine
from katib.site import Site
from tests.cluster.faults import FAULTS, Fault
from tests.cluster.site_faults import SITE_FAULTS
from tests.cluster.tools import Tools, manifest


def diagnose(tools: Tools, site: Site, cluster: Cluster | None = None) -> list[Result]:
    return examine(DoctorContext(cluster or tools.cluster, site, [manifest(site)]))


def problems(results: list[Result]) -> list[tuple[str, str, str]]:
    return [(result.status, result.check, result.problem) for result in results if result.status != "ok"]


def test_a_fit_cluster_has_nothing_to_fix(tools: Tools, site: Site) -> None:
    assert problems(diagnose(tools, site)) == []


@pytest.mark.parametrize("fault", FAULTS + SITE_FAULTS, ids=lambda fault: fault.name)
def test_doctor_names_the_fault_and_its_fix(fault: Fault, tools: Tools, site: Site) -> None:
    changed = Site.model_validate(site.model_dump() | fault.change)
    with fault.inject(tools, changed) as cluster:
        results = diagnose(tools, changed, cluster)
    found = [result for result in results if result.check == fault.check and result.status == fault.status]
    assert found, problems(results)
    assert any(fault.fix in result.fix for result in found), found
    assert all(result.effect and "\n" not in result.problem + result.effect + result.fix for result in found)
