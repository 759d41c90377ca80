"""Builds the stop rule that a manifest names (katib/stop_settings.py lists them). Pure: no I/O."""

from collections.abc import Mapping

from katib.errors import ManifestError
from katib.manifest.object import Manifest
from katib.manifest.search import Algorithm
from katib.measure import Measure
from katib.search.promotion import Promote
from katib.search.stopping import Looks, MedianStop, StopRule, SuccessiveHalving
from katib.stop_settings import CONFIGURATIONS, PROMOTE, RUNGS, rungs, settings_of
from katib.trial import Direction


def stop_rule(algorithm: Algorithm, direction: Direction, metric: Measure) -> StopRule:
    """Returns the rule that a manifest's `earlyStopping` names, for its objective.

    Raises ManifestError for an unknown rule or setting.
    """
    settings = settings_of(algorithm.name, algorithm.settings, "earlyStopping")
    required = int(settings.get("min_trials_required", MedianStop.min_trials_required))
    start = int(settings.get("start_step", MedianStop.start_step))
    if algorithm.name == "medianstop":
        looks: Looks = "once" if settings.get("looks") == "once" else "every"
        tolerance = float(settings.get("tolerance", metric.tolerance))
        return MedianStop(direction, required, start, looks, tolerance)
    if algorithm.name == PROMOTE:
        return _promote(settings, direction)
    return SuccessiveHalving(
        direction, int(settings.get("eta", SuccessiveHalving.eta)), rungs(settings.get("rungs", "")), start, required
    )


def promotion(manifest: Manifest, direction: Direction, metric: Measure) -> Promote | None:
    """Returns the rule promote of a manifest; None with another rule, or with settings that it does not take."""
    if not manifest.pauses:
        return None
    try:
        rule = stop_rule(Algorithm(PROMOTE, manifest.stop_settings), direction, metric)
    except ManifestError:
        return None
    return rule if isinstance(rule, Promote) else None


def _promote(settings: Mapping[str, str], direction: Direction) -> Promote:
    configurations = settings.get(CONFIGURATIONS)
    return Promote(
        direction,
        rungs(settings[RUNGS]),
        float(settings.get("eta", Promote.eta)),
        None if configurations is None else int(configurations),
    )
