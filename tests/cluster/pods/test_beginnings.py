"""What deploy and status say about a search that cannot start, on a node that really tries to start it."""

import os
from pathlib import Path

import pytest

from katib.backend.cluster.kinds import EXPERIMENT
from katib.backend.cluster.status import Curves, read_progress
from katib.backend.cluster.waiting import wait
from katib.errors import ClusterError
from katib.site import Site
from tests.cluster.pods import services
from tests.cluster.pods.trial import NAME, begin
from tests.cluster.search import Katib
from tests.cluster.tools import Tools, manifest

SECONDS = 300.0
"""Longer than any of it takes."""


class _PrintedError(Exception):
    """The words have been printed."""


def printed(tools: Tools, words: str, said: list[str] | None = None) -> str:
    """Returns what deploy's waiting says that holds `words`; `said` gets all that it says until then."""

    def say(line: str) -> None:
        if said is not None:
            said.append(line)
        if words in line:
            raise _PrintedError(line)

    with pytest.raises(_PrintedError) as caught:
        wait(tools.cluster, NAME, SECONDS, say)
    return str(caught.value)


def test_a_suggestion_service_that_cannot_start_is_reported_with_its_pods_reason(place: Tools, site: Site) -> None:
    """First its account is missing, so that there is no pod; then its image cannot be pulled."""
    place.cluster.apply(EXPERIMENT, manifest(site, "demo", name=NAME, epochs=3, trials=9))
    Katib(place, NAME).suggestion()
    place.kubectl("label", "namespace", place.namespace, "pod-security.kubernetes.io/enforce=baseline", "--overwrite")
    services.deploy(place, NAME, "nowhere.invalid/services:1")
    missing = printed(place, 'serviceaccount "sepsweep-services" not found')
    assert "services-rbac.yaml" in missing
    place.kubectl("apply", "-f", str(services.ACCOUNT))
    pull = printed(place, "nowhere.invalid/services:1")
    assert "the suggestion service cannot start: container '" in pull  # either of the two
    assert "katib-config" in pull
    (found,) = read_progress(place.cluster, Curves(), NAME)
    assert "nowhere.invalid/services:1" in str(found.shortage)


def test_a_volume_of_root_is_reported_at_the_first_try_and_deploy_fails(place: Tools, site: Site, runs: Path) -> None:
    os.chown(runs, 0, 0)
    _, trial = begin(place, site, tries=1)
    said: list[str] = []
    first = printed(place, "try 1 ended", said)
    assert "Permission denied" in first
    assert trial in first
    with pytest.raises(ClusterError, match=r"no trial trains after .*Permission denied"):
        wait(place.cluster, NAME, 10, said.append)
    assert "trains on node" not in "".join(said)
