"""Sums the report up in a few numbers and sentences: the result, its cost, and what to do next."""

from dataclasses import dataclass
from statistics import fmean

from katib.budget.remaining import planned_trials
from katib.conclude.confirmation import arch_command, confirm_command, hindrance
from katib.conclude.remarks import differences, no_baseline, progress, remarks
from katib.conclude.verdict import Verdict
from katib.manifest.object import Manifest
from katib.program import as_typed
from katib.report.cost import cost, hours
from katib.report.log import at_bounds
from katib.table.trial_table import TrialTable
from katib.text import count, counted, difference, settings_text, signed, with_unit
from katib.trainer_flags import flag_of
from katib.trial import Direction, in_words


@dataclass(frozen=True)
class Fact:
    """A number with its name and a note."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Conclusion:
    """The sentence that the search ends in; `verdict` is None before it has been confirmed."""

    sentence: str
    lines: tuple[str, ...]
    verdict: Verdict | None = None

    @property
    def look(self) -> str:
        """The class of its box: better, no-better, worse or unknown; open before it has been confirmed."""
        return self.verdict.outcome.replace(" ", "-") if self.verdict else "open"


def conclude(table: TrialTable, verdict: Verdict | None, where: str = "") -> Conclusion:
    """Returns the verdict, or why there is none yet and the command that leads to one."""
    if verdict is not None:
        runs = [f"seed {seed}: {with_unit(value, table.identity.measure)}" for seed, value in verdict.seeds.items()]
        base = [f"seed {seed}: {with_unit(value, table.identity.measure)}" for seed, value in verdict.baseline.items()]
        lines = [f"This configuration: {', '.join(runs)}."]
        lines += [f"The baseline: {', '.join(base)}."] if base else []
        lines += filter(None, [differences(table, verdict.baseline)] if base else [])
        lines.append(f"The configuration: {settings_text(verdict.configuration)}.")
        return Conclusion(verdict.sentence, tuple(lines), verdict)
    if table.best is None:
        return Conclusion("No conclusion: no trial has reached a value.", (_states(table),))
    if not table.finished and not table.under_way:
        return Conclusion(
            "No conclusion yet: no trial has run to its end.",
            (f"{_states(table)} The rest of this page shows the search so far.",),
        )
    if table.under_way:
        return Conclusion(progress(table), ("The rest of this page shows the search so far.",))
    ended = [row for row in table.rows if row.state in ("Succeeded", "EarlyStopped") and row.value is not None]
    command = confirm_command(table, where)
    return Conclusion(
        f"Not confirmed yet: the best of {count(len(ended), 'single run')} proves nothing.",
        (
            "Its value may be good because its settings are or because its seed was lucky; one run cannot say which.",
            as_typed(f"To find out, run three seeds: {command}") if command else hindrance(table),
            *filter(None, [differences(table)]),
        ),
    )


def facts(table: TrialTable, conclusion: Conclusion) -> list[Fact]:
    """Returns the row of numbers at the top."""
    metric = table.identity.measure
    found = []
    if best := table.best:
        gain = "" if best.gain is None else f", {difference(best.gain, metric)} over the unprocessed mixture"
        found.append(
            Fact(
                f"best {metric}",
                with_unit(best.value or 0.0, metric),
                f"{best.trial}, epoch {best.best_epoch}{gain}",
            )
        )
    if (compared := _compared(table, conclusion)) is not None:
        found.append(compared)
    budget = planned_trials(table)
    total = f"{len(table.rows)} of {budget}" if budget and budget != len(table.rows) else str(len(table.rows))
    found.append(Fact("trials", total, _counted(table)))
    spent = cost(table)
    share = f"{100 * spent.used / spent.planned:.0f} % of {hours(spent.planned)} planned" if spent.planned else ""
    found.append(Fact(f"{table.device} time", hours(spent.used), share))
    found.append(Fact("saved by early stopping", hours(spent.saved), _saved(table)))
    return found


def configuration(table: TrialTable, conclusion: Conclusion) -> tuple[str, str]:
    """Returns a heading, and the configuration of the verdict or else of the best trial.

    It is written as flags of our trainer, ready to be pasted, or with the search's own names where the trainer is
    another program.
    """
    if conclusion.verdict is not None:
        heading, settings = conclusion.verdict.heading, conclusion.verdict.configuration
    elif table.best is not None:
        heading, settings = "Configuration of the best trial", table.best.assignments
    else:
        return "", ""
    if Manifest(table.identity.spec).model or table.spec:
        return heading, " \\\n".join(f"{flag_of(name)} {text}" for name, text in settings.items())
    return heading, "\n".join(f"{name}={text}" for name, text in settings.items())


def summary_notes(table: TrialTable) -> list[str]:
    """Returns what a reader has to know before trusting the rest."""
    notes = [*table.notes, *remarks(table, metrics=True)]
    if table.best is not None:
        notes += at_bounds(table, table.best.assignments).values()
        notes += filter(None, [no_baseline(table)])
    if running := sum(row.state in ("Running", "Created") for row in table.rows):
        notes.append(f"{count(running, 'trial')} had not ended when this was written")
    return notes


def next_steps(table: TrialTable, where: str = "", *, confirmed: bool = False) -> list[tuple[str, str]]:
    """Returns what to do now, each step with its command; what is `confirmed` has its verdict already."""
    name = table.identity.name
    asked, where = where, where + table.venue.variables
    steps = []
    if table.best is not None:
        steps.append(("the most promising configurations", f"make best EXPERIMENT={name}{where}"))
        if not table.under_way and not confirmed and (command := confirm_command(table, asked)):
            steps.append(("the three most promising, with three seeds each", command))
        steps.append(("an entry in EXPERIMENT_LOG.md", f"make log EXPERIMENT={name}{where}"))
    steps.append(("rebuild this report", f"make report EXPERIMENT={name}{where}"))
    steps.append(("the trials as a table", f"make results EXPERIMENT={name}{where}"))
    if table.spec and table.spec.next_phase and (command := arch_command(table, asked)):
        steps.append((f"then the architecture: {table.spec.next_phase.field}", command))
    return [(what, as_typed(command)) for what, command in steps]


def subtitle(table: TrialTable) -> str:
    """Returns the line below the title."""
    direction = "greater" if table.identity.direction is Direction.MAXIMIZE else "smaller"
    parts = [table.model or "", f"{table.identity.metric}, the {direction} the better"]
    parts.append(f"on {table.venue.name}")
    parts.append(f"searched: {', '.join(table.settings)}" if table.settings else "")
    return " · ".join(filter(None, parts))


def _compared(table: TrialTable, conclusion: Conclusion) -> Fact | None:
    verdict, metric = conclusion.verdict, table.identity.measure
    if verdict is not None and verdict.outcome != "unknown":
        detail = (
            f"{signed(verdict.low, metric)} to {difference(verdict.high, metric)} with 95 % confidence,"
            f" p {verdict.p_value:.2f}"
        )
        return Fact(_AGAINST[verdict.outcome], difference(verdict.difference, metric), detail)
    baseline = table.baseline
    if baseline is None or table.best is None or table.best.value is None:
        return None
    mean = fmean(baseline.seeds.values())
    return Fact(
        "best single run",
        difference(table.best.value - mean, metric),
        f"against the baseline, {with_unit(mean, metric)} over {count(len(baseline.seeds), 'seed')}; not confirmed",
    )


_AGAINST = {
    "better": "better than the baseline",
    "no better": "not shown to be better",
    "worse": "worse than the baseline",
}


def _saved(table: TrialTable) -> str:
    stopped = sum(row.shown_state == "EarlyStopped" for row in table.rows)
    return f"{count(stopped, 'trial')} stopped" if stopped else "no trial was stopped"


def _states(table: TrialTable) -> str:
    return f"{_counted(table)}." if table.rows else "There is no trial yet."


def _counted(table: TrialTable) -> str:
    """Returns `17 succeeded, 3 stopped early`."""
    return counted(in_words(row.shown_state) for row in table.rows)
