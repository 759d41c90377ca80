"""An Experiment of runs that are fixed beforehand, made from the manifest of the search that they follow from.

Katib draws each parameter on its own, so a handful of whole configurations is one categorical parameter, `run`, whose
values are the runs (`lr=0.0021,weight_decay=1.2e-05,seed=123`), and grid as its algorithm: every run once, on stock
Katib, on our services and on one machine. The trainer takes the word with --set and reads each setting by its own
flag's type. All else is the search's: image, epochs, curriculum, resources, metric filter. What is planned stands in an
annotation of the Experiment, so that whoever finds it knows what it is for. Pure; called by
katib/conclude/confirmation.py and architecture.py.
"""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from textwrap import shorten
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from katib.conclude.selection import SEED
from katib.defects import defects
from katib.errors import ManifestError
from katib.manifest.command import as_run, is_trainer
from katib.manifest.object import PLAN, Manifest
from katib.table.trial_table import TrialRow, TrialTable
from katib.trainer_contract import RUNS, Flags
from katib.trial import ENDED
from katib.yaml_reader import resolve

RUN = "run"
LABELS = ("app.kubernetes.io/managed-by", "sepsweep/model")
EXPERIMENT_LABEL, GROUP_VARIABLE = "katib.kubeflow.org/experiment", "WANDB_RUN_GROUP"
LONGEST_NAME = 40
_WORD = re.compile(r"[A-Za-z0-9_./:+@%-]+")
"""What stands in a run's word: no comma and no equals sign, and nothing that a shell reads."""
_NUMBERLIKE = re.compile(r"[-+.]?\d[\w.+-]*")
"""Text that some reader of YAML takes for a number: 1e-06 is one to Go and none to Python."""

Purpose = Literal["confirm", "arch"]


class Group(BaseModel):
    """One configuration that is trained with every seed.

    `known` are the values, by seed, of runs that are there already; `mean` and `sd` what the search believed of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    configuration: dict[str, str]
    known: dict[int, float] = {}
    mean: float | None = None
    sd: float | None = None

    def word(self, seed: int) -> str:
        """Returns the run with `seed`, as the trial's parameter has it."""
        return ",".join(f"{name}={text}" for name, text in {**self.configuration, "seed": str(seed)}.items())


class FollowUpPlan(BaseModel):
    """What an Experiment of fixed runs is for. `seen` are the seeds of the search, `baseline` its values by seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: Purpose
    search: str
    seeds: tuple[int, ...]
    seen: tuple[int, ...] = ()
    groups: tuple[Group, ...]
    baseline: dict[int, float] = {}
    field: str = ""
    """arch: the field of the model that varies."""

    @property
    def words(self) -> list[str]:
        """The runs that are missing, the first group's first."""
        return [group.word(seed) for group in self.groups for seed in self.seeds if seed not in group.known]

    def values(self, table: TrialTable) -> list[dict[int, float]]:
        """Of each group its values by seed: those known before, and those of the runs that ended well."""
        ended = {row.assignments.get(RUN): row.value for row in table.finished}
        found = []
        for group in self.groups:
            values = {}
            for seed in self.seeds:
                value = group.known.get(seed, ended.get(group.word(seed)))
                if value is not None:
                    values[seed] = value
            found.append(values)
        return found

    def deviations(
        self, seeds: Sequence[int] | None = None, baseline: Mapping[int, float] | None = None
    ) -> Iterator[str]:
        """Yields where this plan, which stays as it is, differs from what a user now asks for; None asks for nothing."""
        name = experiment_name(self.search, self.purpose)
        if seeds is not None and self.seeds != tuple(seeds):
            yield f"'{name}' was planned with seeds {','.join(map(str, self.seeds))}, which it keeps"
        if baseline is not None and self.baseline != baseline:
            yield f"'{name}' was planned with another baseline, which it keeps"

    def outstanding(self, table: TrialTable) -> int:
        """Returns how many planned runs have not ended."""
        ended = {row.assignments.get(RUN) for row in table.rows if row.state in ENDED}
        return sum(word not in ended for word in self.words)


def experiment_name(search: str, purpose: Purpose) -> str:
    """Of the Experiment that follows from `search`; within Katib's 40 characters."""
    return f"{search[: LONGEST_NAME - len(purpose) - 1].rstrip('-')}-{purpose}"


