"""Checks distributions, steps and bounds that an algorithm's service does not follow as written."""

import math
from collections.abc import Iterator

from katib.check.finding import Defect, error, warning
from katib.check.node import Node
from katib.check.parameters import LOG, NORMAL, number_of
from katib.check.reading import GO
from katib.check.services import ALL, SERVICE_REFUSES, SETTING_MISSING, Service

DECADE = 10.0

IGNORED = warning(
    "distribution-ignored",
    finds="a distribution that the algorithm does not follow, where this changes much (a range beyond one decade)",
    effect="the values are drawn from another distribution",
    fix="write the distribution that the algorithm has, or choose an algorithm that follows yours",
)
UNSUPPORTED = error(
    "distribution-unsupported",
    finds="a distribution for which the algorithm has no code",
    effect="the parameter gets no value, and no trial can be created",
    fix="choose uniform or logUniform",
)
STEP_IGNORED = warning(
    "step-ignored",
    finds="a step that the algorithm does not follow",
    effect="values between the steps are tried",
    fix="remove step, or use discrete",
)
LEAVES = warning(
    "distribution-leaves-range",
    finds="normal or logNormal with hyperopt (random, tpe), for which min and max are six deviations apart",
    effect="3 of 1000 values lie outside min and max",
    fix="let the trainer clip the value, or choose uniform or logUniform",
)
CLIPPED = warning(
    "min-clipped",
    finds="logUniform with min of 0 or below under multivariate-tpe",
    effect="its service draws from 1e-10 on, an int from 1 on: nearly all values are far below any intended one",
    fix="raise min above 0, or choose uniform",
)
ABOVE_ZERO = error(
    "min-not-above-zero",
    finds="a double with min of 0 or below under bayesianoptimization",
    effect="it samples every double log-uniformly: its service fails at every call, and no trial starts",
    fix="raise min above 0, or search the logarithm or an offset",
)
DIMENSIONS = error(
    "too-few-dimensions",
    finds="fewer double and int parameters than the algorithm needs (cmaes: 2)",
    effect=SERVICE_REFUSES,
    fix="search another number, or choose another algorithm",
)
STEP_LEAVES = warning(
    "step-leaves-range",
    finds="a step that takes values out of the range: min 10 and step 32 (random, tpe), or one that passes max (pbt;"
    " sobol and cmaes with a double)",
    effect="hyperopt rounds to multiples of step, whatever min is: values outside min and max are tried, and those at"
    " min + k step are not",
    fix="let min and max be multiples of step, or use discrete",
)
PASSES = "the step that is nearest to max is taken, and it lies above: values outside min and max are tried"


def sampling(spec: Node, service: Service) -> Iterator[Defect]:
    """Yields the parts of each parameter that the service does not follow."""
    algorithm = spec["algorithm"]["algorithmName"].text or ""
    numeric = 0
    for node in spec["parameters"].items:
        kind, space = node["parameterType"].text, node["feasibleSpace"]
        if kind not in ("double", "int"):
            continue
        numeric += 1
        yield from _step(space, kind, service, algorithm)
        low = number_of(space["min"])
        if kind == "double" and service.min_above_zero and low is not None and low <= 0:
            yield ABOVE_ZERO.at(space["min"], f"is {space['min'].text}, under {algorithm}")
            continue
        yield from _distribution(space, kind, service, algorithm)
        if service.uniform_step and low is not None and low <= 0 and space["distribution"].text == "logUniform":
            least = "1" if kind == "int" else "1e-10"
            high = number_of(space["max"])
            rule = LOG if high is not None and high < float(least) else CLIPPED
            yield rule.at(space["min"], f"is {space['min'].text}, and {algorithm} draws from {least} on")
    if numeric < service.dimensions and spec["parameters"].items:
        yield DIMENSIONS.at(spec["parameters"], f"{algorithm} needs {service.dimensions} numbers, and finds {numeric}")


def _step(space: Node, kind: str, service: Service, algorithm: str) -> Iterator[Defect]:
    node, step = space["step"], number_of(space["step"])
    if node.empty and kind in service.needs_step:
        yield SETTING_MISSING.at(node, f"{algorithm} needs the step of a {kind}", effect=service.without_step or None)
    elif node.text and not service.step:
        yield STEP_IGNORED.at(node, f"{algorithm} does not know of steps")
    elif step is None or step <= 0:
        return
    elif service.uniform_step and space["distribution"].text == "logUniform" and (kind, step) != ("int", 1):
        yield STEP_IGNORED.at(node, f"{algorithm} draws logUniform without steps")
    elif service.leaves_range and space["distribution"].text not in NORMAL:
        low, high = number_of(space["min"]), number_of(space["max"])
        if low is None or high is None or not math.isfinite(high / step) or step > high - low:
            return
        # pyll/stochastic.py of hyperopt: round(uniform(low, high) / q) * q
        first, last, slack = round(low / step) * step, round(high / step) * step, step * 1e-6
        if first < low - slack or last > high + slack:
            yield STEP_LEAVES.at(node, f"is {node.text}: {algorithm} tries multiples of it, from {first:g} to {last:g}")
    elif kind in service.passes_max:
        yield from _passes(space, step, half=service.reading is GO)


def _passes(space: Node, step: float, *, half: bool) -> Iterator[Defect]:
    """Returns whether the last step may lie above max.

    The list of pbt ends half a step above max (pbt/service.py); goptuna's DiscreteUniformDistribution rounds to the
    nearest step.
    """
    low, high = number_of(space["min"]), number_of(space["max"])
    if low is None or high is None or low >= high or not math.isfinite((high - low) / step):
        return
    steps = (high - low) / step
    # goptuna rounds half a step up, and pbt's list ends before it.
    if (0.5 - 1e-6 if half else 0.5 + 1e-6) < steps % 1 < 1 - 1e-6:
        last = low + math.ceil(steps) * step
        yield STEP_LEAVES.at(
            space["step"],
            f"is {space['step'].text}: the last value is {last:g}",
            effect=PASSES,
            fix="let max be min + k step, or use discrete",
        )


def _distribution(space: Node, kind: str, service: Service, algorithm: str) -> Iterator[Defect]:
    node, low, high = space["distribution"], number_of(space["min"]), number_of(space["max"])
    wanted = node.text or "uniform"
    if wanted not in ALL:
        # This is an error of its own.
        return
    # scikit-optimize draws doubles log-uniformly and whole numbers uniformly.
    followed = service.distributions if kind == "double" or service.otherwise != "logUniform" else {"uniform"}
    if wanted in followed:
        if service.leaves_range and wanted in NORMAL:
            yield LEAVES.at(node, f"{wanted} of {algorithm} has no bounds")
    elif service.lacks_normal and wanted in NORMAL:
        yield UNSUPPORTED.at(node, f"{algorithm} has no {wanted}")
    elif low is not None and high is not None and (low <= 0 or high / low > DECADE):
        drawn = service.otherwise if kind == "double" else "uniform"
        yield IGNORED.at(node, f"{algorithm} draws a {kind} {drawn}, not {wanted}")
