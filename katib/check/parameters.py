"""Checks the search space: each parameter's type, bounds, step, list and distribution.

Katib's webhook checks little of this; what it accepts fails later, in the algorithm's service or in the trial.
"""

import math
import re
from collections.abc import Iterator
from typing import get_args

from katib.check.finding import Defect, error, warning
from katib.check.node import Node
from katib.check.services import SERVICES, Service
from katib.errors import nearest
from katib.manifest.search import Distribution, ParameterType
from katib.text import number

REFUSED = "Katib's webhook refuses the Experiment"
CRASH = "the webhook lets it pass; the algorithm's service fails at every call, and no trial starts"
UNREAD = "Sepsweep's services and the search on this machine refuse it; the stock service does not look at it"
UNIFORM = "Sepsweep's services and the search on this machine refuse it; scikit-optimize draws an int uniformly"
OPPOSITE = "hyperopt takes it for its opposite; Sepsweep's services and the search on this machine refuse it"
NORMAL = ("normal", "logNormal")
LUCKY = (
    "Sepsweep's services and the search on this machine refuse it;"
    " hyperopt answers with one value, or with some out of range"
)
NOTHING = "the algorithm has nothing to draw from; its service fails at every call"
UNKNOWN = Service(logarithm=True)
"""The service that stands for an algorithm that stock Katib does not have."""
NUMERIC = ("double", "int")
LARGEST, MOST_STEPS = 1e18, 1e15
"""The limits of katib/search/axis.py."""
LISTED = ("discrete", "categorical")
TYPES = get_args(ParameterType)
DISTRIBUTIONS = get_args(Distribution)

NONE = error(
    "no-parameters",
    finds="neither parameters nor nasConfig, or both",
    effect=REFUSED,
    fix="give spec.parameters at least one parameter",
)
NAME = error(
    "parameter-name",
    finds="a parameter without a name, or two of one name",
    effect="the webhook lets it pass; no trial can be created, since assignments and trialParameters do not fit",
    fix="give each parameter a name of its own",
)
TYPE = error(
    "parameter-type",
    finds="parameterType is none of double, int, discrete, categorical",
    effect="Katib's webhook refuses all but 'unknown', which no algorithm can sample",
    fix="write double, int, discrete or categorical",
)
DISTRIBUTION = error(
    "distribution",
    finds="distribution is none of uniform, logUniform, normal, logNormal",
    effect="Katib's webhook refuses all but 'unknown', which is sampled as uniform",
    fix="write uniform, logUniform, normal or logNormal",
)
SPACE = error(
    "bounds-missing",
    finds="a double or int without min or max, a discrete or categorical without list",
    effect="Katib's webhook refuses missing bounds; the algorithm cannot draw from an empty list",
    fix="give a double or int min and max, a discrete or categorical a list",
)
WRONG_SPACE = error(
    "bounds-of-other-type",
    finds="a double or int with a list, a discrete or categorical with min, max or step",
    effect=REFUSED,
    fix="remove it, or change parameterType",
)
NOT_A_NUMBER = error(
    "bound-not-a-number",
    finds="min, max or step that is not a finite number, or, of an int, none that the algorithm's service reads as"
    " whole: 1.0",
    effect=CRASH,
    fix="write a number, in quotes",
)
ORDER = error(
    "bounds-order",
    finds="min that does not lie below max (grid, multivariate-tpe, sobol, hyperband and pbt take min = max for one"
    " value, and hyperband takes any order)",
    effect=CRASH,
    fix="let min lie below max",
)
LOG = error(
    "log-of-nothing",
    finds="logUniform or logNormal with min of 0 or below (random, tpe, grid, bayesianoptimization)",
    effect="the logarithm does not exist; " + CRASH,
    fix="raise min above 0, or choose uniform",
)
STEP = error(
    "step",
    finds="a step of 0 or below, or one of which no multiple lies in the range (random, tpe)",
    effect="no intended value is ever tried, or the algorithm's service fails",
    fix="choose a step above 0 and below max - min",
)
WIDE = warning(
    "step-too-wide",
    finds="a step wider than the range",
    effect="only one value is ever tried",
    fix="choose a step below max - min",
)
SWAPPED = warning(
    "bounds-swapped",
    finds="min above max where the algorithm's service takes the two in either order (hyperband)",
    effect="the values between the two are tried",
    fix="let min lie below max",
)
FRACTION = warning(
    "bound-of-int-rounded",
    finds="an int with a fraction in min, max or step, where the algorithm's service rounds (random, tpe, pbt)",
    effect="the whole number beyond the bound may be tried too, and a step is cut to whole numbers",
    fix="write whole numbers",
)
BEYOND = warning(
    "range-beyond",
    finds="min or max beyond 1e18, a step finer than 1e-15 of the range, or an int without a whole number between min"
    " and max, under an algorithm that Sepsweep has too",
    effect="Sepsweep's services refuse the Experiment before its first trial, and so does the search on this machine;"
    " stock Katib draws from it",
    fix="choose a narrower range and a wider step",
)
DISCRETE = warning(
    "discrete-not-a-number",
    finds="a value in the list of a discrete parameter that is not a number",
    effect="most algorithms take it as a category; hyperband fails",
    fix="use categorical",
)
REPEATED = warning(
    "list-value-twice",
    finds="a list holds a value twice",
    effect="it is drawn twice as often, or tried twice",
    fix="remove one of the two",
)
QUOTED = error(
    "list-value-breaks-json",
    finds='a list value with ", \\ or a control character',
    effect="Katib puts values into the trial's JSON as they are, which breaks it: the trial cannot be created",
    fix="use a value without them, and translate it in the trainer",
)


