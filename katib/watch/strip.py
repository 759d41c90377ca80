"""Sums a search up in the few numbers at the top of the page: how far it is, what it costs, when it ends."""

from collections import Counter
from datetime import datetime, timedelta
from math import sqrt
from statistics import fmean, stdev

from katib.budget.remaining import hours_left, planned_trials
from katib.report.cost import cost, hours
from katib.report.summary import Fact
from katib.table.trial_table import TrialTable
from katib.text import SECONDS_AN_HOUR, count, difference, roughly, with_unit
from katib.trial import ENDED, WITHOUT_RESULT, in_words
from katib.watch.view import View

SHORT_SEARCH = 36.0
"""Hours ahead up to which the end is a time of day."""


def facts(view: View) -> list[Fact]:
    """Returns the numbers in the order in which they are read."""
    table = view.table
    return [_trials(table), *_best(table), _spent(view), _end(view)]


def headline(table: TrialTable) -> str:
    """Returns `14 of 30`, the trials that have ended and how many there will be."""
    planned = planned_trials(table)
    ended = sum(row.state in ENDED for row in table.rows)
    return f"{ended} of {planned}" if planned else str(ended)


def when(moment: float, now: float) -> str:
    """Returns a Unix time as `14:05` on the day of `now`, `Sat 6 December, 14:05` before or after."""
    time, today = datetime.fromtimestamp(moment).astimezone(), datetime.fromtimestamp(now).astimezone()
    if time.date() == today.date():
        return f"{time:%H:%M}"
    year = "" if time.year == today.year else f" {time.year}"
    return f"{time:%a} {time.day} {time:%B}{year}, {time:%H:%M}"


def _trials(table: TrialTable) -> Fact:
    states = Counter(row.shown_state for row in table.rows)
    order = ("Running", "Created", "Interrupted", "Paused", "Succeeded", "EarlyStopped", *WITHOUT_RESULT)
    told = [f"{states[state]} {in_words(state)}" for state in order if states[state]]
    # Those count as ended: nothing runs of them, and most are left for good.
    told = [f"{text} (may go on)" if text.endswith(" paused") else text for text in told]
    return Fact("trials ended", headline(table), ", ".join(told) or "no trial yet")


def _best(table: TrialTable) -> list[Fact]:
    metric, best = table.identity.measure, table.best
    if best is None or best.value is None:
        detail = "no trial has a value" if any(row.epochs for row in table.rows) else "no trial has finished an epoch"
        return [Fact(f"best {metric}", "none yet" if table.under_way or not table.rows else "none", detail)]
    against = ""
    if table.baseline is not None:
        against = f", {difference(best.value - table.baseline.mean, metric)} against the baseline's mean"
    name = best.trial.removeprefix(f"{table.identity.name}-")
    where = f"trial {name}, epoch {best.best_epoch}" if best.best_epoch else f"trial {name}"
    return [Fact(f"best {metric}", with_unit(best.value, metric), where + against)]


def _spent(view: View) -> Fact:
    """Returns the hours used, of those expected, and what they cost."""
    table = view.table
    limit, found = table.identity.gpu_hours, cost(table)
    most = limit if limit is not None else found.expected or found.planned
    name = "budget" if limit is not None else "expected"
    told = [f"of {hours(most)} {name}"] if most and table.under_way else []
    if view.price is not None:
        total = f" of about {most * view.price:.2f}" if most and table.under_way else ""
        told.append(f"cost: {found.used * view.price:.2f}{total}")
    return Fact(f"{table.device} time", hours(found.used), ", ".join(told))


def _end(view: View) -> Fact:
    """Returns when the search ends, give or take one standard deviation of what its trials have taken."""
    table, now = view.table, view.now
    ends = [end for row in table.rows if (end := view.ended(row)) is not None]
    if not table.under_way:
        planned = planned_trials(table)
        if planned and len(table.rows) < planned:
            return Fact("ends", "not yet", f"nothing runs; {count(planned - len(table.rows), 'trial')} to go")
        return Fact("ended", when(max(ends), now), "") if ends else Fact("ended", "yes", "")
    if view.halted:
        return Fact("ends", "stands still", view.halted)
    left = hours_left(table)
    if left is None:
        when_known = "once a trial has ended" if planned_trials(table) else "its number of trials has no limit"
        return Fact("ends", "not known yet" if planned_trials(table) else "open", when_known)
    moment = datetime.fromtimestamp(now).astimezone() + timedelta(hours=min(left, 1e6))
    text = when(moment.timestamp(), now)
    if left > SHORT_SEARCH:
        text = text.rpartition(",")[0]
    spread = _spread(table)
    return Fact("ends", text, f"in {roughly(left)}" + (f" ± {roughly(spread)}" if spread else ""))


def _spread(table: TrialTable) -> float | None:
    """Returns the standard deviation in hours of the time left, by that of the trials which have ended.

    The trials of a slot follow each other, and their mean is known as well as so many trials tell; None before two.
    """
    taken = [row.seconds / SECONDS_AN_HOUR for row in table.rows if row.state in ENDED and row.epochs]
    if len(taken) < 2:
        return None
    new = max(0, (planned_trials(table) or 0) - len(table.rows))
    rounds = (new + len(table.under_way) / 2) / max(1, len(table.under_way))
    return sqrt(rounds + rounds**2 / len(taken)) * stdev(taken) if fmean(taken) else None
