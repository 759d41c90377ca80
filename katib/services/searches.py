"""Keeps the searches of this namespace: their trials from the API server, the trials' curves from the DB manager.

Nothing is taken from a caller's message, because anybody in the namespace can send what Katib's controller sends, with
other settings, states and trials. A request only says what to look up, and only what the API server confirms is kept.
"""

import logging
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from katib.errors import ClusterError, ManifestError
from katib.manifest.gpu_hours import ANNOTATION
from katib.measure import Measure
from katib.search.families import families, joined
from katib.search.stop_rules import stop_rule
from katib.search.stopping import Curve, Stop, StopRule
from katib.services.kubernetes_api import KubernetesApi
from katib.services.objects import ExperimentObject
from katib.services.observations import AT_ONCE, TIMEOUT, ObservationLogs
from katib.services.spending import seconds_of, why_spent
from katib.trial import ENDED, Direction, state_of

MOST_SEARCHES = 3
"""One pod serves one experiment, but a caller may name others of its namespace."""
MOST_VALUES = 1_000_000
"""The values of all curves of a search, 8 bytes each."""
BUDGET_SECONDS = 60.0
"""Seconds after which the trials of a search with a budget in GPU-hours are read again."""
FEW_TRIALS = 50
"""A search counts as one of at least so many trials: a curve has at most MOST_VALUES / FEW_TRIALS steps."""

log = logging.getLogger("sepsweep")


@dataclass
class WatchedSearch:
    """An experiment and its trials: whether each has ended, and its curve when last read."""

    name: str
    rule: StopRule
    measure: Measure
    direction: Direction
    ended: dict[str, bool] = field(default_factory=dict)
    continues: dict[str, str] = field(default_factory=dict)
    """The first trial of the configuration that each trial goes on with; empty for a first one."""
    curves: dict[str, Curve] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    """Trials whose curve was read after their end, so that it does not change any more."""
    succeeded: Set[str] = frozenset()
    """Trials that ran to their own end."""
    spent: str = ""
    """That the budget in GPU-hours is spent, when last read; empty where some is left."""
    read_at: float = field(default_factory=time.monotonic)
    """When it was last read, in s on the monotonic clock."""
    failed: Set[str] = frozenset()
    """Trials without a result, which nothing is compared with."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _reading: threading.Lock = field(default_factory=threading.Lock)
    """Held while curves are read, so that simultaneous requests read none of them twice."""

    def set_trials(self, states: Mapping[str, Set[str]], continues: Mapping[str, str]) -> None:
        """Replaces the trials by these, each with its conditions; the others were deleted and are forgotten."""
        with self._lock:
            self.continues = dict(continues)
            self.ended = {name: state_of(held) in ENDED for name, held in states.items()}
            self.succeeded = {name for name, held in states.items() if state_of(held) == "Succeeded"}
            self.failed = {name for name, held in states.items() if "Failed" in held}
            self.curves = {name: curve for name, curve in self.curves.items() if name in states}
            self.complete &= states.keys()

    def add(self, trial: str, continues: str) -> None:
        """Adds a trial that was created meanwhile."""
        with self._lock:
            self.ended.setdefault(trial, False)
            self.continues.setdefault(trial, continues)

    def read(self, trial: str, logs: ObservationLogs) -> "Curves":
        """Returns the curves that decide on `trial`.

        A running trial's curve is read whenever that trial's collector asks, after each epoch; here only missing curves
        are read as well. Raises ClusterError where other requests wait for the DB manager too long, AWAY where it does
        not answer.
        """
        if not self._reading.acquire(timeout=TIMEOUT):
            raise ClusterError("the DB manager is slow, and other requests are waiting for it")
        try:
            return self._read(trial, logs)
        finally:
            self._reading.release()

    def _read(self, trial: str, logs: ObservationLogs) -> "Curves":
        with self._lock:
            just_ended = {name for name, ended in self.ended.items() if ended and name not in self.complete}
            stale = {trial, *just_ended, *(self.ended.keys() - self.curves.keys())}
            most = MOST_VALUES // max(len(self.ended), FEW_TRIALS)
        new: dict[str, array[float]] = {}
        names = list(stale)
        for start in range(0, len(names), AT_ONCE):
            read = logs.curves(names[start : start + AT_ONCE], self.measure.metric, most)
            new |= {name: array("d", values) for name, values in read.items()}
        with self._lock:
            self.curves.update((name, curve) for name, curve in new.items() if name in self.ended)
            self.complete |= just_ended & self.ended.keys()
            return self._joined(trial, self.curves | {trial: new[trial]})

    def _joined(self, trial: str, curves: Mapping[str, Curve]) -> "Curves":
        """Returns the curves of all configurations, of which each has one, however often it went on."""
        listed = families({name: self.continues.get(name, "") for name in curves})
        own = listed.pop(self.continues.get(trial) or trial)
        before = joined(curves[name] for name in own if name != trial)
        # A configuration that is complete goes on only to report its history again.
        found = Curves(
            joined(curves[name] for name in own),
            len(before),
            any(name in self.succeeded for name in own if name != trial),
        )
        for names in listed.values():
            if not self.succeeded.isdisjoint(names):
                found.completed.append(joined(curves[name] for name in names))
            elif names[-1] not in self.failed:
                found.others.append(joined(curves[name] for name in names))
        return found

    def decide(self, trial: str, logs: ObservationLogs, last: int = 1) -> tuple[int, int, Stop | None]:
        """Returns the steps of `trial`, the number of others, and why it is to stop at one of its `last` steps.

        Of these only those count that no earlier trial of its configuration has reported.
        """
        found = self.read(trial, logs)
        own, compared = found.own, len(found.others + found.completed)
        steps = range(len(own), max(found.before, len(own) - last), -1)
        stops = (self.rule.decide(own[:step], found.others, found.completed) for step in steps if not found.is_complete)
        return len(own), compared, next((stop for stop in stops if stop), None)


@dataclass(frozen=True)
class Curves:
    """The curves of a search's configurations, as one of its trials is compared with them."""

    own: Curve
    """Of the trial's configuration."""
    before: int
    """So many steps of it were reported by earlier trials of the configuration."""
    is_complete: bool
    """Whether an earlier trial ran to its own end."""
    others: list[Curve] = field(default_factory=list)
    completed: list[Curve] = field(default_factory=list)
    """Of the other configurations that ran to their own end."""


