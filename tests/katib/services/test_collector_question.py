"""The early-stopping service's answers to the collector: a rule that is met, one that is not, or none at all."""

import logging
from typing import Any

import grpc
import pytest

from katib.services.collector.arguments import parse
from katib.services.collector.stopper import Stopper
from katib.services.stubs import pb
from tests.katib.services.rig import METRIC

ARGUMENTS = f"-t trial -m {METRIC} -s-db db:1 -path p"


def rule(value: str = "4", comparison: Any = pb.LESS, step: int = 3, name: str = METRIC) -> Any:
    return pb.EarlyStoppingRule(name=name, value=value, comparison=comparison, start_step=step)


class Service:
    """Stands in for the stub: answers with `rules`, or not at all while it is `away`."""

    def __init__(self, *rules: Any) -> None:
        self.rules, self.away = list(rules), False
        self.asked: list[Any] = []
        self.marked: list[Any] = []

    def GetEarlyStoppingRules(self, question: Any, timeout: float) -> Any:
        assert timeout > 0
        self.asked.append(question)
        if self.away:
            raise grpc.RpcError("away")
        return pb.GetEarlyStoppingRulesReply(early_stopping_rules=self.rules)

    def SetTrialStatus(self, request: Any, timeout: float) -> Any:
        assert timeout > 0
        if self.away:
            raise grpc.RpcError("away")
        self.marked.append(request.trial_name)


def ask(service: Service, direction: str = "maximize") -> Stopper:
    stopper = Stopper("127.0.0.1:1", parse([*ARGUMENTS.split(), "-o-type", direction]))
    stopper._service = service
    return stopper


def test_a_service_that_decides_by_itself_has_the_reason_in_its_log() -> None:
    """A trial that pauses need not be worse than another."""
    assert "the service's log says why" in str(ask(Service(rule(value="1e+30"))).ends(3, 3.9))


@pytest.mark.parametrize(
    ("given", "best", "stops"),
    [
        (rule(), 3.9, True),
        (rule(), 4.0, False),
        (rule(), 4.1, False),
        (rule(comparison=pb.GREATER), 4.1, True),
        (rule(comparison=pb.GREATER), 4.0, False),
        (rule(comparison=pb.GREATER), 3.9, False),
        (rule(comparison=pb.EQUAL), 4.0, False),
        (rule(comparison=pb.EQUAL), 5.0, False),
        (rule(step=2), 3.9, False),
        (rule(step=4), 3.9, False),
        (rule(name="loss"), 3.9, False),
        (rule(value="four"), 3.9, False),
        (rule(value="nan"), 3.9, False),
        (rule(value="1_0"), 3.9, False),
        (rule(value="1e1"), 3.9, True),
    ],
)
def test_a_trial_is_stopped_where_its_best_is_beyond_the_rule(given: Any, best: float, stops: bool) -> None:
    """At the rule's own step, by the objective, for which alone medianstop makes rules.

    Equal is not beyond (file-metricscollector/main.go, updateStopRules), and a text that is no number stops nothing.
    """
    expected = f"step 3: best {best:g} is worse than {float(given.value):g}" if stops else None
    assert ask(Service(given)).ends(3, best) == expected


def test_any_rule_that_is_met_is_enough() -> None:
    service = Service(rule("one"), rule("1"), rule("9", step=9), rule("5"))
    assert ask(service).ends(3, 4) == "step 3: best 4 is worse than 5"
    assert ask(Service()).ends(3, 4) is None


@pytest.mark.parametrize(("direction", "kind"), [("maximize", pb.MAXIMIZE), ("minimize", pb.MINIMIZE)])
def test_the_question_is_of_this_trial_alone(direction: str, kind: Any) -> None:
    """As api.proto has it: the objective, one trial, and the manager that has its rows."""
    service = Service()
    ask(service, direction).ends(3, 4)
    (question,) = service.asked
    assert question.experiment.spec.objective.type == kind
    assert question.experiment.spec.objective.objective_metric_name == METRIC
    assert [trial.name for trial in question.trials] == ["trial"]
    assert question.db_manager_address == "db:1"


def test_a_service_that_is_away_ends_nothing_and_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    """Each time that it goes away, and when it is back."""
    caplog.set_level(logging.INFO)
    service = Service(rule())
    stopper = ask(service)
    assert stopper.ends(3, 1)
    assert caplog.messages == []
    for _ in range(2):
        service.away = True
        assert [stopper.ends(3, 1) for _ in range(3)] == [None] * 3
        service.away = False
        assert stopper.ends(3, 1)
        assert stopper.ends(3, 1)
    away = "the early-stopping service does not answer (away); the trial "
    assert [message.removesuffix("goes on").removesuffix("continues") for message in caplog.messages] == [
        away,
        "the early-stopping service is back",
    ] * 2


def test_a_trial_is_marked_by_its_name_and_the_mark_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    stopper = ask(service)
    service.away = True
    assert [stopper.mark() for _ in range(3)] == [False] * 3
    assert caplog.messages == ["the trial cannot be marked as stopped early (away); trying again"]
    service.away = False
    assert stopper.mark() is True
    assert service.marked == ["trial"]
    assert {record.name for record in caplog.records} == {"collector"}
