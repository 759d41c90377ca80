"""Checks the nasConfig of an architecture search (enas, darts).

The rules follow pkg/suggestion/v1beta1/nas of Katib v0.19: common/validation.py, enas/service.py, enas/Operation.py.
"""

import math
from collections.abc import Iterator

from katib.check.finding import Defect, error
from katib.check.node import Node
from katib.check.parameters import LISTED, NUMERIC, number_of
from katib.check.reading import python_int
from katib.check.services import SERVICE_REFUSES, Service
from katib.text import number

CONFIG = error(
    "nas-config",
    finds="enas or darts without nasConfig, enas with a graphConfig that lacks a key, or another algorithm with"
    " nasConfig",
    effect=SERVICE_REFUSES,
    fix="give nasConfig its graphConfig (numLayers, inputSizes, outputSizes) and operations, under enas or darts alone",
)
OPERATION = error(
    "nas-operation",
    finds="an operation without type or parameters, or with a parameter that lacks its name, type, list, bounds or"
    " step",
    effect=SERVICE_REFUSES,
    fix="complete the operation; a double needs a step above 0, under enas an int as well",
)
NEVER = "the operation has no values, and is never tried"
MOST_VALUES = 10_000_000
"""Values of one parameter that enas's service can list in its memory."""
FAILS = "the service fails at every call, and no trial starts"


def nas(spec: Node, service: Service) -> Iterator[Defect]:
    """Yields the defects of the graph and its operations, if the algorithm searches one."""
    config = spec["nasConfig"]
    algorithm = spec["algorithm"]["algorithmName"].text
    if not service.answers:
        if not config.missing and spec["parameters"].empty:
            yield CONFIG.at(config, f"is nothing that {algorithm} searches", effect=FAILS)
        return
    if config.missing:
        yield CONFIG.at(config, f"is missing, which {algorithm} searches")
        return
    if algorithm == "enas":
        for key in ("inputSizes", "outputSizes", "numLayers"):
            node = config["graphConfig"][key]
            if node.empty or (node.integer is not None and node.integer < 1):
                problem = f"is {node.integer}" if node.integer else "is empty"
                yield CONFIG.at(node, "is missing" if node.missing else problem)
        if config["operations"].empty:
            yield CONFIG.at(config["operations"], "is missing or empty", effect=FAILS)
    for operation in config["operations"].items:
        if operation["operationType"].empty:
            yield OPERATION.at(operation["operationType"], "is missing")
        if operation["parameters"].empty:
            yield OPERATION.at(operation["parameters"], "is missing")
        for parameter in operation["parameters"].items:
            yield from _parameter(parameter, enas=algorithm == "enas")


def _parameter(node: Node, *, enas: bool) -> Iterator[Defect]:
    space, kind = node["feasibleSpace"], node["parameterType"]
    for key in ("name", "parameterType"):
        if node[key].empty:
            yield OPERATION.at(node[key], "is missing")
    if kind.text in LISTED and space["list"].empty:
        yield OPERATION.at(space["list"], "is missing")
    elif enas and kind.text == "discrete":
        yield OPERATION.at(kind, "is discrete, for which enas has no code", effect=FAILS, fix="write categorical")
    if kind.text not in NUMERIC:
        return
    if space["min"].empty and space["max"].empty:
        yield OPERATION.at(space["min"], "is missing, and so is max")
        return
    step = number_of(space["step"])
    if kind.text == "double" and (step is None or step <= 0) and (enas or not _is_infinite(space["step"])):
        yield OPERATION.at(space["step"], _problem(space["step"]))
    elif enas:
        yield from _listed_by_enas(space, whole=kind.text == "int")


def _listed_by_enas(space: Node, *, whole: bool) -> Iterator[Defect]:
    """Yields the defects of a range that enas lists in full (enas/Operation.py).

    The list is range(min, max + 1, step) for an int, numpy.arange(min, max + step, step) for a double.
    """
    read = python_int if whole else number
    low, high, step = (read(space[key].text or "") for key in ("min", "max", "step"))
    for key, value in (("min", low), ("max", high), ("step", step)):
        if value is None or (key == "step" and value <= 0):
            yield OPERATION.at(space[key], _problem(space[key]), effect=NEVER if whole and value else FAILS)
            return
    if low is None or high is None or step is None:
        return
    if low > high:
        yield OPERATION.at(space["min"], f"is above max {space['max'].text}", effect=NEVER if whole else FAILS)
        return
    count = min((high - low) / step, 1e18)
    if count > MOST_VALUES:
        yield OPERATION.at(space["step"], f"makes a list of about {count:.1e} values", effect=FAILS)
    # The service deletes a last value above max from an array, which raises an error.
    elif not whole and low + (math.ceil((high + step - low) / step) - 1) * ((low + step) - low) > high:
        yield OPERATION.at(space["step"], "leaves a rest below max", effect=FAILS, fix="let a step end at max")


def _is_infinite(step: Node) -> bool:
    """Returns whether the step is infinite or NaN, which darts takes: it only asks whether the step is above 0."""
    try:
        return not math.isfinite(float(step.text or "")) and not float(step.text or "") <= 0
    except ValueError:
        return False


def _problem(node: Node) -> str:
    return "is missing" if node.empty else f"is {node.text}"
