"""Derives an OptimizationJob of Kubeflow Trainer (trainer.kubeflow.org/v1alpha1) from an Experiment. Pure: no I/O.

Its first version (kubeflow/trainer, optimizationjob_types.go and KEP-2605) searches at random or on a grid, stops
nothing early, and hands a trial its values as variables KUBEFLOW_TRAINER_OPT_NAME. What of the Experiment has no place
in it becomes an annotation, from which the check of manifests says what is lost.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation

from katib.errors import ManifestError
from katib.tree import Tree, at, items_at, labels_at, named_at, text_at, texts_at, without

API_VERSION, KIND = "trainer.kubeflow.org/v1alpha1", "OptimizationJob"
LOST = "lost.sepsweep/"
"""The prefix of an annotation whose name is what is lost, and whose text is what it was."""
MOST = 100
"""The most trials, parameters and choices."""
LONGEST_CHOICE = 64
RUNTIME = "torch-distributed"
"""The runtime of Kubeflow Trainer's own installation; its container is called `node`, and so is the Job."""
NODE = "node"
VALUE, TRIAL = "KUBEFLOW_TRAINER_OPT_", "SEPSWEEP_TRIAL"
TRIAL_LABEL = "jobset.sigs.k8s.io/jobset-name"
"""The label of a pod that has its TrainJob's name."""
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
"""The numbers that the type takes as a bound."""
_OWN = "katib.kubeflow.org/"
_OF_POD = ("serviceAccountName", "imagePullSecrets", "securityContext", "nodeSelector", "affinity", "tolerations")
_PATCHED = (*_OF_POD, "terminationGracePeriodSeconds", "volumes")
_OF_CONTAINER = ("volumeMounts", "securityContext")
_TAKEN = (*_OF_CONTAINER, "name", "image", "command", "env", "resources")


def optimization_job(experiment: Tree) -> Tree:
    """Returns the OptimizationJob of a rendered Experiment.

    Raises ManifestError where the type cannot hold it: more than MOST trials, parameters or choices.
    """
    spec, job = at(experiment, "spec"), at(experiment, "spec", "trialTemplate", "trialSpec")
    trials = _count(spec, "maxTrialCount")
    parameters = [_parameter(item) for item in items_at(spec, "parameters")]
    if len(parameters) > MOST:
        raise ManifestError(f"parameters: {len(parameters)}; an {KIND} has {MOST} at most")
    about = at(experiment, "metadata")
    metadata: dict[str, object] = {key: about[key] for key in ("name", "namespace", "labels") if key in about}
    lost = {f"{LOST}{name}": text for name, text in _lost(experiment)}
    metadata["annotations"] = labels_at(about, "annotations") | lost
    objective = at(spec, "objective")
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": metadata,
        "spec": {
            "objectives": [
                {
                    "metric": text_at(objective, "objectiveMetricName"),
                    "direction": text_at(objective, "type").capitalize(),
                }
            ],
            "searchAlgorithm": _algorithm(spec),
            "parameters": parameters,
            "numTrials": trials,
            "parallelTrials": min(_count(spec, "parallelTrialCount"), trials),
            "trainJobTemplate": _template(job, _words(spec)),
        },
    }


def _count(spec: Tree, key: str) -> int:
    number = spec.get(key)
    if not isinstance(number, int) or not 1 <= number <= MOST:
        raise ManifestError(f"{key}: {number or 'is missing'}; an {KIND} has 1 to {MOST}; give another with TRIALS=")
    return number


def _algorithm(spec: Tree) -> Tree:
    """Returns grid for grid, and else random with the search's seed."""
    if text_at(spec, "algorithm", "algorithmName") == "grid":
        return {"grid": {}}
    seed = named_at(spec, "algorithm", "algorithmSettings").get("random_state", "")
    return {"random": {"seed": int(seed)} if seed.isdecimal() else {}}


def _parameter(parameter: Tree) -> Tree:
    name, space = text_at(parameter, "name"), at(parameter, "feasibleSpace")
    choices = texts_at(space, "list")
    if choices:
        if len(choices) > MOST or any(len(choice) > LONGEST_CHOICE for choice in choices):
            raise ManifestError(
                f"parameter '{name}': an {KIND} has {MOST} choices of {LONGEST_CHOICE} characters at most"
            )
        return {"name": name, "searchSpace": {"categorical": {"choices": choices}}}
    whole = text_at(parameter, "parameterType") == "int"
    kind = "logUniform" if text_at(space, "distribution").startswith("log") else "uniform"
    bounds = {key: _number(text_at(space, key)) for key in ("min", "max")}
    return {"name": name, "searchSpace": {kind: bounds | {"type": "Int" if whole else "Float"}}}


