"""Copies onto the data claim and from the runs claim through a pod, on a real API server.

No node here runs a pod: the tests make it Running, and a program beside kubectl plays `exec` on this machine.
"""

import hashlib
import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from katib.backend.cluster import claim_pod, copying
from katib.backend.cluster.kinds import JOB, POD, Object
from katib.site import Site
from katib.trainer_contract import CHECKSUM
from tests.cluster.conftest import Begin, Verb
from tests.cluster.researcher import BASE, NAME, researcher, roles
from tests.cluster.search import in_background
from tests.cluster.tools import Tools
from tests.cluster.watched import Watched

KUBECTL = """#!{python}
import os, sys
if "exec" not in sys.argv:
    os.execv({kubectl!r}, sys.argv)
words = sys.argv[sys.argv.index("--") + 1 :]
words[0] = {python!r}
os.execv(words[0], [word.replace("/data", "{root}/data", 1).replace("/runs", "{root}/runs", 1) for word in words])
"""


@pytest.fixture
def claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a folder with both claims, in which what is executed in a pod runs."""
    root = tmp_path / "claims"
    for name in ("data", "runs"):
        (root / name).mkdir(parents=True)
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL.format(python=sys.executable, kubectl=shutil.which("kubectl"), root=root))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return root


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Returns a small folder."""
    (tmp_path / "corpus" / "train").mkdir(parents=True)
    (tmp_path / "corpus" / "train" / "a.wav").write_bytes(b"a" * 100_000)
    (tmp_path / "corpus" / "b.csv").write_bytes(b"b")
    return tmp_path / "corpus"


def starts(tools: Tools, beginning: str) -> list[Object]:
    """Makes the pod of the Job whose name begins so run, and returns a list that holds it later."""
    seen: list[Object] = []

    def play() -> None:
        name = "batch.kubernetes.io/job-name"
        pod = tools.first(POD, name, lambda pod: str(pod["metadata"]["labels"][name]).startswith(beginning))
        tools.run(pod)
        seen.append(pod)

    in_background(play)
    return seen


def test_data_copies_into_the_claim_and_the_pod_goes_away(
    verb: Verb, tools: Tools, site: Site, claims: Path, corpus: Path
) -> None:
    """In a namespace that enforces `restricted`; a second call finds the folder whole."""
    tools.kubectl("label", "namespace", tools.namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
    for number, words in enumerate(("is whole: 2 files arrived with their checksums", "is there already, whole")):
        seen = starts(tools, "data-")
        code, out, err = verb("data", "--data", str(corpus), "--yes")
        assert (code, err) == (0, ""), out
        assert f"'{site.data_folder}' {words}" in out
        assert not tools.cluster.list(JOB)
        tools.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", "--timeout=300s")
        assert len(seen) == 1, number
    (volume,) = seen[0]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"] == {"claimName": site.claims.data}
    folder = claims / "data" / site.data_folder
    assert {path.name for path in folder.iterdir()} == {"train", "b.csv", ".sha256"}
    assert (folder / "train" / "a.wav").read_bytes() == b"a" * 100_000


def test_ctrl_c_removes_the_pod_and_keeps_what_has_arrived(
    tools: Tools, site: Site, site_file: Path, claims: Path, corpus: Path
) -> None:
    """Nothing on the claim has the folder's name then."""
    with (corpus / "large").open("wb") as large:
        large.truncate(3 << 30)
    starts(tools, "data-")
    with Watched("data", "--data", str(corpus), "--yes", "--site", str(site_file), terminal=True) as data:
        data.until("MB/s, about")
        assert data.interrupt() == 1
    assert "the same command goes on from there" in data.printed.replace("\r\n", " ")
    assert not tools.cluster.list(JOB)
    assert [path.name for path in (claims / "data").iterdir()] == [f".{site.data_folder}.partial"]


def test_fetch_brings_the_model_from_the_claim(
    verb: Verb, katib_of: Begin, tools: Tools, claims: Path, tmp_path: Path
) -> None:
    """A trial without a model is named, and afterwards no pod is left."""
    katib = katib_of()
    for name, value in (("best", 3.0), ("second", 2.0)):
        katib.state(katib.trial(f"{katib.name}-{name}", job=False), "Succeeded", value)
    run = claims / "runs" / katib.name / f"{katib.name}-best"
    run.mkdir(parents=True)
    weights = b"weights"
    (run / "best.pt").write_bytes(weights + CHECKSUM + hashlib.sha256(weights).hexdigest().encode())
    (run / "config.json").write_text('{"model": "dprnn", "preset": "debug", "seed": 42}')
    for words, expected in (((), 0), (("--top", "2"), 1)):
        seen = starts(tools, f"fetch-{katib.name}-")
        code, out, err = verb("fetch", "dprnn", "--cluster", "--to", str(tmp_path / f"home{expected}"), *words)
        assert code == expected, err
        assert not tools.cluster.list(JOB), out
        tools.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", "--timeout=300s")
        (mount,) = seen[0]["spec"]["containers"][0]["volumeMounts"]
        assert mount == {"name": "runs", "mountPath": "/runs", "readOnly": True}
    assert f"/runs/{katib.name}/{katib.name}-second on the runs claim has no best.pt" in err
    assert (tmp_path / "home0" / "best.pt").read_bytes() == (run / "best.pt").read_bytes()


def test_a_researcher_may_copy_and_without_pods_exec_is_told_who_grants_it(
    verb: Verb, tools: Tools, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With kubectl itself, which gets as far as the node; it has no kubelet."""
    monkeypatch.setattr(copying, "PAUSE_SECONDS", 0.0)
    answers = []
    with researcher(tools) as kubeconfig, monkeypatch.context() as patched:
        patched.setenv("KUBECONFIG", str(kubeconfig))
        for _ in range(2):
            starts(tools, "data-")
            answers.append(verb("data", "--data", str(corpus), "--yes"))
            assert not tools.cluster.list(JOB)
            tools.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", "--timeout=300s")
            (role,) = [role for role in roles(BASE) if role["metadata"]["name"] == NAME]
            role["rules"] = [rule for rule in role["rules"] if rule["resources"] != ["pods/exec"]]
            tools.kubectl("replace", "-f", "-", stdin=json.dumps(role))
    assert [code for code, _, _ in answers] == [1, 1]
    assert "the connection to the pod was lost (" in answers[0][2]
    assert "forbidden" not in answers[0][2].lower()
    assert "kubectl apply -f k8s/base/rbac.yaml gives the role pods/exec" in answers[1][2]


def test_a_pod_that_does_not_start_says_why(
    verb: Verb, tools: Tools, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_pod, "START_SECONDS", 3.0)
    code, out, err = verb("data", "--data", str(corpus), "--yes")
    assert code == 1
    assert "the pod for the copy does not run after 3 s: " in err
    assert not tools.cluster.list(JOB), out
