"""Checks the trial template around the trial: source, conditions, and the placeholders that carry values into it."""

import re
from collections.abc import Iterable, Iterator

from katib.check.finding import Defect, error, warning
from katib.check.node import Node, named
from katib.check.objective import REFUSED, REQUIRED
from katib.check.services import SERVICES
from katib.errors import nearest

NO_TRIAL = "no trial can be created; the webhook does not look at it"
# controller.v1beta1/consts; of nested ones the innermost, which Katib replaces first: so a search is linear in the
# text.
PLACEHOLDER = re.compile(r"\$\{trialParameters\.((?:(?!\$\{trialParameters\.).)+?)\}")
META = re.compile(r"\$\{trialSpec\.((?:(?!\$\{trialSpec\.).)+?)\}")
META_KEYS = ("Name", "Namespace", "Kind", "APIVersion", "Annotations", "Labels")
ALMOST = re.compile(r"\$\{?\s*(?:trial[A-Za-z]*\b[^}\s]*|[\w-]+)\}?|\{\{\s*trial[^{}]*\}\}", re.IGNORECASE)
JOB_KINDS = ("Job", "TFJob", "PyTorchJob", "XGBoostJob", "MPIJob", "TrainJob")
"""The kinds for which Katib has defaults of both conditions."""
TYPE_OF = re.compile(r"""type\s*==\s*\\?["'](\w+)""")
STATUS_OF = re.compile(r"""status\s*==\s*\\?["'](\w+)""")
STATUSES = ("True", "False", "Unknown")
NO_OBJECT = re.compile(
    r"[\s.$].*|.*\)#?\.\w+"
    r"|status[.|](?:succeeded|failed|active|ready|terminating|startTime|completionTime)\b.*",
    re.DOTALL,
)
"""A path of GJSON that finds nothing, or a number or a text: Katib takes an object, or a list of objects."""
SINGLE_QUOTES = re.compile(r"[=<>%]\s*'")
OF_JOBS = ("Complete", "Failed", "Suspended", "SuccessCriteriaMet", "FailureTarget")
OF_TRAINING = ("Created", "Running", "Restarting", "Succeeded", "Failed", "Suspended")
CONDITIONS = {
    **dict.fromkeys(JOB_KINDS, OF_TRAINING),
    "Job": OF_JOBS,
    "TrainJob": ("Complete", "Failed", "Suspended"),
}
CONFIG_MAP_KEYS = ("configMapName", "configMapNamespace", "templatePath")

RETAIN = error(
    "retain",
    finds="an early stopper without trialTemplate.retain: true",
    effect="an early-stopped trial never gets its result and keeps its place: after parallelTrialCount stops the search"
    " hangs forever",
    fix="add retain: true",
)
SOURCE = error(
    "trial-source",
    finds="neither trialSpec nor configMap, both, or a configMap without its three keys",
    effect=REFUSED,
    fix="give trialSpec, or configMap with configMapName, configMapNamespace and templatePath",
)
UNSEEN = warning(
    "trial-unseen",
    finds="a trial template in a ConfigMap",
    effect="it is not in this file and was not checked; Katib's webhook reads it from the cluster",
    fix="put the trial into trialSpec",
)
CONDITION = error(
    "trial-condition",
    finds="successCondition or failureCondition is missing where Katib has no default (another kind, a configMap), or"
    " asks for a condition that the trial's kind never has, or for no condition's object",
    effect=REFUSED,
    fix="add both conditions (GJSON), as Katib has them for the kind; for a kind that Katib knows leave them out",
)
TRIAL_KIND = error(
    "trial-kind",
    finds="a trial without apiVersion or kind",
    effect=REFUSED,
    fix="write apiVersion: batch/v1 and kind: Job",
)
OTHER_KIND = warning(
    "trial-kind-unknown",
    finds="a trial of a kind that stock Katib does not watch, or Job with another apiVersion",
    effect="unless trialResources of katib-config names it, Katib never learns that a trial has ended",
    fix="use a batch/v1 Job, or add the kind to katib-config",
)
METADATA = error(
    "trial-name",
    finds="metadata.name or metadata.namespace of the trial",
    effect=REFUSED,
    fix="remove it; Katib names each trial",
)
PARAMETER = error(
    "trial-parameter",
    finds="a trialParameter without name or reference, with braces in its name, or twice",
    effect=REFUSED,
    fix="give each its own name and its own reference; use one in several places of the template",
)
UNUSED = error(
    "trial-parameter-unused",
    finds="a trialParameter whose placeholder the trial does not hold",
    effect=REFUSED,
    fix="write ${trialParameters.<name>} into the trial, or remove it",
)
UNLISTED = error(
    "placeholder-unlisted",
    finds="a placeholder for which there is no trialParameter",
    effect=REFUSED,
    fix="add the trialParameter, or correct the placeholder",
)
MISSPELT = error(
    "placeholder-misspelt",
    finds="something like a placeholder that Katib does not replace: ${trialSpec.Name}, ${lr}, {{trialParameters.lr}}",
    effect="the trial gets the text as it stands",
    fix="write ${trialParameters.<name>}; a ${trialSpec.…} is the reference of a trialParameter",
)
REFERENCE = error(
    "trial-parameter-reference",
    finds="a reference that is neither a parameter of the search (enas, darts: an answer of the algorithm) nor"
    " ${trialSpec.…}",
    effect=REFUSED,
    fix="name a parameter, or ${trialSpec.Name}",
)
META_REFERENCE = error(
    "trial-meta-reference",
    finds="a ${trialSpec.…} for a label or annotation that the trial does not have",
    effect=NO_TRIAL,
    fix="add the label or annotation to the trial's metadata",
)
UNREFERENCED = error(
    "parameter-unreferenced",
    finds="a parameter of the search, or an answer of enas or darts, that no trialParameter refers to",
    effect=NO_TRIAL,
    fix="add a trialParameter that refers to it, and its placeholder",
)


