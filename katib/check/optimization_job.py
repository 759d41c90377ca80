"""Checks an OptimizationJob of Kubeflow Trainer: what its type refuses, and what of an Experiment it lacks."""

from collections.abc import Iterator
from itertools import islice

from katib.check.finding import Defect, error, warning
from katib.check.node import Node
from katib.errors import nearest
from katib.manifest.optimization_job import API_VERSION, KIND, LONGEST_CHOICE, LOST, MOST, NUMBER
from katib.text import number

REFUSED = error(
    "job-refused",
    finds=f"an {KIND} whose objective, counts, search space or runtime the API server does not take",
    effect="the API server refuses it (kubeflow/trainer, the type's schema and its CEL rules)",
    fix="write what the message names",
)
METRIC = warning(
    "job-metric",
    finds="the objective's metric",
    effect="nothing reads what a trial prints: without the feature TrainJobStatus of the controller, and a program that"
    " pushes its metrics to it, every trial ends without a value",
    fix="let the program push them (Kubeflow Trainer's guide to TrainJob progress); ours prints, for Katib and for"
    " `make local`",
)
LOSS = warning(
    "job-lost",
    finds=f"an annotation {LOST}… of `render --kind {KIND}`: something of the Experiment that has no place in the type",
    effect="the search runs without it",
    fix="render an Experiment for Katib, if it matters",
)
_EFFECTS = {
    "algorithm": "the search draws its trials at random",
    "algorithm-settings": "the settings have no effect",
    "early-stopping": "every trial trains to its last epoch",
    "max-failed-trials": "the search goes on however many trials fail",
    "step": "values between the steps are tried as well",
    "distribution": "values are drawn evenly, on a logarithmic scale where it was lognormal",
    "order": "its values are an unordered choice",
    "job": "how often a trial is tried, what does not count, and how long it is kept is the runtime's",
    "pod": "the runtime's pod has its own, and a trainer that is asked to end may not have saved",
}
SPACES = ("uniform", "logUniform", "categorical")


def is_optimization_job(document: object) -> bool:
    """Returns whether a document says that it is one, of whatever version."""
    return isinstance(document, dict) and document.get("kind") == KIND


def optimization_job(top: Node) -> Iterator[Defect]:
    """Yields what the API server refuses, and what is lost."""
    if top["apiVersion"].text != API_VERSION:
        yield REFUSED.at(top["apiVersion"], f"is not {API_VERSION}", fix=f"write {API_VERSION}")
    if top["metadata"]["name"].empty:
        yield REFUSED.at(top["metadata"]["name"], "is missing", fix="add metadata.name")
    spec = top["spec"]
    yield from _objective(spec["objectives"])
    yield from _counts(spec)
    grid = spec["searchAlgorithm"]["grid"].present
    if not spec["parameters"].items:
        yield REFUSED.at(spec["parameters"], "has no parameter", fix="name what is searched")
    for parameter in islice(spec["parameters"].items, MOST):
        yield from _space(parameter["searchSpace"], grid=grid)
    if len(spec["parameters"].items) > MOST:
        yield REFUSED.at(spec["parameters"], f"has {len(spec['parameters'].items)}; it can have {MOST}")
    runtime = spec["trainJobTemplate"]["spec"]["runtimeRef"]["name"]
    if runtime.empty:
        yield REFUSED.at(runtime, "is missing", fix="name a ClusterTrainingRuntime, such as torch-distributed")
    for label, node in top["metadata"]["annotations"].entries.items():
        if label.startswith(LOST):
            what, _, name = label.removeprefix(LOST).partition("-of-")
            of = f" of '{name}'" if name else ""
            yield LOSS.at(node, f"{what}{of} was {node.text or 'another'}", effect=_EFFECTS.get(what))


def _objective(objectives: Node) -> Iterator[Defect]:
    if len(objectives.items) != 1:
        yield REFUSED.at(objectives, f"has {len(objectives.items)} objectives", fix="name one")
        return
    (objective,) = objectives.items
    direction = objective["direction"].text
    if not objective["direction"].missing and direction not in ("Maximize", "Minimize"):
        hint = nearest(str(direction), ("Maximize", "Minimize"))
        yield REFUSED.at(objective["direction"], f"is '{direction}'", fix=f"write Maximize or Minimize ({hint})")
    if objective["metric"].empty:
        yield REFUSED.at(objective["metric"], "is missing", fix="name the metric")
    else:
        yield METRIC.at(objective["metric"], f"'{objective['metric'].text}' must be pushed by the trial's program")


def _counts(spec: Node) -> Iterator[Defect]:
    counts = {key: spec[key].integer if spec[key].present else 1 for key in ("numTrials", "parallelTrials")}
    for key, count in counts.items():
        if count is None or not 1 <= count <= MOST:
            yield REFUSED.at(spec[key], f"is not 1 to {MOST}", fix=f"write 1 to {MOST}")
    trials, parallel = counts["numTrials"], counts["parallelTrials"]
    if trials is not None and parallel is not None and parallel > trials:
        yield REFUSED.at(spec["parallelTrials"], f"is {parallel}, of {trials} trials", fix=f"write {trials} at most")


def _space(space: Node, *, grid: bool) -> Iterator[Defect]:
    given = [name for name in SPACES if space[name].present]
    if len(given) != 1:
        yield REFUSED.at(space, f"has {len(given)} of {', '.join(SPACES)}", fix="write one of them")
    elif given == ["categorical"]:
        yield from _choices(space["categorical"]["choices"])
    elif grid:
        yield REFUSED.at(space[given[0]], "has a range beside grid", fix="list its values, as categorical")
    else:
        yield from _bounds(space[given[0]], positive=given == ["logUniform"])


def _choices(choices: Node) -> Iterator[Defect]:
    texts = [node.text for node in choices.items]
    if not 1 <= len(texts) <= MOST or len(set(texts)) < len(texts):
        yield REFUSED.at(choices, f"has {len(texts)} choices", fix=f"list 1 to {MOST}, each once")
    for choice in choices.items:
        if choice.text is None or len(choice.text) > LONGEST_CHOICE:
            yield REFUSED.at(choice, f"is no text of up to {LONGEST_CHOICE} characters", fix="quote it, or shorten it")


def _bounds(space: Node, *, positive: bool) -> Iterator[Defect]:
    bounds = []
    for key in ("min", "max"):
        text = space[key].text
        if text is None or not NUMBER.fullmatch(text):
            yield REFUSED.at(space[key], "is no number in quotes", fix='write it as "0.001" or "1e-3"')
        else:
            bounds.append(number(text) or 0.0)
    if len(bounds) == 2 and not bounds[0] < bounds[1]:
        yield REFUSED.at(space["min"], "does not lie below max", fix="write min below max")
    if positive and bounds and bounds[0] <= 0:
        yield REFUSED.at(space["min"], "is not above 0, as logUniform needs", fix="write a min above 0")
