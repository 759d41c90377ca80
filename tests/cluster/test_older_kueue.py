"""A Kueue whose types are v1beta1 alone, as before v0.15: doctor, deploy and the verbs that meet its queue.

The types are Kueue's own, without the newer version. Its controller does not run; the test plays it.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from katib.backend.cluster import run_directories
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.doctor import DoctorContext, Result, examine
from katib.backend.cluster.kinds import JOB, KUEUE, Kind
from katib.services.objects import BOOST
from katib.services.preemption import tell
from katib.site import Site
from tests.cluster import rig
from tests.cluster.conftest import Begin, Verb
from tests.cluster.pods.kueue import service
from tests.cluster.researcher import as_researcher
from tests.cluster.search import NAME, as_json, bury, in_background
from tests.cluster.tools import Tools, manifest
from tests.cluster.webhook import Webhook

TYPES = rig.HOME / "kueue-types.yaml"
VERSION = "v1beta1"
NEEDED = (
    *("localqueues", "clusterqueues", "resourceflavors", "admissionchecks"),
    *("workloads", "workloadpriorityclasses"),
)
WORKLOAD = Kind("workload", "workloads", VERSION, KUEUE)
K8S = Path(__file__).parents[2] / "k8s"


@pytest.fixture
def site(site: Site) -> Site:
    """Returns the site whose trials Kueue admits."""
    return site.model_copy(update={"kueue_queue": "trials", "kueue_priority": "low"})


@pytest.fixture(scope="module")
def types(katib: Webhook) -> Iterator[None]:
    """Installs Kueue's types of v1beta1 for the tests of this file; with them goes all that is of them."""
    if not TYPES.exists():
        pytest.skip(f"not there: {TYPES.name}; make test-cluster builds it once, with Go")
    read = yaml.load_all(TYPES.read_text(), yaml.CSafeLoader)
    made = [_of_one_version(item) for item in read if item["spec"]["names"]["plural"] in NEEDED]
    names = [f"crd/{item['metadata']['name']}" for item in made]
    together = {"apiVersion": "v1", "kind": "List", "items": made}
    rig.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(together))
    rig.kubectl("wait", "--for=condition=Established", *names, "--timeout=300s")
    yield
    rig.kubectl("delete", *names, "--timeout=300s")


@pytest.fixture
def older(types: None, tools: Tools) -> Tools:
    """Returns a cluster whose Kueue has v1beta1 alone."""
    return tools


def _of_one_version(item: dict[str, Any]) -> dict[str, Any]:
    spec = item["spec"]
    versions = [{**each, "storage": True} for each in spec["versions"] if each["name"] == VERSION]
    return {**item, "spec": {**spec, "versions": versions, "conversion": {"strategy": "None"}}}


def of_kueue(tools: Tools, site: Site) -> tuple[dict[str, Result], str]:
    """Returns what doctor says of Kueue, by check, and what adds nodes."""
    context = DoctorContext(tools.cluster, site, [manifest(site)])
    return {result.check: result for result in examine(context) if "Kueue" in result.check}, context.grows


def shell(line: str, folder: Path) -> None:
    """Runs a command as a message names it."""
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def make_queue(tools: Tools, site: Site, folder: Path) -> None:
    """Makes the queue of k8s/kueue by the command that doctor names."""
    shutil.copytree(K8S / "kueue", folder / "k8s/kueue")
    queue = folder / "k8s/kueue/queue.yaml"
    queue.write_text(re.sub(r"\b(namespace|metadata\.name): sepsweep\b", rf"\1: {tools.namespace}", queue.read_text()))
    (line,) = re.findall("kubectl kustomize .*", of_kueue(tools, site)[0]["Kueue queue"].fix)
    shell(line, folder)


@contextmanager
def looking_on(tools: Tools) -> Iterator[None]:
    """Gives the researcher the cluster role sepsweep-onlooker meanwhile."""
    name, account = f"onlooker-{tools.namespace}", f"--serviceaccount={tools.namespace}:researcher"
    tools.kubectl("create", "clusterrolebinding", name, "--clusterrole=sepsweep-onlooker", account)
    try:
        yield
    finally:
        tools.kubectl("delete", "clusterrolebinding", name)


def of(kind: str, name: str, **body: Any) -> dict[str, Any]:
    return {"apiVersion": f"{KUEUE}/{VERSION}", "kind": kind, "metadata": {"name": name}, **body}


