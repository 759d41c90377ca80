"""The environment of a trial, against what the kubelet and Katib's webhook make of the same manifest."""

import platform
from typing import Any

import pytest

from katib.backend.local.variables import unset, variables
from katib.errors import ManifestError
from katib.manifest.experiment import Experiment, TrialPod, load_experiment
from tests.katib.backend.local.rig import as_text, job, pod, script


def trial(env: list[dict[str, Any]], **container: Any) -> tuple[TrialPod, Experiment]:
    search = script("echo $X", values=("1",))
    search["metadata"] |= {"namespace": "sweeps", "labels": {"team": "audio", "over": "experiment"}}
    search["spec"]["trialTemplate"]["trialSpec"]["metadata"] = {"labels": {"of-the-job": "1"}}
    labels = {"over": "pod", "x": "${trialParameters.x}"}
    job(search)["template"]["metadata"] = {"labels": labels, "annotations": {"example.org/a": "b c"}}
    pod(search)["containers"][0] |= {"env": env, **container}
    experiment = load_experiment(as_text(search), "test")
    return experiment.trial("test-abcd1234", {"x": "7"}), experiment


def field(path: str) -> dict[str, Any]:
    return {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": path}}}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.namespace", "sweeps"), ("metadata.name", "test-abcd1234-local"), ("spec.serviceAccountName", "default"),
        ("spec.nodeName", platform.node()), ("status.podIPs", "127.0.0.1"), ("status.hostIP", "127.0.0.1"),
        ("status.hostIPs", "127.0.0.1"), ("metadata.labels['batch.kubernetes.io/job-name']", "test-abcd1234"),
        ("status.podIP", "127.0.0.1"), ("metadata.labels['x']", "7"), ("metadata.annotations['example.org/a']", "b c"),
        ("metadata.labels['katib.kubeflow.org/trial']", "test-abcd1234"),
        ("metadata.labels['katib.kubeflow.org/experiment']", "test"), ("metadata.labels['over']", "experiment"),
        ("metadata.labels['job-name']", "test-abcd1234"), ("metadata.labels['team']", "audio"),
        ("metadata.labels['of-the-job']", ""), ("metadata.annotations['none']", ""),
    ],
)  # fmt: skip
def test_a_field_of_the_pod_is_what_kubernetes_answers(path: str, value: str) -> None:
    """The webhook puts the trial's labels, which are the experiment's, over the template's (pod/utils.go,
    mutatePodMetadata; controller.v1beta1/util/labels.go); a key that is not there is empty (k8s.io/kubernetes,
    pkg/fieldpath).
    """
    assert variables(*trial([field(path)]), {})["F"] == value


def test_a_variable_may_refer_to_those_before_it_alone() -> None:
    env = [
        {"name": "A", "value": "$(B)"}, {"name": "B", "value": "2"}, {"name": "C", "value": "$(B)$(K)$(F)$$(B)"},
        field("metadata.namespace"), {"name": "D", "value": "$(F)"}, {"name": "E"}, {"name": "B", "value": "3$(B)"},
        {"name": "a.b", "value": "$(C)"},
    ]  # fmt: skip
    found = variables(*trial(env), {"K": "k", "E": "user's"})
    assert found == {
        "A": "$(B)", "B": "32", "C": "2$(K)$(F)$(B)", "F": "sweeps", "D": "sweeps", "E": "", "a.b": "2$(K)$(F)$(B)",
        "KATIB_TRIAL_NAME": "test-abcd1234",
    }  # fmt: skip


def test_a_field_is_taken_as_it_is() -> None:
    """The kubelet puts variables into a value, and not into what it reads off the pod."""
    env = [{"name": "X", "value": "1"}, field("metadata.annotations['example.org/a']")]
    made, experiment = trial(env)
    made.template.metadata.annotations["example.org/a"] = "$(X)"
    assert variables(made, experiment, {})["F"] == "$(X)"


@pytest.mark.parametrize("kind", ["secretKeyRef", "configMapKeyRef"])
def test_a_value_that_a_cluster_holds_is_the_users_or_unset_or_refused(kind: str) -> None:
    def env(**more: bool) -> list[dict[str, Any]]:
        return [{"name": "TOKEN", "valueFrom": {kind: {"name": "keys", "key": "token", **more}}}]

    assert variables(*trial(env()), {"TOKEN": "mine"})["TOKEN"] == "mine"
    assert "TOKEN" not in variables(*trial(env(optional=True)), {})
    assert list(unset(*trial(env(optional=True)), {})) == ["TOKEN is left unset: it is in a cluster, and optional"]
    assert list(unset(*trial(env(optional=True)), {"TOKEN": "mine"})) == []
    key = {"name": "WANDB_API_KEY", "valueFrom": {kind: {"name": "keys", "key": "token", "optional": True}}}
    assert list(unset(*trial([key]), {})) == []
    word = "Secret" if kind == "secretKeyRef" else "ConfigMap"
    with pytest.raises(ManifestError, match=f"test: env TOKEN: its value is in the {word} 'keys' of a cluster"):
        variables(*trial(env()), {})


@pytest.mark.parametrize(("kind", "word"), [("secretRef", "Secret"), ("configMapRef", "ConfigMap")])
def test_variables_that_a_cluster_holds_are_unset_or_refused(kind: str, word: str) -> None:
    optional = trial([], envFrom=[{kind: {"name": "all", "optional": True}}])
    assert set(variables(*optional, {})) == {"KATIB_TRIAL_NAME"}
    assert list(unset(*optional, {})) == [f"the variables of the {word} 'all' are left unset (envFrom)"]
    with pytest.raises(ManifestError, match=f"envFrom: the variables of the {word} 'all' are in a cluster"):
        variables(*trial([], envFrom=[{kind: {"name": "all"}}]), {})


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "env F: resourceFieldRef is unknown here"),
        ({"fieldRef": {"fieldPath": "metadata.uid"}}, "env F: fieldRef metadata.uid is unknown here"),
    ],
)
def test_what_nobody_knows_here_is_refused_by_name(source: dict[str, Any], problem: str) -> None:
    with pytest.raises(ManifestError, match=problem):
        variables(*trial([{"name": "F", "valueFrom": source}]), {})
