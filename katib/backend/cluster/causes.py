"""Explains why a trial failed, waits or is tried again, and what to do about it. Pure: no I/O."""

import re
import signal
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime

from katib import untrusted
from katib.backend.causes import DIVERGENCE, OOM_GPU, Cause
from katib.backend.cluster.kinds import SIDECAR
from katib.backend.cluster.model import Job, Search, Trial
from katib.backend.cluster.pod import Pod, Termination
from katib.heartbeat import Heartbeat
from katib.table.smaller import printed
from katib.trainer_contract import ROOM_AGAIN, RUNS, WAITS_FOR_ROOM, Exit

SIGNALLED = 128
"""What a shell adds to the number of a signal for the exit code of a program that the signal ended."""
KLOG = re.compile(r"^[IWEF]\d{4} [\d:.]+ +\d+ [^\]]+\] ")
"""The prefix that Katib's collector puts before each line of the trainer."""
_ERROR_LINES = (
    # The trainer's last message counts more than its exit code: under early stopping, Katib's shell line turns every
    # exit code into 1.
    (re.compile(r"out of memory|OutOfMemoryError", re.I), Exit.OUT_OF_MEMORY),
    (re.compile(r": the [\w ]+ is -?(nan|inf)"), Exit.DIVERGED),
)


OOM_NODE = Cause("out of memory (the kernel killed it)", "raise resources.memory in k8s/site.yaml, or lower batch_size")
DEADLINE = Cause(
    "ran past its deadline (activeDeadlineSeconds)",
    "raise hours_per_run in the spec, or find out why it waited so long",
)
NO_METRICS = Cause(
    "the collector found no metric line in its output",
    "make logs TRIAL=… shows the output; make check tests the filter",
)
_SIGNALS = {number.value: number.name for number in signal.Signals}
_AFTER_SIGNAL = {
    "SIGKILL": "it was out of memory, its grace period was too short, or somebody killed it",
    "SIGBUS": "raise resources.shared_memory in k8s/site.yaml",
}
_BY_CODE: Mapping[int | None, Cause] = {Exit.DIVERGED: DIVERGENCE, Exit.OUT_OF_MEMORY: OOM_GPU}
KATIBS_WORDS = "Trial is early stopped"
"""The message of Katib's own early-stopping service for every trial that it stops (medianstop/service.py)."""


def combined(now: Cause | None, before: Cause | None) -> Cause | None:
    """Returns a cause that names what is wrong `now` and what went wrong `before`."""
    if now is None or before is None:
        return now or before
    return Cause(f"{now.problem}; {before.problem}", before.fix or now.fix)


def clean(line: str) -> str:
    """Returns a line of a trial's log as the trainer printed it, without control characters."""
    return untrusted.clean(KLOG.sub("", line))


def why_failed(
    trial: Trial, job: Job | None, pods: Sequence[Pod], log: Sequence[str] = (), search: Search | None = None
) -> Cause | None:
    """Returns why a trial ended badly, from its pods (newest last) and the last lines of its log.

    None where it has not ended, or ended well.
    """
    if trial.state == "EarlyStopped":
        return _stopped_early(trial)
    if trial.state == "MetricsUnavailable":
        return NO_METRICS
    if trial.state != "Failed":
        return None
    if (job is not None and job.reason == "DeadlineExceeded") or "DeadlineExceeded" in trial.reason:
        return _stopped(trial, search) or DEADLINE
    if pods and (cause := why_ended(pods[-1], log)):
        tries = max(len(pods), job.failed if job else 0)
        return Cause(f"{cause.problem} ({tries} tries)", cause.fix) if tries > 1 else cause
    if not pods:
        return Cause("the reason is lost with its pod", "make logs works only while the pod exists")
    return Cause(trial.message or "failed for an unknown reason", f"make logs TRIAL={trial.name}")