class Searches:
    """The searches that were requested last, at most MOST_SEARCHES."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._cached: OrderedDict[str, WatchedSearch] = OrderedDict()
        self._lock = threading.Lock()

    def refresh(self, name: str) -> WatchedSearch | None:
        """Reads an experiment and its trials; returns None where the experiment stops no trials.

        Raises ClusterError.
        """
        experiment = self._api.experiment(name)
        read = _search(name, experiment)
        if read is None:
            return None
        states: dict[str, Set[str]] = {}
        continues: dict[str, str] = {}
        tried: list[float] = []
        for trial in self._api.trials(name):
            states[trial.name], continues[trial.name] = trial.states, trial.continues
            tried.append(seconds_of(trial))
        with self._lock:
            cached = self._cached.get(name)
            same = cached is not None and (cached.rule, cached.measure) == (read.rule, read.measure)
            search = self._cached[name] = cached if cached is not None and same else read
            self._cached.move_to_end(name)
            while len(self._cached) > MOST_SEARCHES:
                self._cached.popitem(last=False)
        search.set_trials(states, continues)
        search.read_at = time.monotonic()
        try:
            search.spent = why_spent(experiment, tried)
        except ManifestError as error:
            log.warning("%s: %s; nothing is stopped by it", name, error)
        return search

    def _fresh(self, search: WatchedSearch) -> WatchedSearch:
        """Returns the search, read again where it has a budget in GPU-hours and was not read for a while."""
        if time.monotonic() - search.read_at < BUDGET_SECONDS:
            return search
        search.read_at = time.monotonic()
        try:
            budget = ANNOTATION in self._api.experiment(search.name).annotations
            return (self.refresh(search.name) if budget else None) or search
        except ClusterError as error:
            log.warning("%s: its budget will be read later: %s", search.name, error)
            return search

    def of(self, trial: str) -> WatchedSearch | None:
        """Returns the search that a trial of this namespace belongs to; None where that cannot be found out."""
        with self._lock:
            search = next((search for search in self._cached.values() if trial in search.ended), None)
        if search is not None:
            return self._fresh(search)
        try:
            own = self._api.trial(trial)
            name = own.experiment
            with self._lock:
                search = self._cached.get(name)
            search = search or (self.refresh(name) if name else None)
        except ClusterError as error:
            log.warning("trial %s belongs to no known experiment, and continues: %s", trial[:100], error)
            return None
        if search is not None:
            search.add(trial, own.continues)
        return search


def _search(name: str, experiment: ExperimentObject) -> WatchedSearch | None:
    if experiment.early_stopping is None:
        return None
    rule = stop_rule(experiment.early_stopping, experiment.direction, experiment.measure)
    return WatchedSearch(name, rule, experiment.measure, experiment.direction)
