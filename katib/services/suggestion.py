"""Runs Katib's suggestion service: `python -m katib.services.suggestion` answers on port 6789.

It keeps no state: each request holds the experiment and its trials, and the answer is a function of these. So a pod
that restarts, a reply that Katib discards after a write conflict and a repeated request change nothing. Three things
are not in a request and are looked up: the values by step, without which a trial that was stopped early would count by
its best value alone (--db-manager), the trials of earlier experiments that the setting warm_start names, and which
trials belong to an experiment of the same name in another namespace (namesakes.py). With the stop rule promote all
trials are looked up (continuations.py).
"""

import hashlib
import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

from katib.errors import ClusterError
from katib.manifest.search import Search
from katib.measure import Measure
from katib.search.history import Observation
from katib.search.next_step import Step
from katib.search.promotion import Promote
from katib.search.sampler import Sampler, idle_settings, preload, sampler
from katib.search.stop_rules import stop_rule
from katib.search.warm_start import earlier_names
from katib.services import preemption, requests
from katib.services.bookkeeping import Bookkeeper
from katib.services.continuations import Continuations
from katib.services.kubernetes_api import AbsentError, KubernetesApi, NoRightError, in_cluster
from katib.services.namesakes import own_trials
from katib.services.objects import ExperimentObject
from katib.services.observations import AWAY, observation_logs, reason
from katib.services.requests import RequestError
from katib.services.reruns import Configurations
from katib.services.server import arguments, serve
from katib.services.spending import FIX, SpentError, seconds_of, why_spent
from katib.services.stubs import Message, pb, rpc
from katib.trial import CONTINUES_LABEL

PORT = 6789
HEALTH = "manager.v1beta1.Suggestion"
"""The name that Katib's probes ask for (consts/const.go)."""
EXPERIMENT_VARIABLE = "SEPSWEEP_EXPERIMENT"
"""The variable with the pod's experiment, from its label (katib-config.yaml); without it no tries are recorded."""
HEAVY = ("GetSuggestions",)
READERS = 9
"""The requests that are read at once; this service has the memory for so many."""
MOST_FIRST = 1_000
"""The points that a search may begin with: each proposal goes through them."""
LABELS = {"sepsweep/proposed-by": "sepsweep"}

log = logging.getLogger("sepsweep")


