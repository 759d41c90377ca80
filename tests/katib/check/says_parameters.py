"""What findings of the search space say, and the edges of their rules: `rule path: what` of all of them."""

from typing import Any

from tests.katib.check.manifests import DROP, Changes, Said, algorithm, categorical, foreign, words

RANDOM = algorithm("random")
HYPERBAND = algorithm("hyperband", r_l="3", resource_name="lr_factor") | {
    "spec.parallelTrialCount": 3,
    "spec.maxTrialCount": 30,
    "spec.earlyStopping": DROP,
    "SPACE.distribution": "uniform",
    "spec.parameters[1].feasibleSpace.distribution": "uniform",
}


def space(**values: Any) -> Changes:
    """Another feasible space of the first parameter, uniform unless it says otherwise, sampled at random."""
    return {**RANDOM, "SPACE": {"distribution": "uniform", **values}, **foreign({})}


def whole(**values: Any) -> Changes:
    return {"spec.parameters[0].parameterType": "int", **space(**values)}


def without(name: str) -> Changes:
    """Returns a command that the parameter does not reach."""
    return {"TRAINER.command": [text for text in words("python", "t.py") if f"--{name}=" not in text]}


PARAMETERS: Said = {
    "nothing to search": ({"spec.parameters": DROP}, {"no-parameters spec.parameters: is missing"}),
    "a graph beside parameters": (
        {"spec.nasConfig": {"graphConfig": {"numLayers": 1}}},
        {"no-parameters spec.nasConfig: stands beside parameters"},
    ),
    "a name twice": (
        {"spec.parameters[1].name": "lr"},
        {
            "parameter-name spec.parameters[1].name: 'lr' stands here a second time",
        },
    ),
    "no name": (
        {"spec.parameters[4]": {"parameterType": "int", "feasibleSpace": {"min": "1", "max": "2"}}},
        {"parameter-name spec.parameters[4].name: is missing"},
    ),
    "one value with a step": ({**space(min="1", max="1", step="1"), **algorithm("multivariate-tpe")}, set()),
    "a whole number of more than 64 bits": (
        {
            **foreign({}),
            "spec.parameters[0].parameterType": "int",
            "SPACE": {"min": "1", "max": "9223372036854775808"},
        },
        {"bound-not-a-number SPACE.max: is 9223372036854775808, more than 64 bits hold"},
    ),
    "an empty list of parameters": (
        {"spec.parameters": []},
        {"no-parameters spec.parameters: is empty"},
    ),
    "a whole number that Go cannot read": (
        {**whole(min="0", max="9223372036854775808"), **algorithm("sobol")},
        {"bound-not-a-number SPACE.max: '9223372036854775808' is no whole number"},
    ),
    "the logarithm of 0 under an algorithm that stock Katib lacks": (
        {**space(min="0", max="1", distribution="logUniform"), **algorithm("randon")},
        {
            "log-of-nothing SPACE.min: is 0, with distribution logUniform",
            "unknown-algorithm spec.algorithm.algorithmName: 'randon': did you mean 'random'?",
        },
    ),
    "a step of more than 64 bits, which is wider than its range": (
        {
            **foreign({}),
            **RANDOM,
            "spec.parameters[0].parameterType": "int",
            "SPACE": {"min": "1", "max": "5", "step": "9223372036854775808"},
        },
        {"step SPACE.step: is 9223372036854775808, and no multiple of it lies in 1 to 5"},
    ),
    "no space": ({"SPACE": DROP}, {"bounds-missing SPACE: is missing"}),
    "a step that has no multiple in its range, which hyperopt counts from 0": (
        space(min="0.5", max="0.9", step="1"),
        {"step SPACE.step: is 1, and no multiple of it lies in 0.5 to 0.9"},
    ),
    "a value twice behind one that is no text": (
        foreign({"spec.parameters[0].parameterType": "categorical", "SPACE": {"list": [1, "a", "a"]}}),
        {"?list-value-twice SPACE.list[2]: 'a' stands here a second time"},
    ),
    "a type that is near another": (
        {"spec.parameters[0].parameterType": "doubel"},
        {"parameter-type spec.parameters[0].parameterType: 'doubel': did you mean 'double'?"},
    ),
    "a type that is empty": (
        {"spec.parameters[0].parameterType": ""},
        {"parameter-type spec.parameters[0].parameterType: is missing"},
    ),
    "a type that is no text": (
        {"spec.parameters[0].parameterType": 3},
        set(),
    ),
    "a distribution in small letters": (
        space(min="0.1", max="1", distribution="lognormal"),
        {"distribution SPACE.distribution: 'lognormal': did you mean 'logNormal'?"},
    ),
    "an empty distribution": (space(min="0.1", max="1", distribution=""), set()),
    "a list of numbers for a double": (
        space(min="1", max="2", list=["1"]),
        {"bounds-of-other-type SPACE.list: belongs to discrete and categorical"},
    ),
    "an empty list beside bounds": (space(min="1", max="2", list=[]), set()),
    "no bound at all": (
        space(),
        {"bounds-missing SPACE.min: is missing", "bounds-missing SPACE.max: is missing"},
    ),
    "a max that is empty": (space(min="1", max=""), {"bounds-missing SPACE.max: is missing"}),
    "words as bounds": (
        space(min="low", max="high", step="some"),
        {
            "bound-not-a-number SPACE.min: 'low' is no finite number",
            "bound-not-a-number SPACE.max: 'high' is no finite number",
            "bound-not-a-number SPACE.step: 'some' is no finite number",
        },
    ),
    "numbers that are not finite": (
        space(min="-inf", max="nan"),
        {
            "bound-not-a-number SPACE.min: '-inf' is no finite number",
            "bound-not-a-number SPACE.max: 'nan' is no finite number",
        },
    ),
    "an int with a fraction": (
        whole(min="1.0", max="1e3", step="0.5"),
        {"?bound-of-int-rounded SPACE.step: is 0.5"},
    ),
    "an int with signs": (whole(min="-5", max="+5"), set()),
    "an int that has zeros before it": (whole(min="01", max="09"), set()),
    "min above max": (
        space(min="2", max="1"),
        {"bounds-order SPACE.min: 2 does not lie below max 1"},
    ),
    "min equal to max, spelt otherwise": (
        space(min="1.0", max="1"),
        {"bounds-order SPACE.min: 1.0 does not lie below max 1"},
    ),
    "min above max, below 0, logarithmic, with a step: one finding": (
        space(min="-1", max="-2", distribution="logUniform", step="9"),
        {"bounds-order SPACE.min: -1 does not lie below max -2"},
    ),
    "the logarithm of 0": (
        space(min="0", max="1", distribution="logUniform"),
        {"log-of-nothing SPACE.min: is 0, with distribution logUniform"},
    ),
    "the logarithm of less": (
        space(min="-1", max="1", distribution="logNormal"),
        {
            "log-of-nothing SPACE.min: is -1, with distribution logNormal",
        },
    ),
    "the logarithm of a little": (space(min="1e-9", max="1", distribution="logUniform"), set()),
    "no logarithm of 0": (space(min="0", max="1"), set()),
    "a logarithm that the service does not take": (
        {
            **algorithm("multivariate-tpe"),
            **space(min="0", max="1", distribution="logUniform"),
            **algorithm("sobol"),
        },
        set(),
    ),
    "a step of 0": (space(min="0", max="1", step="0"), {"step SPACE.step: is 0"}),
    "a step below 0": (space(min="0", max="1", step="-0.1"), {"step SPACE.step: is -0.1"}),
    "a step wider than its range": (
        space(min="0", max="1", step="1.5"),
        {"?step-too-wide SPACE.step: is wider than 0 to 1"},
    ),
    "a step as wide as its range": (space(min="0", max="1", step="1"), set()),
    "an empty step": (space(min="0", max="1", step=""), set()),
    "a step that the service does not look at": (
        {"SPACE.step": "some"},
        {"bound-not-a-number SPACE.step: 'some' is no step"},
    ),
    "one value, which hyperband's resource and its other parameters may have": (
        {
            **HYPERBAND,
            **foreign({}),
            "SPACE.min": "0.01",
            "spec.parameters[3].feasibleSpace": {"min": "9", "max": "9", "distribution": "uniform"},
        },
        set(),
    ),
    "hyperband's resource with min above max": (
        {
            **HYPERBAND,
            **foreign({}),
            "spec.parameters[3].feasibleSpace": {"min": "9", "max": "8", "distribution": "uniform"},
        },
        {"?bounds-swapped spec.parameters[3].feasibleSpace.min: 9 does not lie below max 8"},
    ),
    "a category with bounds and a step": (
        foreign(
            {
                **RANDOM,
                "spec.parameters[0].parameterType": "categorical",
                "SPACE": {"min": "1", "max": "2", "step": "1", "list": ["a"]},
            }
        ),
        {f"bounds-of-other-type SPACE.{key}: belongs to double and int" for key in ("min", "max", "step")},
    ),
    "a category without a list": (
        foreign({"spec.parameters[0].parameterType": "categorical", "SPACE": {"min": ""}}),
        {"bounds-missing SPACE.list: is missing"},
    ),
    "a category without a space": (
        foreign({"spec.parameters[0].parameterType": "discrete", "SPACE": DROP}),
        {"bounds-missing SPACE: is missing"},
    ),
    "an empty list": (categorical(), {"bounds-missing SPACE.list: is empty"}),
    "a value three times": (
        categorical("a", "a", "b", "a"),
        {
            "?list-value-twice SPACE.list[1]: 'a' stands here a second time",
            "?list-value-twice SPACE.list[3]: 'a' stands here a second time",
        },
    ),
    "values that JSON wants escaped": (
        {**categorical('"', "\\", "\t", "\x1f", "a"), **without("lr")},
        {
            f"list-value-breaks-json SPACE.list[{index}]: {text} cannot stand in JSON as it is"
            for index, text in enumerate(("'\"'", "'\\\\'", "'\\t'", "'\\x1f'"))
        },
    ),
    "discrete values": (
        foreign(
            {
                **RANDOM,
                "spec.parameters[0].parameterType": "discrete",
                "SPACE": {"list": ["1", "1e3", "nan", "x"]},
            }
        ),
        {
            "?discrete-not-a-number SPACE.list[2]: 'nan' is no number",
            "?discrete-not-a-number SPACE.list[3]: 'x' is no number",
        },
    ),
}
