"""Says where the numbers of a search come from: commit, versions, corpus, seed, space, dates, hours, who stopped what.

It reads what the search has recorded, and leaves out what an earlier version did not record. Only `provenance` does
I/O: it reads the run directories and the sessions of a search on this machine.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from katib.backend.local.sessions import Session, sessions
from katib.corpus_checks import FINGERPRINT, corpus_line
from katib.manifest.experiment import parameters_of
from katib.manifest.object import Manifest
from katib.manifest.search import Parameter
from katib.program import as_typed
from katib.ranges import text_of
from katib.table.patience import used
from katib.table.run_folder import read_json
from katib.table.trial_table import TrialTable
from katib.text import count, hour_count, short
from katib.trainer_contract import SUMMARY, Flags
from katib.tree import at, items_at, text_at
from katib.untrusted import clean

LONGEST = 60
"""Characters of an algorithm's setting."""
Row = tuple[str, str]
"""What is said, and of what: for example `seed` and `42`."""


@dataclass(frozen=True)
class Sources:
    """What the run directories and the engine of a search have recorded beside its table."""

    made_with: Mapping[str, int]
    """The versions and devices, with the number of runs of each."""
    data_dirs: tuple[str, ...]
    """Where the corpus lay."""
    sessions: tuple[Session, ...]


def provenance(table: TrialTable, out: Path) -> list[Row]:
    """Returns the provenance of the search in rows; `out` is the runs folder, which has the checks of corpora."""
    fingerprint = corpus_of(table)
    return list(_rows(table, _sources(table), as_typed(corpus_line(out, fingerprint)), fingerprint))


def corpus_of(table: TrialTable) -> str:
    """Returns the fingerprint of the corpus; on a cluster, it is the one that a trial has printed."""
    printed = FINGERPRINT.search(table.made_with)
    return table.identity.corpus or (printed[0] if printed else "")


def _sources(table: TrialTable) -> Sources:
    folder = table.folder if table.venue.run_directories else None
    if folder is None:
        made = table.made_with.partition("; ")[0]
        return Sources({made: 1} if made else {}, (), ())
    made_with, data_dirs = Counter[str](), Counter[str]()
    for row in table.rows:
        # One at a time: each has the history of a whole run.
        found = read_json(folder / row.trial / SUMMARY)
        for key, texts in (("made_with", made_with), ("data_dir", data_dirs)):
            texts.update([clean(str(found[key]), 300)] if key in found else [])
    return Sources(made_with, tuple(data_dirs), tuple(sessions(folder)))


def _rows(table: TrialTable, sources: Sources, checked: str, fingerprint: str) -> Iterator[Row]:
    manifest = Manifest(table.identity.spec)
    for program in dict.fromkeys(filter(None, (one.program for one in sources.sessions))):
        yield "program", program
    if not table.venue.run_directories and (image := text_at(manifest.container, "image")):
        yield "image", image
    for versions, runs in sources.made_with.items():
        yield "versions", versions + (f" ({count(runs, 'run')})" if len(sources.made_with) > 1 else "")
    if fingerprint:
        where = f", in {', '.join(sources.data_dirs)}" if sources.data_dirs else ""
        yield "corpus", fingerprint + where
    if checked:
        yield "corpus check", checked.removeprefix("corpus ")
    if seed := manifest.trainer_flags.get(Flags.SEED) or _fixed_seed(table):
        yield "seed", " ".join(seed)
    if table.spec and table.spec.fixed:
        fixed = {name: value if isinstance(value, list) else [value] for name, value in table.spec.fixed.items()}
        yield "fixed", ", ".join(" ".join([name, *map(text_of, values)]) for name, values in fixed.items())
    for kind, called in (("algorithm", "algorithm"), ("earlyStopping", "stop rule")):
        if name := text_at(at(table.identity.spec, kind), "algorithmName"):
            listed = items_at(at(table.identity.spec, kind), "algorithmSettings")
            settings = ", ".join(f"{text_at(one, 'name')} {_brief(text_at(one, 'value'))}" for one in listed)
            yield called, name + (f" ({settings})" if settings else "")
    for axis in parameters_of(table.identity.spec, table.identity.name):
        asked = table.spec.search.get(axis.name) if table.spec else None
        yield axis.name, _range(axis) + (f": {' '.join(asked.why.split())}" if asked else "")
    yield from _course(table, sources.sessions)


def _course(table: TrialTable, held: Iterable[Session]) -> Iterator[Row]:
    """Yields when it ran, on what, and what ended its trials and itself."""
    begun = min((row.started for row in table.rows if row.started is not None), default=None)
    ended = max((row.ended for row in table.rows if row.ended is not None), default=None)
    if begun is not None:
        yield "dates", f"{_date(begun)} to {_date(ended) if ended and not table.under_way else 'now'}"
    hours: dict[str, float] = {}
    for row in table.rows:
        hours[row.node] = hours.get(row.node, 0.0) + row.gpu_hours
    for node, spent in hours.items():
        if spent:
            yield "hours", f"{hour_count(spent)} {table.device}-hours" + (f" on {node}" if node else "")
    for one in held:
        end = (
            f"{_date(one.ended)}, {one.why or 'at its end'}"
            if one.ended
            else "no end is recorded: it runs, or was killed"
        )
        yield "session", f"{one.user or '?'} on {one.host or '?'}, {_date(one.started)} to {end}"
    for act in table.acts:
        word, _, by = act.partition(" ")
        yield word, by
    rule = text_at(at(table.identity.spec, "earlyStopping"), "algorithmName")
    if stopped := sum(row.state == "EarlyStopped" for row in table.rows):
        yield "stopped", f"{count(stopped, 'trial')} by {rule or 'the early-stopping rule'}"
    if clause := used(table):
        yield "stopped", clause
    if failed := sum(row.state in ("Failed", "MetricsUnavailable") for row in table.rows):
        yield "failed", count(failed, "trial")


def _fixed_seed(table: TrialTable) -> list[str]:
    return [str(table.spec.fixed["seed"])] if table.spec and "seed" in table.spec.fixed else []


def _range(axis: Parameter) -> str:
    if axis.values:
        return ", ".join(axis.values)
    step = f", step {axis.step}" if axis.step else ""
    return f"{short(axis.min or '')} to {short(axis.max or '')}, {axis.distribution}{step}"


def _brief(text: str) -> str:
    """Returns a setting of an algorithm; the points that it tries first are trials, too, and so are cut."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _date(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M} UTC"
