"""What findings of the objective and the counts say, and the edges of their rules."""

from tests.katib.check.manifests import DROP, Said, algorithm

RANDOM = algorithm("random")

OBJECTIVE: Said = {
    "no objective type": ({"spec.objective.type": ""}, {"objective-type spec.objective.type: is missing"}),
    "a type that is near another": (
        {"spec.objective.type": "maximise"},
        {"objective-type spec.objective.type: 'maximise': did you mean 'maximize'?"},
    ),
    "a type that is no text": (
        {"spec.objective.type": 1},
        set(),
    ),
    "no objective": ({"spec.objective": None}, {"required spec.objective: is missing"}),
    "no spec": ({"spec": None}, {"required spec: is missing"}),
    "no metric": (
        {"spec.objective.objectiveMetricName": "", "spec.objective.metricStrategies": DROP},
        {"required spec.objective.objectiveMetricName: is missing"},
    ),
    "metrics that the collector would split": (
        {"spec.objective.additionalMetricNames": ["a;b", "", "c;"]},
        {
            "metric-name spec.objective.additionalMetricNames[0]: 'a;b' holds ';'",
            "metric-name spec.objective.additionalMetricNames[2]: 'c;' holds ';'",
        },
    ),
    "the objective among the others": (
        {
            "spec.objective.additionalMetricNames": ["loss", "val_si_snr"],
            "FILTER[0]": r"^\S+ (\w+)=([\d.-]+)$",
        },
        {"additional-metric spec.objective.additionalMetricNames[1]: 'val_si_snr' is the objective"},
    ),
    "strategies that are none": (
        {"spec.objective.metricStrategies": [{"name": "val_si_snr", "value": "mean"}]},
        {"metric-strategy spec.objective.metricStrategies[0].value: 'mean' is no strategy"},
    ),
    "a strategy without a value": (
        {"spec.objective.metricStrategies": [{"name": "val_si_snr"}]},
        {"metric-strategy spec.objective.metricStrategies[0].value: '' is no strategy"},
    ),
    "a metric with two strategies": (
        {
            "spec.objective.metricStrategies": [
                {"name": "val_si_snr", "value": "max"},
                {"name": "val_si_snr", "value": "latest"},
            ]
        },
        {
            "?metric-strategy-name spec.objective.metricStrategies[1].name: "
            "metric 'val_si_snr' stands here a second time"
        },
    ),
    "a strategy of a metric that nobody collects, whatever it is": (
        {"spec.objective.metricStrategies": [{"name": "loss", "value": "min"}]},
        {"?metric-strategy-name spec.objective.metricStrategies[0].name: metric 'loss' is not collected"},
    ),
    "strategies of all that is collected": (
        {
            "spec.objective.additionalMetricNames": ["loss"],
            "spec.objective.metricStrategies": [
                {"name": "loss", "value": "min"},
                {"name": "val_si_snr", "value": "latest"},
            ],
            "FILTER[0]": r"^\S+ (\w+)=([\d.-]+)$",
        },
        set(),
    ),
    "minimised by its maximum": (
        {
            "spec.objective.type": "minimize",
            "spec.objective.metricStrategies": [{"name": "val_si_snr", "value": "max"}],
        },
        {"?metric-strategy-against-type spec.objective.metricStrategies[0].value: is 'max' of a metric to minimize"},
    ),
    "maximised by its minimum": (
        {"spec.objective.metricStrategies": [{"name": "val_si_snr", "value": "min"}]},
        {"?metric-strategy-against-type spec.objective.metricStrategies[0].value: is 'min' of a metric to maximize"},
    ),
    "counts below the least": (
        {"spec.maxTrialCount": -1, "spec.parallelTrialCount": -2, "spec.maxFailedTrialCount": -3},
        {
            "count spec.maxTrialCount: is -1",
            "count spec.parallelTrialCount: is -2",
            "count spec.maxFailedTrialCount: is -3",
        },
    ),
    "none at a time": ({"spec.parallelTrialCount": 0}, {"count spec.parallelTrialCount: is 0"}),
    "a strategy without a name": (
        {"spec.objective.metricStrategies": [{"value": "max"}]},
        {"?metric-strategy-name spec.objective.metricStrategies[0].name: is missing"},
    ),
    "no trials, for which nothing can be too many": (
        {"spec.maxTrialCount": 0},
        {"count spec.maxTrialCount: is 0"},
    ),
    "one of each": (
        {
            "spec.maxTrialCount": 1,
            "spec.parallelTrialCount": 1,
            "spec.maxFailedTrialCount": 1,
            "spec.earlyStopping": DROP,
            **RANDOM,
        },
        set(),
    ),
    "more at a time than trials": (
        {"spec.maxTrialCount": 9, "spec.parallelTrialCount": 10, "spec.maxFailedTrialCount": 9, **RANDOM},
        {"count-exceeds-trials spec.parallelTrialCount: is 10, above maxTrialCount 9"},
    ),
    "two at a time for one trial": (
        {
            "spec.maxTrialCount": 1,
            "spec.parallelTrialCount": 2,
            "spec.maxFailedTrialCount": 1,
            "spec.earlyStopping": DROP,
            **RANDOM,
        },
        {"count-exceeds-trials spec.parallelTrialCount: is 2, above maxTrialCount 1"},
    ),
    "more failures than trials": (
        {"spec.maxTrialCount": 9, "spec.maxFailedTrialCount": 10, **RANDOM},
        {"count-exceeds-trials spec.maxFailedTrialCount: is 10, above maxTrialCount 9"},
    ),
    "three at a time by default, with two trials": (
        {
            "spec.maxTrialCount": 2,
            "spec.parallelTrialCount": DROP,
            "spec.maxFailedTrialCount": 1,
            "spec.earlyStopping": DROP,
            **RANDOM,
        },
        {"count-exceeds-trials spec.parallelTrialCount: is 3 by default, above maxTrialCount 2"},
    ),
    "no failure allowed": (
        {"spec.maxFailedTrialCount": 0},
        {"?no-failure-allowed spec.maxFailedTrialCount: is 0"},
    ),
    "no limits": (
        {"spec.maxFailedTrialCount": DROP, "spec.maxTrialCount": DROP},
        {
            "?no-failure-limit spec.maxFailedTrialCount: is missing",
            "?no-trial-limit spec.maxTrialCount: is missing",
        },
    ),
    "a policy that is near another": (
        {"spec.resumePolicy": "FromVolumes"},
        {"resume-policy spec.resumePolicy: 'FromVolumes': did you mean 'FromVolume'?"},
    ),
    "an empty policy": ({"spec.resumePolicy": ""}, set()),
    **{
        f"the policy {policy}": ({"spec.resumePolicy": policy}, set())
        for policy in ("Never", "LongRunning", "FromVolume")
    },
}
