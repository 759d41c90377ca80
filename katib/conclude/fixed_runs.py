"""Makes an Experiment of fixed runs from the manifest of the search that it follows from. Pure: no I/O.

Katib draws each parameter independently, so a handful of whole configurations becomes one categorical parameter, `run`,
whose values are the runs (`lr=0.0021,weight_decay=1.2e-05,seed=123`), with grid as the algorithm: each run is trained
once, on stock Katib, with our services and on one machine. The trainer takes the value with --set and reads each
setting as the type of its own flag. Everything else is copied from the search: image, epochs, curriculum, resources,
metric filter. An annotation of the Experiment holds the plan, so that it is found with the Experiment.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from textwrap import shorten
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from katib.conclude.selection import SEED
from katib.defects import defects
from katib.errors import ManifestError
from katib.manifest.command import is_trainer
from katib.manifest.object import PLAN, Manifest
from katib.table.trial_table import TrialRow, TrialTable
from katib.trainer_contract import RUNS, Flags
from katib.tree import Tree, at, items_at, labels_at, put, text_at, without
from katib.trial import ENDED
from katib.yaml_reader import resolve

RUN = "run"
LABELS = ("app.kubernetes.io/managed-by", "sepsweep/model")
EXPERIMENT_LABEL, GROUP_VARIABLE = "katib.kubeflow.org/experiment", "WANDB_RUN_GROUP"
LONGEST_NAME = 40
_WORD = re.compile(r"[A-Za-z0-9_./:+@%-]+")
"""A setting within a run's value: no comma, no equals sign, and nothing that a shell would interpret."""
_NUMBERLIKE = re.compile(r"[-+.]?\d[\w.+-]*")
"""Text that some YAML readers take for a number: 1e-06 is a number in Go and a string in Python."""

Purpose = Literal["confirm", "arch"]


class Group(BaseModel):
    """One configuration that is trained with every seed.

    `known` holds the values of runs that have been made before, by seed; `mean` and `sd` are the search's estimate.
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
    """The plan of an Experiment of fixed runs.

    `seen` holds the seeds that the search ran with, `baseline` the values to beat, by seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: Purpose
    search: str
    seeds: tuple[int, ...]
    seen: tuple[int, ...] = ()
    groups: tuple[Group, ...]
    baseline: dict[int, float] = {}
    field: str = ""
    """The field of the model that an architecture sweep varies."""

    @property
    def words(self) -> list[str]:
        """The runs that are missing, the first group's first."""
        return [group.word(seed) for group in self.groups for seed in self.seeds if seed not in group.known]

    def values(self, table: TrialTable) -> list[dict[int, float]]:
        """Returns the values of each group by seed: those known before, and those of the runs that have succeeded."""
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
        """Yields where this plan, which stays as it is, differs from what a user asks for; None asks for nothing."""
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
    """Returns the name of the Experiment that follows from `search`, within Katib's 40 characters."""
    return f"{search[: LONGEST_NAME - len(purpose) - 1].rstrip('-')}-{purpose}"


def derived(search: Manifest, plan: FollowUpPlan) -> str:
    """Returns the manifest of `plan` as text, made from that of its search.

    Raises ManifestError where the trials of the search do not run our trainer: no other program takes --set.
    """
    old, new, words = plan.search, experiment_name(plan.search, plan.purpose), plan.words
    for group in plan.groups:
        for part in (*group.configuration, *group.configuration.values()):
            if not _WORD.fullmatch(part):
                raise ManifestError(f"{old}: '{part}' is no setting that can be passed in one word with others")
    require_trainer(search, old)
    spec: Tree = {
        **without(search.spec, "earlyStopping", "algorithm", "parameters"),
        # A goal would end the runs before the last one.
        "objective": without(at(search.spec, "objective"), "goal"),
        "algorithm": {"algorithmName": "grid"},
        "maxTrialCount": len(words),
        "maxFailedTrialCount": len(words),
        "parallelTrialCount": min(search.parallel, len(words)),
        "parameters": [{"name": RUN, "parameterType": "categorical", "feasibleSpace": {"list": words}}],
    }
    kept = [
        item
        for item in items_at(spec, "trialTemplate", "trialParameters")
        if text_at(item, "reference").startswith("${trialSpec.")
    ]
    run = {"name": RUN, "description": "one run, as flags of the trainer", "reference": RUN}
    made = replace(search, spec=put(spec, ("trialTemplate", "trialParameters"), [*kept, run]))
    made = made.with_container(_container(search, plan, new))
    made = made.with_job(_job(made.job, old, new))
    document = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {
            "name": new,
            **({"namespace": search.metadata["namespace"]} if "namespace" in search.metadata else {}),
            "labels": {name: search.labels[name] for name in LABELS if name in search.labels},
            "annotations": {PLAN: plan.model_dump_json()},
        },
        "spec": made.spec,
    }
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1_000_000, allow_unicode=True)


