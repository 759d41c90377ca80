"""What searches will take, before anything is spent and beside what has been used so far: runs, GPU-hours, days, money.

Hours of an epoch come from the spec's estimate until trials have ended, then from those. What patience and early
stopping save comes from the epochs that ended trials really ran; before there are any, what patience leaves stands in
the spec, and what early stopping saves of that is one documented assumption. Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from katib.budget.schedule import Load, makespan
from katib.errors import SpecError
from katib.manifest.render import Overrides
from katib.spec import Spec
from katib.table.trial_table import TrialRow, TrialTable

ASSUMED_SAVING = 0.36
"""Share that early stopping saves of the epochs behind its first look, as many as patience leaves: simulated searches
of 25 trials took 0.71 of the hours of searches without it, and 0.8 of their epochs lay behind the first look
(docs/search.md, ledger: ours against random)."""
HOURS_A_DAY = 24


@dataclass(frozen=True)
class Used:
    """What a search has taken so far."""

    ended: int
    """Trials."""
    running: int
    epochs: int
    """Of all trials."""
    gpu_hours: float


@dataclass(frozen=True)
class ModelEstimate:
    """One search. Hours are GPU-hours: of a trial that has several GPUs, of all of them."""

    spec: Spec
    gpus: int
    """A trial's."""
    hours_per_epoch: float
    measured: int
    """Ended trials that the hours come from; 0: the spec's estimate."""
    epochs_patience: float
    """A trial's where nothing but its own patience ends it."""
    epochs_expected: float
    """A trial's with patience and early stopping."""
    used: Used
    ahead: tuple[float, ...]
    """Epochs that trials still have before them with early stopping, one number a trial, running ones first."""
    parallel: int

    @property
    def gpu_hours(self) -> float:
        """Of the whole search at most, with every epoch of every trial."""
        return self.spec.trials * self.spec.epochs * self.hours_per_epoch

    @property
    def gpu_hours_patience(self) -> float:
        """Of the whole search, where nothing but its own patience ends a trial."""
        return self.spec.trials * self.epochs_patience * self.hours_per_epoch

    @property
    def gpu_hours_stopping(self) -> float:
        """Of the whole search with patience and early stopping: what is used, and what is expected still."""
        return self.used.gpu_hours + sum(self.ahead) * self.hours_per_epoch

    @property
    def stopped_from(self) -> str:
        """What the expectation rests on."""
        return f"{self.used.ended} ended trials" if self.used.ended else "assumption"


@dataclass(frozen=True)
class BudgetEstimate:
    """Searches together on `gpus` GPUs; `price` is that of a GPU-hour, None where none was named."""

    models: tuple[ModelEstimate, ...]
    gpus: int
    price: float | None
    days: float
    """From the first trial to the last at most, with every epoch of every trial, where nothing has been done yet."""
    days_patience: float
    """The same where nothing but its own patience ends a trial."""
    days_stopping: float
    """The same with patience and early stopping."""
    days_left: float
    """With patience and early stopping, from now on."""
    days_site: float
    """As `days`, with no more trials at a time than the site lets a search have."""
    days_left_site: float
    """As `days_left`, with no more trials at a time than that."""

    @property
    def over(self) -> bool:
        """Whether all trials have ended."""
        return not any(model.ahead for model in self.models)

    @property
    def gpu_hours(self) -> float:
        """Of all models at most."""
        return sum(model.gpu_hours for model in self.models)

    @property
    def gpu_hours_patience(self) -> float:
        """Of all models, where nothing but its own patience ends a trial."""
        return sum(model.gpu_hours_patience for model in self.models)

    @property
    def gpu_hours_stopping(self) -> float:
        """Of all models, with patience and early stopping."""
        return sum(model.gpu_hours_stopping for model in self.models)

    @property
    def gpu_hours_used(self) -> float:
        """Of all models, so far."""
        return sum(model.used.gpu_hours for model in self.models)

    def record(self) -> dict[str, object]:
        """Returns what `plan --json` prints: times in hours and days, money in the currency of the price."""
        return {
            "runs": sum(model.spec.trials for model in self.models),
            "gpu_hours": _rounded(self.gpu_hours),
            "days": _rounded(self.days),
            "cost": self._cost(self.gpu_hours),
            "models": [_record(model) for model in self.models],
            "gpus": self.gpus,
            "gpu_hours_patience": _rounded(self.gpu_hours_patience),
            "days_patience": _rounded(self.days_patience),
            "cost_patience": self._cost(self.gpu_hours_patience),
            "gpu_hours_early_stopping": _rounded(self.gpu_hours_stopping),
            "days_early_stopping": _rounded(self.days_stopping),
            "cost_early_stopping": self._cost(self.gpu_hours_stopping),
            "gpu_hours_used": _rounded(self.gpu_hours_used),
            "days_left": _rounded(self.days_left),
            "days_at_site_parallel_trials": _rounded(self.days_site),
        }

    def _cost(self, hours: float) -> float | None:
        return None if self.price is None else round(hours * self.price, 2)


