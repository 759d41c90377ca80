"""A copy of some objects of a namespace that follows the API server by watches, and outlives its absence.

Each kind has a thread: a list, then a watch from there; when the server goes away the last copy stays and the list is
tried again. Called by status -w and by deploy's waiting.
"""

import threading
from collections.abc import Mapping

from katib.backend.cluster.answers import ForbiddenError, NoKindError
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import Kind, Object
from katib.errors import ClusterError

RETRY_SECONDS = 10.0


class Informer:
    """Objects of several kinds, each with its label selector, as they are now. Use as a context manager."""

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
            # Daemons: a watch blocks in a read, which nothing can break off but the end of the process.
            threading.Thread(target=self._follow, args=(kind, selector), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()

    @property
    def problem(self) -> ClusterError | None:
        """Why the copy is not up to date; None while it is."""
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
        """Until something has changed since the last call, at most `seconds`; whether it has.

        Raises ClusterError where waiting is of no use: the caller may not look, or the type is not there.
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
                found, version = self._cluster.list_at(kind, selector)
                self._set(kind, {item["metadata"]["uid"]: item for item in found})
                self._watch(kind, selector, version)
            except ClusterError as error:
                self._fail(kind, error)
                if isinstance(error, ForbiddenError | NoKindError):
                    return
                self._end.wait(self._retry)

    def _watch(self, kind: Kind, selector: str, version: str) -> None:
        """Until the version is too old, or the server is gone (ClusterError)."""
        while not self._end.is_set():
            for event in self._cluster.watch(kind, version, selector):
                item, what = event["object"], event["type"]
                if what == "ERROR":
                    return
                version = item["metadata"]["resourceVersion"]
                if what == "DELETED":
                    self._change(kind, item["metadata"]["uid"], None)
                elif what != "BOOKMARK":
                    self._change(kind, item["metadata"]["uid"], item)

    def _set(self, kind: Kind, objects: dict[str, Object]) -> None:
        with self._changed:
            self._objects[kind] = objects
            self._problems.pop(kind, None)
            self._tell()

    def _change(self, kind: Kind, uid: str, item: Object | None) -> None:
        with self._changed:
            if item is None:
                self._objects[kind].pop(uid, None)
            else:
                self._objects[kind][uid] = item
            self._tell()

    def _fail(self, kind: Kind, error: ClusterError) -> None:
        with self._changed:
            self._problems[kind] = error
            self._tell()

    def _tell(self) -> None:
        self._dirty = True
        self._changed.notify_all()
