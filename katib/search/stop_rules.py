"""Lists the stop rules by the names that a manifest gives them, with their settings. Pure: no I/O."""

import math
from collections.abc import Mapping

from katib.errors import ManifestError, nearest
from katib.manifest.search import Algorithm
from katib.metrics import TOLERANCES
from katib.search.promotion import Promote
from katib.search.setting import numbers, one_of, real, whole
from katib.search.settings import Settings
from katib.search.stopping import Looks, MedianStop, StopRule, SuccessiveHalving
from katib.trial import Direction

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
    "promote": Settings(
        ours={
            "rung_epochs": numbers(1),
            "eta": real(lambda value: 1 < value < math.inf, "a number above 1"),
            "configurations": whole(1),
        }
    ),
}


def stop_rule(algorithm: Algorithm, direction: Direction, metric: str) -> StopRule:
    """Returns the rule that a manifest's `earlyStopping` names, for its objective.

    Raises ManifestError for an unknown rule or setting.
    """
    if algorithm.name not in STOP_RULES:
        raise ManifestError(
            f"earlyStopping: unknown algorithm '{algorithm.name}': {nearest(algorithm.name, STOP_RULES)}"
        )
    settings = STOP_RULES[algorithm.name].checked("earlyStopping", algorithm)
    required = int(settings.get("min_trials_required", MedianStop.min_trials_required))
    start = int(settings.get("start_step", MedianStop.start_step))
    if algorithm.name == "medianstop":
        looks: Looks = "once" if settings.get("looks") == "once" else "every"
        tolerance = float(settings.get("tolerance", TOLERANCES.get(metric, 0.0)))
        return MedianStop(direction, required, start, looks, tolerance)
    if algorithm.name == "promote":
        return _promote(settings, direction)
    return SuccessiveHalving(
        direction, int(settings.get("eta", SuccessiveHalving.eta)), _epochs(settings.get("rungs", "")), start, required
    )


def _promote(settings: Mapping[str, str], direction: Direction) -> Promote:
    if "rung_epochs" not in settings:
        raise ManifestError(
            "earlyStopping promote: the setting 'rung_epochs' is missing: the epochs after which a trial may pause,"
            " such as 6,12,25,50"
        )
    configurations = settings.get("configurations")
    return Promote(
        direction,
        _epochs(settings["rung_epochs"]),
        float(settings.get("eta", Promote.eta)),
        None if configurations is None else int(configurations),
    )


def _epochs(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(epoch) for epoch in text.split(",") if epoch}))
