"""Computes the environment of a trial's container: values of the manifest, fields of the pod, values of a cluster.

Kubernetes takes the value of a fieldRef from the pod (k8s.io/kubernetes, pkg/fieldpath; a missing label or annotation
is empty). The values of Secrets and ConfigMaps exist only in the cluster; a variable of the same name in the user's
environment replaces them.
"""

import platform
import re
from collections.abc import Iterator, Mapping

from katib.errors import ManifestError, nearest
from katib.manifest.command import expand
from katib.manifest.experiment import Experiment, TrialPod
from katib.site import TRACKED_VARIABLES
from katib.tree import Tree, at

TRIAL_NAME = "KATIB_TRIAL_NAME"
"""The variable that Katib's webhook appends (pod/utils.go, mutatePodEnv)."""
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")
_KINDS = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}
_SOURCES = {"configMapRef": "ConfigMap", "secretRef": "Secret"}


def variables(pod: TrialPod, experiment: Experiment, given: Mapping[str, str]) -> dict[str, str]:
    """Returns the container's variables; each may refer to those before it. `given` is the user's own environment.

    Raises ManifestError, with its name, for a variable that only a cluster has. An optional one stays unset, as in a
    cluster that lacks the Secret or ConfigMap.
    """
    values: dict[str, str] = {}
    for source in pod.container.env_from:
        _check_source(source, experiment)
    for variable in pod.container.env:
        if not variable.value_from:
            values[variable.name] = expand(variable.value, values)
        elif (value := _from(variable.name, variable.value_from, pod, experiment, given)) is not None:
            values[variable.name] = value
    return values | {TRIAL_NAME: pod.name}


def fields(pod: TrialPod, experiment: Experiment) -> dict[str, str]:
    """Returns the fields of a trial's pod that a fieldRef can name, except labels and annotations.

    Here a pod is a process, whose addresses are those of the loopback interface.
    """
    addresses = dict.fromkeys(("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"), "127.0.0.1")
    return addresses | {
        "metadata.name": f"{pod.name}-local",
        "metadata.namespace": experiment.namespace,
        "spec.nodeName": platform.node(),
        "spec.serviceAccountName": pod.template.spec.service_account_name or "default",
    }


def labels(pod: TrialPod, experiment: Experiment) -> dict[str, str]:
    """Returns the labels of a trial's pod: those of the template, the Job and the trial, which has the experiment's."""
    return {
        **dict.fromkeys(("job-name", "batch.kubernetes.io/job-name"), pod.name),
        **pod.template.metadata.labels,
        **experiment.labels,
        "katib.kubeflow.org/experiment": experiment.name,
        "katib.kubeflow.org/trial": pod.name,
    }


def unset(pod: TrialPod, experiment: Experiment, given: Mapping[str, str]) -> Iterator[str]:
    """Yields the variables that stay unset, because they are optional and only a cluster has them, one line each.

    W&B's are none of them: without a key nothing is reported to it, as anywhere.
    """
    for source in pod.container.env_from:
        for key, kind in _SOURCES.items():
            if held := at(source, key):
                yield f"the variables of the {kind} '{held.get('name')}' are left unset (envFrom)"
    values = variables(pod, experiment, given)
    for variable in pod.container.env:
        if variable.name not in values and variable.name not in TRACKED_VARIABLES:
            yield f"{variable.name} is left unset: it is in a cluster, and optional"


def _from(name: str, source: Tree, pod: TrialPod, experiment: Experiment, given: Mapping[str, str]) -> str | None:
    """Returns the value of a variable with a valueFrom; None where it stays unset."""
    where = f"{experiment.name}: env {name}"
    if field := at(source, "fieldRef"):
        return _field(str(field.get("fieldPath")), where, pod, experiment)
    for key, kind in _KINDS.items():
        if held := at(source, key):
            if name in given:
                return given[name]
            if held.get("optional"):
                return None
            raise ManifestError(
                f"{where}: its value is in the {kind} '{held.get('name')}' of a cluster; set {name} in your"
                " environment, or write its value in the manifest"
            )
    raise ManifestError(f"{where}: {next(iter(source))} is unknown here; write its value in the manifest")


def _field(path: str, where: str, pod: TrialPod, experiment: Experiment) -> str:
    if keyed := _KEYED.fullmatch(path):
        kind, key = keyed.groups()
        texts = labels(pod, experiment) if kind == "labels" else pod.template.metadata.annotations
        return texts.get(key, "")
    values = fields(pod, experiment)
    if path not in values:
        raise ManifestError(
            f"{where}: fieldRef {path} is unknown here ({nearest(path, values)}); write its value in the manifest"
        )
    return values[path]


def _check_source(source: Tree, experiment: Experiment) -> None:
    for key, kind in _SOURCES.items():
        if (held := at(source, key)) and not held.get("optional"):
            raise ManifestError(
                f"{experiment.name}: envFrom: the variables of the {kind} '{held.get('name')}' are in a cluster; write"
                " them as env, or mark it optional: true and set them in your environment"
            )
