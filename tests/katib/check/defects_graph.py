"""Named defects of searches of a network's graph and of populations."""

from tests.katib.check.defects_algorithm import ALL_STEPS
from tests.katib.check.manifests import DROP, Changes, Defects, algorithm, foreign

PBT = {
    **algorithm("pbt", suggestion_trial_dir="/p", n_population="5", truncation_threshold="0.2"),
    **ALL_STEPS,
    "metadata.name": "population",
    "SPACE.distribution": "uniform",
    "spec.parameters[1].feasibleSpace.distribution": "uniform",
}
DOUBLE = {"name": "rate", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}
SIZE = {"name": "filter_size", "parameterType": "categorical", "feasibleSpace": {"list": ["3"]}}


def graph(name: str, *answers: str) -> Changes:
    """A search of a network's graph, whose trial takes these answers."""
    return {
        **algorithm(name),
        "spec.parameters": DROP,
        "spec.nasConfig": {
            "graphConfig": {"numLayers": 2, "inputSizes": [32, 32, 3], "outputSizes": [10]},
            "operations": [{"operationType": "max_pooling", "parameters": [SIZE]}],
        },
        "spec.maxTrialCount": 1,
        "spec.parallelTrialCount": 1,
        "spec.maxFailedTrialCount": 1,
        "spec.earlyStopping": DROP,
        "TEMPLATE.trialParameters": [
            {"name": f"p{index}", "reference": answer} for index, answer in enumerate(answers)
        ],
        "TRAINER.command": [
            "python",
            "t.py",
            *(f"${{trialParameters.p{index}}}" for index in range(len(answers))),
        ],
        "TRAINER.env": DROP,
        "TRAINER.lifecycle": DROP,
    }


DARTS = graph("darts", "algorithm-settings", "search-space", "num-layers")
ENAS = graph("enas", "architecture", "nn_config")

DEFECTS: Defects = {
    "pbt with more at a time than in a generation": (
        {**PBT, "spec.parallelTrialCount": 6},
        {"pbt-population spec.parallelTrialCount"},
    ),
    "discrete that hyperband cannot read": (
        {
            **PBT,
            **foreign({}),
            **algorithm("hyperband", r_l="4", eta="2", resource_name="grad_clip_norm"),
            "spec.maxTrialCount": 4,
            "spec.parallelTrialCount": 4,
            "spec.maxFailedTrialCount": 4,
            "spec.earlyStopping": DROP,
            "spec.parameters[0].parameterType": "discrete",
            "SPACE": {"list": ["1", "0.5"]},
            **{f"spec.parameters[{index}].feasibleSpace": {"min": "1", "max": "9"} for index in (1, 2, 3)},
        },
        {"hyperband SPACE.list[1]"},
    ),
    "logUniform from nothing, which multivariate-tpe clips": (
        foreign({**algorithm("multivariate-tpe"), "SPACE.min": "0"}),
        {"?min-clipped SPACE.min"},
    ),
    "logUniform from nothing, which grid cannot take": (
        foreign(
            {
                **algorithm("grid"),
                **ALL_STEPS,
                "SPACE": {"min": "0", "max": "0.01", "step": "0.001", "distribution": "logUniform"},
                "spec.parameters[1].feasibleSpace.distribution": "uniform",
            }
        ),
        {"log-of-nothing SPACE.min", "?distribution-ignored SPACE.distribution"},
    ),
    "pbt without the step of a double": ({**PBT, "SPACE.step": DROP}, {"setting-missing SPACE.step"}),
    "pbt with a long name": ({**PBT, "metadata.name": "n" * 27}, {"trial-name-length metadata.name"}),
    "darts that is asked twice": ({**DARTS, "spec.maxTrialCount": 3}, {"first-call-only spec.maxTrialCount"}),
    "darts without a number of trials": (
        {**DARTS, "spec.maxTrialCount": DROP},
        {"first-call-only spec.maxTrialCount", "?no-trial-limit spec.maxTrialCount"},
    ),
    "darts of no epoch": (
        {**DARTS, "spec.algorithm.algorithmSettings": [{"name": "num_epochs", "value": "0"}]},
        {"setting-value spec.algorithm.algorithmSettings[0].value"},
    ),
    "reference that darts does not answer": (
        {**DARTS, "TEMPLATE.trialParameters[0].reference": "algorithmSettings"},
        {
            "trial-parameter-reference TEMPLATE.trialParameters[0].reference",
            "parameter-unreferenced TEMPLATE.trialParameters",
        },
    ),
    "darts without nasConfig": (
        {key: value for key, value in DARTS.items() if key != "spec.nasConfig"},
        {"no-parameters spec.parameters", "nas-config spec.nasConfig"},
    ),
    "enas with a graph that lacks its sizes": (
        {**ENAS, "spec.nasConfig.graphConfig.inputSizes": DROP, "spec.nasConfig.graphConfig.numLayers": 0},
        {
            "nas-config spec.nasConfig.graphConfig.inputSizes",
            "nas-config spec.nasConfig.graphConfig.numLayers",
        },
    ),
    "enas with a setting out of range": (
        {**ENAS, "spec.algorithm.algorithmSettings": [{"name": "controller_hidden_size", "value": "0"}]},
        {"setting-value spec.algorithm.algorithmSettings[0].value"},
    ),
    "enas with an operation's double without step": (
        {**ENAS, "spec.nasConfig.operations[0].parameters[0]": DOUBLE},
        {"nas-operation spec.nasConfig.operations[0].parameters[0].feasibleSpace.step"},
    ),
    "operation without its parts": (
        {**DARTS, "spec.nasConfig.operations[0]": {"parameters": []}},
        {
            "nas-operation spec.nasConfig.operations[0].operationType",
            "nas-operation spec.nasConfig.operations[0].parameters",
        },
    ),
    "graph for an algorithm that searches none": (
        {**DARTS, "spec.algorithm": {"algorithmName": "random"}},
        {"nas-config spec.nasConfig"},
    ),
}
