"""What findings of algorithm and early stopper say, and the edges of their rules."""

from tests.katib.check.manifests import DROP, Said, algorithm
from tests.katib.check.says_parameters import HYPERBAND, RANDOM

EARLY = "spec.earlyStopping.algorithmSettings"
SETTINGS = "spec.algorithm.algorithmSettings"
ALGORITHMS: Said = {
    "no algorithm": ({"spec.algorithm": None}, {"required spec.algorithm: is missing"}),
    "an algorithm without a name": (
        {"spec.algorithm": {}},
        {"required spec.algorithm.algorithmName: is missing"},
    ),
    "a name that is no text": (
        {"spec.algorithm": {"algorithmName": 3}},
        set(),
    ),
    "a name that is near another": (
        algorithm("bayesianoptimisation"),
        {
            "unknown-algorithm spec.algorithm.algorithmName: 'bayesianoptimisation': did you mean "
            "'bayesianoptimization'?"
        },
    ),
    "an early stopper that is near another": (
        {"spec.earlyStopping.algorithmName": "mediastop"},
        {"unknown-algorithm spec.earlyStopping.algorithmName: 'mediastop': did you mean 'medianstop'?"},
    ),
    "our early stopper": (
        {"spec.earlyStopping": {"algorithmName": "successivehalving"}},
        {
            "?setting-ours spec.earlyStopping.algorithmName: "
            "'successivehalving' is not among the early stoppers of stock Katib"
        },
    ),
    "settings without a name or a value": (
        {
            "spec.algorithm": {
                "algorithmName": "random",
                "algorithmSettings": [{"value": "1"}, {"name": "random_state"}],
            }
        },
        {
            f"setting-value {SETTINGS}[0].name: name of a setting of random is missing",
            f"setting-value {SETTINGS}[1].value: random_state of random is missing; it has a whole number of at least "
            f"0 and at most 4294967295",
        },
    ),
    "a setting twice": (
        {
            "spec.algorithm": {
                "algorithmName": "random",
                "algorithmSettings": [{"name": "random_state", "value": "1"}] * 2,
            }
        },
        {f"?setting-ignored {SETTINGS}[1].name: 'random_state' stands here a second time"},
    ),
    "a setting that a strict service refuses": (
        algorithm("tpe", gama="0.2"),
        {f"setting-unknown {SETTINGS}[0].name: tpe has no setting 'gama': did you mean 'gamma'?"},
    ),
    "a setting that goptuna ignores": (
        {**HYPERBAND, **algorithm("hyperband", r_l="3", resource_name="lr_factor", etaa="3")},
        {f"?setting-ignored {SETTINGS}[2].name: hyperband has no setting 'etaa': did you mean 'eta'?"},
    ),
    "a setting of an algorithm that has none": (
        algorithm("sobol", seed="1"),
        {f"?setting-ignored {SETTINGS}[0].name: sobol has no setting 'seed': it has none"},
    ),
    "a wrong value behind a setting that darts passes on": (
        algorithm("darts", anything="1", num_epochs="0"),
        {f"setting-value {SETTINGS}[1].value: num_epochs of darts is '0'; it has a whole number of at least 1"},
    ),
    "hyperband without what it needs": (
        {**HYPERBAND, **algorithm("hyperband", eta="3")},
        {f"setting-missing {SETTINGS}: hyperband needs the setting '{need}'" for need in ("r_l", "resource_name")},
    ),
    "a value out of range": (
        algorithm("tpe", gamma="1"),
        {f"setting-value {SETTINGS}[0].value: gamma of tpe is '1'; it has a number between 0 and 1"},
    ),
    "a setting of ours under a strict service": (
        algorithm("random", first_suggestions="[]"),
        {
            f"?setting-ours {SETTINGS}[0].name: stock random has no setting 'first_suggestions'",
        },
    ),
    "an early stopper that waits for as many trials as there are": (
        {f"{EARLY}[0].value": "30"},
        {"?never-stops spec.earlyStopping: waits for 30 of 30 trials"},
    ),
    "an early stopper that waits for one fewer": ({f"{EARLY}[0].value": "29"}, set()),
    "three trials, for which medianstop waits by default": (
        {
            "spec.earlyStopping": {"algorithmName": "medianstop"},
            "spec.maxTrialCount": 3,
            "spec.maxFailedTrialCount": 3,
            "spec.parallelTrialCount": 3,
            **RANDOM,
        },
        {"?never-stops spec.earlyStopping: waits for 3 of 3 trials"},
    ),
    "four trials": (
        {
            "spec.earlyStopping": {"algorithmName": "medianstop"},
            "spec.maxTrialCount": 4,
            "spec.maxFailedTrialCount": 3,
            "spec.parallelTrialCount": 3,
            **RANDOM,
        },
        set(),
    ),
    "promote, which compares from the second configuration on": (
        {
            "spec.earlyStopping": {
                "algorithmName": "promote",
                "algorithmSettings": [
                    {"name": "rung_epochs", "value": "2,1"},
                    {"name": "configurations", "value": "9"},
                ],
            },
            "spec.maxTrialCount": 3,
            "spec.maxFailedTrialCount": 3,
            "spec.parallelTrialCount": 3,
            **RANDOM,
        },
        {
            "?setting-ours spec.earlyStopping.algorithmName: 'promote' is not among the early stoppers of stock Katib",
            f"setting-value {EARLY}[0].value: rung_epochs of promote is '2,1'; it has whole numbers of at least 1,"
            " each above the one before, with commas between them",
        },
    ),
    "promote without its rungs": (
        {"spec.earlyStopping": {"algorithmName": "promote"}},
        {
            "?setting-ours spec.earlyStopping.algorithmName: 'promote' is not among the early stoppers of stock Katib",
            f"setting-missing {EARLY}: promote needs the setting 'rung_epochs'",
        },
    ),
    "an early stopper without limit of trials": (
        {"spec.maxTrialCount": DROP},
        {"?no-trial-limit spec.maxTrialCount: is missing"},
    ),
}
