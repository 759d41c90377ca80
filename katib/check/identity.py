"""Checks the Experiment's name, from which trials, Jobs and the algorithm's Service have theirs; labels and budget."""

import re
from collections.abc import Iterator

from katib.check.accepted import PATTERNS, QUALIFIED
from katib.check.finding import Defect, error, warning
from katib.check.node import Node
from katib.manifest.gpu_hours import ANNOTATION, fault

LONGEST_NAME = 40
"""The limit of validator.go."""
LONGEST_SERVICE = 63
"""The limit of a DNS-1035 label."""
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
LABEL_LENGTH = 63
UUID_LENGTH = 36
LONGEST_OF_PBT = LABEL_LENGTH - UUID_LENGTH - 1

ABSENT = error(
    "name-missing",
    finds="metadata.name is missing",
    effect="Katib's webhook refuses the Experiment",
    fix="add metadata.name",
)
GENERATED = warning(
    "name-generated",
    finds="metadata.generateName in the place of a name",
    effect="only kubectl create takes it; kubectl apply and a search on this machine need a name",
    fix="write metadata.name",
)
PATTERN = error(
    "name-pattern",
    finds="a name that is not lower-case letters, digits and '-', from a letter to a letter or digit",
    effect="Katib's webhook looks at its beginning only; the Service of that name is then refused, and no trial starts",
    fix="use lower-case letters, digits and '-'",
)
LENGTH = error(
    "name-length",
    finds=f"a name of more than {LONGEST_NAME} characters",
    effect="Katib's webhook refuses the Experiment",
    fix=f"shorten it to {LONGEST_NAME} characters",
)
SERVICE = error(
    "service-name-length",
    finds=f"<name>-<algorithm>, the name of the algorithm's Service, of more than {LONGEST_SERVICE} characters",
    effect="the Service cannot be created, and no trial starts",
    fix="shorten the name of the Experiment",
)
TRIAL = error(
    "trial-name-length",
    finds=f"pbt with a name of more than {LONGEST_OF_PBT} characters: it names its trials <name>-<uuid of"
    f" {UUID_LENGTH}>",
    effect=f"the Job's name and Katib's label are longer than {LABEL_LENGTH}: no trial starts",
    fix=f"shorten the name to {LONGEST_OF_PBT} characters",
)
NO_NAMESPACE = warning(
    "namespace-missing",
    finds="metadata.namespace is missing",
    effect="the Experiment goes where the caller's context points, perhaps a namespace without Katib's label",
    fix="add metadata.namespace; it needs the label katib.kubeflow.org/metrics-collector-injection=enabled",
)
BAD_NAMESPACE = error(
    "namespace-pattern",
    finds="a namespace that cannot exist",
    effect="the API server refuses the Experiment",
    fix="use lower-case letters, digits and '-', at most 63",
)
LABELS = error(
    "label",
    finds="a label value, or a key of labels or annotations, of the Experiment that is not a valid one",
    effect="the API server refuses the Experiment",
    fix="use at most 63 letters, digits, '-', '_' and '.', a letter or digit at both ends",
)

BUDGET = error(
    "gpu-hours",
    finds=f"an annotation {ANNOTATION} that is no number of GPU-hours above 0",
    effect="a search on this machine does not start, and Sepsweep's services on Katib propose nothing",
    fix='write a number in quotes, such as "12.5"',
)
NOT_ON_KATIB = warning(
    "gpu-hours-on-katib",
    finds=f"a budget in GPU-hours ({ANNOTATION})",
    effect="stock Katib does not know it, and the search runs until maxTrialCount; Sepsweep's services propose nothing"
    " once it is spent and pause what runs, and the Experiment stays Running",
    fix="on Katib use Sepsweep's services; `make delete` ends the search",
)


def identity(top: Node) -> Iterator[Defect]:
    """Yields the defects of the name, of the namespace, and of the labels, which Katib copies to every trial."""
    metadata = top["metadata"]
    name, generated = metadata["name"], metadata["generateName"]
    if name.empty and not generated.empty:
        yield GENERATED.at(generated, "is in the place of a name")
        yield from _pattern(generated, (generated.text or "").rstrip("-"), LONGEST_NAME - 5)
    elif name.empty:
        yield ABSENT.at(name, "is missing")
    else:
        yield from _pattern(name, name.text or "", LONGEST_NAME)
        yield from _service(top)
    namespace = metadata["namespace"]
    if namespace.empty:
        yield NO_NAMESPACE.at(namespace, "is missing")
    elif namespace.text is not None and not (
        NAMESPACE.fullmatch(namespace.text) and len(namespace.text) <= LABEL_LENGTH
    ):
        yield BAD_NAMESPACE.at(namespace, f"'{namespace.text}' cannot be the name of a namespace")
    for label in metadata["labels"].entries.values():
        if label.text is not None and not (LABEL.fullmatch(label.text) and len(label.text) <= LABEL_LENGTH):
            yield LABELS.at(label, f"'{label.text}' is no label value")
    for kind in ("labels", "annotations"):
        for key, entry in metadata[kind].entries.items():
            if not PATTERNS[QUALIFIED].fullmatch(key):
                yield LABELS.at(entry, f"'{key}' is not {QUALIFIED}")
    hours = metadata["annotations"][ANNOTATION]
    if hours.text is not None and fault(hours.text):
        yield BUDGET.at(hours, f"'{hours.text}' is no number of GPU-hours above 0")
    elif hours.text is not None:
        yield NOT_ON_KATIB.at(
            hours,
            f"{hours.text} GPU-hours end no search of stock Katib",
        )


def _pattern(node: Node, name: str, longest: int) -> Iterator[Defect]:
    if name and not NAME.fullmatch(name):
        yield PATTERN.at(node, f"'{name}' is not a name of this kind")
    if len(name) > longest:
        yield LENGTH.at(node, f"has {len(name)} characters", fix=f"shorten it to {longest} characters")


def _service(top: Node) -> Iterator[Defect]:
    name, algorithm = top["metadata"]["name"], top["spec"]["algorithm"]["algorithmName"].text
    if algorithm == "pbt" and LONGEST_NAME >= len(name.text or "") > LONGEST_OF_PBT:
        yield TRIAL.at(
            name,
            f"has {len(name.text or '')} characters, and a trial's {len(name.text or '') + UUID_LENGTH + 1}",
        )
    if name.text and algorithm and len(name.text) <= LONGEST_NAME:
        service = f"{name.text}-{algorithm}"
        if len(service) > LONGEST_SERVICE:
            yield SERVICE.at(
                name,
                f"'{service}' has {len(service)} characters",
                fix=f"shorten the name to {LONGEST_SERVICE - len(algorithm) - 1} characters",
            )
