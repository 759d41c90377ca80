"""Every verb for a user who has only the roles that k8s/ ships, against the real API server.

No node here runs a pod, so a forwarded port and a log fail in the end; but no right may be missing on the way.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from katib.backend.cluster import run_directories
from katib.backend.cluster.kinds import EXPERIMENT
from katib.conclude import sizes
from katib.errors import ResultError
from tests.cluster.conftest import Verb
from tests.cluster.researcher import researcher
from tests.cluster.search import NAME, Katib, as_json, bury, in_background
from tests.cluster.tools import Tools

Answer = tuple[int, str, str]


def lacks(answer: Answer) -> bool:
    """Returns whether the API server, or kubectl, has refused a right."""
    return any(word in text for word in ("forbidden", "you may not", " 403") for text in answer[1:])


@contextmanager
def as_researcher(tools: Tools, monkeypatch: pytest.MonkeyPatch, *, katib: bool = True) -> Iterator[None]:
    with researcher(tools, katib=katib) as kubeconfig, monkeypatch.context() as patched:
        patched.setenv("KUBECONFIG", str(kubeconfig))
        patched.setattr(run_directories, "TIMEOUT_SECONDS", 1.0)
        patched.setattr(sizes, "sizes", unasked)
        yield


def unasked(*_: object) -> None:
    """Replaces the trainer, which needs no rights and takes half a minute to count parameters."""
    raise ResultError("not asked")


def give_up(tools: Tools, experiment: str) -> None:
    """Plays Katib's controller once no more trial may fail."""
    tools.first(
        EXPERIMENT,
        "",
        lambda found: found["metadata"]["name"] == experiment and found["spec"]["maxFailedTrialCount"] == 1,
    )
    Katib(tools, experiment).end("Failed")


def test_every_verb_works_with_the_shipped_roles(
    verb: Verb, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ("--out", str(tmp_path))
    with as_researcher(tools, monkeypatch):
        code, text, err = verb("deploy", "dprnn", "--yes", "--wait", "0")
        assert (code, err) == (0, "")
        assert "warning" not in text
        katib = Katib(tools, NAME)
        for number in range(4):
            katib.state(katib.trial(f"{NAME}-done{number}", job=False), "Succeeded", float(number))
        katib.train(katib.trial(f"{NAME}-a"))
        told: dict[str, Answer] = {}
        for words in (
            ("status",),
            ("logs", f"{NAME}-a"),
            ("results", "dprnn", "--cluster"),
            ("best", "dprnn", "--cluster", *out),
            ("report", "dprnn", "--cluster", *out),
            ("log", "dprnn", "--cluster", "--file", str(tmp_path / "LOG.md"), *out),
            ("plan", "dprnn", "--cluster", *out),
            ("confirm", "dprnn", "--cluster", "--top", "1", "--yes", *out),
            ("arch", "dprnn", "--cluster", "--yes", *out),
            ("ui", "--cluster"),
        ):
            told[words[0]] = verb(*words)
        reaper = in_background(lambda: bury(tools, 1))
        told["pause"] = verb("pause", "dprnn", "--yes")
        reaper.join(300)
        told["resume"] = verb("resume", "dprnn", "--yes")
        katib.state(f"{NAME}-a", "Failed")
        katib.end("Running")
        told["delete"] = verb("delete", "dprnn", "--yes", "--unsaved", *out)
        player = in_background(lambda: give_up(tools, f"{NAME}-confirm"))
        told["stop"] = verb("stop", f"{NAME}-confirm", "--yes")
        player.join(300)
    assert {name: answer for name, answer in told.items() if lacks(answer)} == {}
    may_fail = {"ui", "logs"}  # what they read comes from a node
    assert {name: answer for name, answer in told.items() if answer[0] and name not in may_fail} == {}


@pytest.mark.parametrize("both", [True, False], ids=["both bindings", "the first alone"])
def test_doctor_asks_a_researcher_for_no_role_that_she_has(
    both: bool, verb: Verb, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What she has no right to read is no fault of the cluster, and the dry runs are tried all the same."""
    with as_researcher(tools, monkeypatch, katib=both):
        code, out, _ = verb("doctor", "dprnn", "--json")
    results = {result["check"]: result for result in as_json(out)}
    bad = {check: result for check, result in results.items() if result["status"] in ("warning", "error")}
    assert code == 0
    for check in (
        "experiment dry run",
        "trial job dry run",
        "trial pod dry run",
        "namespace label",
        "runs claim",
    ):
        assert results[check]["status"] == "ok"
    assert results["capacity"]["found"] == "you may not list nodes; ask an administrator to run make doctor"
    assert set(bad) == (set() if both else {"rights"})
    if not both:
        assert "in namespace 'kubeflow' you may not get services 'katib-db-manager'" in bad["rights"]["found"]
        assert "kubectl -n kubeflow create rolebinding" in bad["rights"]["mend"]
