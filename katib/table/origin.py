"""Finds the spec that a manifest was rendered from, and the budget of its search. It reads nothing but specs."""

from katib.manifest.object import Manifest
from katib.manifest.render import fixed_flags
from katib.spec import Spec, load_spec, specs
from katib.table.trial_table import Budget
from katib.trainer_contract import Flags


def origin(manifest: Manifest) -> Spec | None:
    """Returns the spec of the manifest's model if its command has all the fixed settings of the spec, else None.

    The baseline of a spec does not apply to another preset, or to a manifest that someone wrote by hand.
    """
    flags = manifest.trainer_flags
    for name in specs():
        spec = load_spec(name)
        if manifest.model == spec.model and fixed_flags(spec).items() <= flags.items():
            return spec
    return None


def budget(manifest: Manifest, source: Spec | None) -> Budget | None:
    """Returns the budget of the search, with the hours of `source` in proportion to the epochs.

    With the stop rule promote its trials are the configurations: maxTrialCount counts continuations too. None if the
    manifest does not say how many trials and epochs there are.
    """
    trials, epochs = manifest.configurations, manifest.number(Flags.EPOCHS)
    if trials is None or not epochs:
        return None
    return Budget(trials, epochs, source.hours_per_run * epochs / source.epochs if source else None)
