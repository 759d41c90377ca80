"""The searches of this namespace as the API server has them, with the curves of their trials as the DB manager has
them.

Nothing of it is taken from who asks: anybody in the namespace can send what Katib's controller sends, with other
settings, states and trials. A request only says what to look up, and what the API server does not confirm is not kept.
"""

import logging
import threading
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from katib.errors import ClusterError
from katib.manifest.experiment import Algorithm
from katib.search.stopping import Curve, Stop, StopRule, stop_rule
from katib.services.kubernetes_api import EXPERIMENT_LABEL, KubernetesApi
from katib.services.observations import AT_ONCE, TIMEOUT, ObservationLogs
from katib.tree import Tree, at, items_at, text_at
from katib.trial import ENDED, Direction, state_of

MOST_SEARCHES = 3
"""One pod serves one experiment; others of its namespace may be asked about."""
MOST_VALUES = 1_000_000
"""Of all curves of a search, 8 bytes each."""
FEW_TRIALS = 50
"""A search counts as one of so many where it has fewer: a curve has room for MOST_VALUES / FEW_TRIALS steps at most."""

log = logging.getLogger("sepsweep")


@dataclass
class Search:
    """An experiment, and what is known of its trials: whether each has ended, and its curve when last read."""

    name: str
    rule: StopRule
    metric: str
    direction: Direction
    ended: dict[str, bool] = field(default_factory=dict)
    curves: dict[str, Curve] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    """Trials whose curve was read after their end: it will not change any more."""
    succeeded: Set[str] = frozenset()
    """Trials that ran to their own end."""
    failed: Set[str] = frozenset()
    """Trials without a result, which nothing is compared with."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _reading: threading.Lock = field(default_factory=threading.Lock)
    """Held while curves are read, so that several that ask at once read none of them twice."""

    def listed(self, states: Mapping[str, Set[str]]) -> None:
        """Takes these for all the trials, each with its conditions.

        What was known of others is forgotten: they were deleted.
        """
        with self._lock:
            self.ended = {name: state_of(held) in ENDED for name, held in states.items()}
            self.succeeded = {name for name, held in states.items() if state_of(held) == "Succeeded"}
            self.failed = {name for name, held in states.items() if "Failed" in held}
            self.curves = {name: curve for name, curve in self.curves.items() if name in states}
            self.complete &= states.keys()

    def add(self, trial: str) -> None:
        """Takes a trial that was made since."""
        with self._lock:
            self.ended.setdefault(trial, False)

    def read(self, trial: str, logs: ObservationLogs) -> tuple[Curve, list[Curve], list[Curve]]:
        """Returns the curve of `trial`, those of the others, and apart from them those that ran to their own end.

        Each running trial asks after each of its epochs, so its curve is known up to its last question; only what was
        missed is read besides. Raises ClusterError where others wait for the DB manager as well, AWAY where it is away.
        """
        if not self._reading.acquire(timeout=TIMEOUT):
            raise ClusterError("the DB manager takes its time, and others wait for it")
        try:
            return self._read(trial, logs)
        finally:
            self._reading.release()

    def _read(self, trial: str, logs: ObservationLogs) -> tuple[Curve, list[Curve], list[Curve]]:
        with self._lock:
            over = {name for name, ended in self.ended.items() if ended and name not in self.complete}
            stale = {trial, *over, *(self.ended.keys() - self.curves.keys())}
            most = MOST_VALUES // max(len(self.ended), FEW_TRIALS)
        found: dict[str, array[float]] = {}
        names = list(stale)
        for start in range(0, len(names), AT_ONCE):
            read = logs.curves(names[start : start + AT_ONCE], self.metric, most)
            found |= {name: array("d", values) for name, values in read.items()}
        with self._lock:
            self.curves.update((name, curve) for name, curve in found.items() if name in self.ended)
            self.complete |= over & self.ended.keys()
            others = {name: curve for name, curve in self.curves.items() if name not in {trial, *self.failed}}
            completed = [others.pop(name) for name in self.succeeded & others.keys()]
            return found[trial], list(others.values()), completed

    def decide(self, trial: str, logs: ObservationLogs, last: int = 1) -> tuple[int, int, Stop | None]:
        """Returns the steps of `trial`, the number of the others, and why it is to end, at one of its `last` steps."""
        own, others, completed = self.read(trial, logs)
        steps = range(len(own), max(0, len(own) - last), -1)
        stops = (self.rule.decide(own[:step], others, completed) for step in steps)
        return len(own), len(others + completed), next((stop for stop in stops if stop), None)


class Searches:
    """Those that were asked about last, MOST_SEARCHES of them."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._known: OrderedDict[str, Search] = OrderedDict()
        self._lock = threading.Lock()

    def refresh(self, name: str) -> Search | None:
        """Reads an experiment and its trials anew; None where the API server has none that stops trials.

        Raises ClusterError.
        """
        made = _search(name, at(self._api.experiment(name), "spec"))
        if made is None:
            return None
        states = {text_at(trial, "metadata", "name"): conditions(trial) for trial in self._api.trials(name)}
        with self._lock:
            known = self._known.get(name)
            same = known is not None and (known.rule, known.metric) == (made.rule, made.metric)
            search = self._known[name] = known if known is not None and same else made
            self._known.move_to_end(name)
            while len(self._known) > MOST_SEARCHES:
                self._known.popitem(last=False)
        search.listed(states)
        return search

    def of(self, trial: str) -> Search | None:
        """Returns the search of a trial that the API server has.

        None where nothing is known of it, or nothing to be had.
        """
        with self._lock:
            if found := next((search for search in self._known.values() if trial in search.ended), None):
                return found
        try:
            name = text_at(self._api.trial(trial), "metadata", "labels", EXPERIMENT_LABEL)
            with self._lock:
                found = self._known.get(name)
            found = found or (self.refresh(name) if name else None)
        except ClusterError as error:
            log.warning("trial %s belongs to no known experiment, and continues: %s", trial[:100], error)
            return None
        if found is not None:
            found.add(trial)
        return found


def conditions(trial: Tree) -> set[str]:
    """Returns the types of the conditions that a trial is in."""
    return {text_at(item, "type") for item in items_at(trial, "status", "conditions") if item.get("status") == "True"}


def _search(name: str, spec: Tree) -> Search | None:
    early_stopping = at(spec, "earlyStopping")
    if not early_stopping:
        return None
    settings = {text_at(item, "name"): text_at(item, "value") for item in items_at(early_stopping, "algorithmSettings")}
    metric, direction = text_at(spec, "objective", "objectiveMetricName"), Direction(text_at(spec, "objective", "type"))
    rule = stop_rule(Algorithm(text_at(early_stopping, "algorithmName"), settings), direction, metric)
    return Search(name, rule, metric, direction)
