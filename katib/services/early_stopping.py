"""Runs Katib's early-stopping service: `python -m katib.services.early_stopping` answers on port 6788.

It has two kinds of callers. Katib's controller asks with all trials before it creates new ones, and gets a rule that
never fires: Katib's wrapper around the trainer forgives a stop only where the trial was created with a rule. The
collector beside each trial asks after each epoch, with that trial alone, and gets a rule that is met now, or none. The
stop rules are those of katib/search.

A caller decides nothing: settings and trials come from the API server, curves from one DB manager, and only a trial
that the service itself has decided to stop is marked. What the service remembers is a cache: when its pod restarts in
the middle of a search, all of it is read from these two again.
"""

import logging
import os
import sys
import threading
import time
from collections import OrderedDict

from katib.errors import ClusterError
from katib.measure import Measure
from katib.metrics import NEVER
from katib.search.stop_rules import stop_rule
from katib.search.stopping import because
from katib.services import requests
from katib.services.calls import UndecidedError
from katib.services.kubernetes_api import EARLY_STOPPED, KubernetesApi, in_cluster
from katib.services.observations import observation_logs
from katib.services.requests import RequestError
from katib.services.searches import Searches
from katib.services.server import arguments, serve
from katib.services.stubs import Message, pb, rpc
from katib.trial import Direction

PORT = 6788
HEALTH = "manager.v1beta1.EarlyStopping"
DB_MANAGER = "katib-db-manager.kubeflow:6789"
DB_MANAGER_VARIABLE = "SEPSWEEP_DB_MANAGER"
"""The variable that names another one. The image sets it: Katib gives this container no arguments or variables."""
MOST_DECISIONS = 1_000
LAST_STEPS = 3
"""The most epochs that a trial reports after the decision to stop it, until it is marked."""

log = logging.getLogger("sepsweep")


class EarlyStopping(rpc.EarlyStoppingServicer):  # type: ignore[misc, name-defined]  # the generated class has no types
    """Implements Katib's service of that name. Without an `api` no trial can be marked, and none is stopped."""

    def __init__(self, api: KubernetesApi | None, db_manager: str = DB_MANAGER) -> None:
        self._api = api
        self._searches = Searches(api) if api else None
        self._db_manager = db_manager
        self._decided: OrderedDict[str, str] = OrderedDict()
        """Why each trial is to be stopped, in the order of the decisions."""
        self._lock = threading.Lock()

    def ValidateEarlyStoppingSettings(self, request: Message, context: object) -> Message:  # noqa: N802
        """Checks the settings; the error becomes the reason for which Katib fails the experiment."""
        stop_rule(requests.algorithm(request.early_stopping), Direction.MAXIMIZE, Measure(""))
        return pb.ValidateEarlyStoppingSettingsReply()

    def GetEarlyStoppingRules(self, request: Message, context: object) -> Message:  # noqa: N802
        """Returns to the controller a rule that never fires, and to a collector one that its trial meets, or none."""
        if request.experiment.spec.HasField("early_stopping"):
            return pb.GetEarlyStoppingRulesReply(early_stopping_rules=[self._for_new_trials(request)])
        if len(request.trials) != 1 or not request.trials[0].name:
            raise RequestError("a request without earlyStopping settings must have one trial, that of the caller")
        return pb.GetEarlyStoppingRulesReply(early_stopping_rules=self._met(request.trials[0].name))

    def SetTrialStatus(self, request: Message, context: object) -> Message:  # noqa: N802
        """Marks a trial that is to be stopped as EarlyStopped, with the reason; a repeated call changes nothing."""
        name = request.trial_name
        if not name:
            raise RequestError("no trial is named")
        if self._api is None:
            raise ClusterError("no Kubernetes API: this service runs outside a cluster, or without a token")
        with self._lock:
            why = self._decided.get(name)
        if why is None and EARLY_STOPPED not in self._api.trial(name).states:
            why = self._decide(name, LAST_STEPS)[1]
            if not why:
                raise UndecidedError(f"this service has not decided to stop trial '{name}'")
        if why is not None and self._api.mark_early_stopped(name, why):
            log.info("trial %s is marked EarlyStopped", name)
        return pb.SetTrialStatusReply()

    def _for_new_trials(self, request: Message) -> Message:
        """Returns the rule for new trials, from the request alone; reads the experiment from the API server again."""
        name, spec = request.experiment.name, request.experiment.spec
        metric, direction = requests.objective(spec.objective)
        stop_rule(requests.algorithm(spec.early_stopping), direction, Measure(metric))
        if self._searches is not None and name:
            try:
                self._searches.refresh(name)
            except ClusterError as error:
                log.warning("experiment %s will be read later: %s", name[:100], error)
        return _rule(metric, direction, -direction.sign * NEVER, step=1)

    def _met(self, trial: str) -> list[Message]:
        """Returns the rules that `trial` meets now."""
        rules, why = self._decide(trial)
        if why:
            with self._lock:
                self._decided[trial] = why
                self._decided.move_to_end(trial)
                while len(self._decided) > MOST_DECISIONS:
                    self._decided.popitem(last=False)
        return rules

    def _decide(self, trial: str, last: int = 1) -> tuple[list[Message], str]:
        """Returns the rules that `trial` meets at one of its `last` steps, and why it meets them."""
        begin = time.perf_counter()
        search = self._searches.of(trial) if self._searches is not None else None
        if search is None:
            return [], ""
        steps, others, stop = search.decide(trial, observation_logs(self._db_manager), last)
        why = search.spent or ("" if stop is None else because(stop, search.measure, search.direction))
        verdict = f"stops: {why}" if why else "continues"
        took = 1e3 * (time.perf_counter() - begin)
        log.info("trial %s step %d %s (%d others, %.0f ms)", trial, steps, verdict, others, took)
        always = search.direction.sign * NEVER
        if search.spent:
            return [_rule(search.measure.metric, search.direction, always, steps)], why
        if stop is None:
            return [], why
        # The first trial at a rung of promote pauses though it is not worse than any other, and a collector compares.
        bar = stop.bar if search.direction.better(stop.bar, stop.best) else always
        return [_rule(search.measure.metric, search.direction, bar, stop.step)], why


def _rule(metric: str, direction: Direction, bar: float, step: int) -> Message:
    comparison = pb.LESS if direction is Direction.MAXIMIZE else pb.GREATER
    return pb.EarlyStoppingRule(name=metric, value=repr(bar), comparison=comparison, start_step=step)


def main() -> int:
    """Serves until SIGTERM; returns the exit code."""
    parser = arguments("early_stopping", PORT)
    parser.add_argument(
        "--db-manager",
        metavar="HOST:PORT",
        default=os.environ.get(DB_MANAGER_VARIABLE) or DB_MANAGER,
        help=f"where curves are read, by default {DB_MANAGER_VARIABLE}; an address in a request is ignored",
    )
    options = parser.parse_args()
    service = EarlyStopping(in_cluster(), options.db_manager)
    return serve(
        "early stopping",
        options.port,
        HEALTH,
        lambda server: rpc.add_EarlyStoppingServicer_to_server(service, server),
    )


if __name__ == "__main__":
    sys.exit(main())