def plan_of(manifest: Manifest) -> FollowUpPlan | None:
    """Returns the plan of an Experiment of fixed runs; None for any other Experiment."""
    text = manifest.annotations.get(PLAN)
    if text is None:
        return None
    try:
        return FollowUpPlan.model_validate_json(text)
    except ValidationError as error:
        raise ManifestError(f"annotation {PLAN}: {defects(error, FollowUpPlan)}") from None


def seed_of(row: TrialRow, search: Manifest) -> int:
    """Returns the seed that a trial of the search was trained with, from its parameters or from the command.

    Raises ManifestError where neither has it: a verdict must know which seeds the search has seen.
    """
    words = search.flags.get(Flags.SEED, [])
    text = row.assignments.get(SEED, words[0] if len(words) == 1 else "")
    if not text.isdecimal():
        raise ManifestError(
            f"{row.trial}: neither a parameter 'seed' nor its command says which seed it was trained with"
        )
    return int(text)


def require_trainer(manifest: Manifest, search: str) -> None:
    """Raises ManifestError where the trials of `search` do not run our trainer."""
    if not manifest.container:
        raise ManifestError(
            f"{search}: its trials are no Jobs with a primary container; only runs of `python -m trainer` can be"
            " repeated one by one"
        )
    if not is_trainer(manifest.command[:3]):
        named = takewhile(lambda word: "${" not in word, manifest.command[:3])
        program = shorten(" ".join(named) or "an image's own command", 60, placeholder=" ...")
        raise ManifestError(
            f"{search}: its trials run '{program}'; only runs of `python -m trainer` can be repeated one by one"
        )


def _container(search: Manifest, plan: FollowUpPlan, experiment: str) -> Tree:
    """Returns the trainer's container with `run` instead of the searched flags and the seed."""
    given = {Flags.SEED, *("--" + name.replace("_", "-") for group in plan.groups for name in group.configuration)}
    searched = [
        f"${{trialParameters.{name}}}"
        for name, reference in search.references.items()
        if not reference.startswith("${trialSpec.")
    ]
    command = search.command[:3]
    for flag, values in search.flags.items():
        if flag not in given and not any(placeholder in value for placeholder in searched for value in values):
            command += [flag, *values]
    changes: Tree = {"command": [*command, Flags.SET, f"${{trialParameters.{RUN}}}"]}
    if env := items_at(search.container, "env"):
        changes = {**changes, "env": [_in_group(variable, experiment) for variable in env]}
    return {**without(search.container, "args"), **changes}


def _in_group(variable: Tree, experiment: str) -> Tree:
    """Returns a variable of the container; that of the tracker's group names the new `experiment`."""
    if variable.get("name") != GROUP_VARIABLE:
        return variable
    namespace, slash, _ = text_at(variable, "value").rpartition("/")
    return {**variable, "value": f"{namespace}{slash}{experiment}"}


def _job(job: Tree, old: str, new: str) -> Tree:
    """Returns the Job of a trial with the new experiment's label and run directory."""
    if EXPERIMENT_LABEL in labels_at(job, "metadata", "labels"):
        job = put(job, ("metadata", "labels", EXPERIMENT_LABEL), new)
    return at(_renamed(job, f"{RUNS}/{old}/", f"{RUNS}/{new}/"))


def _renamed(value: object, old: str, new: str) -> object:
    if isinstance(value, dict):
        return {key: _renamed(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, old, new) for item in value]
    return value.replace(old, new) if isinstance(value, str) else value


class _Dumper(yaml.SafeDumper):
    """A dumper that quotes every text that could be read as a number, and writes no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _NUMBERLIKE.fullmatch(text) or not isinstance(resolve(text), str) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
