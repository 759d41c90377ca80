"""Writes an estimate as the object that `plan --json` prints."""

from katib.budget.estimate import BudgetEstimate, ModelEstimate


def record(estimate: BudgetEstimate) -> dict[str, object]:
    """Returns the object that `plan --json` prints: times in hours and days, costs in the currency of the price."""
    return {
        "runs": sum(model.spec.trials for model in estimate.models),
        "gpu_hours": _rounded(estimate.gpu_hours),
        "days": _rounded(estimate.days),
        "cost": _cost(estimate, estimate.gpu_hours),
        "models": [_record(model) for model in estimate.models],
        "gpus": estimate.gpus,
        "gpu_hours_patience": _rounded(estimate.gpu_hours_patience),
        "days_patience": _rounded(estimate.days_patience),
        "cost_patience": _cost(estimate, estimate.gpu_hours_patience),
        "gpu_hours_early_stopping": _rounded(estimate.gpu_hours_stopping),
        "days_early_stopping": _rounded(estimate.days_stopping),
        "cost_early_stopping": _cost(estimate, estimate.gpu_hours_stopping),
        "gpu_hours_used": _rounded(estimate.gpu_hours_used),
        "days_left": _rounded(estimate.days_left),
        "days_at_site_parallel_trials": _rounded(estimate.days_site),
        "days_by_spec": _rounded(estimate.days_guessed),
    }


def _record(model: ModelEstimate) -> dict[str, object]:
    return {
        "model": model.spec.trained,
        "runs": model.spec.trials,
        "epochs": model.spec.epochs,
        "gpu_hours": _rounded(model.gpu_hours),
        "experiment": model.spec.name,
        "seconds_per_epoch": round(3600 * model.hours_per_epoch / model.gpus, 1),
        "measured_trials": model.measured,
        "measured_running_trials": model.paced,
        "gpu_hours_patience": _rounded(model.gpu_hours_patience),
        "epochs_patience": _rounded(model.epochs_patience),
        "gpu_hours_early_stopping": _rounded(model.gpu_hours_stopping),
        "epochs_expected": _rounded(model.epochs_expected),
        "gpu_hours_used": _rounded(model.used.gpu_hours),
        "trials_ended": model.used.ended,
        "trials_running": model.used.running,
        "epochs_used": model.used.epochs,
        "continuations_expected": _rounded(model.spending.continuations) if model.spending else 0,
    }


def _cost(estimate: BudgetEstimate, hours: float) -> float | None:
    return None if estimate.price is None else round(hours * estimate.price, 2)


def _rounded(value: float) -> float:
    return round(value, 3)
