"""Compares a document with Katib's and Kubernetes' own types: unknown keys, wrong types, missing keys.

The types are in types.json beside this file. tests/katib/check/katib_types.py writes it from the package
kubeflow-katib-api, whose import takes longer than a whole check, and a test compares the two. In a trial Job Katib is
stricter than Kubernetes: it converts the template to Go's type and back and refuses every difference (validator.go,
validatePatchJob), so null, empty lists and Go's zero values are refused too.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from katib.check.finding import Defect, error
from katib.check.node import Node
from katib.check.source import kind_of
from katib.errors import nearest
from katib.quantity import canonical

UNKNOWN = error(
    "unknown-key",
    finds="a key that Katib or Kubernetes does not know, anywhere, the trial Job included",
    effect="Katib silently drops the key, and the search runs without it",
    fix="correct the spelling, or remove the key",
)
TYPE = error(
    "wrong-type",
    finds="a number where a string belongs (min, max, settings, env), a string where a number belongs, and the like",
    effect="Katib's webhook cannot read the manifest and refuses it",
    fix="give the value the type that belongs here",
)
MISSING = error(
    "missing-key",
    finds="a key of the trial Job that Kubernetes requires is missing",
    effect="the API server refuses the Job of each trial",
    fix="add the key",
)
QUANTITY = error(
    "quantity",
    finds="a text that is not a Kubernetes quantity",
    effect="Katib's webhook cannot convert the trial Job and refuses the Experiment",
    fix="write it as 500m, 8 or 32Gi",
)
CANONICAL = error(
    "quantity-not-canonical",
    finds="a quantity outside requests and limits that Go would write otherwise: 8192Mi is 8Gi",
    effect="Katib's webhook converts the Job to Go and back, sees a difference and refuses the Experiment",
    fix="write the canonical form",
)
ZERO = error(
    "go-drops-value",
    finds="null, an empty list or mapping, or a default such as readOnly: false or value: '' in the trial Job",
    effect="Go leaves it out when it writes the Job back; Katib's webhook sees a difference and refuses the Experiment",
    fix="remove the key; it means the same without it",
)

JOB_EFFECT = "Katib's webhook cannot convert the trial Job and refuses the Experiment"
LIST, MAPPING, REQUIRED = "[]", "{}", "!"
"""The marks of types.json: before a type for a list or a mapping of it, after a type for a key that is required."""

# Fields of core/v1 types.go that are plain values with omitempty: Go writes neither false nor 0.
OMITTED_ZERO = """
readOnly stdin stdinOnce tty hostNetwork hostPID hostIPC hostPort partition sslEnabled chapAuthDiscovery chapAuthSession
initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold
"""
# Fields of one type that Go writes, as pointers or without omitempty, though it omits fields of the same name
# elsewhere.
KEPT_ZERO = """
HostPathVolumeSource.type AzureDiskVolumeSource.kind AzureDiskVolumeSource.readOnly AzureDiskVolumeSource.fsType
CSIVolumeSource.readOnly CSIVolumeSource.fsType ClusterTrustBundleProjection.name
ClusterTrustBundleProjection.signerName PodDNSConfigOption.value ProjectedVolumeSource.sources
TypedObjectReference.namespace
"""
# Fields of one type that Go omits, though it writes fields of the same name elsewhere.
LEFT_OUT = "PodSpec.restartPolicy ResourceFieldSelector.containerName"
CORE = "IoK8sApiCoreV1"
# Text fields that are pointers, which Go writes even when they are empty; it omits all others.
KEPT_EMPTY_TEXT = """
localhostProfile cachingMode restartPolicy service initiatorName completionMode podReplacementPolicy managedBy
stopSignal storageClassName volumeMode volumeAttributesClassName containerName resourceClaimName runAsUserName
resourceClaimTemplateName supplementalGroupsPolicy fsGroupChangePolicy seLinuxChangePolicy runtimeClassName
preemptionPolicy hostnameOverride procMount succeededIndexes nodeAffinityPolicy nodeTaintsPolicy apiGroup
recursiveReadOnly mountPropagation gmsaCredentialSpecName gmsaCredentialSpec
"""
INT64 = """
activeDeadlineSeconds runAsUser runAsGroup fsGroup supplementalGroups terminationGracePeriodSeconds tolerationSeconds
seconds expirationSeconds generation observedGeneration deletionGracePeriodSeconds
"""
DEFAULTED = {"OnPodCondition.status"}
"""Keys that Kubernetes' schema requires, and the API server fills in."""
INT32_MAX = 2**31 - 1
"""The limit of all other whole numbers."""
TEXTS = {
    "str": "a string",
    "int": "a whole number",
    "bool": "true or false",
    "float": "a number",
    "time": "a time",
}
PYTHON: Mapping[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "time": str,
}


class Field(NamedTuple):
    """A key of a mapping: its type, whether it must be there, and the type of the mapping."""

    type: str
    required: bool
    owner: str = ""

    def key(self, name: object) -> str:
        """Returns the key `name` with the type that has it."""
        return f"{self.owner.removeprefix(CORE)}.{name}"


