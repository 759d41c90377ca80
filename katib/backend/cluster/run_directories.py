"""The run directories of an experiment on the runs claim: looked at and removed by a Job that mounts it.

The Job's pod is that of a trial with another command and without the GPU, so that it may start wherever trials may:
image, pull secrets, node selector, tolerations, priority, security contexts and queue are the trial's own.
"""

import base64
import re
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from katib.backend.cluster.answers import AbsentError
from katib.backend.cluster.causes import why_waiting
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.informer import Informer
from katib.backend.cluster.kinds import JOB, MANAGER, OURS, OWNER_LABEL, POD, Object
from katib.backend.cluster.model import Job, read_job, read_pod
from katib.errors import ClusterError
from katib.untrusted import clean, is_name, parse_json

PATIENCE = 300.0
"""Seconds that such a Job may take; the node may have to pull the trainer's image."""
RUNS = "/runs"
LOG_BYTES = 64 << 20
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_OF_KUEUE = "kueue.x-k8s.io/"
_OF_PLACE = (
    *("imagePullSecrets", "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints"),
    *("priorityClassName", "schedulerName", "runtimeClassName", "securityContext"),
)
"""What of a trial's pod decides where such a Job may run, and as whom."""
_OF_USER = ("runAsUser", "runAsGroup", "runAsNonRoot", "seLinuxOptions")
_HARDENED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
SUMMARY_BYTES = 16 << 20
"""Of a directory: the summary of 10 000 epochs has 4 MB."""
READ_SCRIPT = (
    f"MOST = {SUMMARY_BYTES}\n"
    + """\
import base64, json, os, stat, sys, zlib
root = sys.argv[1]
names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)) if os.path.isdir(root) else []
for name in names:
    files = [os.path.join(place, file) for place, _, found in os.walk(os.path.join(root, name)) for file in found]
    try:
        place = os.path.join(root, name, "summary.json")
        kind = os.lstat(place)
        if not stat.S_ISREG(kind.st_mode) or kind.st_size > MOST:
            raise ValueError("summary.json is no file of at most %d bytes" % MOST)
        with open(place) as file:
            summary, problem = json.load(file), ""
    except FileNotFoundError:
        summary, problem = {}, ""
    except (OSError, ValueError, RecursionError) as error:
        summary, problem = {}, str(error)
    size = sum(os.lstat(file).st_size for file in files if os.path.lexists(file))
    found = {"trial": name, "bytes": size, "summary": summary, "problem": problem}
    print(base64.b64encode(zlib.compress(json.dumps(found).encode())).decode())
print(len(names), "directories")
"""
)
"""Prints a line a directory, compressed because a kubelet keeps 10 MiB of a log, and their number, by which it is
whole."""


@dataclass(frozen=True)
class RunDirectory:
    """One run directory: `summary` is the trainer's account of the run, empty before its first epoch has ended."""

    trial: str
    bytes: int
    summary: Mapping[str, Any]
    problem: str = ""
    """Why the summary cannot be read."""

    @property
    def epochs(self) -> int:
        """Finished epochs that the trainer has written down."""
        history = self.summary.get("history")
        return len(history) if isinstance(history, list) else 0

    @property
    def state(self) -> str:
        """How the run stands in the trainer's words: running, stopped, finished, diverged, …"""
        return clean(str(self.summary.get("state", "")), 100)


def read(cluster: Cluster, manifest: Object, experiment: str, patience: float | None = None) -> list[RunDirectory]:
    """Returns the run directories of `experiment`; `manifest` is an Experiment whose trials mount the claim.

    Raises ClusterError.
    """
    place = _place(experiment)
    body = job(manifest, f"read-{experiment}-", ["python", "-c", READ_SCRIPT, place], read_only=True)
    what = f"run directories of '{experiment}' could not be read"
    text = _run(cluster, body, what, PATIENCE if patience is None else patience, printed=True)
    return directories(text, what)


def remove(cluster: Cluster, manifest: Object, experiment: str, patience: float | None = None) -> None:
    """Removes the run directories of `experiment` from the runs claim.

    Raises ClusterError where they are still there.
    """
    command = ["rm", "-rf", "--one-file-system", _place(experiment)]
    body = job(manifest, f"clean-{experiment}-", command, read_only=False)
    what = f"run directories of '{experiment}' are still there"
    _run(cluster, body, what, PATIENCE if patience is None else patience)


def _place(experiment: str) -> str:
    """Their folder. Raises ClusterError for a name that no experiment can have, such as one that leaves the folder."""
    if not _NAME.fullmatch(experiment):
        raise ClusterError(f"'{experiment}' is no name of an experiment (lower-case letters, digits and -)")
    return f"{RUNS}/{experiment}"


