"""Finds out what a search that has ended came to: the verdict of its confirmation, or how one is got.

A confirmation is a search of its own, and its end changes nothing in the search that it confirms: it is looked for
every half minute, in a thread of its own.
"""

from collections.abc import Sequence
from pathlib import Path

from katib.conclude.confirmation import find_verdict
from katib.conclude.verdict import Verdict
from katib.program import out_variable
from katib.report.audio import Listening
from katib.report.sections import SECTIONS
from katib.report.sections import View as ReportView
from katib.report.summary import conclude
from katib.table.trial_table import TrialTable
from katib.watch.looks import Looks
from katib.watch.sections import Section, html

SECONDS = 30.0
"""How often a verdict is looked for."""


class Outcome:
    """What a search came to; `out` is the runs folder, where its confirmation or the kept verdict is."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._looks = Looks(self._look, SECONDS)
        self._table: TrialTable | None = None
        self.verdict: Verdict | None = None
        self.sections: Sequence[Section] = ()
        """The conclusion, and the confirmation drawn; none while trials are under way or before one has run."""

    def update(self, table: TrialTable) -> None:
        """Looks again for the outcome of `table`, if the last look is old enough."""
        if table.under_way or not table.rows:
            self.verdict, self.sections = None, ()
            return
        self._table = table
        self._looks.wait(0)

    def _look(self) -> None:
        table = self._table
        if table is None:
            return
        self.verdict = find_verdict(self._out, table)
        found = conclude(table, self.verdict, out_variable(self._out))
        sections = [Section("outcome", html("outcome", verdict=found))]
        if self.verdict is not None:
            _, build = SECTIONS["seeds"]
            sections.append(Section("seeds", build(ReportView(table, found, Listening("")))))
        self.sections = sections
