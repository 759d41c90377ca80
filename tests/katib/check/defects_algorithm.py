"""Named defects of algorithm, early stopper, collector and filter."""

import json

from tests.katib.check.manifests import DROP, Changes, Defects, algorithm, foreign

ALL_STEPS = {
    f"spec.parameters[{index}].feasibleSpace.step": step for index, step in enumerate(("0.001", "0.00001", "1", "0.1"))
}

INT = {"spec.parameters[2].parameterType": "int"}
POINT = {"lr": 0.001, "weight_decay": "0.00001", "grad_clip_norm": 5, "lr_factor": 0.5}
FIRST_OURS = "?setting-ours spec.algorithm.algorithmSettings[0].name"
NOT_FIRST = {"first-suggestions spec.algorithm.algorithmSettings[0].value"}


def promote(configurations: str) -> Changes:
    """Returns the stop rule promote with so many configurations."""
    settings = {"rung_epochs": "1", "configurations": configurations}
    listed = [{"name": key, "value": value} for key, value in settings.items()]
    return {"spec.earlyStopping": {"algorithmName": "promote", "algorithmSettings": listed}}


def first(points: list[object], name: str = "bayesianoptimization") -> Changes:
    """Returns the algorithm `name` with these first suggestions."""
    return algorithm(name, first_suggestions=json.dumps(points))


