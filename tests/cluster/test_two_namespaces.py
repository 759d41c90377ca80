"""Searches of one name, with trials of the same names, in two namespaces, against the real API server."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from katib.__main__ import main
from katib.backend.cluster.kinds import EXPERIMENT
from katib.site import Site
from tests.cluster.researcher import as_researcher, versions
from tests.cluster.search import NAME, Katib, burying
from tests.cluster.tools import Tools


class Team(NamedTuple):
    """A namespace, and the site file that names it."""

    tools: Tools
    site: Path

    def verb(self, *words: str) -> None:
        """Runs a verb, which succeeds."""
        assert main([*words, "--site", str(self.site)]) == 0


def values(team: Team, capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Returns the trials that results has in a team's namespace, with their values."""
    capsys.readouterr()
    team.verb("results", "dprnn", "--cluster", "--json")
    return {row["trial"]: row["val_si_snr"] for row in json.loads(capsys.readouterr().out)}


def test_what_one_team_does_is_not_seen_by_the_other(
    tools: Tools,
    site: Site,
    site_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each has the role in its own namespace; one pauses, resumes and deletes its search."""
    second = site.model_copy(update={"namespace": f"{site.namespace}-b"})
    path = tmp_path / "second.yaml"
    path.write_text(yaml.safe_dump(second.model_dump()))
    ours, theirs = Team(tools, site_file), Team(Tools(tools.kubeconfig, second.namespace), path)
    theirs.tools.prepare(second)
    groups = []
    for team, value in ((ours, 1.0), (theirs, 2.0)):
        with as_researcher(team.tools, monkeypatch, katib=False):
            team.verb("deploy", "dprnn", "--yes", "--wait", "0")
        katib = Katib(team.tools, NAME)
        katib.state(katib.trial(f"{NAME}-done", job=False), "Succeeded", value)
        katib.train(katib.trial(f"{NAME}-runs"))
        groups.append(environment(katib)["WANDB_RUN_GROUP"])
    assert groups == [f"{site.namespace}/{NAME}", f"{second.namespace}/{NAME}"]
    before = versions(theirs.tools)
    with as_researcher(ours.tools, monkeypatch, katib=False):
        assert values(ours, capsys)[f"{NAME}-done"] == 1.0
        with burying(tools):
            ours.verb("pause", "dprnn", "--yes")
        ours.verb("resume", "dprnn", "--yes")
        ours.verb("delete", "dprnn", "--yes", "--unsaved", "--out", str(tmp_path))
    assert tools.cluster.get(EXPERIMENT, NAME) is None
    assert versions(theirs.tools) == before
    with as_researcher(theirs.tools, monkeypatch, katib=False):
        assert values(theirs, capsys) == {f"{NAME}-done": 2.0, f"{NAME}-runs": None}
    theirs.tools.end()


def environment(katib: Katib) -> dict[str, str]:
    """Returns the variables of a search's trials that have a value of their own."""
    pod = katib.experiment["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    return {item["name"]: item.get("value", "") for item in pod["containers"][0]["env"]}