def template(top: Node) -> Iterator[Defect]:
    """Yields the defects that keep Katib from making a trial of the template."""
    spec, node = top["spec"], top["spec"]["trialTemplate"]
    if spec.missing:
        return
    if node.missing:
        yield REQUIRED.at(node, "is missing")
        return
    if node["primaryContainerName"].empty:
        yield REQUIRED.at(node["primaryContainerName"], "is missing")
    if not spec["earlyStopping"].missing and (node["retain"].missing or node["retain"].value is False):
        yield RETAIN.at(node["retain"], "is false" if node["retain"].value is False else "is missing")
    trial, config = node["trialSpec"], node["configMap"]
    if trial.missing == config.missing:
        yield SOURCE.at(trial, "is missing" if trial.missing else "stands beside configMap")
    elif trial.missing:
        yield UNSEEN.at(config, "holds the trial")
        for key in CONFIG_MAP_KEYS:
            if config[key].empty:
                yield SOURCE.at(config[key], "is missing")
    yield from _kind(node, trial)
    yield from _trial_parameters(spec, node, trial)


def _kind(node: Node, trial: Node) -> Iterator[Defect]:
    kind, version = trial["kind"].text, trial["apiVersion"].text
    if not trial.missing:
        for key in ("apiVersion", "kind"):
            if not trial[key].text:
                yield TRIAL_KIND.at(trial[key], "is missing" if trial[key].empty else "is no string")
        if kind and version and not _is_watched(kind, version):
            hint = nearest(kind, JOB_KINDS)
            yield OTHER_KIND.at(trial["kind"], f"{kind} of {version} is none that Katib watches ({hint})")
        for key in ("name", "namespace"):
            if not trial["metadata"][key].empty:
                yield METADATA.at(trial["metadata"][key], f"is '{trial['metadata'][key].value}'")
    if (kind or not trial.present) and kind not in JOB_KINDS:
        for key in ("successCondition", "failureCondition"):
            if node[key].empty and not (trial.missing and node["configMap"].missing):
                yield CONDITION.at(node[key], "is missing")
    elif kind:
        for key in ("successCondition", "failureCondition"):
            for problem in _never(node[key].text or "", kind):
                effect = "the condition never holds, and no trial is ever seen to end"
                yield CONDITION.at(node[key], problem, effect=effect)


def _never(condition: str, kind: str) -> Iterator[str]:
    """Yields why a condition never holds of a trial of a kind that Katib knows (trial/util/job_util.go)."""
    for wanted in TYPE_OF.findall(condition):
        if wanted not in CONDITIONS[kind]:
            yield f"a {kind} has no condition {wanted}: {nearest(wanted, CONDITIONS[kind])}"
    for wanted in STATUS_OF.findall(condition):
        if wanted not in STATUSES:
            yield f"a condition has no status {wanted}: {nearest(wanted, STATUSES)}"
    if SINGLE_QUOTES.search(condition):
        yield "has single quotes, which GJSON takes for a part of the text; write double ones"
    if NO_OBJECT.fullmatch(condition):
        yield 'finds no condition\'s object, or a list of them, as status.conditions.#(type=="Failed")# does'


