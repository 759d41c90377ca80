"""Reads and writes a record of a trial's tries in its status: when each pod ran, and how many epochs are finished.

The API server forgets a pod that was removed, for example by a pause or a drain. Our suggestion service therefore
records the pods in the message of the Trial's condition Running (services/bookkeeping.py), which Katib's controller
keeps unchanged beyond the trial's end (trials/v1beta1/util.go). GPU-hours are counted from there. Pure: no I/O.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from katib.text import number
from katib.tree import Tree, at, items_at, text_at

KATIBS_WORDS = "Trial is running"
_SPAN = re.compile(r"([a-z0-9.-]+) (\S+Z)/(\S+Z)?(?=[,;]|$)")
_PROGRESS = re.compile(r"; (\d{1,9}) epochs, last (\S{1,50})$")


@dataclass(frozen=True)
class Span:
    """The time in which a pod's containers ran; `end` is None while they do."""

    start: datetime
    end: datetime | None = None


@dataclass(frozen=True)
class Record:
    """The record in a trial's status: a span for each pod, by its name, and the epochs that Katib's database had."""

    spans: Mapping[str, Span] = field(default_factory=dict)
    epochs: int = 0
    last: float | None = None
    """The objective of the last epoch."""

    def __str__(self) -> str:
        listed = sorted(self.spans.items(), key=lambda item: item[1].start)
        tries = ", ".join(f"{pod} {_text(span.start)}/{_text(span.end)}" for pod, span in listed)
        progress = f"; {self.epochs} epochs, last {self.last:.6g}" if self.last is not None else ""
        return f"{KATIBS_WORDS}; tries: {tries}{progress}"


def read_record(trial: Tree) -> Record:
    """Returns the record of a Trial object, an empty one if it has none."""
    conditions = items_at(trial, "status", "conditions")
    text = next((text_at(item, "message") for item in conditions if item.get("type") == "Running"), "")
    if not text.startswith(f"{KATIBS_WORDS}; tries: "):
        return Record()
    spans = {
        pod: Span(begin, instant(end))
        for pod, start, end in _SPAN.findall(text)
        if (begin := instant(start)) is not None
    }
    progress = _PROGRESS.search(text)
    return Record(spans, int(progress[1]), number(progress[2])) if progress else Record(spans)


def span_of(pod: Tree) -> Span | None:
    """Returns the span from a pod's first started container to its last ended one; None before any has started."""
    listed = [*items_at(pod, "status", "containerStatuses"), *items_at(pod, "status", "initContainerStatuses")]
    states = [at(item, "state") for item in listed]
    ends = [at(state, "terminated") for state in states if "terminated" in state]
    starts = [instant((at(state, "running") or at(state, "terminated")).get("startedAt")) for state in states]
    start = min((found for found in starts if found), default=instant(at(pod, "status").get("startTime")))
    if start is None:
        return None
    over = [instant(end.get("finishedAt")) for end in ends] if states and len(ends) == len(states) else []
    return Span(start, max((end for end in over if end), default=None))


def seconds(spans: Mapping[str, Span], running: Container[str], now: datetime, over: datetime) -> float:
    """Returns the total time of `spans`: `running` pods last until `now`, others at most until `over`."""
    known = closed(spans, running, over).values()
    return sum(max(0.0, ((span.end or now) - span.start).total_seconds()) for span in known)


def elapsed(start: datetime | None, end: datetime | None, now: datetime) -> float:
    """Returns the seconds from `start` to `end`, or to `now` where there is no end yet."""
    return max(0.0, ((end or now) - start).total_seconds()) if start else 0.0


def closed(spans: Mapping[str, Span], running: Container[str], over: datetime) -> dict[str, Span]:
    """Returns `spans` that have an end unless their pod is `running`.

    A pod that no longer exists ended at the latest when the next one began, the last one at `over`.
    """
    listed = sorted(spans.items(), key=lambda item: item[1].start)
    following = [*(span.start for _, span in listed), over][1:]
    return {
        pod: span if span.end or pod in running else Span(span.start, max(span.start, min(later, over)))
        for (pod, span), later in zip(listed, following, strict=True)
    }


def short(pod: str, trial: str) -> str:
    """Returns the part of a pod's name that its Job added to the trial's."""
    return pod.removeprefix(f"{trial}-")


def instant(text: object) -> datetime | None:
    """Returns a time of the API server, with its time zone; None if the text is not one."""
    try:
        found = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


def _text(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""
