"""Our three services as pods, called as Katib's controller calls them, beside trials that really train.

Katib's DB manager is a stand-in on this machine that keeps rows, behind the Service that Katib's configuration names.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from katib.backend.cluster.answers import RefusedError
from katib.backend.cluster.kinds import EXPERIMENT, JOB, NAMESPACE, POD, SIDECAR, TRIAL, Kind, Object
from katib.services.stubs import pb
from katib.site import Site
from katib.tries import read_record, short
from tests.cluster.pods import services
from tests.cluster.pods.conftest import SECURITY, Services
from tests.cluster.pods.trial import NAME, PATIENCE, begin, metrics, wait_for_line
from tests.cluster.search import Katib
from tests.cluster.tools import Tools, manifest
from tests.katib.services.rig import Condition, DbManager, experiment, point, trial

REVIEW = Kind("review", "subjectaccessreviews", group="authorization.k8s.io", namespaced=False)


def asked(count: int, trials: list[object], settings: dict[str, str] | None = None) -> Any:
    search = experiment(NAME, settings={"random_state": "1"} if settings is None else settings, stopping={})
    return pb.GetSuggestionsRequest(
        experiment=search,
        trials=trials,
        current_request_number=count,
        total_request_number=len(trials) + count,
    )


def test_suggestions_are_the_same_after_the_pod_was_killed_and_beside_a_namesake(
    running: Services, db: DbManager, site: Site
) -> None:
    """It proposes two new points after trials of all states, and refuses a bad setting by its name.

    Trials of a search with the same name in another namespace, which Katib puts into the request, change nothing.
    """
    stub = running.suggestion()
    running.tools.cluster.apply(EXPERIMENT, manifest(site, "demo", name=NAME, epochs=3, trials=9))
    katib = Katib(running.tools, NAME)
    first = stub.GetSuggestions(asked(4, []), timeout=PATIENCE, wait_for_ready=True)
    ends = (Condition.SUCCEEDED, Condition.EARLYSTOPPED, Condition.FAILED, Condition.RUNNING)
    trials = [
        trial(f"{NAME}-{index}", assignments, end, None if index > 1 else 3)
        for index, (assignments, end) in enumerate(zip(first.parameter_assignments, ends, strict=True))
    ]
    for index in range(4):
        katib.trial(f"{NAME}-{index}", job=False)
    db.put(f"{NAME}-0", [1, 2, 3])
    db.put(f"{NAME}-1", [3])
    before = stub.GetSuggestions(asked(2, trials), timeout=PATIENCE)
    points = [tuple(point(item).items()) for item in (*first.parameter_assignments, *before.parameter_assignments)]
    assert len(set(points)) == 6
    assert db.asked == 2
    theirs = [trial(f"{NAME}-far{index}", first.parameter_assignments[0], ends[0], 9) for index in range(9)]
    mixed = asked(2, [*theirs, *trials])
    mixed.total_request_number = 6
    assert stub.GetSuggestions(mixed, timeout=PATIENCE) == before

    running.kill()
    stub = running.suggestion()
    assert stub.GetSuggestions(asked(2, trials), timeout=PATIENCE, wait_for_ready=True) == before
    search = experiment(NAME, settings={"n_initial_point": "5"})
    with pytest.raises(grpc.RpcError) as refused:
        stub.ValidateAlgorithmSettings(pb.ValidateAlgorithmSettingsRequest(experiment=search), timeout=PATIENCE)
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "n_initial_points" in (refused.value.details() or "")


def test_a_trial_is_stopped_saved_and_marked_though_the_stopper_was_killed(
    running: Services, db: DbManager, site: Site, runs: Path
) -> None:
    """It is worse than three finished trials, which the new pod does not know: checkpoint, condition, Job, rows."""
    place = running.tools
    search = experiment(NAME, stopping={"start_step": "2", "min_trials_required": "2"})
    stub = running.early_stopping()
    reply = stub.GetEarlyStoppingRules(
        pb.GetEarlyStoppingRulesRequest(experiment=search), timeout=PATIENCE, wait_for_ready=True
    )
    (rule,) = reply.early_stopping_rules
    assert f"{rule.name};{rule.value};less;{rule.start_step}" == services.RULE
    running.kill()

    katib, name = _stopped(place, site, db)
    job, stopped = place.cluster.get(JOB, name), place.cluster.get(TRIAL, name)
    assert job is not None
    assert stopped is not None
    assert job["status"]["succeeded"] == 1
    conditions = stopped["status"]["conditions"]
    assert [item["type"] for item in conditions if item["status"] == "True"] == [
        "Created",
        "Running",
        "EarlyStopped",
    ]
    assert re.match(
        r"best of epoch \d+, -?\d+\.\d\d dB, is below the median of 3 other trials, 50\.00 dB",
        conditions[-1]["message"],
    )
    summary = json.loads((runs / NAME / name / "summary.json").read_text())
    assert summary["state"] == "stopped"
    pod = katib.pod(name)["metadata"]["name"]
    printed = metrics(place.kubectl("logs", pod, "-c", SIDECAR))
    assert len(printed) == len(summary["history"]) >= 2
    assert db.values(name) == [str(float(line.rpartition("=")[2])) for line in printed]


def _stopped(place: Tools, site: Site, db: DbManager) -> tuple[Katib, str]:
    """Returns a trial that has become worse than three finished ones, once its Job is complete."""
    katib, name = begin(place, site, finished="xyz")
    for letter in "xyz":
        db.put(f"{NAME}-{letter}", [50.0] * 300)
    place.kubectl("wait", "--for=condition=Complete", f"job/{name}", "--timeout=300s")
    return katib, name


def test_neither_a_db_manager_that_was_away_nor_a_deleted_pod_costs_or_doubles_a_row(
    running: Services, db: DbManager, site: Site, runs: Path
) -> None:
    """The namespace is at `restricted`; each row of the manager exists once, and all that the run directory records."""
    place = running.tools
    place.cluster.merge(NAMESPACE, place.namespace, {"metadata": {"labels": {SECURITY: "restricted"}}})
    katib, name = begin(place, site)
    first = katib.pod(name)["metadata"]["name"]
    db.wait_for(name, 1, PATIENCE)
    db.away()
    wait_for_line(place, first, "DB manager does not answer")
    before = len(db.values(name))
    db.back()
    db.wait_for(name, before + 2, PATIENCE)
    place.kubectl("delete", "pod", first, "--timeout=300s")
    before = len(db.values(name))
    second = katib.pod(name, after=first)["metadata"]["name"]
    db.wait_for(name, before + 2, PATIENCE)
    place.kubectl("delete", "pod", second, "--timeout=300s")
    _require_record(place, name, (first, second), least_epochs=before)
    history = json.loads((runs / NAME / name / "summary.json").read_text())["history"]
    kept = sorted(time for time, *_ in db.rows[name])
    assert kept == [record["time"] for record in history][: len(kept)]
    assert len(kept) >= before + 2


def _require_record(place: Tools, name: str, pods: Sequence[str], least_epochs: int) -> None:
    """Checks that the service has recorded in the trial's status when its lost pods ran and how far it had come."""

    def noted(found: Object) -> bool:
        record = read_record(found)
        ends = {pod for pod, span in record.spans.items() if span.end and span.end > span.start}
        return ends >= {short(pod, name) for pod in pods} and record.epochs >= least_epochs

    place.first(TRIAL, "", lambda found: found["metadata"]["name"] == name and noted(found))


