"""Prints what searches will take: runs, hours, days and money, and what the numbers are based on."""

from katib.budget.estimate import ASSUMED_SAVING, BudgetEstimate, ModelEstimate
from katib.manifest.render import most_trials
from katib.search.spending import Spending
from katib.stop_settings import RUNGS
from katib.terminal import output, print_rows
from katib.text import count, duration, hour_count


def print_estimate(estimate: BudgetEstimate, site_parallel: int, unit: str) -> None:
    """Prints one line for each search, then days and money; `unit` is GPU, or process on a machine without one."""
    used = any(model.used.ended or model.used.running for model in estimate.models)
    headings = [
        "search",
        "runs",
        "epochs",
        "s an epoch",
        f"{unit}-hours at most",
        "with patience",
        "and early stopping",
    ]
    rows = [_cells(model, used=used) for model in estimate.models]
    if len(estimate.models) > 1:
        runs = sum(model.spec.trials for model in estimate.models)
        hours = (estimate.gpu_hours, estimate.gpu_hours_patience, estimate.gpu_hours_stopping)
        rows.append(["together", str(runs), "", "", *map(hour_count, hours)])
        if used:
            ended, running = (
                sum(getattr(model.used, name) for model in estimate.models) for name in ("ended", "running")
            )
            rows[-1] += [hour_count(estimate.gpu_hours_used), str(ended), str(running)]
    out = output()
    ranks = [0, 1, 7, 8, 2, 5, 6]
    if used:
        headings, ranks = [*headings, "used", "ended", "running"], [*ranks, 3, 4, 4]
    print_rows(headings, rows, ranks, out=out)
    for sentence in _sentences(estimate, site_parallel, unit):
        out.words(sentence, indent=2)


def _cells(model: ModelEstimate, *, used: bool) -> list[str]:
    cells = [
        model.spec.name,
        str(model.spec.trials),
        str(model.spec.epochs),
        f"{3600 * model.hours_per_epoch / model.gpus:.4g}",
        *map(hour_count, (model.gpu_hours, model.gpu_hours_patience, model.gpu_hours_stopping)),
    ]
    if used:
        cells += [hour_count(model.used.gpu_hours), str(model.used.ended), str(model.used.running)]
    return cells


def _sentences(estimate: BudgetEstimate, site_parallel: int, unit: str) -> list[str]:
    """Returns days and money in sentences; of searches that have ended, what they took."""
    if estimate.over:
        ended, spent = sum(model.used.ended for model in estimate.models), estimate.gpu_hours_used
        cost = "" if estimate.price is None else f", {spent * estimate.price:.2f} at {estimate.price:g} a {unit}-hour"
        return [f"all {ended} trials have ended, after {hour_count(spent)} {unit}-hours{cost}"]
    gpus = f"{estimate.gpus} {unit}" + ("" if estimate.gpus == 1 else "s" if unit == "GPU" else "es")
    lines = [
        f"at most {hour_count(estimate.gpu_hours)} {unit}-hours, about {hour_count(estimate.gpu_hours_patience)} "
        f"expected with patience, {hour_count(estimate.gpu_hours_stopping)} with early stopping as well",
        f"on {gpus}: at most {_time(estimate.days)}, {_time(estimate.days_patience)} with patience,"
        f" {_time(estimate.days_stopping)} with early stopping as well",
    ]
    if estimate.paced:
        lines.append(
            f"at this pace at most {_time(estimate.days)}; by the spec {_time(estimate.days_guessed)}"
            f" ({count(estimate.paced, 'running trial')} measured within an epoch)"
        )
    lines += [
        f"{model.spec.name} ends at {model.spec.gpu_hours:g} {unit}-hours, its budget (gpu_hours)"
        for model in estimate.models
        if model.spec.gpu_hours is not None and model.spec.gpu_hours < model.gpu_hours
    ]
    if estimate.gpu_hours_used:
        lines.append(f"left: {_time(estimate.days_left)}")
    if estimate.price is not None:
        hours = (estimate.gpu_hours, estimate.gpu_hours_patience, estimate.gpu_hours_stopping, estimate.gpu_hours_used)
        most, patient, stopping, spent = (value * estimate.price for value in hours)
        lines.append(
            f"at {estimate.price:g} a {unit}-hour: at most {most:.2f}, {patient:.2f} with patience, {stopping:.2f} "
            f"with early stopping as well" + (f", of which {spent:.2f} is spent" if spent else "")
        )
    narrow, wide = estimate.days_site, estimate.days
    if estimate.gpu_hours_used:
        narrow, wide = estimate.days_left_site, estimate.days_left
    if unit == "GPU" and narrow > wide * 1.005:
        left = " left" if estimate.gpu_hours_used else ""
        lines.append(
            f"with parallel_trials {site_parallel} of the site: {_time(narrow)}{left}, because a search then leaves "
            f"GPUs idle at its end; deploy with PARALLEL={estimate.models[0].parallel}"
        )
    lines += [_promoting(model, model.spending) for model in estimate.models if model.spending]
    return lines + _grounds(estimate)


def _promoting(model: ModelEstimate, spent: Spending) -> str:
    """Returns what the rule promote does with the configurations of a search, in a sentence."""
    settings, trials = model.spec.stop_settings, model.spec.trials
    *first, last = settings[RUNGS].split(",")
    rungs = f"{', '.join(first)} or {last}" if first else last
    return (
        f"promote: each of {model.spec.name}'s {count(trials, 'configuration')} pauses after epoch {rungs} unless it is"
        f" among the best 1/{settings['eta']} there, and goes on once it is; about {spent.epochs:.1f} of"
        f" {model.epochs_patience:g} epochs each, and about {count(round(spent.continuations), 'continuation')};"
        f" on Katib each of them is a trial, and the search ends after {most_trials(model.spec)} trials (maxTrialCount)"
    )


def _grounds(estimate: BudgetEstimate) -> list[str]:
    """Returns what the numbers are based on."""
    guessed = [model for model in estimate.models if not model.measured]
    known = [f"{model.spec.name} ({model.measured})" for model in estimate.models if model.measured]
    saved = f"{ASSUMED_SAVING:.0%} of the epochs behind the first look saved by early stopping"
    names: dict[str, list[str]] = {}
    for model in guessed:
        saving = "a simulation of promote" if model.spending else saved
        hours = (
            "the pace of running trials, epochs_with_patience"
            if model.paced
            else "hours_per_run and epochs_with_patience"
        )
        names.setdefault(f"estimates: {hours} of the spec, and {saving} (docs/results.md)", []).append(model.spec.name)
    lines = [f"{text}: {', '.join(listed)}" for text, listed in names.items()]
    if guessed:
        lines.append(
            f"epochs that patience leaves: {', '.join(f'{model.spec.name} {_left(model)}' for model in guessed)}"
        )
    if known:
        lines.append(f"from ended trials: {', '.join(known)}")
    return lines


def _left(model: ModelEstimate) -> str:
    spec = model.spec
    unknown = "" if spec.epochs_with_patience else ", since nothing is known"
    return f"{model.epochs_patience:g} of {spec.epochs}{unknown}"


def _time(days: float) -> str:
    if days >= 1:
        return f"{days:.1f} days"
    return f"{24 * days:.1f} h" if days >= 0.1 / 24 or not days else duration(86400 * days)