def parameters(top: Node) -> Iterator[Defect]:
    """Yields the defects of every parameter."""
    spec = top["spec"]
    nodes, nas = spec["parameters"], spec["nasConfig"]
    if spec.missing:
        return
    if nodes.empty and nas.missing:
        yield NONE.at(nodes, "is missing" if nodes.missing else "is empty")
    elif nodes.items and not nas.missing:
        yield NONE.at(nas, "stands beside parameters", fix="keep one of the two")
    service = SERVICES.get(spec["algorithm"]["algorithmName"].text or "", UNKNOWN)
    seen: set[str] = set()
    for node in nodes.items:
        yield from _parameter(node, seen, service)


def number_of(node: Node) -> float | None:
    """Returns the finite number in a text; None if there is none."""
    return number(node.text or "")


def _parameter(node: Node, seen: set[str], service: Service) -> Iterator[Defect]:
    name, kind, space = node["name"], node["parameterType"], node["feasibleSpace"]
    if name.empty:
        yield NAME.at(name, "is missing")
    elif name.text in seen:
        effect = "its service takes the last one, and the first is never searched" if service.twice else None
        yield NAME.at(name, f"'{name.text}' stands here a second time", effect=effect)
    seen.add(name.text or "")
    if kind.missing or (kind.text is not None and kind.text not in TYPES):
        problem = f"'{kind.text}': {nearest(kind.text, TYPES)}" if kind.text else "is missing"
        yield TYPE.at(kind, problem)
    distribution = space["distribution"]
    if distribution.text and distribution.text not in DISTRIBUTIONS:
        yield DISTRIBUTION.at(distribution, f"'{distribution.text}': {nearest(distribution.text, DISTRIBUTIONS)}")
    if kind.text in NUMERIC:
        yield from _numeric(space, service, whole=kind.text == "int")
    elif kind.text in LISTED:
        yield from _listed(space, discrete=kind.text == "discrete")


def _numeric(space: Node, service: Service, *, whole: bool) -> Iterator[Defect]:
    if space.missing:
        yield SPACE.at(space, "is missing", effect=REFUSED)
        return
    if not space["list"].empty:
        yield WRONG_SPACE.at(space["list"], "belongs to discrete and categorical")
    for key in ("min", "max"):
        if space[key].empty:
            yield SPACE.at(space[key], "is missing", effect=REFUSED)
    values: dict[str, float | None] = {}
    read = service.reading.whole if whole else service.reading.double
    for key in ("min", "max", "step"):
        node = space[key]
        if not node.text:
            continue
        if key == "step" and not reads_step(space, service):
            if service.is_ours and not (number_of(node) or 0) > 0:
                yield NOT_A_NUMBER.at(node, f"'{node.text}' is no step", effect=UNREAD)
            continue
        value = values[key] = read(node.text)
        if value is None:
            yield NOT_A_NUMBER.at(node, f"'{node.text}' is no {'whole' if whole else 'finite'} number")
        elif whole and key != "step" and abs(value) >= service.reading.limit:
            yield NOT_A_NUMBER.at(node, f"is {node.text}, more than 64 bits hold")
            values[key] = None
        elif whole and not value.is_integer():
            yield FRACTION.at(node, f"is {node.text}")
    low, high, step = (values.get(key) for key in ("min", "max", "step"))
    yield from _bounds(space, service, low, high, whole=whole)
    if step is not None:
        yield from _step(space, service, low, high, step)
    # A grid of such a range has too many points, which is said of all its parameters together.
    if service.is_ours and not service.needs_step and low is not None and high is not None and low <= high:
        yield from _beyond(space, low, high, step, whole=whole)


