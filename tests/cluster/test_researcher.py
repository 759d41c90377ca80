"""Every verb for a user who has only the roles that k8s/ ships, against the real API server.

No node here runs a pod, so a forwarded port and a log fail in the end; but no right may be missing on the way.
"""

import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
import typer.main

from katib.__main__ import VERBS
from katib.backend.cluster.kinds import EXPERIMENT, NAMESPACE
from katib.watch.server import WatchServer
from tests.cluster.conftest import Begin, Verb
from tests.cluster.researcher import BASE, OF_KATIB, as_researcher, roles, versions
from tests.cluster.rights import granted, recorded
from tests.cluster.search import NAME, Katib, as_json, burying, in_background
from tests.cluster.tools import Tools
from tests.ports import free_port

Answer = tuple[int, str, str]


def lacks(answer: Answer) -> bool:
    """Returns whether the API server, or kubectl, has refused a right."""
    return any(word in text for word in ("forbidden", "you may not", " 403") for text in answer[1:])


def give_up(tools: Tools, experiment: str) -> None:
    """Plays Katib's controller once no more trial may fail."""
    tools.first(
        EXPERIMENT,
        "",
        lambda found: found["metadata"]["name"] == experiment and found["spec"]["maxFailedTrialCount"] == 1,
    )
    Katib(tools, experiment).end("Failed")


@pytest.fixture(autouse=True)
def one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets watch print what its page would show, rather than serve it until Ctrl-C."""

    def look(server: WatchServer) -> None:
        screens = server._screens
        for name, screen in (screens.all(60.0) or {}).items():
            state = screen.look(60.0)
            assert state is not None, name
            print(name, *(section.html for section in state.sections))
        if screens.problem:
            print(screens.problem, file=sys.stderr)

    monkeypatch.setattr(WatchServer, "serve", look)


def corpus(folder: Path) -> str:
    """Makes a folder that the verb data would copy."""
    for subset in ("train", "val"):
        (folder / "corpus" / subset).mkdir(parents=True)
        (folder / "corpus" / subset / "a.csv").write_text("a\n")
    return str(folder / "corpus")


def options(verb: str) -> set[str]:
    """Returns the names of a verb's options, as its command line has them."""
    name = verb.replace("-", "_")
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command()(getattr(import_module(f"katib.cli.{name}"), name))
    return {option for parameter in typer.main.get_command(app).params for option in parameter.opts}


ADMINISTRATOR = {"install-katib"}
"""The verbs that no researcher can run."""
CLUSTER_VERBS = {verb for verb in VERBS if "--context" in options(verb)} - ADMINISTRATOR
"""The verbs that may ask a cluster: each must be tried below, by a researcher and by a stranger."""
MAY_FAIL = {"ui", "logs", "data", "fetch", "again"}
"""What the first two read comes from a node, what the others do needs a pod that runs or ran."""
UNSEEN = {
    ("kueue.x-k8s.io", "localqueues", "get"): "doctor, where the site names a queue",
    **dict.fromkeys([("kueue.x-k8s.io", "workloads", verb) for verb in ("get", "list")], "kubectl get workloads"),
    ("resource.k8s.io", "resourceclaimtemplates", "get"): "doctor, where the site names a claim template",
    ("resource.k8s.io", "resourceclaimtemplates", "list"): "doctor, which names those that there are",
    ("", "pods", "get"): "kubectl, before it runs a program in a pod",
    ("", "pods/exec", "get"): "kubectl, which runs a program in a pod",
    ("", "pods/exec", "create"): "kubectl from 1.35 on",
}
"""The rights in the namespace of the trials that no call below uses, and what does."""
OUTSIDE = {
    *(("", "services", "get"), ("", "pods", "get"), ("", "pods", "list")),
    *(("", "pods/portforward", "create"), ("", "pods/portforward", "get")),
    *(("", "services/proxy", "create"), ("", "services/proxy", "delete")),
    ("discovery.k8s.io", "endpointslices", "list"),
}
"""The same in Katib's namespace: kubectl forwards a port, the UI's buttons send and delete, and doctor looks who answers
as a webhook, where sepsweep-onlooker lets it see the webhook."""