def test_doctor_leads_to_a_queue_of_v1beta1(
    older: Tools, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its fixes is run as it stands, and the API server takes it; a researcher may look at all of it."""
    make_queue(older, site, tmp_path)
    found, grows = of_kueue(older, site)
    assert {check: (result.status, result.problem) for check, result in found.items()} == {
        "Kueue queue": ("ok", "trials (v1beta1)"),
        "Kueue quota": ("ok", "'sepsweep' has room for a trial"),
        "Kueue priority": ("error", "no WorkloadPriorityClass 'low'"),
    }
    assert grows == ""
    older.make(of("WorkloadPriorityClass", "low", value=10, description="low"))
    older.make(of("AdmissionCheck", "nodes", spec={"controllerName": "kueue.x-k8s.io/provisioning-request"}))
    older.kubectl("patch", "clusterqueue", "sepsweep", "--type=merge", "-p", '{"spec": {"admissionChecks": ["nodes"]}}')
    found, grows = of_kueue(older, site)
    assert (found["Kueue priority"].status, grows) == ("ok", "Kueue's ProvisioningRequest")
    with as_researcher(older, monkeypatch), looking_on(older):
        asked = DoctorContext(Cluster(older.namespace), site, [manifest(site)])
        seen = {result.check: result for result in examine(asked) if "ueue" in result.check}
        assert (seen, asked.grows) == (found, grows)


def test_the_verbs_meet_a_queue_of_v1beta1(
    verb: Verb,
    older: Tools,
    site: Site,
    katib_of: Begin,
    kubeconfig: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trial runs and another waits: status, pause, the boost of preemption, stop and delete."""
    make_queue(older, site, tmp_path)
    older.make(of("WorkloadPriorityClass", "low", value=10, description="low"))
    katib = katib_of()
    running = katib.trial(f"{NAME}-runs")
    katib.train(running)
    katib.experiment["spec"]["trialTemplate"]["trialSpec"]["spec"]["suspend"] = True  # as Kueue's webhook does
    waiting = katib.trial(f"{NAME}-waits")
    rows = {row["trial"]: row for row in as_json(verb("status", "dprnn", "--json")[1])[0]["rows"]}
    assert rows[running]["state"] == "Running"
    assert (rows[waiting]["state"], rows[waiting]["cause"]) == ("Waiting", "waits in its Kueue queue")

    code, _, err = verb("pause", "dprnn", "--yes")
    assert code == 1
    (line,) = re.findall(r"kubectl -n .*?'\{.*?\}'", err.replace("\n", " "))
    shell(line, tmp_path)
    queue = older.cluster.get(Kind("local queue", "localqueues", VERSION, KUEUE), "trials")
    assert queue is not None
    assert queue["spec"]["stopPolicy"] == "HoldAndDrain"

    job = older.job(running)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": running, "uid": job["metadata"]["uid"]}
    template = job["spec"]["template"]
    workload = of("Workload", f"job-{running}", spec={"queueName": "trials", "podSets": [
        {"name": "main", "count": 1, "template": {"spec": template["spec"]}}]})  # fmt: skip
    workload["metadata"]["ownerReferences"] = [owner]
    older.make(workload)
    now = datetime.now(UTC) + timedelta(minutes=12)
    admitted = {"type": "Admitted", "status": "True", "reason": "Admitted", "message": "admitted",
                "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ")}  # fmt: skip
    older.status(WORKLOAD, f"job-{running}", {"conditions": [admitted]})
    for file in ("base/services-rbac.yaml", "kueue/preemption.yaml"):
        text = (K8S / file).read_text().replace("namespace: sepsweep", f"namespace: {older.namespace}")
        older.kubectl("apply", "-f", "-", stdin=text)
    assert tell(service(older, kubeconfig, tmp_path), NAME, lambda trial, metric, since: None, now)
    told = older.cluster.get(WORKLOAD, f"job-{running}")
    assert told is not None
    assert told["metadata"]["annotations"][BOOST] == "10"

    def play() -> None:
        older.first(JOB, "", lambda job: job["spec"].get("activeDeadlineSeconds") == 1)
        bury(older, 1)
        katib.state(running, "Failed")
        katib.end("Failed")

    player = in_background(play)
    code, out, err = verb("stop", "dprnn", "--yes")
    player.join(300)
    assert (code, err) == (0, "")
    assert f"trial '{waiting}': ends once its queue admits it" in out
    assert older.job(waiting)["spec"]["suspend"]
    monkeypatch.setattr(run_directories, "TIMEOUT_SECONDS", 1.0)  # no node runs the pod that would read them
    code, _, err = verb("delete", "dprnn", "--yes", "--unsaved", "--out", str(tmp_path))
    assert code == 0, err
    older.kubectl("wait", "--for=delete", f"workload/job-{running}", f"job/{waiting}", "--timeout=300s")
