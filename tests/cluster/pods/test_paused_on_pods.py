"""A search with the stop rule promote, whose trials really train: pauses, continuations, and a pod that is deleted."""

import json
from pathlib import Path
from typing import Any

import grpc
import yaml

from katib.backend.cluster.kinds import EXPERIMENT, TRIAL, Object
from katib.manifest.render import Overrides, render
from katib.services.stubs import Message, pb
from katib.site import Site
from katib.spec import Spec, load_spec
from katib.tree import text_at
from tests.cluster.pods.conftest import Services
from tests.cluster.pods.trial import NAME, PATIENCE, hold, shortened, terminate_held, wait_for_line
from tests.cluster.search import Katib
from tests.katib.services.rig import DbManager, double, experiment, point

EPOCHS = 80
RUNGS = [*range(2, 12), *range(44, 68)]
"""Each pause has several: an epoch takes a fraction of a second, and the collector asks every quarter of one. Between the
two lies what a trainer may run ahead on a busy machine."""
SETTINGS = {"rung_epochs": ",".join(map(str, RUNGS)), "eta": "2", "configurations": "3"}


def promoted(site: Site) -> Object:
    """Returns the demo's Experiment with the rule, and without the patience that would end it sooner."""
    data = load_spec("demo").data
    data["early_stopping"] = {"name": "promote", "rung_epochs": RUNGS, "eta": 2}
    del data["fixed"]["patience"]
    spec = Spec.model_validate(data | {"epochs": EPOCHS, "epochs_with_patience": None})
    made: Object = yaml.safe_load(render(spec, site, Overrides(name=NAME, trials=3)))
    return made


class Search:
    """The controller's part: it asks for a trial, begins it, and writes how it ended."""

    def __init__(self, services: Services, site: Site) -> None:
        self.tools = services.tools
        self.tools.cluster.apply(EXPERIMENT, promoted(site))
        self.katib = shortened(Katib(self.tools, NAME))
        self.stub, self.stopping = services.suggestion(), services.early_stopping()
        self.names: list[str] = []
        space = self.katib.experiment["spec"]["parameters"]
        ranges = [(item["name"], item["feasibleSpace"]) for item in space]
        parameters = [double(name, str(space["min"]), str(space["max"])) for name, space in ranges]
        settings = {"random_state": "1"}
        self.experiment = experiment(NAME, "bayesianoptimization", settings, parameters, SETTINGS, rule="promote")

    def next(self) -> str:
        """Returns the next trial, which has begun.

        All but the first are continuations. While a busy machine has not ended the pod of the paused one, the service
        refuses, and this asks again, as Katib does.
        """
        request = pb.GetSuggestionsRequest(
            experiment=self.experiment, current_request_number=1, total_request_number=len(self.names) + 1
        )
        reply = self.ask(request)
        rules = pb.GetEarlyStoppingRulesRequest(experiment=self.experiment)
        self.stopping.GetEarlyStoppingRules(rules, timeout=PATIENCE, wait_for_ready=True)  # which reads all trials
        (item,) = reply.parameter_assignments
        continues = item.labels.get("sepsweep/continues", "")
        name = item.trial_name or f"{NAME}-a1b2c3d4"
        self.names.append(self.katib.trial(name, assignments=point(item), continues=continues))
        return name

    def ask(self, request: Message) -> Message:
        """Returns the reply of the suggestion service once it proposes something."""
        while True:
            try:
                return self.stub.GetSuggestions(request, timeout=PATIENCE, wait_for_ready=True)
            except grpc.RpcError as error:
                if "once its last pod has ended" not in str(error.details()):
                    raise

    def bad(self, letter: str, epochs: int, db: DbManager) -> None:
        """Adds a trial that paused after so many epochs, far below all others."""
        low = {item["name"]: str(item["feasibleSpace"]["min"]) for item in self.katib.experiment["spec"]["parameters"]}
        name = self.katib.trial(f"{NAME}-{letter}", job=False, assignments=low)
        db.put(name, [-500.0] * epochs)
        self.katib.state(name, "EarlyStopped", -500)
        self.names.append(name)

    def ended(self, name: str) -> str:
        """Waits for the end of a trial's Job; returns the trial's last condition."""
        self.tools.kubectl("wait", "--for=condition=Complete", f"job/{name}", "--timeout=300s")
        found: Any = self.tools.cluster.get(TRIAL, name)
        last = text_at(found["status"]["conditions"][-1], "type")
        if last == "Running":
            self.katib.state(name, "Succeeded", 1)
        return last


def test_a_configuration_goes_on_in_its_directory_though_its_pod_was_deleted(
    running: Services, db: DbManager, site: Site, runs: Path
) -> None:
    """It pauses at both rungs, as the first to reach them, and goes on when a worse one has got there.

    Nothing is trained twice, and each trial reports the whole history once. At the end of the search, when Katib asks
    for one more trial, it only reports its history again.
    """
    search = Search(running, site)
    first = search.next()
    assert search.ended(first) == "EarlyStopped"
    search.bad("x", 11, db)

    second = search.next()
    assert second == f"{first}-2"
    pod = search.katib.pod(second)["metadata"]["name"]
    wait_for_line(running.tools, pod, "resumes epoch")
    folder = runs / NAME / first
    held = hold(second, folder, 11)
    db.wait_for(second, 10, PATIENCE)
    terminate_held(running.tools, pod, held)
    assert json.loads((folder / "summary.json").read_text())["state"] == "stopped"
    search.katib.pod(second, after=pod)
    assert search.ended(second) == "EarlyStopped"
    search.bad("y", RUNGS[-1], db)

    third = search.next()
    assert (third, search.ended(third)) == (f"{first}-3", "Running")
    fourth = search.next()
    assert (fourth, search.ended(fourth)) == (f"{first}-4", "Running")

    summary = json.loads((folder / "summary.json").read_text())
    times = [record["time"] for record in summary["history"]]
    assert (summary["state"], len(times)) == ("finished", EPOCHS)
    assert [path.name for path in (runs / NAME).iterdir() if path.is_dir()] == [first]
    for name in (first, second, third, fourth):
        kept = sorted(time for time, *_ in db.rows[name])
        assert kept == times[: len(kept)]
    ends = [len(db.rows[name]) for name in (first, second, third, fourth)]
    assert 2 <= ends[0] < 44 <= ends[1] < ends[2] == ends[3] == EPOCHS