DEFECTS: Defects = {
    "first suggestion with a trial's name that another namespace may have": (
        algorithm("random", first_suggestions=json.dumps([{"assignments": POINT, "trial": "published"}])),
        {FIRST_OURS, "?first-suggestions-name spec.algorithm.algorithmSettings[0].value"},
    ),
    # algorithms
    "no algorithm": ({"spec.algorithm": DROP}, {"required spec.algorithm"}),
    "misspelt algorithm": (
        algorithm("bayesianoptimisation"),
        {"unknown-algorithm spec.algorithm.algorithmName"},
    ),
    "unknown setting": (
        algorithm("bayesianoptimization", n_initial_point="5"),
        {"setting-unknown spec.algorithm.algorithmSettings[0].name"},
    ),
    "setting as a number": (
        {"spec.algorithm.algorithmSettings[0].value": 5},
        {"wrong-type spec.algorithm.algorithmSettings[0].value"},
    ),
    "setting out of range": (
        algorithm("tpe", gamma="1.5"),
        {"setting-value spec.algorithm.algorithmSettings[0].value"},
    ),
    "setting that crashes at the first result": (
        algorithm("bayesianoptimization", acq_func="EIps"),
        {"setting-value spec.algorithm.algorithmSettings[0].value"},
    ),
    "setting of our services alone": (
        algorithm("bayesianoptimization", warm_start="a,b"),
        {"?setting-ours spec.algorithm.algorithmSettings[0].name"},
    ),
    "prior": (algorithm("bayesianoptimization", prior='{"lr": {"at": 0.001, "sure": "strong"}}'), {FIRST_OURS}),
    "prior outside its range": (
        algorithm("bayesianoptimization", prior='{"lr": {"at": "7"}}'),
        {FIRST_OURS, "prior spec.algorithm.algorithmSettings[0].value"},
    ),
    "prior of a misspelt parameter": (
        algorithm("bayesianoptimization", prior='{"lrr": {"at": "0.001"}}'),
        {FIRST_OURS, "prior spec.algorithm.algorithmSettings[0].value"},
    ),
    "prior that is surer than anybody": (
        algorithm("bayesianoptimization", prior='{"lr": {"at": "0.001", "sure": "certain"}}'),
        {FIRST_OURS, "setting-value spec.algorithm.algorithmSettings[0].value"},
    ),
    "prior for an algorithm that takes none": (
        algorithm("tpe", prior="{}"),
        {"setting-unknown spec.algorithm.algorithmSettings[0].name"},
    ),
    "first suggestions": (
        first([POINT, {"assignments": {**POINT, "lr": "2e-3"}, "trial": "series3-sepformer-abcd1234"}]),
        {FIRST_OURS},
    ),
    "first suggestion without a parameter": (first([{"lr": 0.001}]), {FIRST_OURS, *NOT_FIRST}),
    "first suggestion with a misspelt parameter": (first([{**POINT, "lrr": 1}]), {FIRST_OURS, *NOT_FIRST}),
    "first suggestion outside its range": (first([{**POINT, "weight_decay": 0}]), {FIRST_OURS, *NOT_FIRST}),
    "first suggestion that is not a number": (first([{**POINT, "lr": "fast"}]), {FIRST_OURS, *NOT_FIRST}),
    "first suggestion twice, spelt otherwise": (
        first([POINT, {"assignments": {**POINT, "lr": "1e-3"}}]),
        {FIRST_OURS, *NOT_FIRST},
    ),
    "first suggestions for one trial": (
        first([{"assignments": {**POINT, "lr": lr}, "trial": "a"} for lr in ("1e-3", "2e-3")]),
        {FIRST_OURS, *NOT_FIRST},
    ),
    "first suggestion with a name that no trial can have": (
        first([{"assignments": POINT, "trial": "Trial_1"}]),
        {FIRST_OURS, *NOT_FIRST},
    ),
    "first suggestion of another shape": (
        first([{"assignments": POINT, "name": "a"}]),
        {FIRST_OURS, "setting-value spec.algorithm.algorithmSettings[0].value"},
    ),
    "first suggestion where a bound is no number": (
        {**first([POINT]), "SPACE.min": "low"},
        {FIRST_OURS, "bound-not-a-number SPACE.min"},
    ),
    "more first suggestions than trials": (
        {
            **first([{**POINT, "lr": lr} for lr in ("1e-3", "2e-3", "3e-3")]),
            "spec.algorithm.algorithmSettings[1]": {"name": "n_initial_points", "value": "0"},
            "spec.maxTrialCount": 2,
            "spec.maxFailedTrialCount": 2,
            "spec.earlyStopping": DROP,
        },
        {FIRST_OURS, "?first-suggestions-untried spec.algorithm.algorithmSettings[0].value"},
    ),
    "first suggestions where stock Katib ignores unknown settings": (
        {
            **first([POINT], "sobol"),
            "SPACE.distribution": "uniform",
            "spec.parameters[1].feasibleSpace.distribution": "uniform",
        },
        {FIRST_OURS},
    ),
    "setting of our services with a value that they do not take": (
        {"spec.earlyStopping.algorithmSettings[0]": {"name": "looks", "value": "twice"}},
        {
            "?setting-ours spec.earlyStopping.algorithmSettings[0].name",
            "setting-value spec.earlyStopping.algorithmSettings[0].value",
        },
    ),
    "early stopper of our services alone": (
        {"spec.earlyStopping": {"algorithmName": "successivehalving"}},
        {"?setting-ours spec.earlyStopping.algorithmName"},
    ),
    "setting twice": (
        {"spec.algorithm.algorithmSettings[2]": {"name": "random_state", "value": "1"}},
        {"?setting-ignored spec.algorithm.algorithmSettings[2].name"},
    ),
    "only random points": ({"spec.maxTrialCount": 5}, {"?all-random spec.algorithm"}),
    "as many random points as promote has configurations": (
        promote("5"),
        {"?all-random spec.algorithm", "?setting-ours spec.earlyStopping.algorithmName"},
    ),
    "fewer random points than promote has configurations": (
        {**promote("6"), "spec.maxTrialCount": 5, "spec.parallelTrialCount": 1, "spec.maxFailedTrialCount": 1},
        {"?setting-ours spec.earlyStopping.algorithmName"},
    ),
    "ten random points by default": (
        {**algorithm("bayesianoptimization"), "spec.maxTrialCount": 8},
        {"?all-random spec.algorithm"},
    ),
    "setting of an algorithm that has none": (
        {
            **algorithm("sobol", random_state="1"),
            "SPACE.distribution": "uniform",
            "spec.parameters[1].feasibleSpace.distribution": "uniform",
        },
        {"?setting-ours spec.algorithm.algorithmSettings[0].name"},
    ),
    "hyperband without settings": (
        algorithm("hyperband"),
        {
            "setting-missing spec.algorithm.algorithmSettings",
            "hyperband spec.maxTrialCount",
            "hyperband spec.earlyStopping",
            "?distribution-ignored SPACE.distribution",
            "?distribution-ignored spec.parameters[1].feasibleSpace.distribution",
        },
    ),
    "hyperband with too few at a time": (
        algorithm("hyperband", r_l="9", resource_name="grd_clip_norm"),
        {
            "hyperband spec.algorithm.algorithmSettings[1].value",
            "hyperband spec.parallelTrialCount",
            "hyperband spec.maxTrialCount",
            "hyperband spec.earlyStopping",
            "?distribution-ignored SPACE.distribution",
            "?distribution-ignored spec.parameters[1].feasibleSpace.distribution",
        },
    ),
    "normal, which optuna's service cannot draw": (
        {**algorithm("multivariate-tpe"), "SPACE.distribution": "normal"},
        {"distribution-unsupported SPACE.distribution"},
    ),
    "normal, which the service of grid cannot draw": (
        {
            **algorithm("grid"),
            **ALL_STEPS,
            "SPACE.distribution": "normal",
            "spec.parameters[1].feasibleSpace.distribution": "uniform",
        },
        {"distribution-unsupported SPACE.distribution"},
    ),
    "step of logUniform, which the service of multivariate-tpe leaves out": (
        {**algorithm("multivariate-tpe"), "SPACE.step": "0.0001"},
        {"?step-ignored SPACE.step"},
    ),
    "step that is none, which the stock service leaves out and ours does not": (
        {**algorithm("multivariate-tpe"), "SPACE.step": "abc"},
        {"bound-not-a-number SPACE.step"},
    ),
    "step whose multiples lie below min": (
        {
            **algorithm("random"),
            **INT,
            "spec.parameters[2].feasibleSpace": {"min": "10", "max": "100", "step": "32"},
        },
        {"?step-leaves-range spec.parameters[2].feasibleSpace.step"},
    ),
    "step whose multiples lie above max": (
        {
            **foreign({}),
            **algorithm("tpe"),
            "SPACE.distribution": "uniform",
            "SPACE.min": "0",
            "SPACE.max": "0.0025",
            "SPACE.step": "0.0009",
        },
        {"?step-leaves-range SPACE.step"},
    ),
    "grid of more points than can be listed": (
        {
            **algorithm("grid"),
            **ALL_STEPS,
            "SPACE": {"min": "0.001", "max": "1e308", "step": "1e-308", "distribution": "uniform"},
            "spec.parameters[1].feasibleSpace.distribution": "uniform",
            **foreign({}),
        },
        {"grid-too-large spec.parameters"},
    ),
    "more trials than the space has points": (
        foreign(
            {
                **algorithm("random"),
                "spec.parameters[0]": {
                    "name": "lr",
                    "parameterType": "int",
                    "feasibleSpace": {"min": "1", "max": "5"},
                },
                **{f"spec.parameters[{index}].parameterType": "categorical" for index in (1, 2, 3)},
                **{f"spec.parameters[{index}].feasibleSpace": {"list": ["1", "2"][:index]} for index in (1, 2, 3)},
            }
        ),
        {"?space-too-small spec.maxTrialCount"},
    ),
    "normal, which leaves its range": (
        {**algorithm("random"), "SPACE.distribution": "normal"},
        {"?distribution-leaves-range SPACE.distribution"},
    ),
    "grid without a step": (
        {
            **algorithm("grid"),
            **ALL_STEPS,
            "SPACE.step": DROP,
            "SPACE.distribution": "uniform",
            "spec.parameters[1].feasibleSpace.distribution": "uniform",
        },
        {"setting-missing SPACE.step"},
    ),
    "grid of fewer points than trials": (
        {
            **algorithm("grid"),
            **ALL_STEPS,
            "SPACE.distribution": "uniform",
            "SPACE.step": "0.005",
            "spec.parameters[1].feasibleSpace.distribution": "uniform",
            "spec.parameters[1].feasibleSpace.step": "0.00009",
            "spec.parameters[2].feasibleSpace.step": "9",
            "spec.parameters[3].feasibleSpace.step": "0.5",
        },
        {"grid-too-small spec.maxTrialCount"},
    ),
    "cmaes with too few numbers": (
        {
            **foreign({}),
            **algorithm("cmaes"),
            **{f"spec.parameters[{index}].parameterType": "categorical" for index in range(4)},
            **{f"spec.parameters[{index}].feasibleSpace": {"list": ["1", "2"]} for index in range(4)},
        },
        {"too-few-dimensions spec.parameters"},
    ),
    "pbt with a setting that it cannot compare": (
        {
            **algorithm(
                "pbt",
                suggestion_trial_dir="/p",
                n_population="5",
                truncation_threshold="0.2",
                resample_probability="0.3",
            ),
            **ALL_STEPS,
            "SPACE.step": "0.0033",
            "spec.parameters[1].feasibleSpace.step": "0.000033",
            "SPACE.distribution": "uniform",
            "spec.parameters[1].feasibleSpace.distribution": "uniform",
        },
        {"setting-value spec.algorithm.algorithmSettings[3].value"},
    ),
    "early stopper without a name": (
        {"spec.earlyStopping.algorithmName": DROP},
        {"required spec.earlyStopping.algorithmName"},
    ),
    "unknown early stopper": (
        {"spec.earlyStopping.algorithmName": "median"},
        {"unknown-algorithm spec.earlyStopping.algorithmName"},
    ),
    "unknown setting of the early stopper": (
        {"spec.earlyStopping.algorithmSettings[1].name": "startstep"},
        {"setting-unknown spec.earlyStopping.algorithmSettings[1].name"},
    ),
    "early stop after no epoch": (
        {"spec.earlyStopping.algorithmSettings[1].value": "0"},
        {"setting-value spec.earlyStopping.algorithmSettings[1].value"},
    ),
    "early stopper that waits for all trials": (
        {"spec.earlyStopping.algorithmSettings[0].value": "30"},
        {"?never-stops spec.earlyStopping"},
    ),
    "early stopper without retain": ({"TEMPLATE.retain": DROP}, {"retain TEMPLATE.retain"}),
    "early stopper with retain: false": ({"TEMPLATE.retain": False}, {"retain TEMPLATE.retain"}),
}