def _beyond(space: Node, low: float, high: float, step: float | None, *, whole: bool) -> Iterator[Defect]:
    """Yields what the search here refuses of a range that stock Katib takes (katib/search/axis.py)."""
    if whole and math.ceil(low) > math.floor(high):
        yield BEYOND.at(space["max"], f"no whole number lies from {space['min'].text} to {space['max'].text}")
    for key, value in (("min", low), ("max", high)):
        if abs(value) > LARGEST:
            yield BEYOND.at(space[key], f"is {space[key].text}, beyond {LARGEST:.0e}")
    if step is not None and step > 0 and (high - low) / step > MOST_STEPS:
        yield BEYOND.at(space["step"], f"is {space['step'].text}, for a range from {low:g} to {high:g}")


def reads_step(space: Node, service: Service) -> bool:
    """Returns whether the service reads the step: optuna does not if it draws on a logarithmic scale."""
    return service.step and not (service.uniform_step and space["distribution"].text == "logUniform")


def _bounds(space: Node, service: Service, low: float | None, high: float | None, *, whole: bool) -> Iterator[Defect]:
    if low is not None and high is not None and (low > high or (low == high and not service.single)):
        rule = SWAPPED if service.swapped else ORDER
        lucky = service.leaves_range and (high == 0 or (low == high and space["distribution"].text in NORMAL))
        yield rule.at(
            space["min"],
            f"{space['min'].text} does not lie below max {space['max'].text}",
            effect=LUCKY if lucky else None,
        )
    elif service.logarithm and low is not None and low <= 0 and (space["distribution"].text or "").startswith("log"):
        yield LOG.at(
            space["min"],
            f"is {space['min'].text}, with distribution {space['distribution'].text}",
            effect=UNIFORM if whole and service.min_above_zero else None,
        )


def _step(space: Node, service: Service, low: float | None, high: float | None, step: float) -> Iterator[Defect]:
    node, width = space["step"], f"{space['min'].text} to {space['max'].text}"
    if step <= 0:
        yield STEP.at(node, f"is {node.text}", effect=OPPOSITE if step < 0 and service.leaves_range else None)
    elif low is not None and high is not None and 0 < high - low < step:
        # hyperopt tries multiples of step, beginning at 0 and not at min.
        if service.leaves_range and math.floor(high / step) * step < low:
            yield STEP.at(node, f"is {node.text}, and no multiple of it lies in {width}")
        else:
            yield WIDE.at(node, f"is wider than {width}")


def _listed(space: Node, *, discrete: bool) -> Iterator[Defect]:
    if space.missing:
        yield SPACE.at(space, "is missing", effect=NOTHING)
        return
    for key in ("min", "max", "step"):
        if not space[key].empty:
            yield WRONG_SPACE.at(space[key], "belongs to double and int")
    if space["list"].empty:
        yield SPACE.at(space["list"], "is missing" if space["list"].missing else "is empty", effect=NOTHING)
    seen = set()
    for item in space["list"].items:
        if item.text is None:
            continue
        if discrete and number_of(item) is None:
            yield DISCRETE.at(item, f"'{item.text}' is no number")
        if item.text in seen:
            yield REPEATED.at(item, f"'{item.text}' stands here a second time")
        if re.search(r'["\\\x00-\x1f]', item.text):
            yield QUOTED.at(item, f"{item.text!r} cannot stand in JSON as it is")
        seen.add(item.text)
