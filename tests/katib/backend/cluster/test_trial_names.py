"""A trial may be called by the end of its name, as tables show it, where only one name ends with it."""

from typing import Any, cast

import pytest

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import OURS
from katib.backend.cluster.logs import find_trial
from katib.errors import ClusterError

NAMES = ("series3-dprnn-ab12cd34", "series3-sepformer-kx11", "series3-dprnn-kx11", "series3-dprnn-zz")
LABEL, _, VALUE = OURS.partition("=")


class Objects:
    """A cluster that has only trials."""

    namespace = "sepsweep"

    def list(self, kind: object) -> list[Any]:
        return [{"metadata": {"name": name, "labels": {LABEL: VALUE}}, "spec": {}, "status": {}} for name in NAMES]

    def get(self, kind: object, name: str) -> Any:
        return next((item for item in self.list(kind) if item["metadata"]["name"] == name), None)


def found(name: str) -> str:
    return find_trial(cast(Cluster, Objects()), name).name


def test_the_whole_name_and_its_own_end_are_the_same_trial() -> None:
    assert found("series3-dprnn-ab12cd34") == found("ab12cd34") == found("dprnn-ab12cd34") == NAMES[0]


@pytest.mark.parametrize("name", ["kx11", "cd34", "ab12cd3", "nothing"])
def test_an_ambiguous_end_or_another_part_of_a_name_is_no_name(name: str) -> None:
    with pytest.raises(ClusterError, match=f"no trial '{name}' of ours"):
        found(name)
    if name == "kx11":
        with pytest.raises(ClusterError, match="valid: series3-dprnn-kx11, series3-sepformer-kx11"):
            found(name)
