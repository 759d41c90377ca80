"""A spec's stages, and a confirmation on another number of mixtures, on the cluster: each an Experiment of its own."""

import json
from pathlib import Path

import yaml

from katib.backend.cluster.doctor.trial import trial_job
from katib.backend.cluster.kinds import EXPERIMENT, Object
from katib.conclude.plan import plan_of
from katib.manifest.object import Manifest
from katib.spec import SPECS
from tests.cluster.conftest import Begin, Verb
from tests.cluster.search import ASSIGNMENTS, NAME, Katib, as_json
from tests.cluster.tools import Tools

VALUES = {"0.001": 2.0, "0.002": 3.9, "0.003": 3.1}


def experiment(tools: Tools, name: str) -> Object:
    found = tools.cluster.get(EXPERIMENT, name)
    assert found is not None
    return found


def words(found: Object) -> list[str]:
    """Returns the command that a trial of an Experiment runs."""
    pod = trial_job(found, "trial")["spec"]["template"]["spec"]
    command: list[str] = pod["containers"][0]["command"]
    return command


def play(katib: Katib) -> None:
    for number, (lr, value) in enumerate(VALUES.items()):
        trial = katib.trial(f"{katib.name}-{number}", job=False, assignments=ASSIGNMENTS | {"lr": lr})
        katib.state(trial, "Succeeded", value)
    katib.end("Succeeded")


def test_the_second_stage_begins_with_the_best_of_the_first(verb: Verb, tools: Tools, tmp_path: Path) -> None:
    """The same command deploys it once the first has ended, and not before; the verbs of the file speak of the last."""
    spec = yaml.safe_load((SPECS / "dprnn.yaml").read_text())
    file = tmp_path / "grown.yaml"
    file.write_text(
        yaml.safe_dump(spec | {"name": "grown", "stages": [{"train_limit": 40, "trials": 3}, {"train_limit": "all"}]})
    )
    where = ("--out", str(tmp_path / "runs"))
    deploy = ("deploy", str(file), "--yes", "--wait", "0", *where)
    assert verb(*deploy)[0] == 0
    katib = Katib(tools, "grown-1")
    katib.trial("grown-1-runs")
    assert "experiment 'grown-1' runs as it should" in verb(*deploy)[1]
    assert tools.cluster.get(EXPERIMENT, "grown-2") is None
    katib.state("grown-1-runs", "Failed")
    play(katib)

    code, out, err = verb(*deploy)
    assert (code, err) == (0, "")
    assert "stage 2 of 2: 'grown-2' on all mixtures, and begins with 3 points of stage 1\n" in out
    second = experiment(tools, "grown-2")
    settings = {item["name"]: item["value"] for item in second["spec"]["algorithm"]["algorithmSettings"]}
    first = json.loads(settings["first_suggestions"])
    assert [float(point["assignments"]["lr"]) for point in first] == [0.002, 0.003, 0.001]
    assert settings["warm_start"] == "grown-1"
    assert "--train-limit" in words(experiment(tools, "grown-1"))
    assert "--train-limit" not in words(second)

    katib = Katib(tools, "grown-2")
    katib.trial("grown-2-runs")
    assert "experiment 'grown-2' runs as it should" in verb(*deploy)[1]
    assert experiment(tools, "grown-2")["metadata"]["uid"] == second["metadata"]["uid"]
    katib.state("grown-2-runs", "Succeeded", 4.0)
    code, out, err = verb("best", str(file), "--cluster", "--json", *where)
    assert (code, [row["trials"] for row in json.loads(out)]) == (0, [["grown-2-runs"]]), err


def test_a_confirmation_on_more_mixtures_is_beside_that_of_the_search(
    verb: Verb, katib_of: Begin, tools: Tools, tmp_path: Path
) -> None:
    """It repeats every run, trains the defaults beside them, and says when what won on fewer does not win there."""
    play(katib_of())
    confirm = ("confirm", "dprnn", "--cluster", "--out", str(tmp_path))
    code, _, err = verb(*confirm, "--yes")
    assert code == 0, err
    code, out, err = verb(*confirm, "--train-limit", "8000", "--yes")
    assert code == 0, err
    name = f"{NAME}-confirm-8000"
    assert f"applied: experiment '{name}'" in out
    found = experiment(tools, name)
    plan = plan_of(Manifest.of(found))
    assert plan is not None
    assert [dict(group.known) for group in plan.groups] == [{}, {}, {}, {}]
    assert [group.control for group in plan.groups] == [False, False, False, True]
    command = words(found)
    assert command[command.index("--train-limit") + 1] == "8000"

    katib = Katib(tools, name)
    for number, word in enumerate(plan.words):
        trial = katib.trial(f"{name}-{number}", job=False, assignments={"run": word})
        katib.state(trial, "Succeeded", (5.0 if word.startswith("seed") else 4.0) + number / 100)
    katib.end("Succeeded")
    code, out, err = verb(*confirm, "--train-limit", "8000")
    assert code == 0, err
    assert "orse than" in out
    code, out, err = verb(*confirm, "--train-limit", "8000", "--json")
    assert (code, as_json(out)["verdict"]["outcome"]) == (0, "worse"), err
    assert "no verdict yet: 6 runs of 6 left" in verb(*confirm)[1]
