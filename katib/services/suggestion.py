"""Katib's suggestion service: `python -m katib.services.suggestion` answers on port 6789.

It keeps nothing: each request holds the experiment and its trials, and the answer is a function of these. So a pod that is
started again, a reply that Katib throws away after a write conflict and a request that it asks twice change nothing. Two
things are looked up elsewhere, where the command line says so: the values a step of trials that were stopped early
(--db-manager; a request has their best value alone), and the trials of earlier experiments that a setting names.
"""

import hashlib
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import grpc

from katib.experiment import Experiment
from katib.search.sampler import Sampler, idle_settings, sampler
from katib.services import requests
from katib.services.observations import AWAY, observation_logs, reason
from katib.services.requests import RequestError
from katib.services.server import arguments, one_line_errors, serve
from katib.services.stubs import pb, rpc

PORT = 6789
HEALTH = "manager.v1beta1.Suggestion"
"""What Katib's probes ask for (consts/const.go)."""

LABELS = {"sepsweep/proposed-by": "sepsweep"}

log = logging.getLogger("sepsweep")


class Suggestion(rpc.SuggestionServicer):  # type: ignore[misc, name-defined]  # the generated class has no types
    """Katib's service of that name; `db_manager` is an address, or None where curves are not to be looked up."""

    def __init__(self, db_manager: str | None = None) -> None:
        self._db_manager = db_manager

    @one_line_errors
    def GetSuggestions(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """The next assignments, as many as were asked for."""
        begin = time.perf_counter()
        count = requests.requested(request)
        search = requests.experiment(request.experiment)
        curves = self._curves(request, search)
        history = requests.history(request, search, curves)
        proposer = _seeded(sampler(search), search)
        # Katib leaves trials without metrics out of the request; the points that they had must not come again.
        position = max(len(history), request.total_request_number - count)
        points = proposer.propose(history, count, position=position)
        if len(points) < count:
            raise RequestError(
                f"algorithm {search.algorithm.name}: {count} more assignments are asked for, and {len(points)} of the"
                f" space are left untried after {len(history)} trials; set maxTrialCount to {len(history) + len(points)}"
            )
        log.info(
            "%s: %d proposed after %d trials, %.0f ms",
            search.name,
            count,
            len(history),
            1e3 * (time.perf_counter() - begin),
        )
        return pb.GetSuggestionsReply(parameter_assignments=[_assignments(point) for point in points])

    @one_line_errors
    def ValidateAlgorithmSettings(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """The one chance to make an experiment fail for what is wrong with it: Katib asks any other question for ever."""
        search = requests.experiment(request.experiment)
        proposer = sampler(search)
        parallel = search.parallel_trials
        if parallel > requests.MOST_REQUESTED:
            raise RequestError(
                f"parallelTrialCount is {parallel}; at most {requests.MOST_REQUESTED} can be proposed at once"
            )
        _require_room(proposer, search)
        for name in idle_settings(search.algorithm):
            log.warning("%s: setting '%s' of %s has no effect here", search.name, name, search.algorithm.name)
        return pb.ValidateAlgorithmSettingsReply()

    def _curves(self, request: Any, search: Experiment) -> Mapping[str, Sequence[float]]:
        stopped = requests.stopped_early(request)
        if not self._db_manager or not stopped:
            return {}
        try:
            return observation_logs(self._db_manager).curves(stopped, search.metric)
        except AWAY as error:
            log.warning(
                "%s: the DB manager at %s does not answer (%s); %d trials that were stopped early count by their best value",
                search.name,
                self._db_manager,
                reason(error),
                len(stopped),
            )
            return {}


def _seeded(proposer: Sampler, search: Experiment) -> Sampler:
    """With a seed from the experiment's name where the manifest has none, so that a question has one answer."""
    if proposer.seed is not None:
        return proposer
    digest = hashlib.sha256(search.name.encode()).digest()
    return replace(proposer, seed=int.from_bytes(digest[:4], "big"))


def _require_room(proposer: Sampler, search: Experiment) -> None:
    """Raises RequestError for a grid with fewer points than trials: Katib would ask for the missing ones for ever."""
    if search.algorithm.name != "grid":
        return
    points = 1
    for axis in proposer.space.axes.values():
        points *= axis.size or 1
    if search.max_trials is None or search.max_trials > points:
        wanted = "none" if search.max_trials is None else str(search.max_trials)
        raise RequestError(
            f"algorithm grid: the grid has {points} points and maxTrialCount is {wanted}; set it to {points}"
        )


def _assignments(point: Mapping[str, str]) -> Any:
    return pb.GetSuggestionsReply.ParameterAssignments(
        assignments=[pb.ParameterAssignment(name=name, value=value) for name, value in point.items()],
        labels=LABELS,
    )


def main() -> int:
    """Serves until SIGTERM."""
    parser = arguments("suggestion", PORT)
    parser.add_argument(
        "--db-manager",
        metavar="HOST:PORT",
        help="where the curves of trials that were stopped early are read; without it only their best value counts",
    )
    options = parser.parse_args()
    service = Suggestion(options.db_manager)
    return serve(
        "suggestion",
        options.port,
        HEALTH,
        lambda server: rpc.add_SuggestionServicer_to_server(service, server),
    )


if __name__ == "__main__":
    sys.exit(main())
