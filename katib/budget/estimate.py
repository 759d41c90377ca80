"""Estimates the runs, GPU-hours, days and money that searches take, and adds what they have used so far. Pure: no I/O.

The hours of an epoch come from the trials that have ended, before that from what running ones measure within their
epochs, and before that from the spec. What patience and early stopping save comes from the epochs that ended trials
ran; before that, the spec tells what patience leaves, and ASSUMED_SAVING what early stopping saves of it. With promote
a simulation of the rule says what its search spends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from pydantic import ValidationError

from katib.budget.schedule import Load, makespan
from katib.errors import SpecError
from katib.manifest.object import Manifest
from katib.manifest.render import Overrides
from katib.manifest.search import Algorithm
from katib.measure import SI_SNR
from katib.search.promotion import Promote
from katib.search.spending import Spending, epochs_ahead, spending
from katib.search.stop_rules import stop_rule
from katib.spec import Spec
from katib.spec_parts import EarlyStopping
from katib.stop_settings import CONFIGURATIONS
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import SECONDS_AN_HOUR
from katib.tree import text_at, without
from katib.trial import ENDED, Direction

ASSUMED_SAVING = 0.36
"""The share of the epochs after its first look, as far as patience leaves them, that early stopping saves: simulated
searches of 25 trials took 0.71 of the hours of searches without it, and 0.8 of their epochs came after the first look
(docs/search.md, ledger: ours against random)."""
HOURS_A_DAY = 24


@dataclass(frozen=True)
class Used:
    """What a search has used so far."""

    ended: int
    """The number of ended trials."""
    running: int
    epochs: int
    """The epochs of all trials."""
    gpu_hours: float


@dataclass(frozen=True)
class ModelEstimate:
    """The estimate for a search. Hours are GPU-hours: a trial with several GPUs takes those of all of them."""

    spec: Spec
    gpus: float
    """The GPUs of a trial, less than 1 where several share one."""
    places: int
    """The places that it takes, of which a GPU has as many as trials share it."""
    hours_per_epoch: float
    measured: int
    """How many ended trials the hours come from; 0 if they come from running ones or from the spec."""
    paced: int
    """How many running trials the hours come from, which measure them within their epochs."""
    epochs_patience: float
    """The epochs of a trial that nothing but its own patience ends."""
    epochs_expected: float
    """The epochs of a trial with patience and early stopping."""
    used: Used
    ahead: tuple[float, ...]
    """The epochs that each trial still has to run with early stopping, running trials first."""
    parallel: int
    spending: Spending | None = None
    """What the rule promote is expected to spend; None with another rule."""

    @property
    def gpu_hours(self) -> float:
        """Those of the whole search if every trial runs every epoch."""
        return self.spec.trials * self.spec.epochs * self.hours_per_epoch

    @property
    def gpu_hours_patience(self) -> float:
        """Those of the whole search if nothing but patience ends a trial."""
        return self.spec.trials * self.epochs_patience * self.hours_per_epoch

    @property
    def gpu_hours_stopping(self) -> float:
        """Those of the whole search with patience and early stopping: what is used, and what is still expected."""
        return self.used.gpu_hours + sum(self.ahead) * self.hours_per_epoch

    @property
    def as_guessed(self) -> "ModelEstimate":
        """This estimate with the hours of an epoch according to the spec."""
        return replace(self, hours_per_epoch=self.spec.hours_per_run * self.gpus / self.spec.epochs)


@dataclass(frozen=True)
class BudgetEstimate:
    """The estimate for several searches on `gpus` GPUs; `price` is that of a GPU-hour, or None."""

    models: tuple[ModelEstimate, ...]
    gpus: int
    price: float | None
    days: float
    """The days of the whole searches if every trial runs every epoch."""
    days_patience: float
    """The same if nothing but patience ends a trial."""
    days_stopping: float
    """The same with patience and early stopping."""
    days_left: float
    """The days from now on, with patience and early stopping."""
    days_site: float
    """As `days`, with at most as many trials at a time as the site allows a search."""
    days_left_site: float
    """As `days_left`, with at most as many trials at a time as that."""
    days_guessed: float
    """As `days`, by the hours of the specs."""

    @property
    def paced(self) -> int:
        """How many running trials have measured an epoch where no trial had ended."""
        return sum(model.paced for model in self.models)

    @property
    def over(self) -> bool:
        """Whether all trials have ended."""
        return not any(model.ahead for model in self.models)

    @property
    def gpu_hours(self) -> float:
        """Those of all models if every trial runs every epoch."""
        return sum(model.gpu_hours for model in self.models)

    @property
    def gpu_hours_patience(self) -> float:
        """Those of all models if nothing but patience ends a trial."""
        return sum(model.gpu_hours_patience for model in self.models)

    @property
    def gpu_hours_stopping(self) -> float:
        """Those of all models with patience and early stopping."""
        return sum(model.gpu_hours_stopping for model in self.models)

    @property
    def gpu_hours_used(self) -> float:
        """Those that all models have used so far."""
        return sum(model.used.gpu_hours for model in self.models)


def plan(
    specs: Sequence[Spec],
    tables: Mapping[str, TrialTable],
    *,
    gpus: int,
    gpus_per_trial: Mapping[str, int] | int,
    site_parallel: int,
    price: float | None = None,
    parallel: int | None = None,
    trials_per_gpu: int = 1,
) -> BudgetEstimate:
    """Returns the plan of `specs`, given the tables of their experiments by name, as far as they have begun.

    `gpus_per_trial`, by name of the spec where they differ, counts the parts of a GPU that `trials_per_gpu` share. A
    search has `parallel` trials at a time, by default as many as the GPUs allow. Raises SpecError if a trial needs more
    GPUs than there are.
    """
    slots = gpus * trials_per_gpu
    places = [max(1, gpus_per_trial if isinstance(gpus_per_trial, int) else gpus_per_trial[one.name]) for one in specs]
    if (most := max(places, default=1)) > slots:
        raise SpecError(f"--gpus {gpus}: a trial needs {most} (resources.gpus in k8s/site.yaml); name at least {most}")
    models = tuple(
        _model(spec, tables.get(spec.name), each / trials_per_gpu, each, parallel or slots // each)
        for spec, each in zip(specs, places, strict=True)
    )
    return BudgetEstimate(
        models,
        gpus,
        price,
        days=_days(models, slots, [model.spec.epochs for model in models]),
        days_patience=_days(models, slots, [model.epochs_patience for model in models]),
        days_stopping=_days(models, slots, [model.epochs_expected for model in models]),
        days_left=_days(models, slots),
        days_site=_days(models, slots, [model.spec.epochs for model in models], parallel=parallel or site_parallel),
        days_left_site=_days(models, slots, parallel=parallel or site_parallel),
        days_guessed=_days([one.as_guessed for one in models], slots, [model.spec.epochs for model in models]),
    )


def as_run(table: TrialTable) -> Spec | None:
    """Returns the spec of `table` with the trials and epochs of its manifest; None if it comes from no spec."""
    spec, budget = table.spec, table.budget
    if spec is None or budget is None:
        return spec
    shortened = Overrides(trials=budget.trials, epochs=budget.epochs).apply(spec)
    own = {"hours_per_run": budget.hours_per_run or spec.hours_per_run, "early_stopping": _rule(table, shortened)}
    return shortened.model_copy(update=own)


def _rule(table: TrialTable, spec: Spec) -> EarlyStopping:
    """Returns the stop rule of the table's manifest; that of `spec` where the manifest has none that is known."""
    name = text_at(table.identity.spec, "earlyStopping", "algorithmName")
    rule = {**without(Manifest(table.identity.spec).stop_settings, CONFIGURATIONS), "name": name}
    try:
        return spec.model_validate(spec.data | {"early_stopping": rule}, strict=True).early_stopping
    except ValidationError:
        return spec.early_stopping