def test_the_services_account_can_do_its_work_and_no_more(tools: Tools) -> None:
    """The API server is asked about all that can be done to Katib's objects, pods and secrets."""
    tools.kubectl("apply", "-f", str(services.ACCOUNT))
    account = f"system:serviceaccount:{tools.namespace}:sepsweep-services"

    def may(verb: str, group: str, resource: str) -> bool:
        plural, _, sub = resource.partition("/")
        asked = {"verb": verb, "group": group, "resource": plural, "subresource": sub}
        spec = {"user": account, "resourceAttributes": {**asked, "namespace": tools.namespace}}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        return bool(tools.cluster.create(REVIEW, body)["status"]["allowed"])

    verbs = ("get", "list", "watch", "create", "update", "patch", "delete")
    resources = {
        "kubeflow.org": ("trials", "trials/status", "experiments"),
        "batch": ("jobs",),
        "": ("pods", "secrets"),
    }
    tried = [(verb, group, name) for group, names in resources.items() for name in names for verb in verbs]
    assert {(verb, name) for verb, group, name in tried if may(verb, group, name)} == {
        ("get", "trials"),
        ("list", "trials"),
        ("patch", "trials/status"),
        ("get", "experiments"),
        ("list", "pods"),
        ("watch", "pods"),
        ("get", "jobs"),
    }


def test_the_suggestion_service_alone_meets_restricted(tools: Tools) -> None:
    """With the early-stopping container, which Katib gives no security context, the API server refuses the pod."""
    tools.kubectl("apply", "-f", str(services.ACCOUNT))
    tools.cluster.merge(NAMESPACE, tools.namespace, {"metadata": {"labels": {SECURITY: "restricted"}}})

    def admit(stopping: bool) -> None:
        spec = services.pod_spec("local/services", stopping=stopping)
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried"}, "spec": spec}
        tools.cluster.create(POD, pod, dry_run=True)

    admit(stopping=False)
    with pytest.raises(RefusedError, match=r'violates PodSecurity "restricted:latest".*early-stopping'):
        admit(stopping=True)
