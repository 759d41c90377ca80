"""Reads a search for the page, never more often than a look is worth, and never while nobody looks.

What cannot be read leaves the last state on the page, with a line that says so.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from katib.backend.base import Backend
from katib.conclude.remarks import remarks
from katib.errors import SepsweepError
from katib.program import as_typed
from katib.table.trial_table import TrialTable
from katib.watch.depth import Depth
from katib.watch.events import failed_last
from katib.watch.looks import Looks
from katib.watch.outcome import Outcome
from katib.watch.sections import PARTS, Section, Sections, notes
from katib.watch.strip import headline, when
from katib.watch.view import Curves, Tails, View

TAIL_LINES = 10
LIVE_SECONDS, LIVE_FACTOR = 5, 40
"""How often a search is read whose record has not changed while a trial runs: its training time grows. A large one is
read less often, so that it takes a fortieth of a core."""

FIRST, MANY = 2, 100
"""So many sections, the strip and what runs, are on the page before the others of a search of more trials."""


@dataclass(frozen=True)
class State:
    """The sections of a search at one moment."""

    sections: Sequence[Section]
    headline: str = ""
    """How many of its trials have ended; empty before it was read."""

    @property
    def tag(self) -> str:
        """A text that another content changes."""
        return sha256("".join(section.tag for section in self.sections).encode()).hexdigest()[:16]


class Screen:
    """One search as the page shows it; `out` and `price` as in Screens."""

    def __init__(self, backend: Backend, name: str, out: Path, price: float | None = None) -> None:
        self._backend, self._name, self._price = backend, name, price
        self._curves, self._sections = Curves(), Sections(PARTS)
        self._tails = Tails(lambda trial: backend.last_lines(name, trial, TAIL_LINES))
        self._looks = Looks(self._look, backend.look_seconds)
        self._version: str | None = None
        self._table: TrialTable | None = None
        self._read_at = self._took = 0.0
        self._outcome = Outcome(out)
        self._depth = Depth(self._forget, out)
        self._seen: State | None = None

    def look(self, patience: float) -> State | None:
        """Returns the state now, or the last one where a look takes longer than `patience` in s; None without one."""
        self._looks.wait(patience)
        return self.state

    @property
    def state(self) -> State | None:
        """What was seen last; None before the first look has ended."""
        seen = self._seen
        if seen is None or self._table is None:
            return seen
        # The outcome follows the notes and the strip; the table of all trials, which is long, comes last.
        first, rest = seen.sections[:2], seen.sections[2:]
        middle = (*self._outcome.sections, *rest[:-1], *self._depth.sections)
        return replace(seen, sections=(*first, *middle, *rest[-1:]))

    def _look(self) -> None:
        version = self._backend.version(self._name)
        if version is not None and self._table and self._table.under_way:
            version += str(int(time.time() / max(LIVE_SECONDS, LIVE_FACTOR * self._took)))
        if version is None or version != self._version:
            begin = time.thread_time()
            self._read(version)
            self._took = time.thread_time() - begin
        if self._table is not None:
            self._outcome.update(self._table)
            self._depth.update(self._table, self._outcome.verdict)

    def _forget(self) -> None:
        """Lets the next look read the search again, since its table shows what the model says."""
        self._version = None

    def _read(self, version: str | None) -> None:
        problem = ""
        try:
            table = self._curves.packed(self._backend.table(self._name))
            self._table, self._read_at, self._version = table, time.time(), version
        except SepsweepError as error:
            problem = str(error)
            if self._table is not None:
                problem += f"; what follows is what was there at {when(self._read_at, time.time())}"
        except BaseException as error:
            self._seen = self._seen or State([notes([f"{self._name}: cannot be shown ({type(error).__name__})"])])
            raise
        if self._table is None:
            self._seen = State([notes([problem])])
            return
        table = self._table
        halted = as_typed(self._backend.halted(self._name)) if table.under_way else ""
        tails = self._tails.of(failed_last(table))
        curves, belief = self._curves.of(table), self._depth.belief
        view = View(table, time.time(), curves, tails, belief, halted, self._price)
        missing = [line for line in (problem, halted, *table.notes, *remarks(table)) if line]
        for step, found in enumerate(self._sections.of(view), 1):
            self._seen = State([notes(missing), *found], headline(table))
            if step == FIRST and len(table.rows) > MANY:
                self._looks.show()


class Screens:
    """The searches of a backend by name, the latest first.

    `out` is the runs folder of this machine, `price` what an hour of a GPU costs.
    """

    def __init__(self, backend: Backend, out: Path, price: float | None = None) -> None:
        self._make = partial(Screen, backend, out=out, price=price)
        self._backend = backend
        self._looks = Looks(self._look, backend.look_seconds)
        self._screens: dict[str, Screen] | None = None
        self.problem = ""
        """Why the names could not be read the last time; empty where they could."""

    @property
    def seconds(self) -> float:
        """How often a look is worth while."""
        return self._backend.look_seconds

    def all(self, patience: float) -> dict[str, Screen] | None:
        """Returns the screens; those of the last look where it takes longer than `patience` in s, or fails."""
        self._looks.wait(patience)
        return self._screens

    def _look(self) -> None:
        try:
            names = self._backend.experiments()
        except SepsweepError as error:
            self.problem = str(error)
            return
        known = self._screens or {}
        found = {name: known.get(name) or self._make(name) for name in names}
        if self._screens is None and found:
            # The page opens on the latest search: it is read while the browser still starts.
            next(iter(found.values())).look(0)
        self._screens, self.problem = found, ""
