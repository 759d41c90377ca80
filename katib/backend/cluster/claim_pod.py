"""Starts a pod that mounts a claim and does nothing, through which files are copied, and removes it afterwards.

It is the pod of katib/backend/cluster/run_directories.py: where a trial would run, without GPU, account and rights.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from katib.backend.cluster.answers import AbsentError
from katib.backend.cluster.causes import why_waiting
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.informer import Informer
from katib.backend.cluster.kinds import JOB, OURS, POD, Object, name_of
from katib.backend.cluster.kubectl import program
from katib.backend.cluster.model import read_job
from katib.backend.cluster.pod import Pod, read_pod
from katib.backend.cluster.run_directories import folder_of, job
from katib.backend.cluster.transfer import Connect, bring
from katib.errors import ClusterError
from katib.terminal import say
from katib.trainer_contract import BEST, CONFIG, EVALUATED, LARGEST_MODEL, RUNS, SUMMARY, scores_file
from katib.untrusted import clean, is_name

START_SECONDS = 600.0
"""How long the pod may take to start: its node may have to be made, and to pull the trainer's image."""
IDLE_SECONDS = 300
"""How long the pod stays when nobody speaks with it, for example after a power cut here."""
HOLD = f"""\
import os, time
idle = 0
while idle < {IDLE_SECONDS}:
    time.sleep(5)
    others = [name for name in os.listdir("/proc") if name.isdecimal() and int(name) not in (1, os.getpid())]
    idle = 0 if others else idle + 5
"""
"""Ends when no other program has run in the container for a while; it is the container's first process."""
_CONTAINER = "runs"


@contextmanager
def claim_pod(
    cluster: Cluster, manifest: Object, mount: str, name: str, *, read_only: bool, context: str | None
) -> Iterator[Connect]:
    """Yields how to run a program in a pod with the claim that the trials of `manifest` mount at `mount`.

    Raises ClusterError where the pod does not start.
    """
    body = job(manifest, name, ["python", "-I", "-c", HOLD], read_only=read_only, mount=mount)
    body["spec"] |= {"backoffLimit": 0, "ttlSecondsAfterFinished": 60}
    kubectl = program(context)
    created = cluster.create(JOB, body)
    try:
        pod = _started(cluster, name_of(created))
        where = ["-n", cluster.namespace, "exec", "-i", pod.name, "-c", _CONTAINER, "--"]

        def connect(words: Sequence[str]) -> list[str]:
            return [*kubectl, *where, *words]

        yield connect
    finally:
        with suppress(AbsentError):
            cluster.delete(JOB, name_of(created), created["metadata"]["uid"])


def bring_run(cluster: Cluster, manifest: Object, experiment: str, trial: str, into: Path, context: str | None) -> None:
    """Writes what describes the model of a trial into a folder: weights, settings, history and scores.

    Raises ClusterError where the claim has no model of it, or where it cannot be read.
    """
    if not is_name(trial):
        raise ClusterError(f"'{clean(trial)}' is no name of a trial")
    run, files = f"{folder_of(experiment)}/{trial}", [BEST, CONFIG, SUMMARY, *map(scores_file, EVALUATED)]
    with claim_pod(cluster, manifest, RUNS, f"fetch-{experiment}-", read_only=True, context=context) as connect:
        bring(connect, run, files, into, LARGEST_MODEL)
    if not (into / BEST).is_file():
        raise ClusterError(
            f"{run} on the runs claim has no {BEST}, which a run has after its first epoch; TRIAL= or TOP=2 takes"
            " another trial"
        )


def _started(cluster: Cluster, name: str) -> Pod:
    """Returns the Job's pod once it runs; says why it does not yet. Raises ClusterError after START_SECONDS."""
    start, last = time.monotonic(), ""
    with Informer(cluster, {JOB: OURS, POD: f"batch.kubernetes.io/job-name={name}"}) as informer:
        while (elapsed := time.monotonic() - start) < START_SECONDS:
            informer.wait(min(5.0, START_SECONDS - elapsed))
            objects = informer.objects()
            found = next((job for job in map(read_job, objects[JOB]) if job.name == name), None)
            pods = [read_pod(pod) for pod in objects[POD]]
            if pods and pods[-1].running:
                return pods[-1]
            if found is not None and found.finished:
                raise ClusterError(
                    f"job '{name}' has ended before anything was copied ({found.reason or 'see its pod'})"
                )
            reason = str(why_waiting(found, pods)) if found else ""
            if reason and reason != last:
                say(f"{time.monotonic() - start:4.0f} s  the pod for the copy: {reason}")
                last = reason
        raise informer.problem or ClusterError(
            f"the pod for the copy does not run after {START_SECONDS:.0f} s: {last or 'it is not there'}; make doctor"
        )