def _number(text: str) -> str:
    """Returns a number as the type takes it: 0.5 for .5, 1 for +1."""
    if NUMBER.fullmatch(text):
        return text
    try:
        return format(Decimal(text), "f")
    except InvalidOperation:
        return text


def _words(spec: Tree) -> Mapping[str, str]:
    """Returns what stands for each of the template's placeholders: variables, which Kubernetes fills in."""
    references = named_at(spec, "trialTemplate", "trialParameters", of="reference")
    return {
        f"${{trialParameters.{name}}}": f"$({TRIAL if '${' in reference else variable(reference)})"
        for name, reference in references.items()
    }


def variable(parameter: str) -> str:
    """Returns the variable that has the value of a parameter."""
    return VALUE + re.sub(r"\W", "_", parameter).upper()


def _template(job: Tree, words: Mapping[str, str]) -> Tree:
    """Returns the TrainJob of a trial: what its trainer has a key for, and the rest as a patch of the runtime's pod."""
    pod, about = at(job, "spec", "template", "spec"), at(job, "spec", "template", "metadata")
    (container, *_) = items_at(pod, "containers") or [{}]
    trial = {"name": TRIAL, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{TRIAL_LABEL}']"}}}
    env = [item for item in items_at(container, "env") if "fieldRef" not in at(item, "valueFrom")]
    patched = {key: pod[key] for key in _PATCHED if key in pod}
    patched["containers"] = [{"name": NODE, **{key: container[key] for key in _OF_CONTAINER if key in container}}]
    metadata = {key: about[key] for key in ("labels", "annotations") if key in about}
    labels = {key: text for key, text in labels_at(job, "metadata", "labels").items() if not key.startswith(_OWN)}
    job_patch = {"name": NODE, "template": {"spec": {"template": {"metadata": metadata, "spec": patched}}}}
    deadline = at(job, "spec").get("activeDeadlineSeconds")
    return {
        "metadata": {"labels": labels},
        "spec": {
            "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "ClusterTrainingRuntime", "name": RUNTIME},
            **({"activeDeadlineSeconds": deadline} if deadline else {}),
            "trainer": {
                "numNodes": 1,
                "image": text_at(container, "image"),
                "command": [_filled(word, words) for word in texts_at(container, "command")],
                "env": [trial, *env],
                "resourcesPerNode": at(container, "resources"),
            },
            "runtimePatches": [
                {
                    "manager": "sepsweep",
                    "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": [job_patch]}}},
                }
            ],
        },
    }


def _filled(word: str, words: Mapping[str, str]) -> str:
    for placeholder, text in words.items():
        word = word.replace(placeholder, text)
    return word


def _lost(experiment: Tree) -> Iterator[tuple[str, str]]:
    """Yields what the OptimizationJob has no place for, and what it was."""
    spec, job = at(experiment, "spec"), at(experiment, "spec", "trialTemplate", "trialSpec", "spec")
    algorithm = text_at(spec, "algorithm", "algorithmName")
    if algorithm not in ("random", "grid"):
        yield "algorithm", algorithm
    elif others := [name for name in named_at(spec, "algorithm", "algorithmSettings") if name != "random_state"]:
        yield "algorithm-settings", " ".join(others)
    if rule := text_at(spec, "earlyStopping", "algorithmName"):
        yield "early-stopping", rule
    if "maxFailedTrialCount" in spec:
        yield "max-failed-trials", str(spec["maxFailedTrialCount"])
    for parameter in items_at(spec, "parameters"):
        space, name = at(parameter, "feasibleSpace"), text_at(parameter, "name")
        if "step" in space and not (space["step"] == "1" and parameter.get("parameterType") == "int"):
            yield f"step-of-{name}", str(space["step"])
        if "ormal" in text_at(space, "distribution"):
            yield f"distribution-of-{name}", text_at(space, "distribution")
        if parameter.get("parameterType") == "discrete":
            yield f"order-of-{name}", "discrete"
    rules = ("backoffLimit", "podFailurePolicy", "podReplacementPolicy", "ttlSecondsAfterFinished")
    if kept := [key for key in rules if key in job]:
        yield "job", " ".join(kept)
    pod = at(job, "template", "spec")
    (container, *_) = items_at(pod, "containers") or [{}]
    left = [key for key in without(pod, *_PATCHED, "containers") if key != "restartPolicy"]
    left += list(without(container, *_TAKEN))
    left += [text_at(item, "name") for item in items_at(container, "env") if "fieldRef" in at(item, "valueFrom")]
    if left:
        yield "pod", " ".join(left)
