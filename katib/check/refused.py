"""Checks a pod's names, words, amounts and contradictions as the API server does (pkg/apis/core/validation)."""

import re
from collections.abc import Iterator
from fractions import Fraction

from katib.check.finding import Defect, error
from katib.check.identity import LABEL, LABEL_LENGTH
from katib.check.node import Node
from katib.errors import nearest
from katib.gpus import GPU_RESOURCE
from katib.quantity import value_of

REFUSED = "the API server refuses the pod of each trial; the trial stays Running forever"
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
QUALIFIED = re.compile(r"(?:[a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
NATIVE = ("cpu", "memory", "ephemeral-storage")
SHARED = ("cpu", "memory")
"""What a pod may have for all of its containers, beside huge pages."""
PULL, EFFECTS = ("Always", "IfNotPresent", "Never"), ("NoSchedule", "PreferNoSchedule", "NoExecute")
OPERATORS = ("Exists", "Equal")
DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
MESSAGES, MEDIA = ("File", "FallbackToLogsOnError"), ("", "Memory", "HugePages")
HUGE_PAGES = "hugepages-"
OF_QUOTAS = "requests."
"""The beginning of a name that a quota has, and no device."""

NAME = error(
    "pod-name",
    finds="a container or volume whose name is not lower-case letters, digits and '-', or one name for two of the"
    " containers",
    effect=REFUSED,
    fix="use lower-case letters, digits and '-', at most 63, and each name once",
)
LABELS = error(
    "pod-label",
    finds="a label of the pod or Job, or a key of its labels, annotations or nodeSelector, that is no valid one",
    effect=REFUSED,
    fix="use at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends",
)
AMOUNT = error(
    "pod-resources",
    finds="requests above limits, a device (GPU) in requests alone, in parts or unlike its limit, an unknown"
    " resource, or a pod's own resources below those of its containers",
    effect=REFUSED,
    fix="let requests be at most limits; a device stands in limits, as a whole number; write nvidia.com/gpu, not gpu",
)
WORD = error(
    "pod-word",
    finds="a word that Kubernetes does not have: imagePullPolicy, dnsPolicy, a toleration's operator or effect, and"
    " such",
    effect=REFUSED,
    fix="choose one of Kubernetes' words, with their capitals",
)
CLASH = error(
    "pod-contradiction",
    finds="env with value and valueFrom, a volume or valueFrom of two sources, a toleration with a value that Exists",
    effect=REFUSED,
    fix="keep one of the two",
)


def refused(template: Node) -> Iterator[Defect]:
    """Yields what the API server refuses in a trial's pod template, whatever the trial's kind."""
    spec, metadata = template["spec"], template["metadata"]
    yield from labels(metadata["labels"], values=True)
    yield from labels(metadata["annotations"], values=False)
    yield from labels(spec["nodeSelector"], values=True)
    yield from _word(spec["dnsPolicy"], DNS_POLICIES)
    mains = {item["name"].text for item in spec["containers"].items}
    seen: set[str] = set()
    for container in spec["initContainers"].items:
        name = container["name"]
        if name.text and (name.text in mains or name.text in seen):
            yield NAME.at(name, f"'{name.text}' is the name of another container")
        seen.add(name.text or "")
    for container in spec["containers"].items + spec["initContainers"].items:
        yield from _name(container["name"])
        yield from _word(container["imagePullPolicy"], PULL)
        yield from _word(container["terminationMessagePolicy"], MESSAGES)
        yield from _resources(container["resources"])
        yield from _environment(container["env"])
    for volume in spec["volumes"].items:
        yield from _name(volume["name"])
        medium = volume["emptyDir"]["medium"]
        yield from _word(medium, MEDIA if not (medium.text or "").startswith("HugePages-") else (medium.text or "",))
        yield from _one(volume, [key for key in volume.entries if key != "name"], "sources")
    for toleration in spec["tolerations"].items:
        yield from _toleration(toleration)
    yield from _together(spec)


def labels(node: Node, *, values: bool) -> Iterator[Defect]:
    """Yields the keys, and with `values` the values, that no label can have."""
    for key, entry in node.entries.items():
        if not QUALIFIED.fullmatch(key) or len(key.rpartition("/")[2]) > LABEL_LENGTH:
            yield LABELS.at(entry, f"'{key}' is no key of a {'label' if values else 'annotation'}")
        elif values and entry.text and not (LABEL.fullmatch(entry.text) and len(entry.text) <= LABEL_LENGTH):
            yield LABELS.at(entry, f"'{entry.text}' is no label value")


def _name(node: Node) -> Iterator[Defect]:
    if node.text and not (DNS_LABEL.fullmatch(node.text) and len(node.text) <= LABEL_LENGTH):
        yield NAME.at(node, f"'{node.text}' is not a name of this kind")


def _word(node: Node, words: tuple[str, ...]) -> Iterator[Defect]:
    if node.text and node.text not in words:
        yield WORD.at(node, f"'{node.text}': {nearest(node.text, words)}")


def _one(node: Node, keys: list[str], what: str) -> Iterator[Defect]:
    if len(keys) > 1:
        yield CLASH.at(node[keys[1]], f"stands beside {keys[0]}: two {what}")


def _resources(node: Node) -> Iterator[Defect]:
    limits, requests = node["limits"].entries, node["requests"].entries
    for side in (limits, requests):
        for name, amount in side.items():
            native = "/" not in name and (name in NATIVE or name.startswith(HUGE_PAGES))
            if not native and ("/" not in name or name.startswith(OF_QUOTAS) or not QUALIFIED.fullmatch(name)):
                yield AMOUNT.at(amount, f"no resource '{name}': {nearest(name, (*NATIVE, GPU_RESOURCE))}")
                continue
            value = _worth(amount)
            page = value_of(name.removeprefix(HUGE_PAGES)) if name.startswith(HUGE_PAGES) else None
            if value is not None and (value < 0 or ("/" in name and value.denominator != 1)):
                yield AMOUNT.at(amount, f"is {amount.value}, of {name}")
            elif value is not None and page and (value / page).denominator != 1:
                yield AMOUNT.at(amount, f"is {amount.value}, which is no number of pages")
    for name, amount in requests.items():
        wanted, most = _worth(amount), _worth(limits[name]) if name in limits else None
        whole = "/" in name or name.startswith(HUGE_PAGES)
        if whole and name not in limits:
            yield AMOUNT.at(amount, f"{name} stands in requests alone")
        elif wanted is not None and most is not None and (wanted > most or (whole and wanted != most)):
            yield AMOUNT.at(amount, f"is {amount.value}, and the limit is {limits[name].value}")
    names = {*limits, *requests}
    if any(name.startswith(HUGE_PAGES) for name in names) and not {"cpu", "memory"} & names:
        yield AMOUNT.at(node, "has huge pages without cpu or memory", fix="add memory to the limits")


def _together(spec: Node) -> Iterator[Defect]:
    """Yields the defects of the resources that all containers of a pod share."""
    shared = spec["resources"]
    if not shared["claims"].missing:
        yield AMOUNT.at(shared["claims"], "belong to containers", fix="move them to the container")
    for side in (shared["limits"].entries, shared["requests"].entries):
        for name, amount in side.items():
            if name not in SHARED and not name.startswith(HUGE_PAGES):
                problem = f"all containers cannot share '{name}'"
                yield AMOUNT.at(amount, problem, fix=f"move it to the container; a pod shares {' and '.join(SHARED)}")
    yield from _resources(shared)
    for name, amount in shared["requests"].entries.items():
        wanted, least = _worth(amount), _requested(spec, name)
        if wanted is not None and wanted < least:
            yield AMOUNT.at(amount, f"is {amount.value}, less than its containers request", fix="raise it")
    for name, amount in shared["limits"].entries.items():
        most = _worth(amount)
        limits = [_worth(container["resources"]["limits"][name]) for container in spec["containers"].items]
        if most is not None and any(own > most for own in limits if own is not None):
            yield AMOUNT.at(amount, f"is {amount.value}, less than the limit of a container", fix="raise it")


def _requested(spec: Node, name: str) -> Fraction:
    """Returns what the containers that run together, or one that prepares, request of a resource at least."""
    together, alone = Fraction(), Fraction()
    for container in spec["containers"].items + spec["initContainers"].items:
        sides = container["resources"]
        amount = sides["limits"][name] if sides["requests"][name].missing else sides["requests"][name]
        worth = _worth(amount) or Fraction()
        if container.path[-2] == "initContainers" and container["restartPolicy"].text != "Always":
            alone = max(alone, worth)
        else:
            together += worth
    return max(together, alone)


def _worth(node: Node) -> Fraction | None:
    is_number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
    return value_of(str(node.value)) if node.text is not None or is_number else None


def _environment(node: Node) -> Iterator[Defect]:
    for variable in node.items:
        source = variable["valueFrom"]
        if not source.missing:
            if variable["value"].text:
                yield CLASH.at(source, "stands beside value")
            yield from _one(source, [*source.entries], "sources")


def _toleration(node: Node) -> Iterator[Defect]:
    yield from _word(node["operator"], OPERATORS)
    yield from _word(node["effect"], EFFECTS)
    if node["operator"].text == "Exists" and not node["value"].empty:
        yield CLASH.at(node["value"], "stands beside operator Exists")
    if node["key"].empty and node["operator"].text != "Exists":
        yield CLASH.at(node["key"], "is missing, which needs operator Exists", fix="add key, or operator: Exists")
    if not node["tolerationSeconds"].missing and node["effect"].text != "NoExecute":
        yield CLASH.at(node["tolerationSeconds"], "needs effect NoExecute", fix="remove it, or write that effect")