class Suggestion(rpc.SuggestionServicer):  # type: ignore[misc, name-defined]  # the generated class has no types
    """Implements Katib's service of that name.

    `db_manager` is an address, or None where curves are not to be looked up. Without an `api` there is no warm start,
    and the tries of trials are not recorded.
    """

    def __init__(self, db_manager: str | None = None, api: KubernetesApi | None = None) -> None:
        self._db_manager = db_manager
        self._api = api
        self.bookkeeper = Bookkeeper(api, db_manager)

    def GetSuggestions(self, request: Message, context: object) -> Message:  # noqa: N802
        """Returns the next assignments, as many as the request asks for."""
        begin = time.perf_counter()
        count = requests.requested(request)
        search = requests.search_of(request.experiment)
        if request.total_request_number > count:  # before the first trial nothing is spent
            self._require_budget(search.name)
        proposer = _seeded(_sampler(search), search)
        if search.pauses:
            steps, begun = self._promoted(search, proposer, count, request.total_request_number - count)
        else:
            steps, begun = self._proposed(search, proposer, request)
        if len(steps) < count:
            raise RequestError(
                f"algorithm {search.algorithm.name}: {count} more assignments are asked for, and {len(steps)} of the"
                f" space are left untried after {begun} trials;"
                f" set maxTrialCount to {begun + len(steps)}"
            )
        log.info(
            "%s: %d proposed after %d trials, %.0f ms",
            search.name,
            count,
            begun,
            1e3 * (time.perf_counter() - begin),
        )
        return pb.GetSuggestionsReply(parameter_assignments=[_assignments(step) for step in steps])

    def _require_budget(self, experiment: str) -> None:
        """Raises SpentError where the GPU-hours of the experiment are spent, ManifestError where they are no number.

        Without the right to read it, nothing is known of a budget.
        """
        if self._api is None:
            return
        try:
            found = self._api.experiment(experiment)
            trials = self._api.trials(experiment) if found.gpu_hours is not None else ()
            why = why_spent(found, map(seconds_of, trials))
        except (AbsentError, NoRightError) as error:
            log.info("%s: nothing is known of a budget in GPU-hours: %s", experiment, error)
            return
        if why:
            raise SpentError(f"{why}; {FIX}")

    def _proposed(self, search: Search, proposer: Sampler, request: Message) -> tuple[list[Step], int]:
        """Returns the failed trials that run again and new configurations, and how many of these there were."""
        self._keep_own_trials(request)
        count, names = request.current_request_number, {trial.name for trial in request.trials}
        proposed = request.total_request_number - count
        steps: list[Step] = []
        if proposed and self._api is not None and (again := self._found(search.name).again):
            found = Configurations.read(self._api, search.name, again)
            steps = found.reruns(count, proposed)
            _keep(request, found.newest(request.trials))
            proposed -= found.continuations
        history = requests.history(request, search, self._curves(request, search))
        # Katib leaves trials without metrics out of the request; their points must not be proposed again.
        position, earlier, left = max(len(history), proposed), self._earlier(search), count - len(steps)
        points = proposer.propose(history, left, earlier=earlier, position=position, names=names)
        return steps + [Step(point, trial=proposer.trial_name(point)) for point in points], len(history)

    def _promoted(self, search: Search, proposer: Sampler, count: int, proposed: int) -> tuple[list[Step], int]:
        """Returns the next steps of a search with promote after `proposed` trials, and the number of those."""
        api, db_manager, rule = self._for_promote(search)
        found = Continuations.read(search, rule, proposer, api, db_manager, self._found(search.name).again)
        return found.next(count, proposed, self._earlier(search)), len(found.found.trials)

    def _found(self, experiment: str) -> ExperimentObject:
        """Returns the Experiment; an empty one where nothing of it is known, as without the right to read it."""
        try:
            return self._api.experiment(experiment) if self._api is not None else ExperimentObject({})
        except (AbsentError, NoRightError):
            return ExperimentObject({})

    def _for_promote(self, search: Search) -> tuple[KubernetesApi, str, Promote]:
        """Returns what continuations need. Raises RequestError where it is missing."""
        if self._api is None or not self._db_manager:
            raise RequestError("promote: this service has no access to the cluster's trials, or no --db-manager")
        assert search.early_stopping is not None  # noqa: S101 (search.pauses)
        rule = stop_rule(search.early_stopping, search.direction, Measure(search.metric))
        assert isinstance(rule, Promote)  # noqa: S101 (the rule of that name)
        changed = self._found(search.name).configurations
        return self._api, self._db_manager, rule if changed is None else replace(rule, configurations=changed)

    def ValidateAlgorithmSettings(self, request: Message, context: object) -> Message:  # noqa: N802
        """Checks the whole experiment: this is the only call whose error ends it; Katib repeats all others for ever."""
        search = requests.search_of(request.experiment)
        proposer = _sampler(search)
        parallel = search.parallel_trials
        if (search.max_trials or 0) > requests.MOST_TRIALS:
            raise RequestError(f"maxTrialCount is {search.max_trials}; it can be {requests.MOST_TRIALS}")
        if parallel > requests.MOST_REQUESTED:
            raise RequestError(
                f"parallelTrialCount is {parallel}; at most {requests.MOST_REQUESTED} can be proposed at once"
            )
        _require_room(proposer, search)
        if search.pauses:
            _require_rights(self._for_promote(search)[0], search.name)
        self._earlier(search)
        try:
            self._require_budget(search.name)
        except ClusterError as error:  # it is no reason to fail the experiment
            log.warning("%s: its budget in GPU-hours is looked at later: %s", search.name, error)
        for name in idle_settings(search.algorithm):
            log.warning("%s: setting '%s' of %s has no effect here", search.name, name, search.algorithm.name)
        return pb.ValidateAlgorithmSettingsReply()

    def _keep_own_trials(self, request: Message) -> None:
        """Removes the trials of namesakes in other namespaces from `request`.

        Without the right to list trials the request stays as it is, and is refused where it has more trials than were
        requested. Raises ClusterError where the API server does not answer: Katib asks again.
        """
        if self._api is None:
            return
        try:
            own = own_trials(request.trials, request.experiment.name, self._api)
        except NoRightError as error:
            log.warning("trials of a namesake cannot be left out: %s", error)
            return
        except ClusterError as error:
            raise ClusterError(f"the trials of this namespace are unknown: {error}") from None
        _keep(request, own)

    def _curves(self, request: Message, search: Search) -> Mapping[str, Sequence[float]]:
        needed = requests.curves_needed(request)
        if not self._db_manager or not needed:
            return {}
        try:
            return observation_logs(self._db_manager).curves(needed, search.metric)
        except AWAY as error:
            log.warning(
                "%s: the DB manager at %s does not answer (%s);"
                " trials that were stopped early count by their best value",
                search.name,
                self._db_manager,
                reason(error),
            )
            return {}

    def _earlier(self, search: Search) -> list[Observation]:
        """Returns the trials of the experiments that the setting warm_start names."""
        observations: list[Observation] = []
        for name in earlier_names(search):
            if self._api is None:
                raise RequestError("warm_start: this service has no access to the cluster's trials")
            trials = islice(self._api.trials(name), requests.MOST_TRIALS - len(observations))
            earlier = [requests.earlier(trial, search) for trial in trials]
            if not earlier:
                raise RequestError(f"warm_start: there are no trials of an experiment '{name}' in this namespace")
            observations += earlier
        return observations


