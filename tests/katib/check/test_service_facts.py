"""What Katib's own services answered, held against the check: recorded from those of v0.19.0, run without a cluster.

Each fact was a search of 4 to 16 trials: ValidateAlgorithmSettings, then GetSuggestions until all trials were there.
"yes": it got them, all finite; "no": the service refused, failed, hung, or gave another number of them. Sources:
pkg/suggestion/v1beta1.
"""

import pytest

from katib.check import Defect
from katib.check.manifest import check_text
from tests.katib.check.manifests import DROP, Changes, algorithm, foreign, spoiled

BASES: dict[str, Changes] = {
    "random": algorithm("random"),
    "tpe": algorithm("tpe"),
    "bayesianoptimization": algorithm("bayesianoptimization", n_initial_points="2"),
    "multivariate-tpe": algorithm("multivariate-tpe"),
    "grid": algorithm("grid"),
    "cmaes": algorithm("cmaes"),
    "sobol": algorithm("sobol"),
    "hyperband": algorithm("hyperband", r_l="9", eta="3", resource_name="grad_clip_norm"),
    "pbt": algorithm("pbt", suggestion_trial_dir="/p", n_population="5", truncation_threshold="0.2"),
}

# algorithm | parameterType | min | max | step | distribution | answer
SPACES = """
random | int | 1.0 | 8 | | uniform | yes
random | int | 0.5 | 8 | | uniform | yes
random | int | 1 | 1e3 | | uniform | yes
random | int | 1 | 9 | 0.5 | uniform | yes
random | int | 1 | 9 | 0 | uniform | no
random | double | 0.5 | 2 | nan | uniform | no
random | double | 2 | 0.5 | | uniform | no
random | double | 0.5 | 0.5 | | uniform | no
random | double | 0 | 2 | | logUniform | no
random | int | 8 | 12 | 10 | uniform | yes
tpe | int | 1.0 | 1e3 | | uniform | yes
tpe | int | 1 | 10000000000000000000000 | | uniform | no
tpe | double | 1 | 10000000000000000000000 | | uniform | yes
tpe | double | 0.5 | 0.5 | | uniform | no
bayesianoptimization | int | 1.0 | 8 | | uniform | no
bayesianoptimization | int | 1_0 | 20 | | uniform | yes
bayesianoptimization | int | 1 | 8 | 10 | uniform | yes
bayesianoptimization | double | 0 | 2 | | logUniform | no
multivariate-tpe | int | 1.0 | 8 | | uniform | no
multivariate-tpe | int | 3 | 3 | | uniform | yes
multivariate-tpe | int | 1 | 8 | 100 | uniform | yes
multivariate-tpe | double | 0.5 | 2 | 10 | uniform | yes
multivariate-tpe | double | 0.5 | 2 | -1 | uniform | no
multivariate-tpe | double | 0.5 | 2 | | normal | no
grid | int | 1.0 | 8 | | uniform | no
grid | double | 0.5 | 2 | | uniform | no
grid | double | 0.5 | 2 | 10 | uniform | yes
grid | double | 0.5 | 2 | nan | uniform | no
cmaes | int | 1_0 | 20 | | uniform | no
cmaes | double | 1_0 | 20 | | uniform | yes
cmaes | double | 0.5 | 2 | 10 | uniform | yes
cmaes | double | 0.5 | 0.5 | | uniform | no
cmaes | int | 1 | 8 | 0 | uniform | no
sobol | int | 3 | 3 | | uniform | yes
sobol | int | 3 | 1 | | uniform | no
sobol | double | 0.5 | 2 | 10 | uniform | yes
hyperband | double | 2 | 0.5 | | uniform | yes
hyperband | int | 1.0 | 8 | | uniform | no
hyperband | int | 1 | 10000000000000000000000 | | uniform | no
hyperband | double | 0.5 | 2 | abc | uniform | yes
pbt | int | 1.0 | 9 | | uniform | yes
pbt | int | 0.5 | 9 | 2 | uniform | yes
pbt | double | 0.5 | 2 | | uniform | no
pbt | double | 0.5 | 2 | 10 | uniform | yes
pbt | double | 2 | 0.5 | 0.5 | uniform | no
pbt | double | 0.5 | 10000000000000000000000 | 0.5 | uniform | no
"""

