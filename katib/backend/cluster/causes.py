"""Why a trial failed, waits or is tried again, in words, and what to do about it. Pure."""

import re
import signal
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from katib import untrusted as foreign
from katib.backend.cluster.kinds import SIDECAR
from katib.backend.cluster.model import Job, Pod, Search, Trial

DIVERGED, NO_MEMORY, BAD_INPUT = 3, 4, 2
"""Exit codes of the trainer (trainer/errors.py)."""
SIGNALLED = 128
"""A shell's exit code for a program that a signal has ended, less the signal."""
WAITS_FOR_ROOM, ROOM_AGAIN = "waits for room: ", "room again: "
"""What the trainer says of a full volume (trainer/training/run_directory.py)."""
KLOG = re.compile(r"^[IWEF]\d{4} [\d:.]+ +\d+ [^\]]+\] ")
"""What Katib's collector puts before each line of the trainer that it prints."""
_ERROR_LINES = (
    # The trainer's own last words count more than the exit code, which Katib's shell line turns into 1 under early
    # stopping.
    (re.compile(r"out of memory|OutOfMemoryError", re.I), NO_MEMORY),
    (re.compile(r": the [\w ]+ is -?(nan|inf)"), DIVERGED),
)


@dataclass(frozen=True)
class Cause:
    """What happened, and the fix (empty where there is nothing to do)."""

    problem: str
    fix: str = ""

    def __post_init__(self) -> None:
        # Most of it is what a pod, a node or a trainer says.
        object.__setattr__(self, "problem", foreign.clean(self.problem))

    def __str__(self) -> str:
        return f"{self.problem}; {self.fix}" if self.fix else self.problem


OOM_NODE = Cause("out of memory (the kernel killed it)", "raise resources.memory in k8s/site.yaml, or lower batch_size")
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
_SIGNALS = {number.value: number.name for number in signal.Signals}
_AFTER_SIGNAL = {
    "SIGKILL": "out of memory, its grace period was too short, or somebody killed it",
    "SIGBUS": "raise resources.shared_memory in k8s/site.yaml",
}
KATIBS_WORDS = "Trial is early stopped"
"""What Katib's own early-stopping service says of every trial that it stops (medianstop/service.py)."""


def both(now: Cause | None, before: Cause | None) -> Cause | None:
    """Returns what is the matter `now`, and what was `before`."""
    if now is None or before is None:
        return now or before
    return Cause(f"{now.problem}; {before.problem}", before.fix or now.fix)


def clean(line: str) -> str:
    """Returns a line of a trial's log as the trainer printed it, without what a terminal would obey."""
    return foreign.clean(KLOG.sub("", line))


def why_failed(
    trial: Trial, job: Job | None, pods: Sequence[Pod], log: Sequence[str] = (), search: Search | None = None
) -> Cause | None:
    """Returns the cause of a trial's bad end, from its pods (newest last) and the last lines of its log.

    None where it had none.
    """
    if trial.state == "EarlyStopped":
        return _stopped_early(trial)
    if trial.state == "MetricsUnavailable":
        return NO_METRICS
    if trial.state != "Failed":
        return None
    if (job is not None and job.reason == "DeadlineExceeded") or "DeadlineExceeded" in trial.reason:
        return _stopped(trial, search) or DEADLINE
    if pods and (cause := died(pods[-1], log)):
        tries = max(len(pods), job.failed if job else 0)
        return Cause(f"{cause.problem} ({tries} tries)", cause.fix) if tries > 1 else cause
    if not pods:
        return Cause("its pod is gone, and with it the reason", "make logs works while the pod exists")
    return Cause(trial.message or "failed for an unknown reason", f"make logs TRIAL={trial.name}")


def why_tried_again(trial: Trial, pods: Sequence[Pod], logs: Mapping[str, Sequence[str]]) -> Cause | None:
    """Returns what the last try of a trial that goes on died of; None where none did. `logs` are last lines by pod."""
    over = [(number, pod) for number, pod in enumerate(pods, 1) if pod.failed]
    if trial.finished or not over:
        return None
    number, pod = over[-1]
    cause = died(pod, logs.get(pod.name, ())) or Cause("it failed")
    return Cause(f"try {number} ended: {cause.problem}", cause.fix)


def why_stuck(pod: Pod | None, log: Sequence[str]) -> Cause | None:
    """Returns why a trial whose pod runs does not come forward: its volume is full, or its collector has died.

    A collector that ends after the trainer's own last words only follows it: the kubelet says so of the trainer a
    second later.
    """
    if pod is None or not pod.running:
        return None
    room = next((line for line in reversed(log) if line.startswith((WAITS_FOR_ROOM, ROOM_AGAIN))), "")
    if room.startswith(WAITS_FOR_ROOM):
        return Cause(room, "make room on the runs volume; it continues by itself")
    if (end := pod.terminations.get(SIDECAR)) is not None and not _last_words(log):
        return Cause(
            f"its metrics collector has ended ({_how(end)}), so that Katib learns of no more epochs",
            f"kubectl delete pod {pod.name}: the next one continues at the checkpoint and reports what is missing",
        )
    return None