def _is_watched(kind: str, version: str) -> bool:
    """Returns whether Katib watches the trial's kind, according to trialResources of its own katib-config."""
    group = "batch/v1" if kind == "Job" else "kubeflow.org/v1"
    return kind in JOB_KINDS and version == ("trainer.kubeflow.org/v1alpha1" if kind == "TrainJob" else group)


def _trial_parameters(spec: Node, node: Node, trial: Node) -> Iterator[Defect]:
    """Yields search parameters, trialParameters and placeholders that do not match one another."""
    listed = node["trialParameters"]
    if listed.empty:
        yield REQUIRED.at(listed, "is missing" if listed.missing else "is empty")
        return
    parameters = named(spec["parameters"].items)
    answers = () if parameters else _answers(spec)
    used: dict[str, Node] = {}
    for holder, text in trial.texts():
        for name in PLACEHOLDER.findall(text):
            used.setdefault(name, holder)
    names: set[str] = set()
    references: set[str] = set()
    for item in listed.items:
        name, reference = item["name"], item["reference"]
        yield from _trial_parameter(item, names, references)
        if name.text and name.text not in used and not trial.missing and not {"{", "}"} & set(name.text):
            yield UNUSED.at(name, f"the trial holds no ${{trialParameters.{name.text}}}: {_hint(name.text, used)}")
        if reference.text:
            yield from _reference(reference, parameters, answers, trial)
        names.add(name.text or "")
        references.add(reference.text or "")
    for name_, holder in used.items():
        if name_ not in names:
            yield UNLISTED.at(holder, f"no trialParameter '{name_}': {_hint(name_, names)}")
    for name_, parameter in parameters.items():
        if name_ not in references:
            yield UNREFERENCED.at(parameter["name"], f"no trialParameter refers to '{name_}'")
    for name_ in answers:
        if name_ not in references:
            yield UNREFERENCED.at(listed, f"none refers to '{name_}', which the algorithm answers")
    yield from _misspelt(trial, {*names, *parameters})


def _answers(spec: Node) -> tuple[str, ...]:
    """Returns the names that an architecture search answers with; none for other algorithms."""
    service = SERVICES.get(spec["algorithm"]["algorithmName"].text or "")
    return service.answers if service else ()


def _trial_parameter(item: Node, names: set[str], references: set[str]) -> Iterator[Defect]:
    for key, seen in (("name", names), ("reference", references)):
        value = item[key]
        if value.empty:
            yield PARAMETER.at(value, "is missing")
        elif value.text in seen:
            yield PARAMETER.at(value, f"'{value.text}' stands here a second time")
    if {"{", "}"} & set(item["name"].text or ""):
        yield PARAMETER.at(item["name"], f"'{item['name'].text}' holds a brace")


def _reference(node: Node, parameters: dict[str, Node], answers: tuple[str, ...], trial: Node) -> Iterator[Defect]:
    names = [*parameters] or answers
    text = node.text or ""
    meta = META.search(text)
    if meta is None:
        if names and text not in names:
            word = "parameter" if parameters else "answer of the algorithm"
            effect = None if parameters else NO_TRIAL
            yield REFERENCE.at(node, f"no {word} '{text}': {nearest(text, names)}", effect=effect)
        return
    key, bracket, label = meta[1].removesuffix("]").rpartition("[")
    indexed = bool(key and bracket and label and meta[1].endswith("]"))
    key = key if indexed else meta[1]
    if key not in META_KEYS:
        yield REFERENCE.at(node, f"'{text}' is nothing of a trial: {nearest(key, META_KEYS)}")
    elif key in ("Labels", "Annotations") and not trial.missing:
        entries = trial["metadata"][key.lower()].entries
        if not indexed or label not in entries:
            yield META_REFERENCE.at(node, f"the trial has no {key.lower()} '{label if indexed else ''}'")


def _misspelt(trial: Node, names: set[str]) -> Iterator[Defect]:
    for node, text in trial.texts():
        for match in ALMOST.finditer(text):
            word = match[0].strip("${} ")
            if not PLACEHOLDER.fullmatch(match[0]) and (
                (word.lower().startswith("trial") and "." in word) or (match[0] == f"${{{word}}}" and word in names)
            ):
                yield MISSPELT.at(node, f"'{match[0]}' is no placeholder")


def _hint(name: str, names: Iterable[str]) -> str:
    listed = sorted(names)
    return nearest(name, listed) if listed else "there is none"
