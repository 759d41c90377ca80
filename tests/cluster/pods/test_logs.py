"""`logs -f` of a trial that really trains, through the API server's absence and into the trial's next pod."""

from pathlib import Path

import yaml

from katib.backend.cluster.kinds import SIDECAR
from katib.site import Site
from katib.trainer_contract import METRIC
from tests.cluster import rig
from tests.cluster.pods.trial import begin, metrics
from tests.cluster.tools import Tools
from tests.cluster.watched import Watched


def test_logs_follow_a_trial_through_the_servers_absence_and_into_its_next_pod(
    place: Tools, site: Site, tmp_path: Path
) -> None:
    """No line of the first pod is lost or repeated, compared with its node's log; then the second pod's follow."""
    katib, trial = begin(place, site)
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(site.model_dump()))
    first = katib.pod(trial)["metadata"]["name"]
    with Watched("logs", trial, "-f", "--site", str(file)) as logs:
        logs.until(f" {METRIC}=")
        with rig.api_server_away():
            logs.until("trying again")
        logs.until(f" {METRIC}=")
        logs.until(f" {METRIC}=")
        whole = metrics(place.kubectl("logs", first, "-c", SIDECAR))
        followed = metrics(logs.printed)
        shorter = min(len(whole), len(followed))
        assert followed[:shorter] == whole[:shorter]
        assert shorter >= 3
        place.kubectl("delete", "pod", first, "--timeout=300s")
        logs.until("resumes epoch")
        assert logs.interrupt() == 0