def why_tried_again(trial: Trial, pods: Sequence[Pod], logs: Mapping[str, Sequence[str]]) -> Cause | None:
    """Returns why the last try of a trial failed that is tried again; None where no try has failed.

    `logs` are last lines by pod.
    """
    failed = [(number, pod) for number, pod in enumerate(pods, 1) if pod.failed]
    if trial.finished or not failed:
        return None
    number, pod = failed[-1]
    cause = why_ended(pod, logs.get(pod.name, ())) or Cause("it failed")
    return Cause(f"try {number} ended: {cause.problem}", cause.fix)


def why_stuck(pod: Pod | None, log: Sequence[str]) -> Cause | None:
    """Returns why a trial makes no progress though its pod runs: its volume is full, or its collector has ended.

    A collector that ends after the trainer's last error message only follows the trainer, whose end the kubelet
    reports a second later.
    """
    if pod is None or not pod.running:
        return None
    room = next((line for line in reversed(log) if line.startswith((WAITS_FOR_ROOM, ROOM_AGAIN))), "")
    if room.startswith(WAITS_FOR_ROOM):
        return Cause(room, "make room on the runs volume; the trial continues by itself")
    if (end := pod.terminations.get(SIDECAR)) is not None and not _last_error(log):
        return Cause(
            f"its metrics collector has ended ({end}), so Katib receives no more epochs",
            f"kubectl delete pod {pod.name}: the next pod resumes from the checkpoint and reports what is missing",
        )
    return None


def why_silent(heartbeat: Heartbeat | None, now: datetime, trial: Trial) -> Cause | None:
    """Returns why a trial seems to hang: it has told of steps, and tells of none for longer than a slow one takes."""
    if heartbeat is None or trial.finished or not (silence := heartbeat.silence(now.timestamp())):
        return None
    return Cause(
        silence,
        f"see its last lines with make logs TRIAL={trial.name}; deleting its pod makes it resume from its checkpoint",
    )