def derived(search: Mapping[str, Any], plan: FollowUpPlan) -> str:
    """Returns the manifest of `plan` as text, made from that of its search as it was read (a file, an object of a
    cluster).

    Raises ManifestError where the trials of the search are not of our trainer, which alone takes a run in one word.
    """
    old, new, words = plan.search, experiment_name(plan.search, plan.purpose), plan.words
    for group in plan.groups:
        for part in (*group.configuration, *group.configuration.values()):
            if not _WORD.fullmatch(part):
                raise ManifestError(f"{old}: '{part}' is no setting that can be passed in one word with others")
    spec = copy.deepcopy(dict(search["spec"]))
    metadata = search["metadata"]
    for key in ("earlyStopping", "algorithm", "parameters"):
        spec.pop(key, None)
    spec["objective"].pop("goal", None)  # it would end the runs before the last one
    spec["algorithm"] = {"algorithmName": "grid"}
    spec["maxTrialCount"] = spec["maxFailedTrialCount"] = len(words)
    spec["parallelTrialCount"] = min(spec.get("parallelTrialCount", 3), len(words))
    spec["parameters"] = [{"name": RUN, "parameterType": "categorical", "feasibleSpace": {"list": words}}]
    given = {"--" + name.replace("_", "-") for group in plan.groups for name in group.configuration}
    kept = {flag: values for flag, values in Manifest(spec).flags.items() if flag not in given | {Flags.SEED}}
    _rewrite_trial(spec["trialTemplate"], kept, old, new)
    labels = metadata.get("labels") or {}
    document = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {
            "name": new,
            **({"namespace": metadata["namespace"]} if "namespace" in metadata else {}),
            "labels": {name: labels[name] for name in LABELS if name in labels},
            "annotations": {PLAN: plan.model_dump_json()},
        },
        "spec": spec,
    }
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1_000_000, allow_unicode=True)


def plan_of(manifest: Mapping[str, Any]) -> FollowUpPlan | None:
    """Returns the plan of an Experiment of fixed runs; None of any other Experiment."""
    text = ((manifest.get("metadata") or {}).get("annotations") or {}).get(PLAN)
    if text is None:
        return None
    try:
        return FollowUpPlan.model_validate_json(text)
    except ValidationError as error:
        raise ManifestError(f"annotation {PLAN}: {defects(error, FollowUpPlan)}") from None


def seed_of(row: TrialRow, search: Mapping[str, Any]) -> int:
    """Returns the seed that a trial of the search was trained with: a parameter's, or else that of the command of all.

    Raises ManifestError where neither says it: a verdict must know which seeds the search has seen.
    """
    words = Manifest.of(search).flags.get(Flags.SEED, [])
    text = row.assignments.get(SEED, words[0] if len(words) == 1 else "")
    if not text.isdecimal():
        raise ManifestError(
            f"{row.trial}: neither a parameter 'seed' nor its command says which seed it was trained with"
        )
    return int(text)


def require_trainer(template: Any, search: str) -> None:
    """Raises ManifestError where the trials of `search` are not of our trainer."""
    try:
        _, words = _command(template)
    except (KeyError, TypeError, StopIteration):
        raise ManifestError(
            f"{search}: its trials are no Jobs with a primary container; only runs of `python -m trainer` can be repeated one by"
            " one"
        ) from None
    if not is_trainer(words[:3]):
        named = takewhile(lambda word: "${" not in word, words[:3])
        said = shorten(" ".join(named) or "an image's own command", 60, placeholder=" ...")
        raise ManifestError(
            f"{search}: its trials run '{said}'; only runs of `python -m trainer` can be repeated one by one"
        )


def _command(template: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Returns the trial's container and the words that it runs."""
    containers = template["trialSpec"]["spec"]["template"]["spec"]["containers"]
    container = next(one for one in containers if one["name"] == template["primaryContainerName"])
    return container, list(as_run([*(container.get("command") or []), *(container.get("args") or [])]))


def _rewrite_trial(template: dict[str, Any], flags: Mapping[str, Sequence[str]], old: str, new: str) -> None:
    """The run word in the place of the searched flags and of the seed, and the new name wherever the old one stands."""
    require_trainer(template, old)
    container, words = _command(template)
    names = {item["name"]: item["reference"] for item in template["trialParameters"]}
    kept = {name for name, reference in names.items() if reference.startswith("${trialSpec.")}
    command = words[:3]
    for flag, values in flags.items():
        searched = any(f"${{trialParameters.{name}}}" in value for name in names.keys() - kept for value in values)
        if not searched:
            command += [flag, *values]
    container.pop("args", None)
    container["command"] = [*command, Flags.SET, f"${{trialParameters.{RUN}}}"]
    template["trialParameters"] = [
        *(item for item in template["trialParameters"] if item["name"] in kept),
        {"name": RUN, "description": "one run, as flags of the trainer", "reference": RUN},
    ]
    job = template["trialSpec"]
    labels = job.get("metadata", {}).get("labels") or {}
    if EXPERIMENT_LABEL in labels:
        labels[EXPERIMENT_LABEL] = new
    for variable in container.get("env") or []:
        if variable["name"] == GROUP_VARIABLE:
            namespace, slash, _ = variable.get("value", "").rpartition("/")
            variable["value"] = f"{namespace}{slash}{new}"
    template["trialSpec"] = _renamed(job, f"{RUNS}/{old}/", f"{RUNS}/{new}/")


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, old, new) for item in value]
    return value.replace(old, new) if isinstance(value, str) else value


class _Dumper(yaml.SafeDumper):
    """Quotes every text that might be read as a number; no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _NUMBERLIKE.fullmatch(text) or not isinstance(resolve(text), str) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
