"""Kueue's real controller beside trials that really train: it admits them, and preempts who has just saved."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from katib.__main__ import main
from katib.backend.cluster.kinds import EXPERIMENT, JOB, Object
from katib.services.preemption import tell
from katib.services.stubs import pb
from katib.site import Site
from tests.cluster.pods import kueue
from tests.cluster.pods.conftest import Services
from tests.cluster.pods.test_chaos import kill, require_each_epoch_once
from tests.cluster.pods.trial import NAME, PATIENCE, begin, shortened
from tests.cluster.search import Katib, in_background
from tests.cluster.tools import Tools, manifest
from tests.katib.services.rig import DbManager, double, experiment

FOLDER = Path(__file__).parents[3] / "k8s/kueue"
CLASSES = {"low": 0, "high": 100}


@pytest.fixture
def site(site: Site) -> Site:
    """Returns the site whose trials Kueue admits."""
    return site.model_copy(update={"kueue_queue": "trials", "kueue_priority": "low"})


@pytest.fixture
def admitted(running: Services, kubeconfig: Path, tmp_path: Path) -> Iterator[Tools]:
    """Yields the namespace with Kueue, and with the queue of k8s/kueue, which has room for two trials."""
    if reason := kueue.missing():
        pytest.skip(reason)
    place = running.tools
    with kueue.installed(kubeconfig, tmp_path):
        for item in yaml.safe_load_all((FOLDER / "queue.yaml").read_text()):
            if item["kind"] == "LocalQueue":
                item["metadata"]["namespace"] = place.namespace
            if item["kind"] == "ClusterQueue":
                item["spec"]["namespaceSelector"] = {}
                next(iter(item["spec"]["resourceGroups"][0]["flavors"][0]["resources"]))["nominalQuota"] = "1"
            place.make(item)
        for name, value in CLASSES.items():
            kind = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "WorkloadPriorityClass"}
            place.make({**kind, "metadata": {"name": name}, "value": value, "description": name})
        role = (FOLDER / "preemption.yaml").read_text().replace("namespace: sepsweep", f"namespace: {place.namespace}")
        place.kubectl("apply", "-f", "-", stdin=role)
        yield place
        place.kubectl("delete", "jobs", "--all", "--cascade=foreground", "--timeout=300s")


def job_of(place: Tools, name: str, *, suspended: bool) -> Object:
    """Returns a Job once Kueue has admitted it, or taken it back."""

    def wanted(job: Object) -> bool:
        return job["metadata"]["name"] == name and bool(job["spec"].get("suspend")) == suspended

    return place.first(JOB, "", wanted)


def test_kueue_preempts_who_has_just_saved_and_stop_ends_who_waits(
    admitted: Tools, db: DbManager, site: Site, runs: Path, tmp_path: Path, kubeconfig: Path
) -> None:
    """Two trials train and a third waits, whose deadline does not run; an urgent one takes the place of the second."""
    place, file = admitted, tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(site.model_dump()))
    katib, first = begin(place, site)
    second = katib.trial(f"{NAME}-b")
    for trial in (first, second):
        db.wait_for(trial, 1, PATIENCE)
    third = katib.trial(f"{NAME}-c")
    place.cluster.merge(JOB, third, {"spec": {"activeDeadlineSeconds": 3}})
    now = datetime.now(UTC) + timedelta(minutes=12)
    saved = {second: now}
    assert tell(kueue.service(place, kubeconfig, tmp_path), NAME, lambda trial, metric, since: saved.get(trial), now)

    high = site.model_copy(update={"kueue_priority": "high"})
    place.cluster.apply(EXPERIMENT, manifest(high, "demo", name="urgent", epochs=300, trials=9))
    urgent = shortened(Katib(place, "urgent")).trial("urgent-a")
    job_of(place, urgent, suspended=False)
    taken = job_of(place, second, suspended=True)
    assert not job_of(place, first, suspended=False)["status"].get("failed")
    epochs = len(db.values(second))
    place.kubectl("delete", "job", urgent, "--cascade=foreground", "--timeout=300s")
    assert job_of(place, second, suspended=False)["status"].get("failed", 0) == 0
    assert taken["status"].get("failed", 0) == 0
    db.wait_for(second, epochs + 1, PATIENCE)
    assert job_of(place, third, suspended=True)["spec"]["activeDeadlineSeconds"] == 3

    def play() -> None:
        place.kubectl("wait", "--for=condition=Failed", f"job/{first}", f"job/{second}", "--timeout=300s")
        for trial in (first, second):
            katib.state(trial, "Failed")
        katib.end("Failed")

    player = in_background(play)
    assert main(["stop", NAME, "--yes", "--site", str(file)]) == 0
    player.join(300)
    place.kubectl("wait", "--for=condition=Failed", f"job/{third}", "--timeout=300s")
    for trial in (first, second):
        require_each_epoch_once(db, runs / NAME / trial, least=2)


def test_a_failed_trial_that_runs_again_waits_in_the_queue_and_goes_on_from_its_checkpoint(
    admitted: Tools,
    running: Services,
    db: DbManager,
    site: Site,
    runs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its place was taken when it failed; status says that it waits, and for what."""
    place, file = admitted, tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(site.model_dump()))
    katib, first = begin(place, site, tries=0)
    second = katib.trial(f"{NAME}-b")
    for trial in (first, second):
        db.wait_for(trial, 2, PATIENCE)
    kill(runs / NAME / first, "trainer")
    place.kubectl("wait", "--for=condition=Failed", f"job/{first}", "--timeout=300s")
    katib.state(first, "Failed")
    katib.count()
    third = katib.trial(f"{NAME}-c")
    job_of(place, third, suspended=False)
    before = json.loads((runs / NAME / first / "summary.json").read_text())["history"]

    assert main(["again", first, "--cluster", "--yes", "--site", str(file)]) == 0
    name = katib.trial(proposed(running, katib), continues=first)
    assert name == f"{first}-2"
    job_of(place, name, suspended=True)
    capsys.readouterr()
    assert main(["status", NAME, "--site", str(file), "--json"]) == 0
    rows = {row["trial"]: row for row in json.loads(capsys.readouterr().out)[0]["rows"]}
    assert (rows[first]["state"], rows[first]["cause"]) == ("Waiting", "waits in its Kueue queue")

    place.kubectl("delete", "job", second, "--cascade=foreground", "--timeout=300s")
    job_of(place, name, suspended=False)
    db.wait_for(name, len(before) + 2, PATIENCE)
    history = json.loads((runs / NAME / first / "summary.json").read_text())["history"]
    assert history[: len(before)] == before
    reported = sorted(time for time, *_ in db.rows[name])
    assert reported == [record["time"] for record in history][: len(reported)]
    assert sorted(path.name for path in (runs / NAME).iterdir() if path.is_dir()) == sorted([first, second, third])


def proposed(services: Services, katib: Katib) -> str:
    """Returns the name of the trial that the suggestion service proposes, as Katib asks it."""
    space = [(item["name"], item["feasibleSpace"]) for item in katib.experiment["spec"]["parameters"]]
    parameters = [double(name, str(each["min"]), str(each["max"])) for name, each in space]
    asked = experiment(NAME, "bayesianoptimization", {"random_state": "1"}, parameters)
    request = pb.GetSuggestionsRequest(experiment=asked, current_request_number=1, total_request_number=4)
    reply = services.suggestion().GetSuggestions(request, timeout=PATIENCE, wait_for_ready=True)
    (item,) = reply.parameter_assignments
    return str(item.trial_name)
