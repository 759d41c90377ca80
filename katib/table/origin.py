"""Where a search comes from: the model, the spec and the budget that its manifest was rendered with. Pure.

Called by both tables, by the log, and by what follows from a search.
"""

from collections.abc import Mapping
from typing import Any

from katib.manifest.command import as_run, is_trainer
from katib.manifest.render import fixed_flags
from katib.metrics import filters_of as filters_of
from katib.metrics import metrics_of as metrics_of
from katib.spec import Spec, load_spec, specs
from katib.table.trial_table import Budget

MODEL, EPOCHS = "--model", "--epochs"


def model_of(spec: Mapping[str, Any]) -> str:
    """Returns the model of ours that the command of the manifest's `spec` trains; empty where it trains none."""
    return " ".join(trainer_flags(spec).get(MODEL, []))


def origin(spec: Mapping[str, Any]) -> Spec | None:
    """Returns the spec of the same model all of whose fixed settings stand in the command of the manifest's `spec`.

    None where there is none: another preset, or a manifest of somebody else. Its baseline would be no measure there.
    """
    there = trainer_flags(spec)
    for name in specs():
        found = load_spec(name)
        if there.get(MODEL) == [found.model] and fixed_flags(found).items() <= there.items():
            return found
    return None


def budget(spec: Mapping[str, Any], source: Spec | None) -> Budget | None:
    """Returns the budget in the manifest's `spec`; None where its command does not say how many epochs a trial has.

    Hours are those of `source`, for fewer epochs so many the fewer.
    """
    trials = spec.get("maxTrialCount")
    try:
        (word,) = trainer_flags(spec)[EPOCHS]
        epochs = int(word)
    except (KeyError, ValueError):
        return None
    hours = source.hours_per_run * epochs / source.epochs if source else None
    return Budget(trials, epochs, hours) if isinstance(trials, int) and epochs > 0 else None


def flags_of(spec: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns each flag of the trial's command in the manifest's `spec`, with the words behind it."""
    found: dict[str, list[str]] = {}
    for word in _command(spec):
        flag, sign, value = word.partition("=")
        if word.startswith("--"):
            found.pop(flag, None)  # of one that is given twice the last counts, and takes the words behind it
            found[flag] = [value] if sign else []
        elif found:
            found[next(reversed(found))].append(word)
    return found


def trainer_flags(spec: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns the same of our trainer alone.

    None of another program, whose --epochs or --patience may mean something else.
    """
    return flags_of(spec) if is_ours(spec) else {}


def is_ours(spec: Mapping[str, Any]) -> bool:
    """Returns whether trials of the manifest's `spec` are trainings of our trainer, whose exit codes and words are
    known.
    """
    return is_trainer(_command(spec))


def is_tracked(spec: Mapping[str, Any]) -> bool:
    """Returns whether trials of the manifest's `spec` report to W&B."""
    return any(item.get("name") == "WANDB_PROJECT" for item in _container(spec).get("env", ()))


def _command(spec: Mapping[str, Any]) -> list[str]:
    """Returns the words of the trial's command; empty where the manifest has none that can be read."""
    container = _container(spec)
    return list(as_run([str(word) for word in (*container.get("command", ()), *container.get("args", ()))]))


def _container(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the primary container of a trial; empty where the manifest has another form."""
    try:
        template = spec["trialTemplate"]
        listed = template["trialSpec"]["spec"]["template"]["spec"]["containers"]
        primary = template.get("primaryContainerName")
        found: object = next((one for one in listed if len(listed) == 1 or one["name"] == primary), {})
    except (AttributeError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
