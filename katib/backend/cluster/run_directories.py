"""Reads and removes the run directories of an experiment on the runs claim, with a Job that mounts the claim.

The Job's pod is a trial's pod with another command and without the GPU, so that it can start wherever trials can: it
has the trial's image, pull secrets, node selector, tolerations, priority, security contexts and queue.
"""

import base64
import re
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from katib.backend.cluster.answers import AbsentError
from katib.backend.cluster.causes import why_waiting
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.informer import Informer
from katib.backend.cluster.kinds import JOB, MANAGER, OURS, OWNER_LABEL, POD, Object, name_of
from katib.backend.cluster.model import Job, read_job
from katib.backend.cluster.pod import read_pod
from katib.errors import ClusterError
from katib.manifest.object import Manifest
from katib.trainer_contract import RUNS
from katib.tree import Tree, at, items_at, labels_at, text_at
from katib.untrusted import clean, is_name, parse_json

TIMEOUT_SECONDS = 300.0
"""How long such a Job may take; the node may have to pull the trainer's image first."""
LOG_BYTES = 64 << 20
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_KUEUE = "kueue.x-k8s.io/"
_SCHEDULING = (
    *("imagePullSecrets", "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints"),
    *("priorityClassName", "schedulerName", "runtimeClassName", "securityContext"),
)
"""The fields of a trial's pod that decide where such a Job can run, and as which user."""
_USER = ("runAsUser", "runAsGroup", "runAsNonRoot", "seLinuxOptions")
_HARDENED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
SUMMARY_BYTES = 16 << 20
"""The largest summary of a directory that is read; one of 10 000 epochs has 4 MB."""
READ_SCRIPT = (
    f"MOST = {SUMMARY_BYTES}\n"
    + """\
import base64, json, os, stat, sys, zlib
root = sys.argv[1]
entries = os.scandir(root) if os.path.isdir(root) else ()
names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
for name in names:
    files = [os.path.join(folder, file) for folder, _, files in os.walk(os.path.join(root, name)) for file in files]
    try:
        path = os.path.join(root, name, "summary.json")
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST:
            raise ValueError("summary.json is no file of at most %d bytes" % MOST)
        with open(path) as file:
            summary, problem = json.load(file), ""
    except FileNotFoundError:
        summary, problem = {}, ""
    except (OSError, ValueError, RecursionError) as error:
        summary, problem = {}, str(error)
    size = sum(os.lstat(file).st_size for file in files if os.path.lexists(file))
    directory = {"trial": name, "bytes": size, "summary": summary, "problem": problem}
    print(base64.b64encode(zlib.compress(json.dumps(directory).encode())).decode())
print(len(names), "directories")
"""
)
"""Prints one line per directory, compressed since a kubelet keeps 10 MiB of a log, and finally their number."""


@dataclass(frozen=True)
class RunDirectory:
    """A run directory."""

    trial: str
    bytes: int
    summary: Tree
    """The trainer's summary of the run; empty before its first epoch has ended."""
    problem: str = ""
    """Why the summary cannot be read; empty where it can."""

    @property
    def epochs(self) -> int:
        """The number of finished epochs that the trainer has recorded."""
        history = self.summary.get("history")
        return len(history) if isinstance(history, list) else 0

    @property
    def state(self) -> str:
        """The state of the run according to the trainer: for example running, stopped, finished or diverged."""
        return clean(str(self.summary.get("state", "")), 100)


def read(cluster: Cluster, manifest: Object, experiment: str) -> list[RunDirectory]:
    """Returns the run directories of `experiment`; `manifest` is an Experiment whose trials mount the claim.

    Raises ClusterError where they cannot be read.
    """
    body = job(manifest, f"read-{experiment}-", ["python", "-c", READ_SCRIPT, folder_of(experiment)], read_only=True)
    failure = f"run directories of '{experiment}' could not be read"
    output = _run(cluster, body, failure, printed=True)
    return directories(output, failure)


def remove(cluster: Cluster, manifest: Object, experiment: str) -> None:
    """Removes the run directories of `experiment` from the runs claim. Raises ClusterError where that fails."""
    command = ["rm", "-rf", "--one-file-system", folder_of(experiment)]
    body = job(manifest, f"clean-{experiment}-", command, read_only=False)
    failure = f"run directories of '{experiment}' were not removed"
    _run(cluster, body, failure)


def folder_of(experiment: str) -> str:
    """Returns the folder of the run directories.

    Raises ClusterError for a name that no experiment can have, such as one that leads out of the folder.
    """
    if not _NAME.fullmatch(experiment):
        raise ClusterError(f"'{experiment}' is no name of an experiment (lower-case letters, digits and -)")
    return f"{RUNS}/{experiment}"


def directories(output: str, failure: str) -> list[RunDirectory]:
    """Returns the run directories from the output of READ_SCRIPT.

    Raises ClusterError that begins with `failure` where the output is damaged or not complete.
    """
    *lines, last = output.splitlines() or [""]
    try:
        read = [_directory(line) for line in lines]
    except (ValueError, KeyError, TypeError, OverflowError, zlib.error) as error:
        reason = clean((str(error).splitlines() or [type(error).__name__])[0])
        raise ClusterError(f"{failure}: the log of the job that read them is damaged ({reason})") from None
    if last != f"{len(read)} directories":
        raise ClusterError(f"{failure}: the log of the job that read them is not complete")
    return read


