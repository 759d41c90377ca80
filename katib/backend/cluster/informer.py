"""Keeps a copy of some objects of a namespace up to date with watches, and keeps it while the API server is away.

Each kind has a thread, which lists the objects and then watches them from there; when the server goes away, the last
copy stays and the thread tries to list again.
"""

import threading
from collections.abc import Mapping

from katib.backend.cluster.answers import ForbiddenError, NoKindError
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import Kind, Object
from katib.errors import ClusterError

RETRY_SECONDS = 10.0


class Informer:
    """Objects of several kinds, each with its label selector, as they are now; it is used as a context manager."""

    def __init__(self, cluster: Cluster, selectors: Mapping[Kind, str], retry: float = RETRY_SECONDS) -> None:
        self._cluster = cluster
        self._selectors = selectors
        self._retry = retry
        self._objects: dict[Kind, dict[str, Object]] = {}
        self._problems: dict[Kind, ClusterError] = {}
        self._changed = threading.Condition()
        self._dirty = False
        self._end = threading.Event()

    def __enter__(self) -> "Informer":
        for kind, selector in self._selectors.items():
            # These threads are daemons, since a watch blocks in a read that only the end of the process interrupts.
            threading.Thread(target=self._follow, args=(kind, selector), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()

    @property
    def problem(self) -> ClusterError | None:
        """The reason why the copy is not up to date; None while it is."""
        with self._changed:
            return next(iter(self._problems.values()), None)

    @property
    def complete(self) -> bool:
        """Whether every kind has been listed once."""
        with self._changed:
            return len(self._objects) == len(self._selectors)

    def objects(self) -> dict[Kind, list[Object]]:
        """Returns all objects, by kind."""
        with self._changed:
            return {kind: list(self._objects.get(kind, {}).values()) for kind in self._selectors}

    def wait(self, seconds: float) -> bool:
        """Waits at most `seconds` for a change since the last call, and returns whether there was one.

        Raises ClusterError where waiting is useless: the caller lacks the right, or the server lacks the type.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._dirty, seconds)
            for problem in self._problems.values():
                if isinstance(problem, ForbiddenError | NoKindError):
                    raise problem
            dirty, self._dirty = self._dirty, False
            return dirty

    def _follow(self, kind: Kind, selector: str) -> None:
        while not self._end.is_set():
            try:
                objects, version = self._cluster.list_at(kind, selector)
                self._set(kind, {item["metadata"]["uid"]: item for item in objects})
                self._watch(kind, selector, version)
            except ClusterError as error:
                self._fail(kind, error)
                if isinstance(error, ForbiddenError | NoKindError):
                    return
                self._end.wait(self._retry)

    def _watch(self, kind: Kind, selector: str, version: str) -> None:
        """Follows the objects until the version is too old. Raises ClusterError when the server is away."""
        while not self._end.is_set():
            for event in self._cluster.watch(kind, version, selector):
                item, change = event["object"], event["type"]
                if change == "ERROR":
                    return
                version = item["metadata"]["resourceVersion"]
                if change == "DELETED":
                    self._change(kind, item["metadata"]["uid"], None)
                elif change != "BOOKMARK":
                    self._change(kind, item["metadata"]["uid"], item)

    def _set(self, kind: Kind, objects: dict[str, Object]) -> None:
        with self._changed:
            self._objects[kind] = objects
            self._problems.pop(kind, None)
            self._notify()

    def _change(self, kind: Kind, uid: str, item: Object | None) -> None:
        with self._changed:
            if item is None:
                self._objects[kind].pop(uid, None)
            else:
                self._objects[kind][uid] = item
            self._notify()

    def _fail(self, kind: Kind, error: ClusterError) -> None:
        with self._changed:
            self._problems[kind] = error
            self._notify()

    def _notify(self) -> None:
        self._dirty = True
        self._changed.notify_all()
