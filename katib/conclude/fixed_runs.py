"""Makes an Experiment of fixed runs from the manifest of the search that it follows from. Pure: no I/O.

Katib draws each parameter independently, so a handful of whole configurations becomes one categorical parameter, `run`,
whose values are the runs (`lr=0.0021,weight_decay=1.2e-05,seed=123`), with grid as the algorithm: each run is trained
once, on stock Katib, with our services and on one machine. The trainer takes the value with --set and reads each
setting as the type of its own flag; a command that a spec declares gets the settings from a script. Everything else is
copied from the search: image, epochs, curriculum, resources, metric filter. An annotation of the Experiment holds the
plan, so that it is found with the Experiment.
"""

import math
import re
from dataclasses import replace
from itertools import takewhile
from textwrap import shorten

from katib.conclude.plan import RUN, FollowUpPlan
from katib.conclude.selection import SEED
from katib.errors import ManifestError
from katib.manifest.command import is_trainer
from katib.manifest.declaration import Declaration
from katib.manifest.dumping import dumped
from katib.manifest.object import OWN_SPEC, PLAN, Manifest
from katib.table.trial_table import TrialRow
from katib.trainer_contract import RUNS, Flags
from katib.trainer_flags import flag_of
from katib.tree import Tree, at, items_at, labels_at, put, text_at, without

LABELS = ("app.kubernetes.io/managed-by", "sepsweep/model")
EXPERIMENT_LABEL, GROUP_VARIABLE = "katib.kubeflow.org/experiment", "WANDB_RUN_GROUP"
MANY = 100.0
"""How many times longer a run on the whole corpus may take than one on a part of it, of which the size is not known."""
_WORD = re.compile(r"[A-Za-z0-9_./:+@%-]+")
"""A setting within a run's value: no comma, no equals sign, and nothing that a shell would interpret."""


def derived(search: Manifest, plan: FollowUpPlan) -> str:
    """Returns the manifest of `plan` as text, made from that of its search.

    Raises ManifestError where the trials of the search neither run our trainer, whose --set takes a run, nor a command
    that a spec declares.
    """
    # What goes on from an extension is made from that, and not from the search.
    old, new, words = search.name or plan.search, plan.name, plan.words
    for group in plan.groups:
        paths = [group.source.run_dir] if group.source else []
        for part in (*group.configuration, *group.configuration.values(), *paths):
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
    made = made.with_job(_job(made.job, old, new, _longer(search, plan)))
    document = {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {
            "name": new,
            **({"namespace": search.metadata["namespace"]} if "namespace" in search.metadata else {}),
            "labels": {name: search.labels[name] for name in LABELS if name in search.labels},
            "annotations": {
                PLAN: plan.text,
                **({OWN_SPEC: search.annotations[OWN_SPEC]} if OWN_SPEC in search.annotations else {}),
            },
        },
        "spec": made.spec,
    }
    return dumped(document)


def seed_of(row: TrialRow, search: Manifest) -> int:
    """Returns the seed that a trial of the search was trained with, from its parameters or from the command.

    Raises ManifestError where neither has it: a verdict must know which seeds the search has seen.
    """
    words = [str(search.declared.seed)] if search.declared else search.flags.get(Flags.SEED, [])
    text = row.assignments.get(SEED, words[0] if len(words) == 1 else "")
    if not text.isdecimal():
        raise ManifestError(
            f"{row.trial}: neither a parameter 'seed' nor its command says which seed it was trained with"
        )
    return int(text)


def require_trainer(manifest: Manifest, search: str) -> None:
    """Raises ManifestError where the trials of `search` neither run our trainer nor a command that is declared."""
    if manifest.declared is not None:
        return
    if not manifest.container:
        raise ManifestError(
            f"{search}: its trials are no Jobs with a primary container; only runs of `python -m trainer` can be"
            " repeated one by one"
        )
    if not is_trainer(manifest.command[:3]):
        named = takewhile(lambda word: "${" not in word, manifest.command[:3])
        program = shorten(" ".join(named) or "an image's own command", 60, placeholder=" ...")
        raise ManifestError(
            f"{search}: its trials run '{program}'; only runs of `python -m trainer` can be repeated one by one,"
            " or those of a spec's command, if the verb gets that spec by its path"
        )


