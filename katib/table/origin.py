"""Where a search comes from: the spec and the budget that its manifest was rendered with. Pure: reads specs alone."""

from katib.manifest.object import Manifest
from katib.manifest.render import fixed_flags
from katib.spec import Spec, load_spec, specs
from katib.table.trial_table import Budget
from katib.trainer_contract import Flags


def origin(manifest: Manifest) -> Spec | None:
    """Returns the spec of the same model, all of whose fixed settings the manifest's command has.

    None where there is none: another preset, or somebody else's manifest. The baseline of a spec would not apply there.
    """
    flags = manifest.trainer_flags
    for name in specs():
        spec = load_spec(name)
        if manifest.model == spec.model and fixed_flags(spec).items() <= flags.items():
            return spec
    return None


def budget(manifest: Manifest, source: Spec | None) -> Budget | None:
    """Returns the budget of the search; None where its command does not say how many epochs a trial has.

    The hours are those of `source`, in proportion to the epochs.
    """
    trials, epochs = manifest.spec.get("maxTrialCount"), manifest.number(Flags.EPOCHS)
    if not isinstance(trials, int) or not epochs:
        return None
    return Budget(trials, epochs, source.hours_per_run * epochs / source.epochs if source else None)
