"""Named defects of searches of a network's graph and of populations."""

from tests.katib.check.defects_algorithm import ALL_STEPS
from tests.katib.check.manifests import DROP, Changes, Defects, algorithm, foreign

EVEN_STEPS = {"SPACE.step": "0.0033", "spec.parameters[1].feasibleSpace.step": "0.000033"}
"""Steps that end at max."""

PBT = {
    **algorithm("pbt", suggestion_trial_dir="/p", n_population="5", truncation_threshold="0.2"),
    **ALL_STEPS,
    **EVEN_STEPS,
    "metadata.name": "population",
    "SPACE.distribution": "uniform",
    "spec.parameters[1].feasibleSpace.distribution": "uniform",
}
DOUBLE = {"name": "rate", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}
SIZE = {"name": "filter_size", "parameterType": "categorical", "feasibleSpace": {"list": ["3"]}}


def graph(name: str, *answers: str) -> Changes:
    """Returns a search of a network's graph, whose trial takes these answers."""
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


def operation(kind: str, **space: object) -> Changes:
    """Returns the first operation with a parameter of this kind in the place of its own."""
    parameter = {"name": "filter_size", "parameterType": kind, "feasibleSpace": space}
    return {"spec.nasConfig.operations[0].parameters[0]": parameter}


DARTS = graph("darts", "algorithm-settings", "search-space", "num-layers")
ENAS = graph("enas", "architecture", "nn_config")

DEFECTS: Defects = {
    "pbt with an int that is perturbed more than once": (
        {**PBT, **foreign({}), "spec.parameters[2].parameterType": "int", "spec.maxTrialCount": 13},
        {"?pbt-int spec.parameters[2].parameterType"},
    ),
    "pbt with a list that no memory holds": (
        {**PBT, "SPACE.step": "1e-12"},
        {"grid-too-large SPACE"},
    ),
    "pbt with a last step above max": (
        {**PBT, "SPACE.step": "0.001"},
        {"?step-leaves-range SPACE.step"},
    ),
    "sobol with a last step above max": (
        {
            **foreign({}),
            **algorithm("sobol"),
            **{f"spec.parameters[{index}].feasibleSpace.distribution": "uniform" for index in (0, 1)},
            "spec.parameters[2].feasibleSpace": {"min": "0.5", "max": "2", "step": "1"},
        },
        {"?step-leaves-range spec.parameters[2].feasibleSpace.step"},
    ),
    "step wider than the range, of which the service tries min": (
        {**PBT, "SPACE.step": "1"},
        {"?step-too-wide SPACE.step"},
    ),
    "pbt with a name twice": (
        {**PBT, "spec.parameters[1].name": "lr"},
        {
            "parameter-name spec.parameters[1].name",
            "trial-parameter-reference TEMPLATE.trialParameters[2].reference",
        },
    ),
    "int with a fraction, which hyperopt rounds": (
        {
            **foreign({}),
            **algorithm("random"),
            "spec.parameters[2].parameterType": "int",
            "spec.parameters[2].feasibleSpace": {"min": "0.5", "max": "8"},
        },
        {"?bound-of-int-rounded spec.parameters[2].feasibleSpace.min"},
    ),
    "min above max under hyperband": (
        {
            **foreign({}),
            **algorithm("hyperband", r_l="4", eta="2", resource_name="grad_clip_norm"),
            **{f"spec.parameters[{index}].feasibleSpace.distribution": "uniform" for index in (0, 1)},
            "SPACE.min": "0.02",
            "spec.maxTrialCount": 4,
            "spec.parallelTrialCount": 4,
            "spec.maxFailedTrialCount": 4,
            "spec.earlyStopping": DROP,
        },
        {"?bounds-swapped SPACE.min"},
    ),
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
    "enas with a discrete parameter": (
        {**ENAS, **operation("discrete", list=["1", "2"])},
        {"nas-operation spec.nasConfig.operations[0].parameters[0].parameterType"},
    ),
    "enas with min above max": (
        {**ENAS, **operation("double", min="2", max="1", step="0.5")},
        {"nas-operation spec.nasConfig.operations[0].parameters[0].feasibleSpace.min"},
    ),
    "enas with a list that no memory holds": (
        {**ENAS, **operation("int", min="1", max="1000000000000", step="1")},
        {"nas-operation spec.nasConfig.operations[0].parameters[0].feasibleSpace.step"},
    ),
    "enas with an int that is none to Python": (
        {**ENAS, **operation("int", min="1.0", max="8", step="1")},
        {"nas-operation spec.nasConfig.operations[0].parameters[0].feasibleSpace.min"},
    ),
    "enas without operations": (
        {**ENAS, "spec.nasConfig.operations": DROP},
        {"nas-config spec.nasConfig.operations"},
    ),
    "enas with a negative count of layers": (
        {**ENAS, "spec.nasConfig.graphConfig.numLayers": -1},
        {"nas-config spec.nasConfig.graphConfig.numLayers"},
    ),
    "enas with a skip target whose logarithm is infinite": (
        {
            **ENAS,
            "spec.algorithm.algorithmSettings": [{"name": "controller_skip_target", "value": "1"}],
        },
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