def _container(search: Manifest, plan: FollowUpPlan, experiment: str) -> Tree:
    """Returns the trainer's container with `run` instead of the searched flags and the seed."""
    if search.declared is not None:
        return {**search.container, "command": ["sh", "-c", _script(search.declared, plan)]}
    given = {Flags.SEED, *(flag_of(name) for group in plan.groups for name in group.configuration)}
    searched = [
        f"${{trialParameters.{name}}}"
        for name, reference in search.references.items()
        if not reference.startswith("${trialSpec.")
    ]
    command = search.command[:3]
    if plan.epochs is not None:
        given |= {Flags.EPOCHS, Flags.CONTINUE_FROM}
        command += [Flags.EPOCHS, str(plan.epochs)]
    if plan.train_limit is not None:
        given |= {Flags.TRAIN_LIMIT}
        command += [] if plan.train_limit == "all" else [Flags.TRAIN_LIMIT, str(plan.train_limit)]
    for flag, values in search.flags.items():
        if flag not in given and not any(placeholder in value for placeholder in searched for value in values):
            command += [flag, *values]
    changes: Tree = {"command": [*command, Flags.SET, f"${{trialParameters.{RUN}}}"]}
    if env := items_at(search.container, "env"):
        changes = {**changes, "env": [in_group(variable, experiment) for variable in env]}
    return {**without(search.container, "args"), **changes}


def _script(declared: Declaration, plan: FollowUpPlan) -> str:
    """Returns the script of the command that a spec declares. Raises ManifestError for a run that is none of its."""
    runs = {word: dict(part.split("=", 1) for part in word.split(",")) for word in plan.words}
    for settings in runs.values():
        if found := declared.problem(settings):
            raise ManifestError(f"{plan.search}: {found}; name the spec with which it was run")
    return declared.script(f"${{trialParameters.{RUN}}}", runs, plan.epochs)


def in_group(variable: Tree, experiment: str) -> Tree:
    """Returns a variable of the container; that of the tracker's group names the new `experiment`."""
    if variable.get("name") != GROUP_VARIABLE:
        return variable
    namespace, slash, _ = text_at(variable, "value").rpartition("/")
    return {**variable, "value": f"{namespace}{slash}{experiment}"}


def _longer(search: Manifest, plan: FollowUpPlan) -> float:
    """Returns how many times the epochs or mixtures of the search a run has, at least 1, and MANY if nobody knows."""
    few, many = search.number(Flags.TRAIN_LIMIT), plan.train_limit
    if many is not None:
        return MANY if few and many == "all" else max(1.0, int(many) / few) if few else 1.0
    before = search.declared.epochs if search.declared else search.number(Flags.EPOCHS)
    return max(1.0, plan.epochs / before) if plan.epochs and before else 1.0


def _job(job: Tree, old: str, new: str, longer: float) -> Tree:
    """Returns the Job of a trial with the new experiment's label, run directory and deadline."""
    deadline = at(job, "spec").get("activeDeadlineSeconds")
    if isinstance(deadline, int) and longer > 1:
        job = put(job, ("spec", "activeDeadlineSeconds"), math.ceil(deadline * longer))
    if EXPERIMENT_LABEL in labels_at(job, "metadata", "labels"):
        job = put(job, ("metadata", "labels", EXPERIMENT_LABEL), new)
    return at(renamed(job, f"{RUNS}/{old}/", f"{RUNS}/{new}/"))


def renamed(value: object, old: str, new: str) -> object:
    """Returns a part of a manifest in which each text has `new` in place of `old`."""
    if isinstance(value, dict):
        return {key: renamed(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [renamed(item, old, new) for item in value]
    return value.replace(old, new) if isinstance(value, str) else value