def plan(
    specs: Sequence[Spec],
    tables: Mapping[str, TrialTable],
    *,
    gpus: int,
    gpus_per_trial: int,
    site_parallel: int,
    price: float | None = None,
    parallel: int | None = None,
) -> BudgetEstimate:
    """Returns the plan of `specs`, with what has been done so far by name of experiment.

    As many trials of a search are in being as there are GPUs, or `parallel`. Raises SpecError where a trial needs more
    GPUs than there are.
    """
    each = max(1, gpus_per_trial)
    if each > gpus:
        raise SpecError(f"--gpus {gpus}: a trial has {each} (resources.gpus in k8s/site.yaml); name at least {each}")
    wide = parallel or gpus // each
    models = tuple(_model(spec, tables.get(spec.name), each, wide) for spec in specs)
    return BudgetEstimate(
        models,
        gpus,
        price,
        days=_days(models, gpus, [model.spec.epochs for model in models]),
        days_patience=_days(models, gpus, [model.epochs_patience for model in models]),
        days_stopping=_days(models, gpus, [model.epochs_expected for model in models]),
        days_left=_days(models, gpus),
        days_site=_days(models, gpus, [model.spec.epochs for model in models], parallel=parallel or site_parallel),
        days_left_site=_days(models, gpus, parallel=parallel or site_parallel),
    )


def as_run(table: TrialTable) -> Spec | None:
    """Returns the spec of `table` with the trials and epochs that its manifest really has.

    None where it comes from no spec.
    """
    spec, budget = table.spec, table.budget
    if spec is None or budget is None:
        return spec
    shortened = Overrides(trials=budget.trials, epochs=budget.epochs).apply(spec)
    return shortened.model_copy(update={"hours_per_run": budget.hours_per_run or spec.hours_per_run})


def _model(spec: Spec, table: TrialTable | None, gpus: int, parallel: int) -> ModelEstimate:
    if table and table.spec and table.spec.name == spec.name:
        spec = as_run(table) or spec
    rows = table.rows if table else ()
    ended = [row for row in rows if row.epochs and row.state not in ("Created", "Running")]
    epochs = sum(row.epochs for row in ended)
    hours = sum(row.gpu_hours for row in ended)
    completed = [row.epochs for row in ended if row.state == "Succeeded"]
    patience = fmean(completed) if completed else spec.epochs_with_patience or spec.epochs
    if epochs and hours:
        each, expected = hours / epochs, epochs / len(ended)
    else:
        each = spec.hours_per_run * gpus / spec.epochs
        expected = patience - ASSUMED_SAVING * max(0.0, patience - spec.early_stopping.start_step)
    over = sum(row.state not in ("Created", "Running") for row in rows)
    running = [row for row in rows if row.state == "Running"]
    begun = [row for row in rows if row.state in ("Created", "Running")]
    return ModelEstimate(
        spec,
        gpus,
        hours_per_epoch=each,
        measured=len(ended) if epochs and hours else 0,
        epochs_patience=patience,
        epochs_expected=expected,
        used=Used(over, len(running), sum(row.epochs for row in rows), sum(row.gpu_hours for row in rows)),
        ahead=(
            *(_ahead(row, expected, spec.epochs) for row in begun),
            *[expected] * (spec.trials - len(rows)),
        ),
        parallel=parallel,
    )


def _ahead(row: TrialRow, expected: float, epochs: int) -> float:
    """Epochs that a trial under way has before it: as expected, or where it has reached that, to its end."""
    return expected - row.epochs if row.epochs < expected else float(max(0, epochs - row.epochs))


def _days(
    models: Sequence[ModelEstimate],
    gpus: int,
    epochs_per_trial: Sequence[float] | None = None,
    *,
    parallel: int | None = None,
) -> float:
    """Returns the days that the schedule takes: of whole searches with so many epochs a trial, or of what is ahead."""
    loads = []
    for index, model in enumerate(models):
        epochs = model.ahead
        if epochs_per_trial is not None:
            epochs = (epochs_per_trial[index],) * model.spec.trials
        wall = tuple(count * model.hours_per_epoch / model.gpus for count in epochs)
        loads.append(Load(wall, parallel or model.parallel, model.gpus))
    return makespan(loads, gpus) / HOURS_A_DAY


def _record(model: ModelEstimate) -> dict[str, object]:
    return {
        "model": model.spec.model,
        "runs": model.spec.trials,
        "epochs": model.spec.epochs,
        "gpu_hours": _rounded(model.gpu_hours),
        "experiment": model.spec.name,
        "seconds_per_epoch": round(3600 * model.hours_per_epoch / model.gpus, 1),
        "measured_trials": model.measured,
        "gpu_hours_patience": _rounded(model.gpu_hours_patience),
        "epochs_patience": _rounded(model.epochs_patience),
        "gpu_hours_early_stopping": _rounded(model.gpu_hours_stopping),
        "epochs_expected": _rounded(model.epochs_expected),
        "gpu_hours_used": _rounded(model.used.gpu_hours),
        "trials_ended": model.used.ended,
        "trials_running": model.used.running,
        "epochs_used": model.used.epochs,
    }


def _rounded(value: float) -> float:
    return round(value, 3)
