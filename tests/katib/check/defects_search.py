"""Named defects of names, objective, counts and the search space."""

from tests.katib.check.manifests import DROP, Defects, algorithm, categorical, foreign

NAME_41 = "n" * 41
PARAMETER = {"name": "depth", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "8", "step": "1"}}

DEFECTS: Defects = {
    # names
    "no name": ({"metadata.name": DROP}, {"name-missing metadata.name"}),
    "no metadata": (
        {"metadata": DROP},
        {"name-missing metadata.name", "?namespace-missing metadata.namespace"},
    ),
    "generated name": (
        {"metadata.name": DROP, "metadata.generateName": "run-"},
        {"?name-generated metadata.generateName"},
    ),
    "name with a dot": ({"metadata.name": "a.b"}, {"name-pattern metadata.name"}),
    "name that ends with a dash": ({"metadata.name": "run-"}, {"name-pattern metadata.name"}),
    "name of 41 characters": ({"metadata.name": NAME_41}, {"name-length metadata.name"}),
    "name too long with its algorithm's": (
        {"metadata.name": "n" * 40, **algorithm("a" * 23)},
        {"service-name-length metadata.name", "unknown-algorithm spec.algorithm.algorithmName"},
    ),
    "name as a number": ({"metadata.name": 7}, {"wrong-type metadata.name"}),
    "no namespace": ({"metadata.namespace": DROP}, {"?namespace-missing metadata.namespace"}),
    "namespace with capitals": ({"metadata.namespace": "Lab"}, {"namespace-pattern metadata.namespace"}),
    "label with a key of two slashes": ({"metadata.labels['a/b/c']": "x"}, {"label metadata.labels['a/b/c']"}),
    "bound beyond what is searched here": (
        foreign({"SPACE": {"min": "1", "max": "1e300", "distribution": "logUniform"}}),
        {"?range-beyond SPACE.max"},
    ),
    "step that no float can tell": (
        foreign(algorithm("random") | {"SPACE": {"min": "0", "max": "1", "step": "1e-300"}}),
        {"?range-beyond SPACE.step"},
    ),
    "int between two whole numbers": (
        foreign(
            algorithm("random") | {"spec.parameters[0].parameterType": "int", "SPACE": {"min": "0.5", "max": "0.6"}}
        ),
        {
            "?range-beyond SPACE.max",
            "?bound-of-int-rounded SPACE.min",
            "?bound-of-int-rounded SPACE.max",
        },
    ),
    "label with a blank": ({"metadata.labels.team": "a b"}, {"label metadata.labels.team"}),
    "budget of no GPU-hours": (
        {"metadata.annotations": {"sepsweep/gpu-hours": "0"}},
        {"gpu-hours metadata.annotations['sepsweep/gpu-hours']"},
    ),
    "budget in GPU-hours": (
        {"metadata.annotations": {"sepsweep/gpu-hours": "12.5"}},
        {"?gpu-hours-on-katib metadata.annotations['sepsweep/gpu-hours']"},
    ),
    "misspelt metadata": ({"metadata.lables": {}}, {"unknown-key metadata.lables"}),
    # objective and counts
    "no spec": ({"spec": DROP}, {"required spec"}),
    "no objective": ({"spec.objective": DROP}, {"required spec.objective"}),
    "no objective type": ({"spec.objective.type": DROP}, {"objective-type spec.objective.type"}),
    "objective type max": ({"spec.objective.type": "max"}, {"objective-type spec.objective.type"}),
    "no metric": (
        {"spec.objective.objectiveMetricName": DROP, "spec.objective.metricStrategies": DROP},
        {"required spec.objective.objectiveMetricName"},
    ),
    "objective among additional metrics": (
        {"spec.objective.additionalMetricNames": ["val_si_snr"]},
        {"additional-metric spec.objective.additionalMetricNames[0]"},
    ),
    "metric with a semicolon": (
        {"spec.objective.additionalMetricNames": ["a;b"]},
        {"metric-name spec.objective.additionalMetricNames[0]"},
    ),
    "strategy mean": (
        {"spec.objective.metricStrategies[0].value": "mean"},
        {"metric-strategy spec.objective.metricStrategies[0].value"},
    ),
    "strategy of another metric": (
        {"spec.objective.metricStrategies[1]": {"name": "loss", "value": "min"}},
        {"?metric-strategy-name spec.objective.metricStrategies[1].name"},
    ),
    "maximised by its minimum": (
        {"spec.objective.metricStrategies[0].value": "min"},
        {"?metric-strategy-against-type spec.objective.metricStrategies[0].value"},
    ),
    "goal as a string": ({"spec.objective.goal": "12"}, {"wrong-type spec.objective.goal"}),
    "no trials": ({"spec.maxTrialCount": 0}, {"count spec.maxTrialCount"}),
    "no parallel trials": ({"spec.parallelTrialCount": 0}, {"count spec.parallelTrialCount"}),
    "trial count as a string": ({"spec.maxTrialCount": "30"}, {"wrong-type spec.maxTrialCount"}),
    "more parallel than trials": (
        {"spec.parallelTrialCount": 31},
        {"count-exceeds-trials spec.parallelTrialCount"},
    ),
    "fewer trials than Katib's default of three at a time": (
        {
            "spec.parallelTrialCount": DROP,
            "spec.maxTrialCount": 2,
            "spec.maxFailedTrialCount": 1,
            "spec.earlyStopping": DROP,
            "spec.algorithm.algorithmSettings[0].value": "1",
        },
        {"count-exceeds-trials spec.parallelTrialCount"},
    ),
    "more failures than trials": (
        {"spec.maxFailedTrialCount": 31},
        {"count-exceeds-trials spec.maxFailedTrialCount"},
    ),
    "negative failures": ({"spec.maxFailedTrialCount": -1}, {"count spec.maxFailedTrialCount"}),
    "no failure allowed": ({"spec.maxFailedTrialCount": 0}, {"?no-failure-allowed spec.maxFailedTrialCount"}),
    "no limit of failures": (
        {"spec.maxFailedTrialCount": DROP},
        {"?no-failure-limit spec.maxFailedTrialCount"},
    ),
    "no limit of trials": ({"spec.maxTrialCount": DROP}, {"?no-trial-limit spec.maxTrialCount"}),
    "unknown resume policy": ({"spec.resumePolicy": "Always"}, {"resume-policy spec.resumePolicy"}),
    "misspelt count": (
        {"spec.maxTrialCount": DROP, "spec.maxTrialsCount": 3},
        {"unknown-key spec.maxTrialsCount", "?no-trial-limit spec.maxTrialCount"},
    ),
    # the search space
    "no parameters": (
        {"spec.parameters": DROP},
        {"no-parameters spec.parameters"},
    ),
    "parameter without a name": (
        {"spec.parameters[4]": {"parameterType": "int", "feasibleSpace": {"min": "1", "max": "2"}}},
        {"parameter-name spec.parameters[4].name"},
    ),
    "parameter twice": (
        {
            "spec.parameters[4]": {
                "name": "lr",
                "parameterType": "int",
                "feasibleSpace": {"min": "1", "max": "2"},
            }
        },
        {"parameter-name spec.parameters[4].name"},
    ),
    "parameter that reaches no trial": (
        {"spec.parameters[4]": PARAMETER | {"feasibleSpace": {"min": "1", "max": "8"}}},
        {"parameter-unreferenced spec.parameters[4].name"},
    ),
    "parameter type float": (
        {"spec.parameters[0].parameterType": "float"},
        {"parameter-type spec.parameters[0].parameterType"},
    ),
    "misspelt parameterType": (
        {"spec.parameters[0].parameterType": DROP, "spec.parameters[0].parametertype": "double"},
        {"unknown-key spec.parameters[0].parametertype", "parameter-type spec.parameters[0].parameterType"},
    ),
    "no feasible space": ({"SPACE": DROP}, {"bounds-missing SPACE"}),
    "min as a number": ({"SPACE.min": 0.0001}, {"wrong-type SPACE.min"}),
    "no max": ({"SPACE.max": DROP}, {"bounds-missing SPACE.max"}),
    "min is a word": ({"SPACE.min": "small"}, {"bound-not-a-number SPACE.min"}),
    "max is infinite": ({"SPACE.max": "inf"}, {"bound-not-a-number SPACE.max"}),
    "min above max": ({"SPACE.min": "0.1"}, {"bounds-order SPACE.min"}),
    "min equals max": ({"SPACE.min": "0.01"}, {"bounds-order SPACE.min"}),
    "logUniform from nothing": (
        {"SPACE.min": "0"},
        {"log-of-nothing SPACE.min", "min-not-above-zero SPACE.min"},
    ),
    "uniform from below nothing, which skopt samples as a logarithm": (
        {"SPACE.min": "-1", "SPACE.distribution": "uniform"},
        {"min-not-above-zero SPACE.min"},
    ),
    "step of nothing": ({**algorithm("random"), "SPACE.step": "0"}, {"step SPACE.step"}),
    "step beyond the range": ({**algorithm("random"), "SPACE.step": "1"}, {"step SPACE.step"}),
    "step that skopt ignores": ({"SPACE.step": "0.001"}, {"?step-ignored SPACE.step"}),
    "distribution that skopt ignores": (
        {"SPACE.distribution": "uniform"},
        {"?distribution-ignored SPACE.distribution"},
    ),
    "distribution that is implied and ignored": (
        {"SPACE.distribution": DROP},
        {"?distribution-ignored SPACE.distribution"},
    ),
    "unknown distribution": (
        {**algorithm("random"), "SPACE.distribution": "loguniform"},
        {"distribution SPACE.distribution"},
    ),
    "list of a double": ({"SPACE.list": ["1"]}, {"bounds-of-other-type SPACE.list"}),
    "whole number with a fraction": (
        {"spec.parameters[2].parameterType": "int", "spec.parameters[2].feasibleSpace.max": "9.5"},
        {"bound-not-a-number spec.parameters[2].feasibleSpace.max"},
    ),
    "empty list": (categorical(), {"bounds-missing SPACE.list"}),
    "bounds of a category": (
        foreign({"spec.parameters[0].parameterType": "categorical", "SPACE": {"min": "1", "list": ["a"]}}),
        {"bounds-of-other-type SPACE.min"},
    ),
    "value twice": (categorical("a", "b", "a"), {"?list-value-twice SPACE.list[2]"}),
    "value that the shell line splits": (categorical("a", "b c"), {"list-value-word SPACE.list[1]"}),
    "value that breaks the JSON": (
        categorical("a", 'b"'),
        {"list-value-breaks-json SPACE.list[1]", "list-value-word SPACE.list[1]"},
    ),
    "number in a list": (
        foreign({"spec.parameters[0].parameterType": "discrete", "SPACE": {"list": ["1", 2]}}),
        {"wrong-type SPACE.list[1]"},
    ),
    "discrete word": (
        foreign({"spec.parameters[0].parameterType": "discrete", "SPACE": {"list": ["1", "two"]}}),
        {"?discrete-not-a-number SPACE.list[1]"},
    ),
}
