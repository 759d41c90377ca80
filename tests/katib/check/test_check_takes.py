"""What must not be found: commands, filters, spaces and templates that are sound though they look unusual."""

import pytest

from katib.check import check_text
from tests.katib.check.manifests import DROP, Changes, algorithm, collector, found, spoiled, words

SCRIPT = " ".join(words("python", "train.py"))
SOUND: dict[str, Changes] = {
    "script behind sh -c": {"TRAINER.command": ["sh", "-c", SCRIPT]},
    "script behind bash -c, in args": {"TRAINER.command": ["bash", "-c"], "TRAINER.args": [SCRIPT]},
    "script with quotes and a continued line": {
        "TRAINER.command": ["sh", "-c", f'python train.py --note "a; b && c" \\\n {SCRIPT}']
    },
    "script file run by a shell": {"TRAINER.command": words("bash", "run.sh")},
    "variable that the kubelet fills in": {"TRAINER.command[4]": "$(HOME)/x"},
    "words in args": {"TRAINER.command": ["python", "-m", "train"], "TRAINER.args": words()},
    "shell that nothing wraps": {
        **collector("Push"),
        "TRAINER.command": ["/bin/bash", "-c", SCRIPT],
    },
    "root container in a root pod": {"POD.securityContext": {}, "TRAINER.securityContext.runAsUser": 0},
    "uid of more than 32 bits": {"POD.securityContext.runAsUser": 3_000_000_000},
    "uid of both": {"TRAINER.securityContext.runAsUser": 1000},
    "cpu as a number": {"TRAINER.resources.requests.cpu": 8},
    "requests that Go writes otherwise": {"TRAINER.resources.requests.memory": "32768Mi"},
    "device of another vendor": {"TRAINER.resources.limits": {"amd.com/gpu": 1}},
    "empty mappings that Go keeps": {"POD.affinity": {}, "POD.dnsConfig": {}},
    "no early stopper and no retain": {"spec.earlyStopping": DROP, "TEMPLATE.retain": DROP},
    "parameter type int with a step under tpe": {
        **algorithm("tpe", gamma="0.25", n_EI_candidates="24"),
        "spec.parameters[2].parameterType": "int",
        "spec.parameters[2].feasibleSpace.step": "3",
    },
    "uniform within a decade": {"spec.parameters[3].feasibleSpace.max": "0.9"},
    "trial label as a reference": {
        "JOB.metadata": {"labels": {"team": "audio"}},
        "TEMPLATE.trialParameters[0].reference": "${trialSpec.Labels[team]}",
    },
    "file of JSON": collector("File", fileSystemPath={"path": "/m/a.json", "kind": "File", "format": "JSON"}),
    "event files": collector("TensorFlowEvent", fileSystemPath={"path": "/logs", "kind": "Directory"}),
    "filter after any text": {"FILTER[0]": r"(?:^|\s)(val_si_snr)=([-+]?\d+\.\d+)$"},
    "filter after a colon": {"FILTER[0]": r"^epoch \d+ (val_si_snr)[:=] ?([-+]?\d+\.\d+)"},
    "two filters": {"FILTER[1]": r"^(loss)=([\d.]+)$", "spec.objective.additionalMetricNames": ["loss"]},
    "minimised": {"spec.objective.type": "minimize", "spec.objective.metricStrategies": DROP},
    "goal of a whole number": {"spec.objective.goal": 12},
    "suspended in a queue": {
        "JOB.spec.suspend": True,
        "JOB.metadata": {"labels": {"kueue.x-k8s.io/queue-name": "gpus"}},
    },
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_thing_gives_no_finding(name: str) -> None:
    assert found(spoiled(SOUND[name])) == set()


def test_trial_of_another_kind_is_not_held_against_the_rules_of_a_job() -> None:
    """A PyTorchJob has its containers elsewhere; the template around it is checked all the same."""
    pod = {"containers": [{"name": "pytorch", "command": ["anything ${trialParameters.lr}"]}]}
    others = " ".join(
        f"${{trialParameters.{name}}}"
        for name in ("weight_decay", "grad_clip_norm", "lr_factor", "trialName")
    )
    job = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "spec": {"pytorchReplicas": {"Master": {"template": {"spec": pod}}}, "runPolicy": {"note": others}},
    }
    assert check_text(spoiled({"JOB": job}), "test") == []
    assert found(spoiled({"JOB": job | {"spec": {"note": others}}})) == {
        ("error", "trial-parameter-unused", "spec.trialTemplate.trialParameters[1].name")
    }
