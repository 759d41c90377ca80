"""Finds the spec that a manifest was rendered from, and the budget of its search. It reads nothing but specs."""

from collections.abc import Iterator
from contextlib import suppress

from pydantic import ValidationError

from katib.manifest.object import Manifest
from katib.manifest.render import fixed_flags, fixed_words
from katib.spec import Spec, load_spec, specs
from katib.spec_command import found_in
from katib.table.trial_table import Budget
from katib.trainer_contract import Flags


def origin(manifest: Manifest, own_spec: str = "") -> Spec | None:
    """Returns the spec that the manifest was rendered from; None where no spec has its settings.

    That is the user's `own_spec`, where the search has recorded one, or else one of ours.
    """
    return next((spec for spec in _candidates(own_spec) if fits(spec, manifest)), None)


def fits(spec: Spec, manifest: Manifest) -> bool:
    """Returns whether the manifest's command trains the model of the spec, or is its command, with all that is fixed.

    The baseline of a spec does not apply to another preset, or to a manifest that someone wrote by hand.
    """
    if spec.command is not None:
        same = spec.metric is not None and (spec.metric.name, spec.metric.direction) == (
            manifest.measure.metric,
            manifest.direction.value,
        )
        return same and _placed(spec, manifest) is not None
    same = bool(spec.model) and manifest.model == spec.model
    return same and fixed_flags(spec).items() <= manifest.trainer_flags.items()


def _placed(spec: Spec, manifest: Manifest) -> dict[str, str] | None:
    """Returns the epochs and folders in the manifest's command; None where it is not that of the spec."""
    searched = {name: f"${{trialParameters.{name}}}" for name in spec.search}
    words = manifest.command
    if manifest.pauses and words[:2] == ["sh", "-c"]:
        words = words[2].split()
    return found_in(spec.command or [], words, fixed_words(spec) | searched)


def _candidates(own_spec: str) -> Iterator[Spec]:
    # A record may come from anybody, or from another version.
    with suppress(ValidationError):
        yield Spec.model_validate_json(own_spec)
    yield from map(load_spec, specs())


def budget(manifest: Manifest, source: Spec | None) -> Budget | None:
    """Returns the budget of the search, with the hours of `source` in proportion to the epochs.

    With the stop rule promote its trials are the configurations: maxTrialCount counts continuations too. None if the
    manifest does not say how many trials and epochs there are.
    """
    trials, epochs = manifest.configurations, epochs_of(manifest, source)
    if trials is None or not epochs:
        return None
    return Budget(trials, epochs, source.hours_per_run * epochs / source.epochs if source else None)


def epochs_of(manifest: Manifest, source: Spec | None) -> int | None:
    """Returns the epochs of a trial that nothing stops; of a command that does not say them, those of its spec."""
    if source is None or source.command is None:
        return manifest.number(Flags.EPOCHS)
    text = (_placed(source, manifest) or {}).get("epochs", str(source.epochs))
    return int(text) if text.isdecimal() else None