def why_waiting(job: Job | None, pods: Sequence[Pod]) -> Cause | None:
    """Returns why a trial that Katib calls running does not train yet; None where it does."""
    if job is None:
        return Cause("Katib has not made its Job yet")
    if job.suspended:
        if job.queued:
            return Cause("waits in its Kueue queue", "kubectl get workloads shows its place")
        return Cause("paused", "make resume")
    if not pods:
        return Cause("its Job has no pod yet", f"kubectl describe job {job.name}, if it stays so")
    pod = pods[-1]
    if pod.deleting and pod.disrupted:
        return Cause(
            f"taken off its node '{pod.node}': {_short(pod.disrupted)}; its pod is being stopped",
            f"if the node is gone for good, kubectl delete pod {pod.name} --force: the next one continues at the checkpoint",
        )
    if pod.deleting:
        return Cause("its pod is being stopped")
    if pod.unscheduled:
        return Cause(f"unschedulable: {_short(pod.unscheduled)}", scheduling(pod.unscheduled))
    for text in pod.waiting:
        return Cause(_short(text), starting(text))
    if pod.phase == "Pending":
        return Cause("starting: image and volumes" if pod.node else "waits for the scheduler")
    return None


def interrupted(pods: Sequence[Pod]) -> str:
    """Returns why the try before the last one ended, where Kubernetes took it away; else ''."""
    return next((text for pod in reversed(pods[:-1]) if (text := pod.disrupted or pod.evicted)), "")


def _stopped(trial: Trial, search: Search | None) -> Cause | None:
    """Returns the verb stop lets the Jobs of a search reach their deadline.

    A trial that had ended before had one of its own.
    """
    if search is None or search.stopped_at is None or (trial.ended and trial.ended < search.stopped_at):
        return None
    return Cause(search.stopped)


def _stopped_early(trial: Trial) -> Cause:
    """In the words of our service, or else by the rule that Katib's own made the trial with."""
    if trial.message and trial.message != KATIBS_WORDS:
        return Cause(trial.message)
    rules = " and ".join(trial.rules)
    return Cause(f"stopped early: {rules}" if rules else "stopped early, by a rule that is not known any more")


def died(pod: Pod, log: Sequence[str]) -> Cause | None:
    """Returns what the trainer of an ended `pod` died of, by its state and the last lines of its log."""
    end = next((pod.terminations[name] for name in pod.containers if name in pod.terminations), {})
    code = end.get("exitCode")
    known = code if pod.ours else None
    words = _last_words(log) or " ".join(str(end.get("message", "")).split())
    if end.get("reason") == "OOMKilled":
        return OOM_NODE
    for pattern, meaning in _ERROR_LINES:
        if words and pattern.search(words):
            known = meaning
    if known == DIVERGED:
        return LOST
    if known == NO_MEMORY:
        return OOM_GPU
    if pod.evicted:
        return Cause(_short(pod.evicted), "raise the claim's or the pod's limits, or look at the node")
    if pod.disrupted:
        return Cause(
            f"taken off its node: {_short(pod.disrupted)}",
            "nothing is lost; more of it than backoffLimit allows fails a trial",
        )
    for text in pod.waiting:
        return Cause(_short(text), starting(text))
    if known == BAD_INPUT:
        return Cause(
            words or "bad input (exit code 2)",
            "data or settings do not fit; correct them and deploy under a new name",
        )
    if words:
        return Cause(_short(words) + (f" (exit code {code})" if code else ""), _fix_of(words))
    return _ended_silently(code, log)


def _last_words(log: Sequence[str]) -> str:
    """Returns the last line of a log that tells of an error.

    The last one of an exception that a library printed counts too.
    """
    return next((clean(line) for line in reversed(log) if "error:" in line.lower()), "")


def _ended_silently(code: int | None, log: Sequence[str]) -> Cause | None:
    """Returns the cause of an end without a word of the program's own.

    Where a trial may be stopped early, Katib's shell line makes exit code 1 of any other, that of a signal too.
    """
    if code is None or code == 0:
        return None
    if code > SIGNALLED and code - SIGNALLED in _SIGNALS:
        name = _SIGNALS[code - SIGNALLED]
        return Cause(f"killed by signal {code - SIGNALLED} ({name})", _AFTER_SIGNAL.get(name, ""))
    if code == 1 and log:
        return Cause(
            f"killed by signal 9 (SIGKILL), or ended without a word; its last line: {_short(log[-1])}",
            _AFTER_SIGNAL["SIGKILL"],
        )
    return Cause(f"exit code {code}")


def _how(end: Mapping[str, object]) -> str:
    """Returns `OOMKilled`, `exit code 255`."""
    return "OOMKilled" if end.get("reason") == "OOMKilled" else f"exit code {end.get('exitCode')}"


def _fix_of(words: str) -> str:
    if "Permission denied" in words and "/runs" in words:
        return "the runs volume must be writable for the uid or gid of user in k8s/site.yaml: chown its root"
    return ""


def scheduling(text: str) -> str:
    """Returns what to do about a pod that the scheduler finds no node for, by its words."""
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


def starting(text: str) -> str:
    """Returns what to do about a container that cannot start, by the kubelet's words."""
    if "Image" in text and text.startswith(SIDECAR):
        return "check the collector's image in katib-config (k8s/katib), and that it was pushed; then kubectl delete the pod"
    if "Image" in text:
        return "check image in k8s/site.yaml, that it was pushed (make images PUSH=1), and the pull secret"
    if "CreateContainerConfigError" in text:
        return "a Secret or ConfigMap that it names is missing: make doctor"
    return "make doctor"


def _short(text: str) -> str:
    return textwrap.shorten(text, 300, placeholder=" …")
