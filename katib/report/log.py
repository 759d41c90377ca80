"""Writes EXPERIMENT_LOG.md: per experiment an entry with what it was, what it took and found, and what to try next.

An entry stands between two comments that name its experiment. Writing it again replaces it and leaves the rest of the
file, which may be anybody's, alone. Only `write` does I/O.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import yaml

from katib.conclude.confirmation import arch_command, confirm_command
from katib.conclude.remarks import differences, no_baseline, progress
from katib.conclude.selection import Candidate, candidates
from katib.conclude.verdict import Verdict
from katib.errors import FolderError
from katib.files import write_whole
from katib.manifest.experiment import parameters_of
from katib.manifest.gpu_hours import spent
from katib.manifest.object import Manifest
from katib.manifest.search import Parameter
from katib.program import as_typed
from katib.report.provenance import Row
from katib.search.axis import Axis
from katib.table.patience import used
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count, digits, hour_count, markdown_text, number_or_text, short, signed, with_unit
from katib.trainer_contract import Flags
from katib.trial import WITHOUT_RESULT

FILE = "EXPERIMENT_LOG.md"
TITLE = "# Experiment log\n\nWritten by `make log EXPERIMENT=NAME`; text outside the marked entries is kept.\n"
AT_BOUND = 0.05
"""Share of an axis, on its own scale, within which a value counts as lying at its bound."""
DEFINING = ("parameters", "algorithm", "earlyStopping")
"""What of a manifest's spec makes it the search it is, beside the command: neither its budget nor what Katib fills
in."""

PLACES = (Flags.DATA_DIR, Flags.RUN_DIR, Flags.DEVICE, Flags.LINGER, Flags.ROOM_MINUTES)
"""Flags that say where and beside what a trial runs, not what it trains."""


def write(path: Path, table: TrialTable, commit: str, verdict: Verdict | None, origins: Iterable[Row] = ()) -> bool:
    """Writes the entry of `table` into the log at `path`, and returns whether it replaced an earlier one.

    A link to a log stays one. Raises FolderError.
    """
    if path.exists() and not path.is_file():
        raise FolderError(f"{path}: is no file; name another --file")
    try:
        path = Path(os.path.realpath(path))
        before = path.read_text(encoding="utf-8") if path.exists() else as_typed(TITLE)
        after, replaced = placed(before, table.place, entry(table, commit, verdict, origins))
    except UnicodeDecodeError:
        raise FolderError(f"{path}: is not text in UTF-8; name another --file") from None
    except OSError as error:
        raise FolderError(f"{path}: cannot be read ({error.strerror}); name another --file") from None
    write_whole(path, [after], "; name another --file")
    return replaced


def placed(text: str, name: str, body: str) -> tuple[str, bool]:
    """Returns the log `text` with the entry `body` of experiment `name`, in place of its earlier one or at the end.

    Raises FolderError where an earlier entry has no end.
    """
    begin, end = f"<!-- experiment {name} -->\n", f"<!-- end of {name} -->\n"
    block = f"{begin}{body.rstrip()}\n{end}"
    if begin not in text:
        return f"{text.rstrip()}\n\n{block}", False
    head, rest = text.split(begin, 1)
    if end not in rest:
        raise FolderError(
            f"{FILE}: the entry of '{name}' has lost its last line, {end.strip()}; restore it, or delete the entry"
        )
    return f"{head}{block}{rest.split(end, 1)[1]}", True


def entry(table: TrialTable, commit: str, verdict: Verdict | None, origins: Iterable[Row] = ()) -> str:
    """Returns the entry as Markdown; the same table, commit, verdict and provenance give the same text."""
    first = None if verdict else next(iter(candidates(table, 1)), None)
    chosen = verdict or first
    best = dict(chosen.configuration) if chosen else {}
    parts = [
        f"## {table.place}",
        "\n".join(f"- {line}" for line in _facts(table, commit)),
        "### Space",
        _space(table, best),
        "### Result",
        "\n\n".join(_result(table, verdict, first)),
        f"### {verdict.heading if verdict else 'First choice (not confirmed)'}",
        _block(best) if best else "None: no trial that ended well has a value.",
        *_provenance(origins),
        "### What to try next",
        "\n".join(f"- {line}" for line in _next(table, best, verdict)),
    ]
    return "\n\n".join(parts)


def spec_hash(spec: Mapping[str, object]) -> str:
    """Returns twelve letters that identify a search, on either backend, by space, algorithm, stop rule and command."""
    flags = {flag: values for flag, values in Manifest(spec).flags.items() if flag not in PLACES}
    what = {key: spec.get(key) for key in DEFINING} | {"command": flags}
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]


def _facts(table: TrialTable, commit: str) -> Iterator[str]:
    started = min((row.started for row in table.rows if row.started is not None), default=None)
    ended = max((row.ended for row in table.rows if row.ended is not None), default=None)
    dates = dict.fromkeys(_date(time) for time in (started, ended) if time is not None)
    yield f"Date: {' to '.join(dates) or 'no trial has begun'}"
    yield f"Commit: {commit}"
    yield f"Spec: {spec_hash(table.identity.spec)}" + (f" ({table.spec.name})" if table.spec else "")
    if table.model:
        yield f"Model: {markdown_text(table.model)}, on {table.venue.name}"
    if table.budget:
        whole = table.budget.trials * table.budget.epochs
        hours = table.budget.hours_per_run
        yield (
            f"Budget planned, at most: {count(table.budget.trials, 'trial')} of {count(table.budget.epochs, 'epoch')},"
            f" {whole} epochs"
            + (
                f", {hour_count(table.budget.trials * hours * table.gpus)} GPU-hours by the spec's estimate"
                if hours and table.gpus
                else ""
            )
        )
    epochs = sum(row.epochs for row in table.rows)
    continued = sum(len(row.pauses) for row in table.rows)
    went_on = f", {count(continued, 'continuation')}" if continued else ""
    yield (
        f"Budget used: {count(len(table.rows), 'trial')} ({table.counted or 'none'}){went_on}, {epochs} "
        f"epochs, {hour_count(table.hours_used)} {table.device}-hours"
        + (f"; {clause}" if (clause := used(table)) else "")
    )


def _provenance(origins: Iterable[Row]) -> Iterator[str]:
    if lines := [f"- {name}: {markdown_text(value)}" for name, value in origins]:
        yield "### Provenance"
        yield "\n".join(lines)


def _space(table: TrialTable, best: Mapping[str, str]) -> str:
    lines = ["| setting | from | to | scale | best |", "|---|---:|---:|---|---:|"]
    for axis in parameters_of(table.identity.spec, table.identity.name):
        low, high = (axis.min, axis.max) if axis.min is not None else (", ".join(axis.values), "")
        scale = f"{axis.distribution}, step {axis.step}" if axis.step else "" if axis.values else axis.distribution
        cells = (axis.name, low, high, scale, short(best.get(axis.name, "")))
        lines.append(f"| {' | '.join(markdown_text(str(cell)) for cell in cells)} |")
    return "\n".join(lines)


def _result(table: TrialTable, verdict: Verdict | None, first: Candidate | None) -> Iterator[str]:
    metric = table.identity.measure
    if verdict is None:
        if table.best is None:
            yield "No trial has a value."
            return
        value = with_unit(table.best.value or 0.0, metric)
        if table.under_way:
            yield progress(table)
        yield (
            f"Not confirmed: the best single run is {table.best.trial}, {metric} {value}, one run per configuration "
            f"proves nothing yet."
        )
        if first:
            yield (
                "First choice by all trials together: the settings "
                f"of {first.trials[0]}, {with_unit(first.mean, metric)} expected over seeds"
                + ("." if first.sd is None else f" (sd {with_unit(first.sd, metric)}).")
            )
        if table.baseline:
            seeds = ", ".join(f"{seed}: {digits(v, metric)}" for seed, v in table.baseline.seeds.items())
            yield f"Baseline to beat: {with_unit(table.baseline.mean, metric)} (seeds {seeds})."
            yield from filter(None, [differences(table)])
        else:
            yield f"{no_baseline(table).capitalize()}."
        return
    yield markdown_text(verdict.sentence)
    lines = [f"| seed | this configuration, {metric} | baseline |", "|---:|---:|---:|"]
    for seed in dict.fromkeys((*verdict.seeds, *verdict.baseline)):
        pair = (verdict.seeds.get(seed), verdict.baseline.get(seed))
        lines.append(f"| {seed} | " + " | ".join("" if v is None else with_unit(v, metric) for v in pair) + " |")
    yield "\n".join(lines)
    if math.isfinite(verdict.difference):
        yield (
            f"Difference {signed(verdict.difference, metric)}, 95 % interval {signed(verdict.low, metric)} to"
            f" {signed(verdict.high, metric)},"
            f" permutation test p = {verdict.p_value:.2g}."
        )
        yield from filter(None, [differences(table, verdict.baseline)])


def _block(best: Mapping[str, str]) -> str:
    """Returns a block for `fixed` of a spec.

    Numbers are written as numbers, because YAML does not read every text of one as such.
    """
    values = {name: _number(text) for name, text in best.items()}
    return f"```yaml\n{yaml.safe_dump(values, sort_keys=False, width=math.inf)}```"


def _next(table: TrialTable, best: Mapping[str, str], verdict: Verdict | None) -> Iterator[str]:
    """Returns what to try next: widen narrow ranges, use the rest of the budget, then what follows the search."""
    narrow = at_bounds(table, best)
    yield from map(markdown_text, narrow.values())
    failed = [row for row in table.rows if row.state in WITHOUT_RESULT]
    if failed:
        yield f"{count(len(failed), 'trial')} failed: {_why(failed[0])}"
    missing = table.budget.trials - len(table.rows) if table.budget else 0
    if missing > 0:
        over = spent(table.hours_used, table.identity.gpu_hours, table.device)
        again = f"{over}; raise GPU_HOURS= (--gpu-hours)" if over else "run the same command to continue"
        yield f"{count(missing, 'trial')} of the budget are left: {again}"
    if verdict is not None and verdict.outcome in ("no better", "worse"):
        yield "keep the baseline's configuration: this one is not shown to be better"
    if best and verdict is None and not table.under_way and (command := confirm_command(table)):
        yield as_typed(f"confirm it with three seeds: {command}")
    if table.spec and table.spec.next_phase:
        values = ", ".join(table.spec.next_phase.texts)
        command = arch_command(table)
        yield f"architecture: {table.spec.next_phase.field} {values}" + (f" ({as_typed(command)})" if command else "")
    if best and not narrow:
        yield "no range needs widening: no best value lies at a bound"


def at_bounds(table: TrialTable, best: Mapping[str, str]) -> dict[str, str]:
    """Returns how to widen the range of each parameter whose best value lies at one of its ends."""
    return {axis.name: text for axis in _ranges(table) if (text := wider(axis, best))}


def _ranges(table: TrialTable) -> list[Parameter]:
    axes = parameters_of(table.identity.spec, table.identity.name)
    return [axis for axis in axes if axis.type in ("double", "int")]


def wider(parameter: Parameter, best: Mapping[str, str]) -> str:
    """Returns the end at which the best value lies and a wider range; empty where it lies within."""
    # The axis of a normal distribution is one of quantiles, and its outer ones lie far from the bounds.
    logarithmic = parameter.distribution.startswith("log")
    parameter = replace(parameter, distribution="logUniform" if logarithmic else "uniform")
    axis, text = Axis(parameter), best.get(parameter.name, "")
    share = axis.share(text)
    # Of few steps, the first and the last have a wide share.
    ends = [float(axis.level(index)) for index in (0, axis.levels - 1)] if axis.levels else []
    if share is None or (AT_BOUND <= share <= 1 - AT_BOUND and float(text) not in ends):
        return ""
    low, high = float(axis.low), float(axis.high)
    upper = share > 0.5
    if logarithmic:
        factor = math.sqrt(high / low)
        further = high * factor if upper else low / factor
    else:
        further = high + (high - low) / 2 if upper else low - (high - low) / 2
    end, bound = ("upper", high) if upper else ("lower", low)
    wide = f"{further:.2g}"
    if parameter.type == "int":
        further = math.ceil(further) if upper else max(math.floor(further), min(1, int(low)))
        if further == low:
            return ""
        wide = str(further)
    advice = f"try up to {wide}" if upper else f"try down to {wide}"
    if further <= 0 < low:
        advice = "try nearer to 0"
    return f"{parameter.name}: the best, {short(text)}, lies at the {end} bound {bound:g} of its range; {advice}"


def _why(row: TrialRow) -> str:
    return markdown_text(f"{row.trial}: {row.reason or row.state}" + (f"; {as_typed(row.fix)}" if row.fix else ""))


def _date(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).date().isoformat()


def _number(text: str) -> bool | float | int | str:
    if text in ("True", "False"):
        return text == "True"
    return number_or_text(text)
