"""Makes the manifest that trains one trial of a search once more: the search's own, in which nothing varies.

Pure: no I/O. A page has it once for all trials: its script puts in the name and the settings of the trial that a reader
chooses.
"""

from dataclasses import dataclass

from katib.conclude.fixed_runs import EXPERIMENT_LABEL, in_group, renamed
from katib.manifest.dumping import dumped
from katib.manifest.object import OWN_SPEC, Manifest
from katib.table.trial_table import TrialTable
from katib.trainer_contract import RUNS
from katib.tree import Tree, at, items_at, labels_at, put, without

NAME = "sepsweep-name-of-the-run"
VALUE = "sepsweep-value-{}-of-the-run"
"""What stands in the text for the Experiment's name, and for the setting of each parameter by its number."""


@dataclass(frozen=True)
class OneRun:
    """A manifest with NAME and VALUE in it; `settings` are the parameters in the order of their numbers."""

    text: str
    settings: tuple[str, ...]


def one_run(table: TrialTable) -> OneRun | None:
    """Returns the manifest of one trial of the search; None where the search does not say how its trials run."""
    search = Manifest(table.identity.spec)
    settings = tuple(str(one["name"]) for one in items_at(search.spec, "parameters") if one.get("name"))
    if not search.container or not settings:
        return None
    spec: Tree = {
        "objective": without(at(search.spec, "objective"), "goal"),
        "algorithm": {"algorithmName": "grid"},
        "maxTrialCount": 1,
        "maxFailedTrialCount": 1,
        "parallelTrialCount": 1,
        "parameters": [
            {"name": name, "parameterType": "categorical", "feasibleSpace": {"list": [VALUE.format(number)]}}
            for number, name in enumerate(settings)
        ],
        **without(
            search.spec,
            *("objective", "algorithm", "earlyStopping", "parameters"),
            *("maxTrialCount", "maxFailedTrialCount", "parallelTrialCount"),
        ),
    }
    old, job = table.identity.name, search.job
    if EXPERIMENT_LABEL in labels_at(job, "metadata", "labels"):
        job = put(job, ("metadata", "labels", EXPERIMENT_LABEL), NAME)
    made = Manifest(spec).with_job(at(renamed(job, f"{RUNS}/{old}/", f"{RUNS}/{NAME}/")))
    if env := items_at(made.container, "env"):
        made = made.with_container({**made.container, "env": [in_group(variable, NAME) for variable in env]})
    own = table.identity.own_spec
    metadata = {"name": NAME} | ({"annotations": {OWN_SPEC: own}} if own else {})
    document = {"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": metadata, "spec": made.spec}
    return OneRun(dumped(document), settings)