def _keep(request: Message, trials: Sequence[Message]) -> None:
    del request.trials[:]
    request.trials.extend(trials)


def _sampler(search: Search) -> Sampler:
    """Returns the sampler of `search`. Raises RequestError for more than MOST_FIRST first suggestions."""
    proposer = sampler(search)
    if len(proposer.first) > MOST_FIRST:
        raise RequestError(f"first_suggestions: {len(proposer.first)} points; {MOST_FIRST} can be given")
    return proposer


def _seeded(proposer: Sampler, search: Search) -> Sampler:
    """Returns the sampler with a seed: where the manifest has none, one from the experiment's name.

    So a repeated request has the same answer.
    """
    if proposer.seed is not None:
        return proposer
    digest = hashlib.sha256(search.name.encode()).digest()
    return replace(proposer, seed=int.from_bytes(digest[:4], "big"))


def _require_room(proposer: Sampler, search: Search) -> None:
    """Raises RequestError for a space with fewer points than trials: Katib would ask for the missing ones for ever."""
    points, trials = proposer.space.size, search.configurations
    endless = trials is None and search.algorithm.name == "grid"
    if points is not None and (endless or (trials or 0) > points):
        raise RequestError(
            f"parameters: {points} points in all and maxTrialCount {trials or 'is missing'};"
            f" no point is tried twice, so set it to {points} at most"
        )


def _require_rights(api: KubernetesApi, experiment: str) -> None:
    """Raises RequestError where this account may not see whether a paused trial has ended."""
    try:
        api.has_gone(experiment)
    except NoRightError as error:
        raise RequestError(f"promote needs the rights of k8s/base/services-rbac.yaml; apply it: {error}") from None


def _assignments(step: Step) -> Message:
    # Katib invents a name where this one is empty (suggestionclient.go).
    return pb.GetSuggestionsReply.ParameterAssignments(
        trial_name=step.trial,
        assignments=[pb.ParameterAssignment(name=name, value=value) for name, value in step.assignments.items()],
        labels=LABELS | ({CONTINUES_LABEL: step.continues} if step.continues else {}),
    )


def main() -> int:
    """Serves until SIGTERM; returns the exit code."""
    parser = arguments("suggestion", PORT)
    parser.add_argument(
        "--db-manager",
        metavar="HOST:PORT",
        help="where the curves of trials that were stopped early are read; without it only their best value counts",
    )
    options = parser.parse_args()
    preload()
    service = Suggestion(options.db_manager, in_cluster())
    service.bookkeeper.begin(os.environ.get(EXPERIMENT_VARIABLE, ""))
    preemption.begin(in_cluster(), options.db_manager, os.environ.get(EXPERIMENT_VARIABLE, ""))
    return serve(
        "suggestion",
        options.port,
        HEALTH,
        lambda server: rpc.add_SuggestionServicer_to_server(service, server),
        HEAVY,
        READERS,
    )


if __name__ == "__main__":
    sys.exit(main())