def _directory(line: str) -> RunDirectory:
    """Returns the run directory that one line of READ_SCRIPT's output describes. Raises ValueError and its like."""
    described = parse_json(_unpacked(base64.b64decode(line, validate=True)))
    name = described["trial"]
    if not isinstance(name, str) or not is_name(name):
        raise ValueError("a directory has a name that no trial has")
    return RunDirectory(name, int(described["bytes"]), at(described, "summary"), clean(described["problem"]))


def _unpacked(data: bytes) -> bytes:
    """Returns the decompressed data.

    Raises ValueError where it is much larger than a summary may be, since the trials' image may print anything.
    """
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(data, SUMMARY_BYTES + (1 << 16))
    if not unpacker.eof:
        raise ValueError("a directory is described in too many bytes")
    return unpacked


def job(manifest: Object, name: str, command: Sequence[str], *, read_only: bool, mount: str = RUNS) -> Object:
    """Returns a Job that runs `command` where a trial would run, with what it mounts at `mount` and no rights.

    It lacks what only training needs (data, shared memory, environment, GPUs, hooks) and what no Job of ours needs,
    whoever wrote the manifest: an account's token, the node's namespaces, other containers.
    """
    experiment = Manifest.of(manifest)
    trainer, pod, template = experiment.container, experiment.pod, at(experiment.job, "spec", "template")
    mounts = {text_at(mount, "mountPath"): text_at(mount, "name") for mount in items_at(trainer, "volumeMounts")}
    if (volume := mounts.get(mount)) is None:
        raise ClusterError(f"the trials of '{experiment.name}' mount nothing at {mount}")
    mounted: Tree = {"name": volume, "mountPath": mount, **({"readOnly": True} if read_only else {})}
    spec: Object = {key: pod[key] for key in _SCHEDULING if key in pod}
    spec |= {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, **at(pod, "securityContext")},
        "restartPolicy": "Never",
        "containers": [_container(trainer, command, mounted)],
        "volumes": [
            item if read_only else _writable(item)
            for item in items_at(pod, "volumes")
            if text_at(item, "name") == volume
        ],
        "terminationGracePeriodSeconds": 5,
    }
    labels = labels_at(experiment.job, "metadata", "labels")
    queue = {key: value for key, value in labels.items() if key.startswith(_KUEUE)}
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
                    "annotations": labels_at(template, "metadata", "annotations"),
                },
                "spec": spec,
            },
        },
    }


def _container(trainer: Tree, command: Sequence[str], mounted: Tree) -> Tree:
    """Returns the container that runs `command` in the trainer's image, as its user."""
    user = {key: value for key, value in at(trainer, "securityContext").items() if key in _USER}
    return {
        **{key: trainer[key] for key in ("image", "imagePullPolicy") if key in trainer},
        "securityContext": user | _HARDENED,
        "name": "runs",
        "command": list(command),
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [mounted],
    }


def _writable(volume: Tree) -> Tree:
    """Returns a volume whose claim may be written, which the trials' corpus is not."""
    claim = {key: value for key, value in at(volume, "persistentVolumeClaim").items() if key != "readOnly"}
    return {**volume, **({"persistentVolumeClaim": claim} if claim else {})}


def _run(cluster: Cluster, body: Object, failure: str, *, printed: bool = False) -> str:
    """Runs the Job, deletes it in any case, and returns its output where it is to be `printed`.

    Raises ClusterError that begins with `failure`.
    """
    created = cluster.create(JOB, body)
    name, uid = name_of(created), created["metadata"]["uid"]
    try:
        ended = _ended(cluster, name)
        objects = cluster.list(POD, f"batch.kubernetes.io/job-name={name}")
        pods = [read_pod(pod) for pod in sorted(objects, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))]
        if not ended.finished:
            reason = why_waiting(ended, pods) or "its pod runs"
            raise ClusterError(f"{failure}: job '{name}' has not ended after {TIMEOUT_SECONDS:.0f} s ({reason})")
        if not ended.reason and not printed:
            return ""
        try:
            output = cluster.log(pods[-1].name, pods[-1].containers[0], LOG_BYTES) if pods else ""
        except ClusterError as error:
            reason = f"failed ({ended.reason}), and its log" if ended.reason else "has a log that"
            raise ClusterError(f"{failure}: job '{name}' {reason} cannot be read: {error}") from None
        if ended.reason:
            last_line = next((line for line in reversed(output.splitlines()) if line.strip()), ended.reason)
            raise ClusterError(f"{failure}: job '{name}' failed: {last_line}")
        return output
    finally:
        with suppress(AbsentError):
            cluster.delete(JOB, name, uid)


def _ended(cluster: Cluster, name: str) -> Job:
    """Returns the Job once it has ended, or after TIMEOUT_SECONDS."""
    end = time.monotonic() + TIMEOUT_SECONDS
    with Informer(cluster, {JOB: OURS}) as informer:
        while True:
            informer.wait(max(0.1, min(10.0, end - time.monotonic())))
            late = time.monotonic() > end
            job = next((job for job in map(read_job, informer.objects()[JOB]) if job.name == name), None)
            if job is not None and (job.finished or late):
                return job
            if late:
                raise informer.problem or ClusterError(f"job '{name}' no longer exists")
