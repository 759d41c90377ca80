"""Every algorithm of Katib's own configuration (katib-config.yaml): the verb runs the search, or says that it does not.

random and grid are those of most other tests of this folder.
"""

from typing import Any

import pytest

from katib.yaml_reader import read_yaml
from tests.katib.backend.local.rig import Rig, pod, script
from tests.katib.check.defects_graph import DARTS, ENAS
from tests.katib.check.manifests import spoiled

SETTINGS = {
    "bayesianoptimization": {"n_initial_points": "2"},
    "multivariate-tpe": {"n_startup_trials": "2"},
    "hyperband": {"r_l": "9", "resource_name": "z"},
    "pbt": {"suggestion_trial_dir": "/p", "n_population": "9", "truncation_threshold": "0.2"},
}
TRIALS = 4


def search(name: str) -> dict[str, Any]:
    """Returns two axes, of which trial $X reports one as its value."""
    axes = [{"name": axis, "parameterType": "int", "feasibleSpace": {"min": "1", "max": "9"}} for axis in "xz"]
    listed = [{"name": key, "value": value} for key, value in SETTINGS.get(name, {}).items()]
    trials = 9 if name == "hyperband" else TRIALS
    made = script(
        "test $Z && echo val_si_snr=$X",
        parameters=axes,
        algorithm={"algorithmName": name, "algorithmSettings": listed},
        maxTrialCount=trials,
        parallelTrialCount=9 if name == "hyperband" else 2,
    )
    made["spec"]["trialTemplate"]["trialParameters"].append({"name": "z", "reference": "z"})
    pod(made)["containers"][0]["env"].append({"name": "Z", "value": "${trialParameters.z}"})
    return made


@pytest.mark.parametrize("name", ["sobol", "tpe", "multivariate-tpe", "bayesianoptimization"])
def test_a_search_comes_to_its_end(rig: Rig, name: str) -> None:
    """No point comes twice, each lies in the space, and the best is the best of what the trials printed."""
    done = rig.run(search(name))
    assert (done.returncode, done.stderr) == (0, "")
    rows = rig.results()
    points = [(row["assignments"]["x"], row["assignments"]["z"]) for row in rows]
    assert len(set(points)) == TRIALS
    assert {number for point in points for number in point} <= {str(number) for number in range(1, 10)}
    assert [row["val_si_snr"] for row in rows] == sorted((float(x) for x, _ in points), reverse=True)
    assert {row["state"] for row in rows} == {"Succeeded"}


@pytest.mark.parametrize("name", ["cmaes", "hyperband", "pbt", "darts", "enas"])
def test_what_only_katibs_own_service_has_is_refused_by_name(rig: Rig, name: str) -> None:
    graph = {"darts": DARTS, "enas": ENAS}
    done = rig.run(read_yaml(spoiled(graph[name])) if name in graph else search(name))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    message = f"algorithm {name}: only Katib's own service on a cluster has it; here: bayesianoptimization"
    if name in graph:
        message = "nasConfig: an architecture search (darts, enas) is not run here; it runs on a cluster with Katib"
    assert message in line
    assert not rig.out.exists()
