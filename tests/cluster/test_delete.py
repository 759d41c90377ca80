"""delete against the real API server, from its command line: what is deleted, what stays, and what is saved first.

There is no DB manager here and no node that runs a pod, so a curve exists nowhere unless a test plays it;
tests/cluster/pods has a node.
"""

import re
from contextlib import suppress
from pathlib import Path

import pytest

from katib.backend.cluster import run_directories
from katib.backend.cluster.kinds import CONFIG_MAP, EXPERIMENT, JOB, POD, SUGGESTION, Object
from katib.backend.local.table import read_table
from katib.errors import ClusterError
from katib.site import load_site
from tests.cluster.conftest import Begin, Verb
from tests.cluster.search import NAME, as_json, in_background
from tests.cluster.tools import Tools, manifest


def test_delete_exports_first_and_takes_only_what_is_ours(
    verb: Verb, katib_of: Begin, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    katib = katib_of()
    katib.trial(f"{NAME}-done", job=False)
    katib.state(f"{NAME}-done", "Succeeded", 2.0)
    theirs = manifest(load_site().model_copy(update={"namespace": tools.namespace}), "convtasnet")
    theirs["metadata"]["labels"] = {"owner": "somebody"}
    tools.make(theirs)
    monkeypatch.setattr(run_directories, "TIMEOUT_SECONDS", 1.0)
    code, out, err = verb("delete", "dprnn", "--yes", "--out", str(tmp_path))
    assert code == 1
    assert f"experiment '{NAME}' is not deleted: 1 of 1 trials cannot be saved ({NAME}-done: 0 of up to 100" in err
    assert "katib-db-manager does not answer" in err
    assert err.endswith("UNSAVED=1 (--unsaved) deletes it all the same, and these epochs are lost\n")
    assert not (tmp_path / NAME).exists()
    assert tools.cluster.get(EXPERIMENT, NAME) is not None
    assert not tools.cluster.list(JOB)
    code, out, err = verb("delete", "dprnn", "--yes", "--unsaved", "--out", str(tmp_path))
    assert code == 0
    assert f"NOT saved: trial {NAME}-done: 0 of up to 100 epochs" in out
    assert "1 trials" in out
    exported = as_json((tmp_path / NAME / "cluster-trials.json").read_text())
    assert exported["trials"][0]["val_si_snr"] == 2.0
    kept = read_table(tmp_path, NAME)
    assert kept.rows[0].value == 2.0
    assert re.fullmatch(r"deleted by \S+ at \d{4}-\d\d-\d\d \d\d:\d\d UTC", kept.acts[0])
    tools.kubectl("wait", "--for=delete", f"experiment/{NAME}", f"trial/{NAME}-done", "--timeout=300s")
    code, _, err = verb("delete", "convtasnet", "--yes", "--out", str(tmp_path))
    assert code == 1
    assert "is not ours" in err
    assert tools.cluster.get(EXPERIMENT, "series3-convtasnet") is not None


def test_delete_is_not_undone_by_katibs_suggestion_controller(
    verb: Verb, katib_of: Begin, tools: Tools, tmp_path: Path
) -> None:
    """The controller recreates a missing service of each Suggestion, even of one that is being deleted."""
    experiment = katib_of().experiment
    made = tools.cluster.create(SUGGESTION, _owned("Suggestion", NAME, experiment))
    service = _owned("ConfigMap", f"{NAME}-service", made)

    def play() -> None:
        while tools.cluster.get(SUGGESTION, NAME):
            with suppress(ClusterError):
                tools.cluster.create(CONFIG_MAP, service)

    player = in_background(play)
    code, _, err = verb("delete", "dprnn", "--yes", "--out", str(tmp_path))
    assert code == 0, err
    assert err.startswith("note: katib-db-manager does not answer")  # here is none; the trials' table goes without
    assert err.count("\n") == 1
    assert tools.cluster.get(SUGGESTION, NAME) is None
    tools.kubectl("wait", "--for=delete", f"experiment/{NAME}", "--timeout=300s")
    player.join(300)
    assert not player.is_alive()


def test_delete_that_cannot_export_deletes_nothing(verb: Verb, katib_of: Begin, tools: Tools, tmp_path: Path) -> None:
    katib_of()
    (tmp_path / "file").write_text("")
    code, _, err = verb("delete", "dprnn", "--yes", "--out", str(tmp_path / "file"))
    assert code == 2
    assert "nothing was deleted" in err
    assert tools.cluster.get(EXPERIMENT, NAME) is not None


def test_delete_with_runs_removes_the_run_directories_by_a_job(
    verb: Verb, katib_of: Begin, tools: Tools, tmp_path: Path
) -> None:
    katib_of()
    seen: list[list[str]] = []

    def play() -> None:
        pod = tools.first(POD, "batch.kubernetes.io/job-name", _cleans)
        seen.append(pod["spec"]["containers"][0]["command"])
        tools.run(pod, runs={"exitCode": 0})

    player = in_background(play)
    code, _, err = verb("delete", "dprnn", "--yes", "--runs", "--out", str(tmp_path))
    player.join(300)
    assert code == 0, err
    assert seen == [["rm", "-rf", "--one-file-system", f"/runs/{NAME}"]]
    assert not tools.cluster.list(JOB)


def _cleans(pod: Object) -> bool:
    return str(pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]).startswith(f"clean-{NAME}-")


def _owned(kind: str, name: str, owner: Object) -> Object:
    """Returns an object that is deleted with its owner, and keeps the owner from being deleted before it."""
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
    reference |= {"controller": True, "blockOwnerDeletion": True}
    version = "v1" if kind == "ConfigMap" else "kubeflow.org/v1beta1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "ownerReferences": [reference]}}
