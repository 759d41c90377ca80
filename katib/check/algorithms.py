"""Checks the algorithm and the early stopper: whether Katib has them, their settings, and how they use the space.

Katib leaves settings to the service, which checks them once it runs, long after admission.
"""

from collections.abc import Generator, Iterator, Mapping

from katib.check.counts import counts, setting_number
from katib.check.finding import Defect, error, warning
from katib.check.nas import nas
from katib.check.node import Node
from katib.check.objective import REQUIRED
from katib.check.sampling import sampling
from katib.check.services import (
    EARLY_STOPPING,
    OURS,
    SERVICE_REFUSES,
    SERVICES,
    SETTING_MISSING,
    STOCK,
    STOCK_EARLY_STOPPING,
    Service,
)
from katib.errors import nearest
from katib.stop_settings import PROMOTE

UNKNOWN = error(
    "unknown-algorithm",
    finds="an algorithm or early stopper that stock Katib does not have",
    effect="Katib's webhook does not find it in katib-config and refuses the Experiment",
    fix="choose one that Katib has, or add yours to katib-config",
)
SETTING = error(
    "setting-unknown",
    finds="a setting that the algorithm does not take",
    effect=SERVICE_REFUSES,
    fix="remove the setting, or correct its name",
)
SETTING_IGNORED = warning(
    "setting-ignored",
    finds="a setting that the algorithm does not know and ignores, or one given twice",
    effect="it is ignored; of two the last one counts",
    fix="remove the setting, or correct its name",
)
OURS_ALONE = warning(
    "setting-ours",
    finds="a setting or an early stopper that Sepsweep's services and the search on this machine take, and stock"
    " Katib does not",
    effect="with stock services the Experiment fails before its first trial (goptuna: the setting is ignored)",
    fix="see which services the cluster has, or leave it out",
)
SETTING_VALUE = error(
    "setting-value",
    finds="a setting with a value that the algorithm does not take",
    effect=SERVICE_REFUSES,
    fix="correct the value",
)
OURS_REFUSE = "Sepsweep's services and the search on this machine refuse it; stock Katib ignores it"
NEVER_STOPS = warning(
    "never-stops",
    finds="medianstop that waits for as many trials as there are",
    effect="no trial is ever stopped early",
    fix="lower min_trials_required (3 where it is missing)",
)


def algorithms(top: Node) -> Iterator[Defect]:
    """Yields the defects of the search algorithm and of the early stopper, if there is one."""
    spec = top["spec"]
    if spec.missing:
        return
    service = yield from _service(spec["algorithm"], SERVICES)
    name = spec["algorithm"]["algorithmName"]
    if service and name.text not in STOCK:
        yield OURS_ALONE.at(name, f"'{name.text}' is not among the algorithms of stock Katib")
    if service:
        yield from sampling(spec, service)
        yield from counts(spec, service)
        yield from nas(spec, service)
    stopper = spec["earlyStopping"]
    if not stopper.missing:
        name = stopper["algorithmName"]
        if name.text in EARLY_STOPPING and name.text not in STOCK_EARLY_STOPPING:
            yield OURS_ALONE.at(name, f"'{name.text}' is not among the early stoppers of stock Katib")
        yield from _service(stopper, EARLY_STOPPING)
        needed = setting_number(stopper, "min_trials_required", 3)
        trials = spec["maxTrialCount"]
        waits = name.text != PROMOTE  # which compares from the second configuration on
        if waits and trials.integer is not None and needed is not None and needed >= trials.integer > 0:
            yield NEVER_STOPS.at(stopper, f"waits for {needed:g} of {trials.integer} trials")


def _service(node: Node, services: Mapping[str, Service]) -> Generator[Defect, None, Service | None]:
    """Yields the defects of one algorithm, and returns its service if Katib or this search has it."""
    name = node["algorithmName"]
    if node.missing or name.empty:
        yield REQUIRED.at(name if node.present and not node.missing else node, "is missing")
        return None
    if name.text is None:
        return None
    if name.text not in services:
        yield UNKNOWN.at(name, f"'{name.text}': {nearest(name.text, services)}")
        return None
    service = services[name.text]
    yield from _settings(node["algorithmSettings"], name.text, service)
    return service


def _settings(node: Node, algorithm: str, service: Service) -> Iterator[Defect]:
    seen: set[str] = set()
    for item in node.items:
        name, value = item["name"], item["value"]
        if name.empty:
            yield SETTING_VALUE.at(name, f"name of a setting of {algorithm} is missing")
        if name.text is None:
            continue
        if name.text in seen:
            yield SETTING_IGNORED.at(name, f"'{name.text}' stands here a second time")
        seen.add(name.text)
        setting = service.settings.get(name.text)
        ours = OURS.get(algorithm, {}).get(name.text)
        if setting is None and ours is not None:
            setting = ours
            effect = (
                "with stock services the Experiment fails before its first trial"
                if service.strict
                else "with stock services the setting is ignored"
            )
            yield OURS_ALONE.at(name, f"stock {algorithm} has no setting '{name.text}'", effect=effect)
        if setting is None and name.text not in service.needs:
            if service.any_setting:
                continue
            rule = SETTING if service.strict else SETTING_IGNORED
            hint = nearest(name.text, service.settings) if service.settings else "it has none"
            yield rule.at(name, f"{algorithm} has no setting '{name.text}': {hint}")
        elif setting and (value.missing or value.text is not None) and not setting.takes(value.text or ""):
            problem = "is missing" if value.empty else f"is '{value.text}'"
            # Only Sepsweep's services refuse a value of a setting that stock Katib ignores.
            ignored = name.text not in service.settings and not service.strict
            yield SETTING_VALUE.at(
                value,
                f"{name.text} of {algorithm} {problem}; it has {setting.says}",
                effect=OURS_REFUSE if ignored else None,
            )
    for need in service.needs:
        if need not in seen:
            yield SETTING_MISSING.at(node, f"{algorithm} needs the setting '{need}'")