def _model(spec: Spec, table: TrialTable | None, gpus: float, places: int, parallel: int) -> ModelEstimate:
    if table and table.spec and table.spec.name == spec.name:
        spec = as_run(table) or spec
    rows = table.rows if table else ()
    ended = [row for row in rows if row.epochs and row.state in ENDED]
    epochs = sum(row.epochs for row in ended)
    hours = sum(row.gpu_hours for row in ended)
    completed = [row.epochs for row in ended if row.state == "Succeeded"]
    patience = fmean(completed) if completed else spec.epochs_with_patience or spec.epochs
    rule = stop_rule(Algorithm(spec.early_stopping.name, spec.stop_settings), Direction.MAXIMIZE, SI_SNR)
    spent = spending(rule, spec.trials, patience, parallel) if isinstance(rule, Promote) else None
    paces = table.paces if table and not (epochs and hours) else ()
    if epochs and hours:
        each, expected = hours / epochs, epochs / len(ended)
    else:
        each = fmean(paces) / SECONDS_AN_HOUR * gpus if paces else spec.hours_per_run * gpus / spec.epochs
        expected = patience - ASSUMED_SAVING * max(0.0, patience - int(spec.stop_settings.get("start_step", 1)))
    expected = spent.epochs if spent else expected
    over = sum(row.state in ENDED for row in rows)
    running = [row for row in rows if row.state == "Running"]
    used = sum(row.epochs for row in rows)
    begun = [row for row in rows if row.state not in ENDED]
    return ModelEstimate(
        spec,
        gpus,
        places,
        hours_per_epoch=each,
        measured=len(ended) if epochs and hours else 0,
        paced=len(paces),
        epochs_patience=patience,
        epochs_expected=expected,
        used=Used(over, len(running), used, sum(row.gpu_hours for row in rows)),
        ahead=epochs_ahead(spec.trials * expected - used, len(begun), spec.trials - len(rows))
        if spent
        else (*(_ahead(row, expected, spec.epochs) for row in begun), *[expected] * (spec.trials - len(rows))),
        parallel=parallel,
        spending=spent,
    )


def _ahead(row: TrialRow, expected: float, epochs: int) -> float:
    """Returns the epochs ahead of a running trial: up to the expected number, or if it has passed that, to its end."""
    return expected - row.epochs if row.epochs < expected else float(max(0, epochs - row.epochs))


def _days(
    models: Sequence[ModelEstimate],
    slots: int,
    epochs_per_trial: Sequence[float] | None = None,
    *,
    parallel: int | None = None,
) -> float:
    """Returns the days of whole searches with `epochs_per_trial`, or of the epochs that are ahead."""
    loads = []
    for index, model in enumerate(models):
        epochs = model.ahead
        if epochs_per_trial is not None:
            epochs = (epochs_per_trial[index],) * model.spec.trials
        wall = tuple(count * model.hours_per_epoch / model.gpus for count in epochs)
        loads.append(Load(wall, parallel or model.parallel, model.places))
    return makespan(loads, slots) / HOURS_A_DAY
