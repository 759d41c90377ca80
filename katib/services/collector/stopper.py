"""Asks the early-stopping service whether to stop this trial.

The request is Katib's own GetEarlyStoppingRules with this trial alone; the answer is a rule that is met, or none.
Katib's own service answers with the rule that it would give the next trial, which is applied in the same way. Where the
service does not answer, the trial continues.
"""

import logging
from collections.abc import Sequence

import grpc

from katib.metrics import NEVER, katib_number
from katib.services.collector.arguments import Arguments
from katib.services.observations import AWAY, reason
from katib.services.stubs import Message, pb, rpc
from katib.trial import Direction

TIMEOUT = 10.0
"""Seconds to wait for an answer."""

log = logging.getLogger("collector")


class Stopper:
    """The early-stopping service at one address."""

    def __init__(self, address: str, arguments: Arguments) -> None:
        self._channel = grpc.insecure_channel(address, options=[("grpc.max_reconnect_backoff_ms", 5_000)])
        self._service = rpc.EarlyStoppingStub(self._channel)
        self._arguments = arguments
        self._away = False

    def ends(self, step: int, best: float) -> str | None:
        """Returns why a trial with the value `best` after `step` steps is to be stopped; None where it continues."""
        for rule in self._rules():
            if rule.name != self._arguments.objective or rule.start_step != step:
                continue
            bar = katib_number(rule.value)
            if bar is None:
                continue
            if best < bar if rule.comparison == pb.LESS else rule.comparison == pb.GREATER and best > bar:
                # A service that decides by itself sends a bar that every value misses.
                why = f"is worse than {bar:g}" if abs(bar) < NEVER else "is to be stopped; the service's log says why"
                return f"step {step}: best {best:g} {why}"
        return None

    def mark(self) -> bool:
        """Marks the trial as stopped early; returns whether that worked."""
        try:
            request = pb.SetTrialStatusRequest(trial_name=self._arguments.trial)
            self._service.SetTrialStatus(request, timeout=TIMEOUT)
        except AWAY as error:
            self._complain(f"the trial cannot be marked as stopped early ({reason(error)}); trying again")
            return False
        return True

    def _rules(self) -> Sequence[Message]:
        kind = pb.MAXIMIZE if self._arguments.direction is Direction.MAXIMIZE else pb.MINIMIZE
        objective = pb.ObjectiveSpec(type=kind, objective_metric_name=self._arguments.objective)
        request = pb.GetEarlyStoppingRulesRequest(
            experiment=pb.Experiment(spec=pb.ExperimentSpec(objective=objective)),
            trials=[pb.Trial(name=self._arguments.trial)],
            db_manager_address=self._arguments.db_manager,
        )
        try:
            reply = self._service.GetEarlyStoppingRules(request, timeout=TIMEOUT)
        except AWAY as error:
            self._complain(f"the early-stopping service does not answer ({reason(error)}); the trial continues")
            return []
        if self._away:
            log.warning("the early-stopping service is back")
        self._away = False
        rules: Sequence[Message] = reply.early_stopping_rules
        return rules

    def _complain(self, problem: str) -> None:
        """Logs the first of several failures in a row."""
        if not self._away:
            log.warning(problem)
        self._away = True