def why_waiting(job: Job | None, pods: Sequence[Pod]) -> Cause | None:
    """Returns why a trial that is running for Katib does not train yet; None where it does."""
    if job is None:
        return Cause("Katib has not created its Job yet")
    if job.suspended:
        if job.queue:
            return Cause("waits in its Kueue queue", "kubectl get workloads shows who is admitted and who waits")
        return Cause("paused", "make resume")
    if not pods:
        return Cause("its Job has no pod yet", f"if this lasts, kubectl describe job {job.name}")
    pod = pods[-1]
    if pod.deleting and pod.disrupted:
        return Cause(
            f"removed from its node '{pod.node}': {_short(pod.disrupted)}; its pod is being stopped",
            f"if the node is gone for good, kubectl delete pod {pod.name} --force: the next one resumes from the"
            " checkpoint",
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
    """Returns why Kubernetes ended the last try before the current one; '' where it did not."""
    return next((text for pod in reversed(pods[:-1]) if (text := pod.disrupted or pod.evicted)), "")


def _stopped(trial: Trial, search: Search | None) -> Cause | None:
    """Returns who stopped the search, where that ended the trial.

    The verb stop makes Jobs reach their deadline; a trial that had ended before reached its own.
    """
    if search is None or search.stopped_at is None or (trial.ended and trial.ended < search.stopped_at):
        return None
    return Cause(search.stopped)


def _stopped_early(trial: Trial) -> Cause:
    """Returns why a trial was stopped early: the message of our service, or else the rules of Katib's own."""
    if trial.message and trial.message != KATIBS_WORDS:
        return Cause(trial.message)
    rules = " and ".join(trial.rules)
    return Cause(f"stopped early: {rules}" if rules else "stopped early, by a rule that is no longer known")


def why_ended(pod: Pod, log: Sequence[str]) -> Cause | None:
    """Returns why the trainer of an ended `pod` ended, from the pod's state and the last lines of its log."""
    end = next((pod.terminations[name] for name in pod.containers if name in pod.terminations), Termination())
    if end.out_of_memory:
        return OOM_NODE
    message = _last_error(log) or " ".join(end.message.split())
    if words := printed([message]):
        return Cause(words, "where it has failed for good, make again TRIAL=… CLUSTER=1 lets it")
    meaning = _meaning(pod, end, message)
    if meaning in _BY_CODE:
        return _BY_CODE[meaning]
    if pod.evicted:
        return Cause(_short(pod.evicted), "raise the limits of the claim or the pod, or look at the node")
    if pod.disrupted:
        return Cause(
            f"removed from its node: {_short(pod.disrupted)}",
            "nothing is lost, but a trial fails after more such ends than backoffLimit allows",
        )
    for text in pod.waiting:
        return Cause(_short(text), starting(text))
    if meaning == Exit.BAD_INPUT:
        return Cause(
            message or f"bad input (exit code {Exit.BAD_INPUT})",
            "data or settings do not fit; correct them and deploy under a new name",
        )
    if message:
        return Cause(_short(message) + (f" (exit code {end.exit_code})" if end.exit_code else ""), _fix_of(message))
    return _ended_silently(end.exit_code, log)


def _meaning(pod: Pod, end: Termination, message: str) -> int | None:
    """Returns the exit code that our trainer means, by its last message or else as it is; None for other programs."""
    matching = [code for pattern, code in _ERROR_LINES if message and pattern.search(message)]
    return matching[-1] if matching else end.exit_code if pod.ours else None


def _last_error(log: Sequence[str]) -> str:
    """Returns the last line of a log that reports an error, be it the trainer's own or a library's exception."""
    return next((clean(line) for line in reversed(log) if "error:" in line.lower()), "")


def _ended_silently(code: int | None, log: Sequence[str]) -> Cause | None:
    """Returns the cause of an end without an error message.

    Where a trial may be stopped early, Katib's shell line turns every exit code into 1, that of a signal too.
    """
    if code is None or code == 0:
        return None
    if code > SIGNALLED and code - SIGNALLED in _SIGNALS:
        name = _SIGNALS[code - SIGNALLED]
        return Cause(f"killed by signal {code - SIGNALLED} ({name})", _AFTER_SIGNAL.get(name, ""))
    if code == 1 and log:
        return Cause(
            f"killed by signal 9 (SIGKILL), or ended without a message; its last line: {_short(log[-1])}",
            _AFTER_SIGNAL["SIGKILL"],
        )
    return Cause(f"exit code {code}")


def _fix_of(words: str) -> str:
    if "Permission denied" in words and RUNS in words:
        return "the runs volume must be writable for the uid or gid of user in k8s/site.yaml: chown its root"
    return ""


def scheduling(text: str) -> str:
    """Returns the fix for a pod that has no node, according to the scheduler's message."""
    if re.search(r"Insufficient [\w.-]+/\w|cannot allocate all claims", text):
        return "no GPU is free: wait until one is, or lower parallel_trials"
    if lacking := re.search(r"Insufficient (cpu|memory)\b", text):
        resource = lacking[1]
        return (
            f"no node has enough {resource} free: wait until others end, or lower resources.{resource} in k8s/site.yaml"
        )
    if "taint" in text:
        return "add the taint to tolerations in k8s/site.yaml"
    if "persistentvolumeclaim" in text:
        return "bind the claim: make doctor"
    if "topology spread" in text:
        return "topology_spread in k8s/site.yaml leaves no room: wait until others end, or lower parallel_trials"
    if "affinity" in text or "selector" in text:
        return "no node has the labels of node_selector and affinity in k8s/site.yaml"
    return "make doctor"


def starting(text: str) -> str:
    """Returns the fix for a container that cannot start, according to the kubelet's message."""
    if "Image" in text and text.startswith(SIDECAR):
        return (
            "check the collector's image in katib-config (k8s/katib) and that it was pushed, then delete the pod with"
            " kubectl"
        )
    if "Image" in text:
        return "check image in k8s/site.yaml, that it was pushed (make images PUSH=1), and the pull secret"
    if "CreateContainerConfigError" in text:
        return "it names a Secret or ConfigMap that is missing: make doctor"
    return "make doctor"


def _short(text: str) -> str:
    return textwrap.shorten(text, 300, placeholder=" …")
