"""Has the news of a cluster's searches told by the process that watches them, so that no secret reaches the cluster."""

import time
from collections.abc import Callable, Sequence

from katib.backend.cluster.live import LiveTrial, Progress, configurations
from katib.backend.news import Search, Standing, beginning, ending, news
from katib.notify import Notifier


class Telling:
    """Tells by a notifier what is new at each look at the searches."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._known: dict[str, dict[str, Standing]] = {}
        """The trials of each search, by its uid: one that was deleted may have a namesake."""
        self._ended: set[str] = set()

    def look(self, searches: Sequence[Progress]) -> str:
        """Tells the news; returns what went wrong with that, once."""
        for item in searches:
            self._look_at(item)
        return self._notifier.problem()

    def close(self, say: Callable[[str], None] = lambda text: None) -> str:
        """Waits a limited time until all is delivered; returns what went wrong, unless that was returned before."""
        self._notifier.close(say)
        return self._notifier.problem()

    def _look_at(self, item: Progress) -> None:
        found, key = item.search, item.search.uid
        search = Search(found.name, found.measure, found.direction, found.configurations or None, pauses=found.pauses)
        now = {row.trial.name: _standing(row) for row in configurations(item).rows}
        first = key not in self._known
        if first and not found.finished:
            self._notifier.tell(beginning(search, now))
        for text in () if first else news(search, self._known[key], now):
            self._notifier.tell(text)
        if found.finished and key not in self._ended:
            self._ended.add(key)
            if not first:
                why = found.stopped or found.message if found.state == "Failed" else ""
                self._notifier.tell(ending(search, now, why))
        self._known[key] = now


def _standing(row: LiveTrial) -> Standing:
    reason = str(row.cause or "") or row.trial.message
    silence = row.heartbeat.silence(time.time()) if row.heartbeat else ""
    return Standing(row.trial.state, row.best, reason, silence)