def directories(text: str, what: str) -> list[RunDirectory]:
    """Returns what READ_SCRIPT printed.

    Raises ClusterError that begins with `what` where that is damaged or not whole.
    """
    *lines, last = text.splitlines() or [""]
    try:
        found = [parse_json(_unpacked(base64.b64decode(line, validate=True))) for line in lines]
        made = [
            RunDirectory(_name(item["trial"]), int(item["bytes"]), _mapping(item["summary"]), clean(item["problem"]))
            for item in found
        ]
    except (ValueError, KeyError, TypeError, OverflowError, zlib.error) as error:
        why = clean((str(error).splitlines() or [type(error).__name__])[0])
        raise ClusterError(f"{what}: the log of the job that read them is damaged ({why})") from None
    if last != f"{len(made)} directories":
        raise ClusterError(f"{what}: the log of the job that read them is not whole")
    return made


def _name(found: object) -> str:
    """Returns the name of a run directory, which is its trial's. Raises ValueError for one that no trial has."""
    if not isinstance(found, str) or not is_name(found):
        raise ValueError("a directory has a name that no trial has")
    return found


def _unpacked(data: bytes) -> bytes:
    """Returns what was compressed, up to a little more than a summary may have: the image of the trials may print what
    it likes.
    """
    unpacker = zlib.decompressobj()
    found = unpacker.decompress(data, SUMMARY_BYTES + (1 << 16))
    if not unpacker.eof:
        raise ValueError("a directory is described in too many bytes")
    return found


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def job(manifest: Object, name: str, command: Sequence[str], *, read_only: bool) -> Object:
    """Returns a Job in a trial's place, with no more rights than looking at files needs.

    What training alone needs is left out: data, shared memory, environment, GPUs, hooks; and what no Job of ours needs,
    whoever wrote the manifest: an account's token, the node's namespaces, other containers.
    """
    trial = manifest["spec"]["trialTemplate"]["trialSpec"]
    pod = trial["spec"]["template"]
    trainer = pod["spec"]["containers"][0]
    mounts = {mount["mountPath"]: mount["name"] for mount in trainer.get("volumeMounts") or []}
    if (volume := mounts.get(RUNS)) is None:
        raise ClusterError(f"the trials of '{manifest['metadata']['name']}' mount nothing at {RUNS}")
    user = {key: value for key, value in (trainer.get("securityContext") or {}).items() if key in _OF_USER}
    container = {key: trainer[key] for key in ("image", "imagePullPolicy") if key in trainer}
    container |= {
        "securityContext": user | _HARDENED,
        "name": "runs",
        "command": list(command),
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": volume, "mountPath": RUNS, **({"readOnly": True} if read_only else {})}],
    }
    spec = {key: pod["spec"][key] for key in _OF_PLACE if key in pod["spec"]}
    spec |= {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}} | (spec.get("securityContext") or {}),
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [item for item in pod["spec"]["volumes"] if item["name"] == volume],
        "terminationGracePeriodSeconds": 5,
    }
    labels = (trial.get("metadata") or {}).get("labels") or {}
    queue = {key: value for key, value in labels.items() if key.startswith(_OF_KUEUE)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": name, "labels": {OWNER_LABEL: MANAGER, **queue}},
        "spec": {
            "backoffLimit": 1,
            "ttlSecondsAfterFinished": 3600,
            "template": {
                "metadata": {
                    "labels": {OWNER_LABEL: MANAGER},
                    "annotations": (pod.get("metadata") or {}).get("annotations") or {},
                },
                "spec": spec,
            },
        },
    }


def _run(cluster: Cluster, body: Object, what: str, patience: float, *, printed: bool = False) -> str:
    """Returns what the Job printed, where that is wanted; it is deleted, whatever came of it.

    Raises ClusterError that begins with `what`.
    """
    made = cluster.create(JOB, body)
    name, uid = made["metadata"]["name"], made["metadata"]["uid"]
    try:
        ended = _ended(cluster, name, patience)
        found = cluster.list(POD, f"batch.kubernetes.io/job-name={name}")
        pods = [read_pod(pod) for pod in sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))]
        if not ended.finished:
            reason = why_waiting(ended, pods) or "its pod runs"
            raise ClusterError(f"{what}: job '{name}' has not ended after {patience:.0f} s ({reason})")
        if not ended.reason and not printed:
            return ""
        try:
            text = cluster.log(pods[-1].name, pods[-1].containers[0], LOG_BYTES) if pods else ""
        except ClusterError as error:
            reason = f"failed ({ended.reason}), and its log" if ended.reason else "has a log that"
            raise ClusterError(f"{what}: job '{name}' {reason} cannot be read: {error}") from None
        if ended.reason:
            said = next((line for line in reversed(text.splitlines()) if line.strip()), ended.reason)
            raise ClusterError(f"{what}: job '{name}' failed: {said}")
        return text
    finally:
        with suppress(AbsentError):
            cluster.delete(JOB, name, uid)


def _ended(cluster: Cluster, name: str, patience: float) -> Job:
    """Returns the Job, once it has ended or `patience` is over."""
    end = time.monotonic() + patience
    with Informer(cluster, {JOB: OURS}) as informer:
        while True:
            informer.wait(max(0.1, min(10.0, end - time.monotonic())))
            late = time.monotonic() > end
            jobs = map(read_job, informer.objects()[JOB])
            found = next((item for item in jobs if item.name == name), None)
            if found is not None and (found.finished or late):
                return found
            if late:
                raise informer.problem or ClusterError(f"job '{name}' is not there any more")
