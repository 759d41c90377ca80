"""Compares the command of a trial that runs this project's trainer with the trainer's own command line.

A command is the trainer's if it is `python -m trainer` followed by a flag. Other commands are not checked.
"""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from katib.check.command import KUBERNETES_VARIABLE
from katib.check.finding import Defect, error, warning
from katib.check.node import Node, named
from katib.check.parameters import LISTED, NUMERIC, number_of
from katib.check.template import PLACEHOLDER
from katib.gpus import gpu_need
from katib.stop_settings import PROMOTE, RUNGS, STOP_RULES, rungs
from katib.text import count, number
from katib.trainer_contract import Flags, is_own
from katib.trainer_flags import flag_of, own_model, trainer

FILLED_IN = re.compile(f"{PLACEHOLDER.pattern}|{KUBERNETES_VARIABLE.pattern}")
ENDS = "each trial ends at once with exit code 2, and after maxFailedTrialCount of them the search has failed"

FLAG = error(
    "trainer-flag",
    finds="a flag that python -m trainer does not have, or that its model does not have, or one without its value",
    effect=ENDS,
    fix="write it as python -m trainer --help does, or remove it",
)
MISSING = error(
    "trainer-flag-missing",
    finds="python -m trainer without --model, --data-dir or --run-dir",
    effect=ENDS,
    fix="add the flag and its value",
)
TWICE = error(
    "trainer-flag-twice",
    finds="a flag of python -m trainer that is given twice",
    effect=ENDS,
    fix="remove one of the two",
)
VALUE = error(
    "trainer-value",
    finds="a value that a flag of python -m trainer does not take",
    effect=ENDS,
    fix="choose a value that the flag takes",
)
SEARCHED = error(
    "trainer-searched",
    finds="a search parameter with possible values that its flag of python -m trainer does not take",
    effect="every trial that draws such a value ends at once with exit code 2",
    fix="narrow min and max or the list, or change parameterType: a whole number needs int",
)
OWN_MODEL = warning(
    "trainer-own-model",
    finds="a --model of one's own whose source is not found here, or does not tell its flags",
    effect="flags of its config cannot be compared with it; each trial with a wrong one ends at once with exit code 2",
    fix="start this in the folder that holds its package, or with that folder on PYTHONPATH",
)
GPUS = error(
    "trainer-gpus",
    finds="a container that asks for another number of GPUs than --gpus of python -m trainer, which is 1 without it",
    effect="GPUs beyond that number do nothing and cost all the same; with too few, each trial ends with exit code 2",
    fix="write the same number at both",
)
RUNG = warning(
    "rung-after-end",
    finds="promote with a rung at or after the last epoch of python -m trainer",
    effect="no trial pauses after its end, and one that pauses at its last epoch has nothing left to train",
    fix="name epochs below --epochs",
)


@dataclass(frozen=True)
class Given:
    """A flag of the command, by the trainer's name for it, and the words after it, each with its place."""

    flag: str
    node: Node
    values: list[tuple[str, Node]]


def training(top: Node) -> Iterator[Defect]:
    """Yields the defects of the flags that a Job's primary container gives our trainer, searched values included."""
    spec = top["spec"]
    template = spec["trialTemplate"]
    containers = template["trialSpec"]["spec"]["template"]["spec"]["containers"].items
    name = template["primaryContainerName"].text
    primary = (container for container in containers if name and container["name"].text == name)
    words = _training(next(map(_words, primary), []))
    if not words:
        return
    given = list(_given(words))
    listed = template["trialParameters"].items
    references = {item["name"].text: item["reference"].text for item in listed}
    parameters = _parameters(spec)
    searched = {
        name: parameters[reference] for name, reference in references.items() if name and reference in parameters
    }
    model = next((item.values[0][0] for item in given if item.flag == Flags.MODEL and item.values), None)
    model = model if model is not None and (is_own(model) or trainer().model(model)) else None
    own = {item.flag for item in given}
    yield from _own_model(given)
    for item in given:
        yield from _set(item, searched, model, own) if item.flag == Flags.SET else _flag(item, searched, model)
    yield from _excess(given, searched)
    yield from _gpus(given, template["trialSpec"]["spec"]["template"], words[0][1])
    yield from _count(given, words[0][1])
    yield from _rungs(spec["earlyStopping"], given)


