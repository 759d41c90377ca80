"""Failed trials that were asked to run again: the suggestion service lets their configurations go on, once each."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from katib.manifest.again import ANNOTATION
from katib.services import reruns
from katib.services.server import start
from katib.services.stubs import pb, rpc
from katib.services.suggestion import HEALTH, Suggestion
from tests.katib.services.rig import Condition, DbManager, TrialServer, channel, double, experiment, point, trial

NAME, SPACE = "sweep", (double("lr", "0.1", "0.9"),)
CONDITIONS = {"Failed": Condition.FAILED, "Succeeded": Condition.SUCCEEDED, "Running": Condition.RUNNING}


class Katib:
    """Katib's controllers: a search by an even sequence, whose trials are asked for and begun here."""

    def __init__(self, stub: Any, cluster: TrialServer) -> None:
        self.stub, self.cluster = stub, cluster
        self.search = experiment(NAME, "sobol", {"random_state": "1"}, SPACE, max_trials=9)
        cluster.add_experiment(NAME, {})

    def ask(self, count: int) -> list[str]:
        """Asks for so many trials, begins them, and returns their names."""
        begun = [item for key, item in self.cluster.objects.items() if key.startswith("trials/")]
        trials = [
            trial(
                item["metadata"]["name"],
                {each["name"]: each["value"] for each in item["spec"]["parameterAssignments"]},
                CONDITIONS[item["status"]["conditions"][-1]["type"]],
                1.0 if item["status"]["conditions"][-1]["type"] == "Succeeded" else None,
            )
            for item in begun
        ]
        request = pb.GetSuggestionsRequest(
            experiment=self.search, trials=trials, current_request_number=count, total_request_number=len(begun) + count
        )
        made = self.stub.GetSuggestions(request, timeout=600).parameter_assignments
        return [self.begin(item, len(begun) + index) for index, item in enumerate(made)]

    def begin(self, item: Any, number: int) -> str:
        name = item.trial_name or f"{NAME}-{number:08}"
        tree = self.cluster.add_trial(name, NAME, "Running")
        tree["metadata"]["labels"] |= dict(item.labels)
        tree["spec"] = {"parameterAssignments": [{"name": k, "value": v} for k, v in point(item).items()]}
        return name

    def end(self, name: str, state: str) -> None:
        self.cluster.objects[f"trials/{name}"]["status"]["conditions"].append({"type": state, "status": "True"})
        self.cluster.objects[f"jobs/{name}"] = {"status": {"conditions": [{"type": "Failed", "status": "True"}]}}

    def again(self, *names: str) -> None:
        self.cluster.objects[f"experiments/{NAME}"]["metadata"]["annotations"] = {ANNOTATION: ",".join(names)}

    def lr(self, name: str) -> str:
        return str(self.cluster.objects[f"trials/{name}"]["spec"]["parameterAssignments"][0]["value"])


@pytest.fixture
def katib(cluster: TrialServer, db: DbManager) -> Iterator[Katib]:
    server, port = start(
        0, HEALTH, lambda to: rpc.add_SuggestionServicer_to_server(Suggestion(db.address, cluster.api), to)
    )
    with channel(port) as opened:
        yield Katib(rpc.SuggestionStub(opened), cluster)
    server.stop(None)


def test_a_failed_trial_goes_on_once_and_the_other_points_stay_the_same(katib: Katib) -> None:
    """The points are those of a search in which nothing failed; a trial that fails again can be asked for again."""
    whole = [katib.lr(name) for name in katib.ask(5)]
    for name in [key for key in katib.cluster.objects if key.startswith("trials/")]:
        del katib.cluster.objects[name]
    first, second = katib.ask(2)
    katib.end(first, "Failed")
    katib.end(second, "Failed")
    katib.again(first)
    rerun, third = katib.ask(2)
    assert rerun == f"{first}-2"
    assert katib.cluster.objects[f"trials/{rerun}"]["metadata"]["labels"]["sepsweep/continues"] == first
    katib.end(rerun, "Failed")
    (fourth,) = katib.ask(1)
    katib.again(first, rerun)
    assert katib.ask(1) == [f"{first}-3"]
    katib.end(f"{first}-3", "Succeeded")
    (fifth,) = katib.ask(1)
    assert [katib.lr(name) for name in (first, second, third, fourth, fifth)] == whole
    assert {katib.lr(name) for name in (first, rerun, f"{first}-3")} == {whole[0]}


@pytest.mark.parametrize("state", ["Running", "Succeeded"])
def test_what_has_not_failed_does_not_run_again(katib: Katib, state: str) -> None:
    (first,) = katib.ask(1)
    if state != "Running":
        katib.end(first, state)
    katib.again(first, "nobody", "../x")
    (other,) = katib.ask(1)
    assert not other.startswith(first)


def test_katib_asks_again_while_a_pod_of_the_failed_trial_is_left(
    katib: Katib, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would write one run directory; and a trial that does not exist yet may be the one that goes on."""
    monkeypatch.setattr(reruns, "WAIT_SECONDS", 0.0)
    (first,) = katib.ask(1)
    katib.end(first, "Failed")
    now = datetime.now(UTC).isoformat()
    katib.cluster.objects[f"trials/{first}"]["status"]["completionTime"] = now
    katib.again(first)
    labels = {"katib.kubeflow.org/trial": first}
    katib.cluster.pods = [{"metadata": {"name": "p", "labels": labels}, "status": {"phase": "Running"}}]
    with pytest.raises(grpc.RpcError) as caught:
        katib.ask(1)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert f"trial '{first}' goes on once its last pod has ended" in str(caught.value.details())
    katib.cluster.pods = []
    request = pb.GetSuggestionsRequest(experiment=katib.search, current_request_number=1, total_request_number=3)
    with pytest.raises(grpc.RpcError) as caught:
        katib.stub.GetSuggestions(request, timeout=600)
    assert "1 of the proposed trials do not exist yet" in str(caught.value.details())
    assert katib.ask(1) == [f"{first}-2"]
