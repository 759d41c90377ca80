"""Builds the sections that take long, those that ask the search's model, in a thread of its own as trials end.

They follow the page's other sections by some seconds, and never hold them up.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from katib.conclude.belief import Belief, believe, told
from katib.conclude.promise import promise
from katib.conclude.verdict import Verdict
from katib.report.provenance import provenance
from katib.table.trial_table import TrialTable
from katib.text import difference, estimate, short
from katib.watch.sections import Section, html, report

FACTOR = 20
"""The sections are built anew at the earliest after so many times as long as it took the last time."""
ONE_AT_A_TIME = threading.Lock()
"""Several searches take their turns: a machine that trains has other things to do."""
Key = tuple[int, int, str | None]
"""The number of trials, of those that have ended, and the verdict."""
KEYS = ("parallel", "history", "curves", "slices", "importance", "metrics", "cost")
"""The sections of the report that are shown."""


class Depth:
    """The slow sections of one search; `told` is called when they have been built, `out` is the runs folder."""

    def __init__(self, told: Callable[[], None], out: Path) -> None:
        self._told, self._out = told, out
        self.sections: Sequence[Section] = ()
        """As they were built last."""
        self.belief = Belief()
        """What the model said then."""
        self._key: Key | None = None
        self._busy = threading.Lock()
        self._earliest = 0.0

    def update(self, table: TrialTable, verdict: Verdict | None) -> None:
        """Begins to build the sections of `table`, unless its trials, ends and verdict are those of the last one."""
        key = len(table.rows), len(table.rows) - len(table.under_way), verdict and verdict.sentence
        if key == self._key or time.monotonic() < self._earliest or not self._busy.acquire(blocking=False):
            return
        threading.Thread(target=self._update, args=(table, verdict, key), daemon=True).start()

    def _update(self, table: TrialTable, verdict: Verdict | None, key: Key) -> None:
        try:
            with ONE_AT_A_TIME:
                begin = time.monotonic()
                self.build(table, verdict)
                self._earliest = time.monotonic() + FACTOR * (time.monotonic() - begin)
        finally:
            self._key = key
            self._busy.release()

    def build(self, table: TrialTable, verdict: Verdict | None = None) -> None:
        """Builds the sections of `table`."""
        self.belief = believe(told(table, verdict))
        found = [Section("belief", _belief(table))]
        found += [Section(name, report(table, self.belief, name)) for name in KEYS]
        if not any(row.epochs for row in table.rows):
            # A page of headings without figures would say the same ten times.
            found = [section for section in found if "<svg" in section.html]
        found.append(Section("provenance", report(table, self.belief, "provenance", provenance(table, self._out))))
        self.sections = [section for section in found if section.html.strip()]
        self._told()


def _belief(table: TrialTable) -> str:
    """Returns which configuration is probably the best, and what more trials promise."""
    found, metric = promise(table), table.identity.measure
    if found is None:
        return html("belief", rows=(), settings=(), sentence="", prefix="")
    rows = [
        (
            one.trial,
            estimate(one.mean, one.sd, metric),
            f"{100 * one.probability:.0f} %",
            [short(text) for text in one.configuration.values()],
        )
        for one in found.chances
    ]
    sentence = (
        f"Ten more trials promise about {difference(table.identity.direction.sign * found.gain, metric)}: the chance"
        f" that one of them is better than all so far is {100 * found.probability:.0f} %, over seeds."
    )
    settings = list(found.chances[0].configuration) if found.chances else []
    return html("belief", rows=rows, settings=settings, sentence=sentence, prefix=f"{table.identity.name}-")