def structure(top: Node) -> Iterator[Defect]:
    """Yields what Katib's types do not allow in an Experiment and, if it has one, its trial Job."""
    yield from _mapping(top, "Experiment", in_job=False)
    job = top["spec"]["trialTemplate"]["trialSpec"]
    if is_job(job):
        yield from _mapping(job, "Job", in_job=True)


def is_job(trial: Node) -> bool:
    """Returns whether the trial is a batch/v1 Job, the only kind that Katib and this program examine."""
    return (trial["apiVersion"].text, trial["kind"].text) == ("batch/v1", "Job")


@cache
def _types() -> Mapping[str, Mapping[str, Field]]:
    """Returns the keys of each of Katib's and Kubernetes' mappings."""
    mappings = json.loads(Path(__file__).with_name("types.json").read_text(encoding="utf-8"))
    return {
        name: {key: Field(text.removesuffix(REQUIRED), text.endswith(REQUIRED), name) for key, text in keys.items()}
        for name, keys in mappings.items()
    }


def _mapping(node: Node, name: str, *, in_job: bool) -> Iterator[Defect]:
    fields = _types()[name]
    for key, entry in node.entries.items():
        if key in fields:
            yield from _value(entry, fields[key], in_job=in_job)
        else:
            yield UNKNOWN.at(
                entry,
                f"unknown key '{key}': {nearest(key, fields)}",
                effect=JOB_EFFECT if in_job else None,
            )
    for key, field in fields.items():
        if field.required and node[key].missing and field.key(key) not in DEFAULTED:
            yield MISSING.at(node[key], "is missing")


def _value(node: Node, field: Field, *, in_job: bool) -> Iterator[Defect]:
    expected = field.type
    if node.missing:
        if in_job and not field.required:
            yield ZERO.at(node, "is null")
    elif expected.startswith(LIST):
        yield from _many(node, list, "a list", node.items, field, in_job)
    elif expected.startswith(MAPPING):
        yield from _many(node, dict, "a mapping", list(node.entries.values()), field, in_job)
    elif expected in TEXTS:
        if not _fits(node.value, expected):
            yield _wrong(node, expected, in_job=in_job)
        elif expected == "int" and _too_large(node):
            yield TYPE.at(node, f"is {node.value}, more than 32 bits hold", fix=f"write at most {INT32_MAX}")
        elif in_job and _dropped(node, field):
            yield ZERO.at(node, f"is {kind_of(node.value)}, which is the default")
    elif expected != "any":
        yield from _model(node, expected, in_job=in_job)


def _many(node: Node, container: type, name: str, items: list[Node], field: Field, in_job: bool) -> Iterator[Defect]:
    if not isinstance(node.value, container):
        yield _wrong(node, name, in_job=in_job)
    elif in_job and not items and not field.required and field.key(node.path[-1]) not in KEPT_ZERO.split():
        yield ZERO.at(node, "is empty")
    for item in items:
        if item.missing and in_job:
            yield ZERO.at(item, "is null", fix="remove the item, or quote it")
        yield from _value(item, Field(field.type[len(LIST) :], True), in_job=in_job)


def _model(node: Node, expected: str, *, in_job: bool) -> Iterator[Defect]:
    if expected == "quantity":
        yield from _quantity(node)
    elif expected == "int-or-string":
        if node.text is None and node.integer is None:
            yield _wrong(node, "a number or a string", in_job=in_job)
    elif isinstance(node.value, dict):
        yield from _mapping(node, expected, in_job=in_job)
    else:
        yield _wrong(node, "a mapping", in_job=in_job)


def _quantity(node: Node) -> Iterator[Defect]:
    is_number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
    written = canonical(str(node.value)) if node.text is not None or is_number else None
    exempt = "resources" in node.path and ("limits" in node.path or "requests" in node.path)
    if written is None:
        yield QUANTITY.at(node, f"{kind_of(node.value)} is no quantity")
    elif not exempt and (is_number or written != node.text):
        yield CANONICAL.at(node, f"{kind_of(node.value)} is not canonical", fix=f'write "{written}"')


def _fits(value: object, expected: str) -> bool:
    if isinstance(value, bool):
        return expected == "bool"
    return expected != "bool" and isinstance(value, PYTHON[expected])


def _too_large(node: Node) -> bool:
    key = next(part for part in reversed(node.path) if isinstance(part, str))
    return node.integer is not None and abs(node.integer) > INT32_MAX and key not in INT64.split()


def _wrong(node: Node, expected: str, *, in_job: bool) -> Defect:
    name = TEXTS.get(expected, expected)
    fix = None
    if expected == "str" and isinstance(node.value, bool | int | float):
        fix = f'put it in quotes: "{str(node.value).lower() if isinstance(node.value, bool) else node.value}"'
    elif expected in ("int", "float", "bool") and node.text is not None:
        fix = f"write {name}, without quotes"
    effect = JOB_EFFECT if in_job else None
    return TYPE.at(node, f"is {kind_of(node.value)}, not {name}", fix=fix, effect=effect)


def _dropped(node: Node, field: Field) -> bool:
    key = node.path[-1]
    if field.required or node.value or field.key(key) in KEPT_ZERO.split():
        return False
    if node.text is not None:
        return key not in KEPT_EMPTY_TEXT.split() or field.key(key) in LEFT_OUT.split()
    return key in OMITTED_ZERO.split()
