"""The environment of a trial's container: what the manifest writes, what Kubernetes reads off the pod, what a cluster
holds.

Kubernetes answers a fieldRef from the pod (k8s.io/kubernetes, pkg/fieldpath; a label or annotation that is not there is
empty). The values of Secrets and ConfigMaps are in the cluster alone: where the user has a variable of that name, it
stands for them.
"""

import platform
import re
from collections.abc import Iterator, Mapping

from katib.errors import ManifestError, nearest
from katib.manifest.command import expand
from katib.manifest.experiment import Experiment, TrialPod
from katib.tree import Tree, at

TRIAL_NAME = "KATIB_TRIAL_NAME"
"""Katib's webhook adds it as the last variable (pod/utils.go, mutatePodEnv)."""
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")
_KINDS = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}
_SOURCES = {"configMapRef": "ConfigMap", "secretRef": "Secret"}


def variables(pod: TrialPod, experiment: Experiment, given: Mapping[str, str]) -> dict[str, str]:
    """Returns the container's variables; each may refer to those before it. `given` is the user's own environment.

    Raises ManifestError, with the variable's name, for one that only a cluster could fill in. One that is optional is
    left unset then, as a cluster leaves it that lacks the Secret or ConfigMap.
    """
    known: dict[str, str] = {}
    for source in pod.container.env_from:
        _check_source(source, experiment)
    for variable in pod.container.env:
        if not variable.value_from:
            known[variable.name] = expand(variable.value, known)
        elif (found := _from(variable.name, variable.value_from, pod, experiment, given)) is not None:
            known[variable.name] = found
    return known | {TRIAL_NAME: pod.name}


def fields(pod: TrialPod, experiment: Experiment) -> dict[str, str]:
    """Returns the fields of a trial's pod that a fieldRef can name, but for labels and annotations.

    A pod here is this machine's process, and so its addresses are those of the machine to itself.
    """
    here = dict.fromkeys(("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"), "127.0.0.1")
    return here | {
        "metadata.name": f"{pod.name}-local",
        "metadata.namespace": experiment.namespace,
        "spec.nodeName": platform.node(),
        "spec.serviceAccountName": pod.template.spec.service_account_name or "default",
    }


def labels(pod: TrialPod, experiment: Experiment) -> dict[str, str]:
    """Returns the labels of a trial's pod: the template's, its Job's, and those that Katib's webhook takes from the
    trial, which has the experiment's.
    """
    return {
        **dict.fromkeys(("job-name", "batch.kubernetes.io/job-name"), pod.name),
        **pod.template.metadata.labels,
        **experiment.labels,
        "katib.kubeflow.org/experiment": experiment.name,
        "katib.kubeflow.org/trial": pod.name,
    }


def unset(pod: TrialPod, experiment: Experiment, given: Mapping[str, str]) -> Iterator[str]:
    """Yields what of the environment is left unset because it is optional and only a cluster has it, in words."""
    for source in pod.container.env_from:
        for key, kind in _SOURCES.items():
            if held := at(source, key):
                yield f"the variables of the {kind} '{held.get('name')}' are left unset (envFrom)"
    found = variables(pod, experiment, given)
    for variable in pod.container.env:
        if variable.name not in found:
            yield f"{variable.name} is left unset: it is in a cluster, and optional"


def _from(name: str, source: Tree, pod: TrialPod, experiment: Experiment, given: Mapping[str, str]) -> str | None:
    """Returns the value of a variable with a valueFrom; None where it is left unset."""
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
                f"{where}: its value is in the {kind} '{held.get('name')}' of a cluster; set {name} in your environment, or"
                " write its value in the manifest"
            )
    raise ManifestError(f"{where}: {next(iter(source))} is not known here; write its value in the manifest")


def _field(path: str, where: str, pod: TrialPod, experiment: Experiment) -> str:
    if keyed := _KEYED.fullmatch(path):
        kind, key = keyed.groups()
        found = labels(pod, experiment) if kind == "labels" else pod.template.metadata.annotations
        return found.get(key, "")
    known = fields(pod, experiment)
    if path not in known:
        raise ManifestError(
            f"{where}: fieldRef {path} is not known here ({nearest(path, known)}); write its value in the manifest"
        )
    return known[path]


def _check_source(source: Tree, experiment: Experiment) -> None:
    for key, kind in _SOURCES.items():
        if (held := at(source, key)) and not held.get("optional"):
            raise ManifestError(
                f"{experiment.name}: envFrom: the variables of the {kind} '{held.get('name')}' are in a cluster; write them as"
                " env, or mark it optional: true and set them in your environment"
            )
