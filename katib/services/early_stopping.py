"""Katib's early-stopping service: `python -m katib.services.early_stopping` answers on port 6788.

Two ask it. Katib's controller, with all trials, before it creates new ones: it gets a rule that never fires, since Katib's
wrapper around the trainer forgives a stop only where the trial was made with a rule. And the collector beside each trial,
after each epoch, with its own trial alone: it gets a rule that is met now, or none. The decision is that of katib/search.

What the service remembers it can do without: settings, trials and curves come back from the API server and the DB manager
when its pod is started again in the middle of a search.
"""

import logging
import sys
import threading
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import grpc

from katib.errors import ClusterError
from katib.experiment import Algorithm
from katib.search.stopping import Curve, StopRule, because, stop_rule
from katib.services import reason, requests
from katib.services.kubernetes_api import EXPERIMENT_LABEL, KubernetesApi, in_cluster
from katib.services.namesakes import own_trials
from katib.services.observations import ObservationLogs, observation_logs
from katib.services.requests import RequestError
from katib.services.server import arguments, one_line_errors, serve
from katib.services.stubs import pb, rpc

PORT = 6788
HEALTH = "manager.v1beta1.EarlyStopping"
NEVER = 1e30
"""A bar that no metric is worse than; Katib's collector reads it as a number."""
MOST_SEARCHES = 100
"""One pod serves one experiment; a stranger's requests must not fill its memory."""

log = logging.getLogger("sepsweep")


