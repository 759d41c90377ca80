"""What a finding says, and the edges of its rule: which value is named, and where two findings would be one too many.

Each case lists the findings of four modules; the effects are those of Katib's webhook (validator.go), of its algorithm
services (pkg/suggestion/v1beta1) and of its pod webhook (pod/utils.go), which docs/check.md has.
"""

from types import ModuleType

import pytest

from katib.check import Defect, Rule, algorithms, command, objective, parameters
from katib.check.manifest import check_text
from tests.katib.check.manifests import DROP, Changes, algorithm, foreign, long, spoiled
from tests.katib.check.says_algorithms import ALGORITHMS
from tests.katib.check.says_command import COMMAND, scripted
from tests.katib.check.says_objective import OBJECTIVE
from tests.katib.check.says_parameters import PARAMETERS, space

TABLES = {parameters: PARAMETERS, objective: OBJECTIVE, algorithms: ALGORITHMS, command: COMMAND}
OWN = {rule.name for module in TABLES for rule in vars(module).values() if isinstance(rule, Rule)}


def findings(changes: Changes) -> list[Defect]:
    return [finding for finding in check_text(spoiled(changes), "test") if finding.rule in OWN]


@pytest.mark.parametrize(("module", "name"), [(module, name) for module in TABLES for name in TABLES[module]])
def test_findings_say_what_is_wrong_and_no_more(module: ModuleType, name: str) -> None:
    changes, expected = TABLES[module][name]
    assert {
        f"{'?' * (finding.severity == 'warning')}{finding.rule} {finding.path}: {finding.problem}"
        for finding in findings(changes)
    } == {
        f"{rule} {long(path)}: {what}"
        for text in expected
        for (rule, path), what in [(text.partition(": ")[0].split(" "), text.partition(": ")[2])]
    }


LUCKY = (
    "Sepsweep's services and the search on this machine refuse it; hyperopt answers with one value, or with some "
    "out of range"
)
LOG_INT: Changes = {
    "spec.parameters[0].parameterType": "int",
    "SPACE": {"min": "0", "max": "5", "distribution": "logUniform"},
}
FIXES: list[tuple[Changes, str, str]] = [
    ({"spec.parameters[1].name": "lr"}, parameters.NAME.effect, parameters.NAME.fix),
    (
        {"spec.parameters[1].name": "lr", **algorithm("multivariate-tpe")},
        "its service takes the last one, and the first is never searched",
        parameters.NAME.fix,
    ),
    *(
        (
            dict[str, object]({"SPACE.step": step}),
            "Sepsweep's services and the search on this machine refuse it; the stock service does not look at it",
            parameters.NOT_A_NUMBER.fix,
        )
        for step in ("0", "-1", "some")
    ),
    (space(min="-1", max="-2"), parameters.ORDER.effect, parameters.ORDER.fix),
    (space(min="1", max="0"), LUCKY, parameters.ORDER.fix),
    (space(min="1", max="1"), parameters.ORDER.effect, parameters.ORDER.fix),
    *((space(min="1", max="1", distribution=name), LUCKY, parameters.ORDER.fix) for name in ("normal", "logNormal")),
    (
        {**space(min="1", max="0"), **algorithm("bayesianoptimization")},
        parameters.ORDER.effect,
        parameters.ORDER.fix,
    ),
    (space(min="0", max="1", step="0"), parameters.STEP.effect, parameters.STEP.fix),
    (
        space(min="0", max="1", step="-1"),
        "hyperopt takes it for its opposite; Sepsweep's services and the search on this machine refuse it",
        parameters.STEP.fix,
    ),
    (
        {**space(min="0", max="1", step="-1"), **algorithm("multivariate-tpe")},
        parameters.STEP.effect,
        parameters.STEP.fix,
    ),
    (
        {**foreign({}), **LOG_INT},
        "Sepsweep's services and the search on this machine refuse it; scikit-optimize draws an int uniformly",
        parameters.LOG.fix,
    ),
    ({**foreign({}), **LOG_INT, **algorithm("random")}, parameters.LOG.effect, parameters.LOG.fix),
    (
        PARAMETERS["a graph beside parameters"][0],
        "Katib's webhook refuses the Experiment",
        "keep one of the two",
    ),
    (
        PARAMETERS["a max that is empty"][0],
        "Katib's webhook refuses the Experiment",
        "give a double or int min and max, a discrete or categorical a list",
    ),
    (
        {"SPACE": DROP},
        "Katib's webhook refuses the Experiment",
        "give a double or int min and max, a discrete or categorical a list",
    ),
    *(
        (
            PARAMETERS[name][0],
            "the algorithm has nothing to draw from; its service fails at every call",
            "give a double or int min and max, a discrete or categorical a list",
        )
        for name in ("an empty list", "a category without a space")
    ),
    (
        {"spec.maxTrialCount": 0},
        "Katib's webhook refuses the Experiment",
        "write a number of at least 1",
    ),
    (
        {"spec.maxFailedTrialCount": -1},
        "Katib's webhook refuses the Experiment",
        "write a number of at least 0",
    ),
    (
        algorithm("random", first_suggestions="[]"),
        "with stock services the Experiment fails before its first trial",
        "see which services the cluster has, or leave it out",
    ),
    (
        algorithm("sobol", random_state="1"),
        "with stock services the setting is ignored",
        "see which services the cluster has, or leave it out",
    ),
    (
        scripted("\n"),
        "Katib appends its redirection and its mark of completion to the script, and they are lost: the trial fails"
        " or is MetricsUnavailable",
        "write the block with |- or >-, which drop the last line end",
    ),
    (
        scripted(";"),
        "Katib appends its redirection and its mark of completion to the script, and they are lost: the trial fails"
        " or is MetricsUnavailable",
        "give the trainer's words themselves, without a shell; a block keeps no line end behind |- or >-",
    ),
]


@pytest.mark.parametrize("place", range(len(FIXES)))
def test_a_finding_says_what_follows_here_and_what_to_do(place: int) -> None:
    """Where its rule has more than one effect or fix."""
    changes, effect, fix = FIXES[place]
    (finding,) = findings(changes)
    assert (finding.effect, finding.fix) == (effect, fix)


@pytest.mark.parametrize(
    ("changes", "effect"),
    [
        (
            algorithm("sobol", random_state="-1"),
            "Sepsweep's services and the search on this machine refuse it; stock Katib ignores it",
        ),
        *(
            (changes, "the algorithm's service refuses it: the Experiment fails before its first trial")
            for changes in (
                algorithm("tpe", first_suggestions="no"),
                algorithm("tpe", gamma="2"),
                algorithm("hyperband", r_l="0", resource_name="lr_factor"),
            )
        ),
    ],
    ids=["ours, ignored", "ours, refused", "strict", "known to goptuna"],
)
def test_a_value_that_nobody_takes_says_who_refuses_it(changes: Changes, effect: str) -> None:
    """goptuna's services leave out a setting that they do not know, whatever its value."""
    (finding,) = (finding for finding in findings(changes) if finding.rule == "setting-value")
    assert finding.effect == effect
