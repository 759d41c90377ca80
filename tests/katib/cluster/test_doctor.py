"""What doctor says where the namespace is not there yet; without a cluster. tests/cluster/ has the rest."""

import pytest

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.doctor.result import DoctorContext
from katib.backend.cluster.doctor.services import service_account
from katib.backend.cluster.kinds import CONFIG_MAP, NAMESPACE, Kind, Object
from katib.install.images import SERVICES_CONFIG
from katib.site import load_site
from tests.katib.cluster.test_plan_and_causes import manifest


class OurKatib(Cluster):
    """Has our katib-config, and of the site's namespace at most the namespace itself."""

    def __init__(self, there: bool) -> None:
        self.there = there

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        if kind is CONFIG_MAP:
            return {"data": {"katib-config.yaml": SERVICES_CONFIG.read_text()}}
        return {"metadata": {"name": name}} if kind is NAMESPACE and self.there else None


@pytest.mark.parametrize(("there", "errors"), [(True, ["service account"]), (False, [])])
def test_an_account_is_missed_only_where_its_namespace_is_there(there: bool, errors: list[str]) -> None:
    """Without the namespace nothing could be made in it, and another check says that first."""
    context = DoctorContext(OurKatib(there), load_site(), [manifest()])
    assert [found.check for found in service_account(context) if found.status == "error"] == errors