@dataclass
class Search:
    """An experiment, and what is known of its trials: whether each has ended, and its curve when last read."""

    name: str
    rule: StopRule
    metric: str
    maximize: bool
    ended: dict[str, bool] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    """Trials whose curve was read after their end: it will not change any more."""
    succeeded: Set[str] = frozenset()
    """Trials that ran to their own end."""
    failed: Set[str] = frozenset()
    """Trials without a result, which nothing is compared with."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def listed(self, ended: Mapping[str, bool], succeeded: Set[str], failed: Set[str] = frozenset()) -> None:
        """These are all the trials. What was known of others is forgotten: they were deleted."""
        with self._lock:
            self.ended = dict(ended)
            self.succeeded, self.failed = succeeded, failed
            self.curves = {name: curve for name, curve in self.curves.items() if name in ended}
            self.complete &= ended.keys()

    def read(self, trial: str, logs: ObservationLogs) -> tuple[Curve, list[Curve], list[Curve]]:
        """Returns the curve of `trial`, those of the others, and apart from them those that ran to their own end.

        Each running trial asks after each of its epochs, so its curve is known up to its last question; only what was
        missed is read besides.
        """
        with self._lock:
            self.ended.setdefault(trial, False)
            over = {name for name, ended in self.ended.items() if ended and name not in self.complete}
            stale = {trial, *over, *(self.ended.keys() - self.curves.keys())}
        found = logs.curves(stale, self.metric)
        with self._lock:
            self.curves.update(found)
            self.complete |= over
            others = {name: curve for name, curve in self.curves.items() if name not in {trial, *self.failed}}
            completed = [others.pop(name) for name in self.succeeded & others.keys()]
            return found[trial], list(others.values()), completed


class EarlyStopping(rpc.EarlyStoppingServicer):  # type: ignore[misc, name-defined]  # the generated class has no types
    """Katib's service of that name. Without an `api` no trial can be marked, and none is stopped."""

    def __init__(self, api: KubernetesApi | None) -> None:
        self._api = api
        self._searches: dict[str, Search] = {}
        self._lock = threading.Lock()

    @one_line_errors
    def ValidateEarlyStoppingSettings(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Katib fails the experiment with the line that this is refused with."""
        stop_rule(requests.algorithm(request.early_stopping), maximize=True, metric="")
        return pb.ValidateEarlyStoppingSettingsReply()

    @one_line_errors
    def GetEarlyStoppingRules(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """A rule that never fires for the controller; for a trial's collector one that is met, or none."""
        if request.experiment.spec.HasField("early_stopping"):
            return pb.GetEarlyStoppingRulesReply(early_stopping_rules=[self._remember(request)])
        if len(request.trials) != 1 or not request.trials[0].name:
            raise RequestError(
                "a question without earlyStopping settings must have one trial, that of who asks"
            )
        met, why = self._ask(request.trials[0].name, request.db_manager_address)
        context.set_trailing_metadata(reason.sent(why))
        return pb.GetEarlyStoppingRulesReply(early_stopping_rules=met)

    @one_line_errors
    def SetTrialStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Marks a trial as EarlyStopped, with the reason that the collector was given; once, however often it is asked."""
        if not request.trial_name:
            raise RequestError("no trial is named")
        if self._api is None:
            raise ClusterError("no Kubernetes API: this service runs outside a cluster, or without a token")
        why = reason.received(context.invocation_metadata())
        if self._api.mark_early_stopped(request.trial_name, why):
            log.info("trial %s is marked EarlyStopped", request.trial_name)
        return pb.SetTrialStatusReply()

    def _remember(self, request: Any) -> Any:
        """The controller's question: what the experiment is and which trials it has."""
        name, spec = request.experiment.name, request.experiment.spec
        metric, maximize = requests.objective(spec.objective)
        rule = stop_rule(requests.algorithm(spec.early_stopping), maximize, metric)
        with self._lock:
            known = self._searches.get(name)
        own = self._own(request, set(known.ended) if known else set())
        ended = {trial.name: requests.has_ended(trial) for trial in own}
        succeeded = {trial.name for trial in own if trial.status.condition == pb.TrialStatus.SUCCEEDED}
        with self._lock:
            known = self._searches.pop(name, None)
            search = Search(name, rule, metric, maximize)
            if known and (known.rule, known.metric) == (rule, metric):
                search = known
            failed = {trial.name for trial in own if trial.status.condition == pb.TrialStatus.FAILED}
            search.listed(ended, succeeded, failed)
            self._searches[name] = search
            while len(self._searches) > MOST_SEARCHES:
                del self._searches[next(iter(self._searches))]
        return _rule(search, -NEVER if maximize else NEVER, step=1)

    def _own(self, request: Any, known: Set[str]) -> list[Any]:
        """The trials of `request` without those of a namesake; those that are `known` where the API server does not say."""
        if self._api is None:
            return list(request.trials)
        try:
            return own_trials(request.trials, request.experiment.name, self._api)
        except ClusterError as error:
            log.warning("trials that are new here count later, lest they are a namesake's: %s", error)
            return [trial for trial in request.trials if trial.name in known]

    def _ask(self, trial: str, db_manager: str) -> tuple[list[Any], str]:
        """The rules that `trial` meets now, and why it meets them."""
        begin = time.perf_counter()
        search = self._search(trial) or self._recover(trial)
        if search is None:
            return [], ""
        own, others, completed = search.read(trial, observation_logs(_address(db_manager)))
        stop = search.rule.decide(own, others, completed)
        took = 1e3 * (time.perf_counter() - begin)
        why = "" if stop is None else because(stop, search.metric, search.maximize)
        verdict = f"stops: {why}" if why else "goes on"
        log.info(
            "trial %s step %d %s (%d others, %.0f ms)",
            trial,
            len(own),
            verdict,
            len(others + completed),
            took,
        )
        return [] if stop is None else [_rule(search, stop.bar, stop.step)], why

    def _search(self, trial: str) -> Search | None:
        """The search of a trial: Katib names a trial by its experiment and eight letters, unless a first suggestion names it."""
        with self._lock:
            if listed := [search for search in self._searches.values() if trial in search.ended]:
                return listed[-1]
            owners = [name for name in self._searches if trial.startswith(f"{name}-")]
            return self._searches[max(owners, key=len)] if owners else None

    def _recover(self, trial: str) -> Search | None:
        """After a start in the middle of a search, which Katib's controller may not ask about again for hours."""
        if self._api is None:
            return None
        try:
            name = self._api.trial(trial)["metadata"].get("labels", {}).get(EXPERIMENT_LABEL, "")
            spec = self._api.experiment(name)["spec"]
            trials = self._api.trials(name)
        except ClusterError as error:
            log.warning("trial %s belongs to no known experiment, and goes on: %s", trial, error)
            return None
        early_stopping = spec.get("earlyStopping")
        if not early_stopping:
            return None
        settings = {item["name"]: item["value"] for item in early_stopping.get("algorithmSettings", [])}
        metric, maximize = spec["objective"]["objectiveMetricName"], spec["objective"]["type"] == "maximize"
        rule = stop_rule(Algorithm(early_stopping["algorithmName"], settings), maximize, metric)
        found = Search(name, rule, metric, maximize)
        states = {item["metadata"]["name"]: _conditions(item) for item in trials}
        found.listed(
            {name: bool(held & _OVER) for name, held in states.items()},
            # A trial that was stopped early may hold both conditions.
            {name for name, held in states.items() if held & _OVER == {"Succeeded"}},
            {name for name, held in states.items() if "Failed" in held},
        )
        with self._lock:
            return self._searches.setdefault(name, found)


def _rule(search: Search, bar: float, step: int) -> Any:
    return pb.EarlyStoppingRule(
        name=search.metric,
        value=repr(bar),
        comparison=pb.LESS if search.maximize else pb.GREATER,
        start_step=step,
    )


_OVER = {"Succeeded", "Killed", "Failed", "MetricsUnavailable", "EarlyStopped"}


def _conditions(trial: Mapping[str, Any]) -> set[str]:
    conditions = trial.get("status", {}).get("conditions") or []
    return {item.get("type", "") for item in conditions if item.get("status") == "True"}


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise RequestError(f"db_manager_address '{text[:100]}' is not host:port")
    return text


def main() -> int:
    """Serves until SIGTERM."""
    options = arguments("early_stopping", PORT).parse_args()
    service = EarlyStopping(in_cluster())
    return serve(
        "early stopping",
        options.port,
        HEALTH,
        lambda server: rpc.add_EarlyStoppingServicer_to_server(service, server),
    )


if __name__ == "__main__":
    sys.exit(main())