def _own_model(given: Sequence[Given]) -> Iterator[Defect]:
    """Yields the defect of a model whose flags nobody knows here."""
    for item in given:
        for text, node in item.values[:1]:
            if item.flag == Flags.MODEL and is_own(text) and (unknown := own_model(text).unknown):
                yield OWN_MODEL.at(node, unknown)


def _words(container: Node) -> list[tuple[str, Node]]:
    """Returns the command's words; the place of a script's words is that of the script."""
    words = [*container["command"].items, *container["args"].items]
    texts = [(word.text or "", word) for word in words]
    if len(texts) > 2 and texts[0][0] in ("sh", "bash") and texts[1][0] == "-c":
        try:
            return [(text, words[2]) for text in shlex.split(texts[2][0])]
        except ValueError:
            return []
    return texts


def _parameters(spec: Node) -> dict[str, Node]:
    """Returns the search parameters by name, without duplicate names, which another rule reports."""
    times = Counter(item["name"].text for item in spec["parameters"].items)
    return {name: item for name, item in named(spec["parameters"].items).items() if times[name] == 1}


def _training(words: list[tuple[str, Node]]) -> list[tuple[str, Node]]:
    """Returns the words from `trainer` on if they are a training of ours; otherwise none."""
    texts = [text for text, _ in words]
    if not texts or not re.fullmatch(r"python(3(\.\d+)?)?", PurePosixPath(texts[0]).name) or "-m" not in texts:
        return []
    module = texts.index("-m") + 1
    if not all(text.startswith("-") for text in texts[1:module]) or texts[module : module + 1] != ["trainer"]:
        return []
    rest = texts[module + 1 :]
    if any(text in ("&&", "||", ";", "|", "&") for text in rest) or (rest and not rest[0].startswith("-")):
        return []
    return words[module:]


def _given(words: Sequence[tuple[str, Node]]) -> Iterator[Given]:
    """Yields the flags; --weight_decay=1 is --weight-decay 1.

    Words that follow no flag are yielded as a flag of their own.
    """
    given: Given | None = None
    for text, node in words[1:]:
        if text.startswith("--"):
            if given is not None:
                yield given
            name, sign, value = text.partition("=")
            values = [(word, node) for word in (value.split() if sign else [])]
            given = Given(flag_of(name.removeprefix("--")), node, values)
        elif given is not None:
            given.values.append((text, node))
        else:
            yield Given(text, node, [])
    if given is not None:
        yield given


def _flag(item: Given, searched: dict[str, Node], model: str | None) -> Iterator[Defect]:
    trainer_cli, texts = trainer(), [text for text, _ in item.values]
    known = trainer_cli.flag(item.flag, model)
    if known is None or trainer_cli.switched(item.flag) or trainer_cli.unknown(item.flag, model):
        if problem := trainer_cli.problem(item.flag, texts, model):
            yield FLAG.at(item.node, problem)
        return
    if not texts or (len(texts) > 1 and not known.many):
        if problem := trainer_cli.problem(item.flag, texts, model):
            yield FLAG.at(item.node, f"{item.flag}: {problem}")
        return
    for text, node in item.values:
        yield from _value(item.flag, text, node, searched, model)


def _value(flag: str, text: str, node: Node, searched: dict[str, Node], model: str | None) -> Iterator[Defect]:
    """Yields a defect of a value: of the word itself, or of what its placeholder can become."""
    whole = PLACEHOLDER.fullmatch(text)
    if whole is not None and whole[1] in searched:
        for bound, problem in _drawn(flag, searched[whole[1]], model):
            yield SEARCHED.at(bound, problem)
    elif not FILLED_IN.search(text) and (problem := trainer().problem(flag, [text], model)):
        yield VALUE.at(node, f"{flag} {problem}")


def _drawn(flag: str, parameter: Node, model: str | None) -> Iterator[tuple[Node, str]]:
    """Yields a defect for each end of a range, or value of a list, that `flag` does not take."""
    space, kind = parameter["feasibleSpace"], parameter["parameterType"]
    if kind.text in LISTED:
        for value in space["list"].items:
            if value.text is not None and (problem := trainer().problem(flag, [value.text], model)):
                yield value, f"{flag} {problem}"
    elif kind.text == "double" and (known := trainer().flag(flag, model)) and known.type != "float":
        yield kind, f"double draws numbers with a fraction, and {flag} takes none"
    elif kind.text in NUMERIC:
        for end in ("min", "max"):
            if number_of(space[end]) is not None:
                problem = trainer().problem(flag, [space[end].text or ""], model)
                if problem:
                    yield space[end], f"{flag} {problem}"


