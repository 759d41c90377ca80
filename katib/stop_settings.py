"""Lists the stop rules by the names that a manifest and a spec give them, with their settings. Pure: no I/O.

A spec writes the settings beside the rule's name, a manifest in a list; katib/search/stop_rules.py builds the rules.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from katib.errors import ManifestError, nearest
from katib.setting import Settings, numbers, one_of, real, rising, whole

PROMOTE = "promote"
"""The rule that pauses trials (katib/search/promotion.py)."""
CONFIGURATIONS, RUNGS = "configurations", "rung_epochs"
ETA = "3"
"""The eta of a spec that names none, like RUNG_SHARES."""
RUNG_SHARES = (0.06, 0.18, 0.5)
"""The shares of the epochs after which trials of a spec may pause; chosen by the benchmark (docs/search.md)."""

_STARTS = {"min_trials_required": whole(1), "start_step": whole(1)}
STOP_RULES: Mapping[str, Settings] = {
    "medianstop": Settings(
        stock=_STARTS,
        ours={
            "looks": one_of("every", "once"),
            "tolerance": real(lambda value: 0 <= value < math.inf, "a number of at least 0"),
        },
    ),
    # Katib has no stop rules of these names.
    "successivehalving": Settings(ours={"eta": whole(2), "rungs": numbers(1), **_STARTS}),
    PROMOTE: Settings(
        ours={
            RUNGS: rising(1),
            "eta": real(lambda value: 1 < value < math.inf, "a number above 1"),
            CONFIGURATIONS: whole(1),
        },
        needs={RUNGS: "the epochs after which a trial may pause, such as 6,18,50"},
    ),
}
NEEDED = {"medianstop": tuple(_STARTS), "successivehalving": tuple(_STARTS)}
"""The settings that a spec must name; a manifest may leave them to the rule's defaults."""


IN_SPEC = {
    name: replace(rule, ours={key: setting for key, setting in rule.ours.items() if key != CONFIGURATIONS})
    for name, rule in STOP_RULES.items()
}
"""The rules with the settings that a spec may name: its key `trials` says how many configurations there are."""


def settings_of(
    name: str, given: Mapping[str, str], where: str, rules: Mapping[str, Settings] = STOP_RULES
) -> Mapping[str, str]:
    """Returns the settings `given` to the rule `name`; `where` is the section of the manifest or spec.

    Raises ManifestError for an unknown rule or setting, and for a value that is not accepted.
    """
    if name not in rules:
        raise ManifestError(f"{where}: unknown algorithm '{name}': {nearest(name, rules)}")
    return rules[name].checked(f"{where} {name}", given)


def configurations_in(settings: Mapping[str, str]) -> int | None:
    """Returns the number of configurations that the settings of anybody's manifest give promote; None without one."""
    text = settings.get(CONFIGURATIONS, "")
    return int(text) if STOP_RULES[PROMOTE].all[CONFIGURATIONS].takes(text) else None


def rungs(text: str) -> tuple[int, ...]:
    """Returns the epochs that a setting lists, ascending."""
    return tuple(sorted({int(epoch) for epoch in text.split(",") if epoch}))


def default_rungs(epochs: int) -> str:
    """Returns the rungs of a spec that names none; of a training of one epoch, one that it does not reach."""
    listed = sorted({max(1, round(share * epochs)) for share in RUNG_SHARES})
    return ",".join(str(rung) for rung in listed if rung < epochs) or str(epochs + 1)


def shortened(rule: Mapping[str, str], epochs: int) -> dict[str, str]:
    """Returns the section of a spec that names a rule for trainings of so many epochs: what lies beyond is cut off."""
    cut = dict(rule)
    if cut.get("start_step", "").isdecimal():
        cut["start_step"] = str(min(int(cut["start_step"]), epochs))
    reached = ",".join(str(rung) for rung in rungs(cut.pop(RUNGS, "")) if rung < epochs)
    return cut | ({RUNGS: reached} if reached else {})


def katib_trials(configurations: int, rungs: int, eta: float) -> int:
    """Returns the maxTrialCount of a search on Katib, where each continuation is a trial of its own.

    A rung lets the best 1/eta of those that reach it go on, and here each of them pauses first. In fact about a third
    do: a configuration that is among the best when it arrives goes on at once.
    """
    trials, share = configurations, float(configurations)
    for _ in range(rungs):
        share /= eta
        trials += math.ceil(share)
    return trials
