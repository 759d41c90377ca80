"""Why a trial failed or waits, in words, and what to do about it. Pure; called by status and by deploy's waiting."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from katib.cluster.model import Job, Pod, Trial

DIVERGED, NO_MEMORY, BAD_INPUT, TERMINATED, KILLED = (
    3,
    4,
    2,
    143,
    137,
)  # exit codes of the trainer (trainer/errors.py)
KLOG = re.compile(r"^[IWEF]\d{4} [\d:.]+ +\d+ [^\]]+\] ")
"""What Katib's collector puts before each line of the trainer that it prints."""
_ERROR_LINES = (
    # The trainer's own last words count more than the exit code, which Katib's shell line turns into 1 under early stopping.
    (re.compile(r"out of memory|OutOfMemoryError", re.I), NO_MEMORY),
    (re.compile(r": the [\w ]+ is -?(nan|inf)"), DIVERGED),
)


@dataclass(frozen=True)
class Cause:
    """What happened, and the remedy (empty where there is nothing to do)."""

    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


OOM_NODE = Cause(
    "out of memory (the kernel killed it)", "raise resources.memory in k8s/site.yaml, or lower batch_size"
)
OOM_GPU = Cause("out of GPU memory", "lower batch_size or segment_seconds in the spec, or use larger GPUs")
LOST = Cause(
    "diverged: the loss left the finite numbers",
    "a fact about its hyperparameters; lower the range's max if most trials do",
)
DEADLINE = Cause(
    "ran past its deadline (activeDeadlineSeconds)",
    "raise hours_per_run in the spec, or see why it waited so long",
)
NO_METRICS = Cause(
    "ended without a metric line that the collector found",
    "make logs TRIAL=… shows what it printed; make check the filter",
)
KATIBS_WORDS = "Trial is early stopped"
"""What Katib's own early-stopping service says of every trial that it stops (medianstop/service.py)."""


def clean(line: str) -> str:
    """A line of a trial's log as the trainer printed it."""
    return KLOG.sub("", line)


def why_failed(trial: Trial, job: Job | None, pods: Sequence[Pod], log: Sequence[str] = ()) -> Cause | None:
    """The cause of a trial's bad end, from its pods (newest last) and the last lines of its log; None where it had none."""
    if trial.state == "EarlyStopped":
        return _stopped_early(trial)
    if trial.state == "MetricsUnavailable":
        return NO_METRICS
    if trial.state != "Failed":
        return None
    if job is not None and job.reason == "DeadlineExceeded":
        return DEADLINE
    if pods and (cause := _of_pod(pods[-1], log)):
        return cause
    if not pods:
        return Cause("its pod is gone, and with it the reason", "make logs works while the pod exists")
    return Cause(trial.message or "failed for an unknown reason", f"make logs TRIAL={trial.name}")


def why_waiting(job: Job | None, pods: Sequence[Pod]) -> Cause | None:
    """Why a trial that Katib calls running does not train yet; None where it does."""
    if job is None:
        return Cause("Katib has not made its Job yet")
    if job.suspended:
        if job.queued:
            return Cause("waits in its Kueue queue", "kubectl get workloads shows its place")
        return Cause("paused", "make resume")
    if not pods:
        return Cause("its Job has no pod yet", f"kubectl describe job {job.name}, if it stays so")
    pod = pods[-1]
    if pod.deleting:
        return Cause("its pod is being stopped")
    if pod.unscheduled:
        return Cause(f"unschedulable: {_short(pod.unscheduled)}", _scheduling(pod.unscheduled))
    for text in pod.waiting:
        return Cause(_short(text), _start(text))
    if pod.phase == "Pending":
        return Cause("starting: image and volumes" if pod.node else "waits for the scheduler")
    return None


def interrupted(pods: Sequence[Pod]) -> str:
    """Why the try before the last one ended, where Kubernetes took it away; else ''."""
    return next((text for pod in reversed(pods[:-1]) if (text := pod.disrupted or pod.evicted)), "")


def _stopped_early(trial: Trial) -> Cause:
    """In the words of our service, or else by the rule that Katib's own made the trial with."""
    if trial.message and trial.message != KATIBS_WORDS:
        return Cause(trial.message)
    rules = " and ".join(trial.rules)
    return Cause(
        f"stopped early: {rules}" if rules else "stopped early, by a rule that is not known any more"
    )


def _of_pod(pod: Pod, log: Sequence[str]) -> Cause | None:
    end = next((pod.terminations[name] for name in pod.containers if name in pod.terminations), {})
    code = end.get("exitCode")
    words = next((clean(line) for line in reversed(log) if "error:" in line.lower()), "")
    if end.get("reason") == "OOMKilled":
        return OOM_NODE
    for pattern, meaning in _ERROR_LINES:
        if words and pattern.search(words):
            code = meaning
    if code == DIVERGED:
        return LOST
    if code == NO_MEMORY:
        return OOM_GPU
    if pod.evicted:
        return Cause(f"evicted: {_short(pod.evicted)}", "raise the claim's or the pod's limits")
    if pod.disrupted:
        return Cause(
            f"taken off its node: {_short(pod.disrupted)}",
            "nothing is lost; more of it than backoffLimit allows fails a trial",
        )
    for text in pod.waiting:
        return Cause(_short(text), _start(text))
    if code == BAD_INPUT:
        return Cause(
            words or "bad input (exit code 2)",
            "data or settings do not fit; mend them and deploy under a new name",
        )
    if words:
        return Cause(words)
    if code == KILLED:
        return Cause("killed (SIGKILL)", "out of memory, or its grace period was too short")
    if code == TERMINATED:
        return Cause("stopped by SIGTERM")
    return Cause(f"exit code {code}") if code is not None else None


def _scheduling(text: str) -> str:
    if "nvidia.com/gpu" in text:
        return "no GPU is free: it starts when one is, or lower parallel_trials"
    if lacking := re.search(r"Insufficient (cpu|memory)\b", text):
        what = lacking[1]
        return f"no node has as much {what} free: it starts when others end, or lower resources.{what} in k8s/site.yaml"
    if "taint" in text:
        return "add the taint to tolerations in k8s/site.yaml"
    if "persistentvolumeclaim" in text:
        return "bind the claim: make doctor"
    if "affinity" in text or "selector" in text:
        return "no node has the labels of node_selector in k8s/site.yaml"
    return "make doctor"


def _start(text: str) -> str:
    if "Image" in text:
        return "check image in k8s/site.yaml, that it was pushed (make images PUSH=1), and the pull secret"
    if "CreateContainerConfigError" in text:
        return "a Secret or ConfigMap that it names is missing: make doctor"
    return "make doctor"


def _short(text: str) -> str:
    return " ".join(text.split())[:200]