# algorithm | setting | value | answer
SETTINGS = """
random | random_state | 4294967295 | yes
random | random_state | 10000000000000000000000 | no
tpe | prior_weight | inf | no
tpe | n_EI_candidates | 0 | no
tpe | n_EI_candidates | 10000000000000000000000 | no
tpe | n_EI_candidates | 1_000 | yes
multivariate-tpe | n_ei_candidates | 0 | no
multivariate-tpe | n_startup_trials | 0 | yes
multivariate-tpe | random_state | 1.0 | no
cmaes | sigma | -1 | yes
cmaes | sigma | 1_000 | yes
cmaes | sigma | abc | no
cmaes | random_state | -1 | yes
cmaes | random_state | 1_000 | no
hyperband | r_l | inf | no
hyperband | r_l | 1e-9 | no
hyperband | eta | 1 | no
hyperband | eta | 0 | yes
hyperband | eta | inf | no
hyperband | current_s | -1 | no
hyperband | current_s | 2 | yes
hyperband | evaluating_trials | 1 | no
hyperband | evaluating_trials | 0 | yes
hyperband | s_max | 1e3 | no
hyperband | n | abc | no
hyperband | n | 5 | yes
pbt | suggestion_trial_dir | | yes
pbt | n_population | 4 | no
pbt | n_population | 1.0 | no
pbt | truncation_threshold | nan | no
pbt | truncation_threshold | 1 | yes
pbt | resample_probability | 0.5 | no
"""


def facts(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]


def errors(changes: Changes) -> list[Defect]:
    return [found for found in check_text(spoiled(changes), "test") if found.severity == "error"]


def search(name: str) -> Changes:
    """Returns a search by this algorithm whose other parameters are of a kind that each service takes."""
    counts = (
        {"spec.maxTrialCount": 9, "spec.parallelTrialCount": 9} if name == "hyperband" else {"spec.maxTrialCount": 5}
    )
    space = {"min": "0.5", "max": "2", "step": "0.5", "distribution": "uniform"}
    others = {f"spec.parameters[{index}].feasibleSpace": space for index in range(4)}
    return foreign(
        {
            "metadata.name": "facts",
            **BASES[name],
            **counts,
            **others,
            "spec.earlyStopping": DROP,
            "TEMPLATE.retain": True,
        }
    )


@pytest.mark.parametrize("name", BASES)
def test_the_search_that_the_facts_change_is_sound(name: str) -> None:
    assert errors(search(name)) == []


@pytest.mark.parametrize("fact", facts(SPACES), ids=" ".join)
def test_a_space_that_the_service_answers_to_has_no_error_and_no_other(fact: list[str]) -> None:
    name, kind, low, high, step, distribution, answer = fact
    space = {"min": low, "max": high, "distribution": distribution, **({"step": step} if step else {})}
    changes = {
        **search(name),
        "spec.parameters[0].parameterType": kind,
        "spec.parameters[0].feasibleSpace": space,
    }
    assert bool(errors(changes)) == (answer == "no")


@pytest.mark.parametrize("fact", facts(SETTINGS), ids=" ".join)
def test_a_setting_that_the_service_takes_has_no_error_and_no_other(fact: list[str]) -> None:
    name, setting, value, answer = fact
    changes = search(name)
    listed = changes["spec.algorithm"]["algorithmSettings"]  # type: ignore[index]
    settings = [item for item in listed if item["name"] != setting] + [{"name": setting, "value": value}]
    changes["spec.algorithm"] = {"algorithmName": name, "algorithmSettings": settings}
    assert bool(errors(changes)) == (answer == "no")
