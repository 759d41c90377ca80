"""A search of a network's graph (enas, darts): its nasConfig, and the names that its service answers with.

Read from pkg/suggestion/v1beta1/nas of Katib v0.19: common/validation.py, enas/service.py, enas/Operation.py.
"""

import math
from collections.abc import Iterator

from katib.check.finding import Finding, error
from katib.check.node import Node
from katib.check.parameters import LISTED, NUMERIC, number
from katib.check.services import SERVICE_REFUSES, Service

CONFIG = error(
    "nas-config",
    finds="enas or darts without nasConfig, enas with a graphConfig that lacks a key, or another algorithm with nasConfig",
    effect=SERVICE_REFUSES,
    mend="give nasConfig its graphConfig (numLayers, inputSizes, outputSizes) and operations, under enas or darts alone",
)
OPERATION = error(
    "nas-operation",
    finds="an operation without type or parameters, or with a parameter that lacks its name, type, list, bounds or step",
    effect=SERVICE_REFUSES,
    mend="complete the operation; a double needs a step above 0, under enas an int as well",
)
FAILS = "the service fails at every call, and no trial starts"


def nas(spec: Node, service: Service) -> Iterator[Finding]:
    """The graph and its operations, where the algorithm searches one."""
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
            if node.empty or node.integer == 0:
                yield CONFIG.at(node, "is missing" if node.missing else "is empty")
    for operation in config["operations"].items:
        if operation["operationType"].empty:
            yield OPERATION.at(operation["operationType"], "is missing")
        if operation["parameters"].empty:
            yield OPERATION.at(operation["parameters"], "is missing")
        for parameter in operation["parameters"].items:
            yield from _parameter(parameter, enas=algorithm == "enas")


def _parameter(node: Node, *, enas: bool) -> Iterator[Finding]:
    space, kind = node["feasibleSpace"], node["parameterType"]
    for key in ("name", "parameterType"):
        if node[key].empty:
            yield OPERATION.at(node[key], "is missing")
    if kind.text in LISTED and space["list"].empty:
        yield OPERATION.at(space["list"], "is missing")
    if kind.text not in NUMERIC:
        return
    if space["min"].empty and space["max"].empty:
        yield OPERATION.at(space["min"], "is missing, and so is max")
        return
    low, high, step = number(space["min"]), number(space["max"]), number(space["step"])
    if kind.text == "double" and (step is None or step <= 0):
        yield OPERATION.at(space["step"], _problem(space["step"]))
    elif enas and (low is None or high is None):
        bound = space["min"] if low is None else space["max"]
        yield OPERATION.at(bound, _problem(bound), effect=FAILS)
    elif enas and kind.text == "int" and (step is None or step < 1):
        yield OPERATION.at(space["step"], _problem(space["step"]), effect=FAILS)
    elif enas and kind.text == "double" and low is not None and high is not None and step:
        # enas/Operation.py deletes a last value above max from an array, which cannot be done.
        count = math.ceil(min((high + step - low) / step, 1e18))
        if low + (count - 1) * step > high:
            yield OPERATION.at(
                space["step"], "leaves a rest below max", effect=FAILS, mend="let a step end at max"
            )


def _problem(node: Node) -> str:
    return "is missing" if node.empty else f"is {node.text}"