def _excess(given: list[Given], searched: dict[str, Node]) -> Iterator[Defect]:
    """Yields the defects of values that do not fit that of another flag, or one that another is searched among."""
    flags = {item.flag: [text for text, _ in item.values] for item in given}
    for item in given:
        if problem := trainer().excess(item.flag, flags):
            yield VALUE.at(item.values[0][1], f"{item.flag} {problem}")
        other = trainer().flags[item.flag].divides if item.flag in trainer().flags else ""
        whole = PLACEHOLDER.fullmatch(" ".join(flags.get(other, ())))
        space = searched[whole[1]]["feasibleSpace"] if whole is not None and whole[1] in searched else None
        for value in (space["min"], space["step"], *space["list"].items) if space else ():
            if problem := trainer().excess(item.flag, {**flags, other: [value.text or ""]}):
                yield SEARCHED.at(value, f"{item.flag} {problem}")


def _gpus(given: list[Given], template: Node, node: Node) -> Iterator[Defect]:
    """Yields the defect of a pod whose GPUs are not as many as the trainer uses."""
    asked = gpu_need(template.value if isinstance(template.value, dict) else {}).count
    place, text = next((item.values[0][::-1] for item in given if item.flag == Flags.GPUS and item.values), (node, "1"))
    # A larger number is a wrong value, of which another rule tells.
    if asked and text.isdecimal() and len(text) < 4 and int(text) != asked:
        yield GPUS.at(place, f"the trainer uses {count(int(text), 'GPU')}, and the pod asks for {asked}")


def _rungs(stopping: Node, given: list[Given]) -> Iterator[Defect]:
    """Yields the defect of rungs of promote that do not lie below the number of epochs."""
    setting = named(stopping["algorithmSettings"].items).get(RUNGS)
    texts = next((item.values for item in given if item.flag == Flags.EPOCHS), [])
    if stopping["algorithmName"].text != PROMOTE or setting is None or len(texts) != 1:
        return
    epochs = number(texts[0][0])
    listed = setting["value"].text or ""
    if STOP_RULES[PROMOTE].all[RUNGS].takes(listed) and epochs is not None and (last := rungs(listed)[-1]) >= epochs:
        yield RUNG.at(setting["value"], f"has a rung at epoch {last}; a trial has {texts[0][0]}")


def _set(item: Given, searched: dict[str, Node], model: str | None, others: set[str]) -> Iterator[Defect]:
    """Yields the defects of --set name=value,name=value, whether written there or in the list of a parameter.

    `others` are the other flags of the command.
    """
    for text, node in item.values or [("", item.node)]:
        whole = PLACEHOLDER.fullmatch(text)
        settings = [(text, node)]
        if whole is not None and whole[1] in searched:
            listed = searched[whole[1]]["feasibleSpace"]["list"].items
            settings = [(value.text, value) for value in listed if value.text is not None]
        for words, holder in settings:
            if not FILLED_IN.search(words):
                yield from _settings(words.split(","), holder, model, set(others))


def _settings(parts: list[str], node: Node, model: str | None, seen: set[str]) -> Iterator[Defect]:
    for part in parts:
        name, _, value = part.partition("=")
        flag = flag_of(name)
        if not (name and value):
            yield VALUE.at(node, f"'{part}' is not name=value")
        elif problem := trainer().problem(flag, [value], model):
            yield VALUE.at(node, f"{name} {problem}")
        elif flag in seen:
            yield TWICE.at(node, f"{name} is given a second time")
        seen.add(flag)


def _count(given: list[Given], node: Node) -> Iterator[Defect]:
    names = [trainer().switched(item.flag) or item.flag for item in given]
    seen: set[str] = set()
    for name, item in zip(names, given, strict=True):
        if name in trainer().flags and name in seen:
            yield TWICE.at(item.node, f"{item.flag} is given a second time")
        seen.add(name)
    if Flags.SET not in names:
        for name in trainer().missing(names):
            yield MISSING.at(node, f"{name} is missing")
