"""Checks changed manifests of every shape in Katib's documentation, and damaged texts: no trace, and none above 2 s.

python -m benchmarks.robustness.manifests [--changed 10000] [--damaged 2000] [--seed 0]

Whatever the check accepts is then read as `local` reads it, without a trial: it must be read, or refused because only a
cluster can run it. Prints the counts, the slowest input (processor seconds), and every disagreement. The same seed
makes the same manifests.
"""

import argparse
import copy
import json
import time
from collections import Counter
from random import Random
from typing import Any

from benchmarks.robustness.fuzz_mutations import content, document
from katib.check.manifest import check_text
from katib.errors import ManifestError
from katib.manifest.experiment import load_experiment
from katib.search.sampler import sampler
from katib.search.stop_rules import stop_rule

LIMIT = 2.0
Object = dict[str, Any]

SETTINGS: dict[str, Object] = {
    "random": {"random_state": "1"},
    "grid": {},
    "bayesianoptimization": {"n_initial_points": "3", "acq_func": "EI"},
    "tpe": {"gamma": "0.3", "n_EI_candidates": "12"},
    "multivariate-tpe": {"n_startup_trials": "4"},
    "cmaes": {"restart_strategy": "ipop"},
    "sobol": {},
    "hyperband": {"r_l": "9", "eta": "3", "resource_name": "depth"},
    "pbt": {"suggestion_trial_dir": "/ckpt", "n_population": "8", "truncation_threshold": "0.2"},
    "enas": {"controller_hidden_size": "64"},
    "darts": {"num_epochs": "3", "batch_size": "None"},
}
ANSWERS = {
    "enas": ("architecture", "nn_config"),
    "darts": ("algorithm-settings", "search-space", "num-layers"),
}
KINDS = {
    "Job": ("batch/v1", ""),
    "PyTorchJob": ("kubeflow.org/v1", "pytorchReplicaSpecs"),
    "TFJob": ("kubeflow.org/v1", "tfReplicaSpecs"),
    "MPIJob": ("kubeflow.org/v1", "mpiReplicaSpecs"),
    "XGBoostJob": ("kubeflow.org/v1", "xgbReplicaSpecs"),
    "TrainJob": ("trainer.kubeflow.org/v1alpha1", ""),
}
CONTAINER = {
    "PyTorchJob": "pytorch",
    "TFJob": "tensorflow",
    "MPIJob": "mpi",
    "XGBoostJob": "xgboost",
    "TrainJob": "node",
}
REPLICAS = {"TFJob": ("Chief", "Worker"), "MPIJob": ("Launcher", "Worker")}
COLLECTORS: tuple[Object, ...] = (
    {},
    {"collector": {"kind": "StdOut"}},
    {"source": {"filter": {"metricsFormat": [r"^(\w+)=([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)$"]}}},
    {"source": {"fileSystemPath": {"path": "/logs/m.log", "kind": "File"}}, "collector": {"kind": "File"}},
    {
        "source": {"fileSystemPath": {"path": "/logs/m.json", "kind": "File", "format": "JSON"}},
        "collector": {"kind": "File"},
    },
    {
        "source": {"fileSystemPath": {"path": "/logs", "kind": "Directory"}},
        "collector": {"kind": "TensorFlowEvent"},
    },
    {"collector": {"kind": "Custom", "customCollector": {"name": "c", "image": "a/b:1"}}},
    {"collector": {"kind": "Push"}},
)
WORDS: tuple[Any, ...] = (
    "1", "0", "-1", "0.5", "1e-3", "1.0", "10", "100", " 2", "lr", "depth", "maximize", "minimize", "uniform",
    "logUniform", "normal", "int", "double", "categorical", "discrete", "max", "latest", "Never", "OnFailure",
    "random", "grid", "hyperband", "File", "Job", "PyTorchJob", "train", "a b", "500m", "8192Mi", "sh", "-c",
    "${trialParameters.lr}", "${trialSpec.Name}", "status", 1, 3, 12, 0.5, True, None, [], {},
)  # fmt: skip