def test_every_verb_works_with_the_shipped_roles(
    verb: Verb, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the roles give no right that none of them uses."""
    out = ("--out", str(tmp_path))
    with as_researcher(tools, monkeypatch), recorded() as used:
        told: dict[str, Answer] = {"doctor": verb("doctor", "dprnn")}
        code, text, err = told["deploy"] = verb("deploy", "dprnn", "--yes", "--wait", "0")
        assert (code, err) == (0, "")
        assert "warning" not in text
        katib = Katib(tools, NAME)
        for number in range(4):
            katib.state(katib.trial(f"{NAME}-done{number}", job=False), "Succeeded", float(number))
        katib.train(katib.trial(f"{NAME}-a"))
        for words in (
            ("status",),
            ("logs", f"{NAME}-a"),
            ("results", "dprnn", "--cluster"),
            ("best", "dprnn", "--cluster", *out),
            ("report", "dprnn", "--cluster", *out),
            ("log", "dprnn", "--cluster", "--file", str(tmp_path / "LOG.md"), *out),
            ("plan", "dprnn", "--cluster", *out),
            ("confirm", "dprnn", "--cluster", "--top", "1", "--yes", *out),
            ("extend", "dprnn", "--epochs", "200", "--cluster", "--yes", *out),
            ("arch", "dprnn", "--cluster", "--yes", *out),
            ("fetch", "dprnn", "--cluster", *out),
            ("data", "--data", corpus(tmp_path), "--yes"),
            ("ui", "--cluster"),
            ("watch", "--cluster", "--port", str(free_port()), *out),
        ):
            told[words[0]] = verb(*words)
        with burying(tools):
            told["pause"] = verb("pause", "dprnn", "--yes")
        told["resume"] = verb("resume", "dprnn", "--yes")
        katib.state(f"{NAME}-a", "Failed")
        told["again"] = verb("again", "dprnn", "--failed", "--cluster", "--yes", *out)
        katib.end("Running")
        told["delete"] = verb("delete", "dprnn", "--yes", "--unsaved", *out)
        player = in_background(lambda: give_up(tools, f"{NAME}-confirm"))
        told["stop"] = verb("stop", f"{NAME}-confirm", "--yes")
        player.join(300)
    assert told.keys() == CLUSTER_VERBS
    assert NAME in told["watch"][1]
    assert {name: answer for name, answer in told.items() if lacks(answer) and name != "doctor"} == {}
    assert {name: answer for name, answer in told.items() if answer[0] and name not in MAY_FAIL} == {}
    unused = granted(roles(BASE)[0], tools.namespace) - used
    assert {use[1:] for use in unused} <= UNSEEN.keys()
    assert {use[1:] for use in granted(roles(OF_KATIB)[0], "kubeflow") - used} <= OUTSIDE


STRANGERS: dict[str, tuple[str, ...]] = {
    "again": ("dprnn", "--failed", "--cluster", "--yes"),
    "arch": ("dprnn", "--cluster", "--yes"),
    "best": ("dprnn", "--cluster"),
    "confirm": ("dprnn", "--cluster", "--yes"),
    "data": ("--data", "corpus", "--yes"),
    "delete": ("dprnn", "--yes", "--unsaved"),
    "deploy": ("dprnn", "--yes", "--trials", "30"),
    "doctor": ("dprnn",),
    "extend": ("dprnn", "--epochs", "200", "--cluster", "--yes"),
    "fetch": ("dprnn", "--cluster"),
    "log": ("dprnn", "--cluster"),
    "logs": (f"{NAME}-a",),
    "pause": ("dprnn", "--yes"),
    "plan": ("dprnn", "--cluster"),
    "report": ("dprnn", "--cluster"),
    "results": ("dprnn", "--cluster"),
    "resume": ("dprnn", "--yes"),
    "status": ("dprnn",),
    "stop": ("dprnn", "--yes"),
    "ui": ("--cluster",),
    "watch": ("--cluster", "--port", str(free_port())),
}
"""The words of each verb that somebody without a right tries."""


def test_no_verb_reaches_the_namespace_of_others(
    verb: Verb, katib_of: Begin, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A researcher of another namespace gets one line that names what she may not do, and nothing changes."""
    search = katib_of()
    search.trial(f"{NAME}-a")
    other = Tools(tools.kubeconfig, f"{tools.namespace}-other")
    tools.apply(NAMESPACE, "v1", "Namespace", other.namespace)
    before = versions(tools)
    told = {}
    with as_researcher(other, monkeypatch, katib=False):
        monkeypatch.chdir(tmp_path)
        corpus(tmp_path)
        for name, words in STRANGERS.items():
            told[name] = verb(name, *words)
    other.end()
    assert told.keys() == CLUSTER_VERBS
    # An estimate needs no cluster: plan says in a note that it does not know what was used. The page of watch says so.
    assert {name for name, answer in told.items() if not answer[0]} == {"plan", "watch"}
    assert {name: answer for name, answer in told.items() if not lacks(answer)} == {}
    lines = {name: answer[2].splitlines() for name, answer in told.items() if name != "doctor"}
    assert {name: found for name, found in lines.items() if len(found) != 1} == {}
    assert versions(tools) == before


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
