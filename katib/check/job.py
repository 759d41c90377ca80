"""Checks the trial: tries, deadline and end of a batch/v1 Job; pods and command of every kind that Katib watches."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from katib.check.accepted import PATTERNS, QUALIFIED, VALUE
from katib.check.collector import collector_kind
from katib.check.command import command, values
from katib.check.finding import Defect, error, warning
from katib.check.hidden import hidden
from katib.check.kinds import pods
from katib.check.node import Node, named
from katib.check.pod import METRICS_FOLDER, pod
from katib.check.pod_values import job_values, pod_values
from katib.check.refused import labels, refused
from katib.check.structure import is_job
from katib.check.training_job import training_job
from katib.manifest.schema import DEFAULT_BACKOFF_LIMIT

FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")
"""Those that Kubernetes has itself, whose names are short."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
SHORTEST_LIFE = 300
"""Seconds. Katib's controller notices the end of a Job within seconds, unless it is down."""

TRIES = warning(
    "backoff-limit",
    finds="backoffLimit is missing",
    effect=f"a trial that fails is tried {DEFAULT_BACKOFF_LIMIT} times more, each for its whole length",
    fix="write backoffLimit",
)
DEADLINE = warning(
    "no-deadline",
    finds="activeDeadlineSeconds is missing",
    effect="Katib has no time limit: a trial that hangs keeps its GPU and its place until somebody looks",
    fix="write activeDeadlineSeconds, with room for the time that a pod waits for a GPU",
)
EXIT_CODES = warning(
    "exit-codes",
    finds="podFailurePolicy that looks at exit codes of all containers, or at those of a trainer under early stopping",
    effect="Katib's collector exits with 255 when the trainer fails, and its shell line turns a trainer's code into 1"
    " under early stopping",
    fix="name the container, and rely on exit codes only without early stopping",
)
PODS = warning(
    "several-pods",
    finds="parallelism or completions above 1",
    effect="each pod reports metrics of its own, and Katib mixes them into one trial",
    fix="leave both at 1",
)
SHORT_LIFE = warning(
    "ttl-short",
    finds=f"ttlSecondsAfterFinished below {SHORTEST_LIFE}",
    effect="a Job that is gone before Katib has read its end is created again and trains again",
    fix="write at least an hour",
)
SUSPENDED = warning(
    "suspended",
    finds="suspend: true without a Kueue queue",
    effect="the trial counts as running and never starts",
    fix="remove suspend, or add the label kueue.x-k8s.io/queue-name",
)
POSITIVE = error(
    "job-number",
    finds="a negative backoffLimit or ttl, or a deadline below 1",
    effect="the API server refuses the Job of each trial",
    fix="write a number of at least 0 (activeDeadlineSeconds: 1)",
)
POD_LABELS = error(
    "primary-pod-labels",
    finds="primaryPodLabels that the trial's pod does not have",
    effect="Katib puts no collector into the pod, and no trial has metrics",
    fix="add the labels to the pod template, or remove primaryPodLabels",
)


def job(top: Node) -> Iterator[Defect]:
    """Yields the defects of a Job, and of the pods and the command of any kind that Katib watches."""
    spec = top["spec"]
    template = spec["trialTemplate"]
    trial = template["trialSpec"]
    is_batch, stopping = is_job(trial), not spec["earlyStopping"].missing
    if is_batch:
        yield from _job_spec(trial)
        yield from job_values(trial["spec"])
        yield from labels(trial["metadata"]["labels"], values=True)
        yield from labels(trial["metadata"]["annotations"], values=False)
        yield from _finalizers(trial["metadata"]["finalizers"])
        yield from _exit_codes(trial["spec"]["podFailurePolicy"], stopping=stopping)
    yield from training_job(trial, template["primaryContainerName"])
    kind = collector_kind(top)
    if trial["kind"].text == "TrainJob" and trial["spec"]["trainer"]["command"].items:
        # The pod is the runtime's, but Katib rewrites the command that is given here, as in a Job.
        yield from command(trial["spec"]["trainer"], kind)
        yield from values(trial["spec"]["trainer"], spec)
    name, wanted = template["primaryContainerName"], template["primaryPodLabels"].entries
    for pod_template, is_primary in pods(trial, template["primaryPodLabels"]):
        yield from refused(pod_template)
        yield from pod_values(pod_template)
        own = pod_template["metadata"]["labels"]
        for key, label in wanted.items():
            if is_batch and own[key].text != label.text:
                yield POD_LABELS.at(label, f"the pod has no label {key}={label.text}")
        if not is_primary:
            continue
        folder = _folder(top, kind)
        yield from pod(pod_template["spec"], name, folder, stopping=stopping, restarts=is_batch)
        primary = named(pod_template["spec"]["containers"].items).get(name.text or "")
        if primary is not None:
            yield from command(primary, kind)
            yield from hidden(primary, folder)
            yield from values(primary, spec)


def _job_spec(trial: Node) -> Iterator[Defect]:
    spec = trial["spec"]
    if not isinstance(spec.value, dict):
        return
    if spec["backoffLimit"].missing:
        yield TRIES.at(spec["backoffLimit"], "is missing")
    if spec["activeDeadlineSeconds"].missing:
        yield DEADLINE.at(spec["activeDeadlineSeconds"], "is missing")
    for key, least in (("backoffLimit", 0), ("ttlSecondsAfterFinished", 0), ("activeDeadlineSeconds", 1)):
        value = spec[key].integer
        if value is not None and value < least:
            yield POSITIVE.at(spec[key], f"is {value}", fix=f"write a number of at least {least}")
    for key in ("parallelism", "completions"):
        if (spec[key].integer or 0) > 1:
            yield PODS.at(spec[key], f"is {spec[key].integer}")
    life = spec["ttlSecondsAfterFinished"].integer
    if life is not None and 0 <= life < SHORTEST_LIFE:
        yield SHORT_LIFE.at(spec["ttlSecondsAfterFinished"], f"is {life} s")
    if spec["suspend"].value is True and trial["metadata"]["labels"][QUEUE_LABEL].missing:
        yield SUSPENDED.at(spec["suspend"], "is true")


def _finalizers(node: Node) -> Iterator[Defect]:
    for item in node.items:
        name = item.text or ""
        if name not in FINALIZERS and not ("/" in name and PATTERNS[QUALIFIED].fullmatch(name)):
            yield VALUE.at(item, f"'{name}' is not {QUALIFIED}", fix="remove it")


def _exit_codes(policy: Node, *, stopping: bool) -> Iterator[Defect]:
    for rule in policy["rules"].items:
        codes = rule["onExitCodes"]
        if not codes.missing and (stopping or codes["containerName"].empty):
            which = "with early stopping" if stopping else "of all containers"
            yield EXIT_CODES.at(codes, f"looks at exit codes {which}")


def _folder(top: Node, kind: str | None) -> str | None:
    """Returns the path at which Katib mounts the volume for trainer and collector (pod/utils.go, getMountPath)."""
    file = top["spec"]["metricsCollectorSpec"]["source"]["fileSystemPath"]
    path = file["path"].text
    if kind == "StdOut":
        return METRICS_FOLDER
    if kind == "File":
        return str(PurePosixPath(path).parent) if path else METRICS_FOLDER
    if kind == "TensorFlowEvent":
        return path or f"{METRICS_FOLDER}/tfevent"
    if kind == "Custom" and path:
        return str(PurePosixPath(path).parent) if file["kind"].text == "File" else path
    return None