def manifest(draw: Random) -> Object:
    """Returns a sound manifest of some shape."""
    algorithm, kind = draw.choice([*SETTINGS]), draw.choice(["Job", "Job", "Job", *KINDS])
    parameters = [
        {
            "name": "lr",
            "parameterType": "double",
            "feasibleSpace": {"min": "0.01", "max": "0.05", "step": "0.01"},
        },
        {"name": "depth", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "9"}},
        {"name": "optimizer", "parameterType": "categorical", "feasibleSpace": {"list": ["sgd", "adam"]}},
        {"name": "batch", "parameterType": "discrete", "feasibleSpace": {"list": ["16", "32"]}},
    ]
    references = list(ANSWERS.get(algorithm, [str(item["name"]) for item in parameters]))
    listed = [{"name": name, "reference": name} for name in references]
    if draw.random() < 0.3:
        listed.append({"name": "own", "reference": draw.choice(("${trialSpec.Name}", "${trialSpec.Namespace}"))})
    count = 9 if algorithm == "hyperband" else 2 if algorithm in ANSWERS else draw.choice((4, 12))
    at_a_time = count if algorithm in ("hyperband", *ANSWERS) else 2
    spec: Object = {
        "objective": {
            "type": draw.choice(("maximize", "minimize")),
            "goal": 0.99,
            "objectiveMetricName": "acc",
        },
        "algorithm": {
            "algorithmName": algorithm,
            "algorithmSettings": [{"name": name, "value": value} for name, value in SETTINGS[algorithm].items()],
        },
        "maxTrialCount": count,
        "parallelTrialCount": at_a_time,
        "maxFailedTrialCount": 1,
        "metricsCollectorSpec": copy.deepcopy(draw.choice(COLLECTORS)),
        "trialTemplate": {"trialParameters": listed, "retain": True, **template(draw, kind, listed)},
    }
    if algorithm in ANSWERS:
        size = {"name": "filter_size", "parameterType": "categorical", "feasibleSpace": {"list": ["3", "5"]}}
        graph = {"numLayers": 2, "inputSizes": [32, 32, 3], "outputSizes": [10]}
        operations = [{"operationType": "separable_convolution", "parameters": [size]}]
        spec["nasConfig"] = {"graphConfig": graph, "operations": operations}
    else:
        spec["parameters"] = parameters
    if draw.random() < 0.3 and algorithm != "hyperband":
        spec["earlyStopping"] = {
            "algorithmName": "medianstop",
            "algorithmSettings": [{"name": "start_step", "value": "3"}],
        }
    if draw.random() < 0.3:
        spec["resumePolicy"] = draw.choice(("Never", "LongRunning", "FromVolume"))
    if draw.random() < 0.3:
        spec["objective"]["additionalMetricNames"] = ["loss"]
        spec["objective"]["metricStrategies"] = [
            {"name": "loss", "value": "min"},
            {"name": "acc", "value": "latest"},
        ]
    metadata = {"name": f"a-{algorithm}"[:26], "namespace": "team", "labels": {"team": "audio"}}
    return {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": metadata, "spec": spec}


def template(draw: Random, kind: str, listed: list[Object]) -> Object:
    """Returns a trial of this kind, now and then one in a ConfigMap."""
    if draw.random() < 0.05:
        return {
            "primaryContainerName": "train",
            "configMap": {"configMapName": "trials", "configMapNamespace": "team", "templatePath": "a.yaml"},
            "successCondition": 'status.conditions.#(type=="Complete")#|#(status=="True")#',
            "failureCondition": 'status.conditions.#(type=="Failed")#|#(status=="True")#',
        }
    name, (version, key) = CONTAINER.get(kind, "train"), KINDS[kind]
    words = [f"--{item['name']}=${{trialParameters.{item['name']}}}" for item in listed]
    command = (
        ["python", "/app/train.py", *words] if draw.random() < 0.7 else ["sh", "-c", " ".join(["python3 t.py", *words])]
    )
    container: Object = {"name": name, "image": "docker.io/lab/train:1", "command": command}
    if draw.random() < 0.4:
        container["env"] = [{"name": "SEED", "value": "7"}]
        container["resources"] = {"limits": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": 1}}
        container["volumeMounts"] = [{"name": "data", "mountPath": "/data", "readOnly": True}]
    pod = {"restartPolicy": "Never", "containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]}
    job: Object = {"backoffLimit": 0, "activeDeadlineSeconds": 3600, "template": {"spec": pod}}
    if key:
        replica = {"replicas": 1, "restartPolicy": "Never", "template": {"spec": pod}}
        job = {key: {one: copy.deepcopy(replica) for one in REPLICAS.get(kind, ("Master", "Worker"))}}
    elif kind == "TrainJob":
        job = {"runtimeRef": {"name": "torch-distributed"}, "trainer": {"numNodes": 1, "command": command}}
    return {"primaryContainerName": name, "trialSpec": {"apiVersion": version, "kind": kind, "spec": job}}


def changed(draw: Random) -> str:
    """Returns a sound manifest with one to three changes, some of them words that occur in such files."""
    made = manifest(draw)
    if draw.random() < 0.4:
        return json.dumps(document(draw, made))
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        leaves = list(_leaves(made))
        holder, key = draw.choice(leaves)
        if draw.random() < 0.25:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(draw.choice(WORDS))
    return json.dumps(made, indent=draw.choice((None, 1)))


def _leaves(node: Any) -> Any:
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if isinstance(value, dict | list) and value:
            yield from _leaves(value)
        yield node, key


def disagreement(text: str) -> str:
    """Returns what `local` says against a manifest that the check accepts, unless only a cluster can run it."""
    try:
        experiment = load_experiment(text, "it")
        sampler(experiment.search)
        if experiment.search.early_stopping:
            stop_rule(experiment.search.early_stopping, experiment.search.direction, experiment.measure)
    except ManifestError as refusal:
        return (
            "" if any(word in str(refusal) for word in ("cluster", "not run here", "not known here")) else str(refusal)
        )
    return ""


def main() -> None:
    """Runs both kinds and prints the outcome."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--changed", type=int, default=10_000)
    parser.add_argument("--damaged", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, slowest, over, passed = Random(options.seed), 0.0, 0, 0
    traces: Counter[str] = Counter()
    refused: dict[str, str] = {}
    for index in range(options.changed + options.damaged):
        if index < options.changed:
            text = changed(draw)
        else:
            text = content(draw, json.dumps(manifest(draw), indent=1).encode()).decode("utf-8", "replace")
        began = time.process_time()
        try:
            sound = not any(found.severity == "error" for found in check_text(text, "it"))
            slowest, over = (
                max(slowest, time.process_time() - began),
                over + (time.process_time() - began > LIMIT),
            )
            passed += sound
            if sound and (said := disagreement(text)):
                refused.setdefault(said.replace("\n", " ")[:160], text)
        except Exception as cause:  # a trace is what this looks for
            traces[f"{type(cause).__name__}: {str(cause)[:80]}"] += 1
    print(
        f"{options.changed} changed, {options.damaged} damaged: {passed} passed;"
        f" slowest {slowest:.2f} s, above {LIMIT:g} s: {over}"
    )
    print(f"traces: {sum(traces.values())} {dict(traces.most_common(5)) or ''}")
    print(f"passed by the check and refused by local, not by name: {len(refused)}")
    for said in list(refused)[:20]:
        print(f"  {said}")


if __name__ == "__main__":
    main()
