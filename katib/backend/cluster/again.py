"""Runs failed trials of a search on Katib again: its suggestion service lets their configurations go on.

A trial that has ended never starts again, so Katib gets room for one trial more for each, and the annotation names
them (katib/manifest/again.py). A search that Katib has ended for its failures is continued as a whole, by deploy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from katib.backend.base import RunResult
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.deploy_diff import deployed
from katib.backend.cluster.kinds import (
    EXPERIMENT,
    OURS,
    PROPOSED_LABEL,
    PROPOSER,
    TRIAL,
    Object,
    annotations_of,
    is_ours,
    labels_of,
    name_of,
)
from katib.backend.cluster.model import read_search, read_trial
from katib.errors import ClusterError, SepsweepError, nearest
from katib.manifest.again import ANNOTATION, COUNTS, annotation, asked, with_more
from katib.manifest.object import Manifest
from katib.table.trial_table import TrialRow
from katib.terminal import print_words, say
from katib.text import count
from katib.trainer_contract import CONTINUES
from katib.tree import items_at, text_at
from katib.trial import meant


@dataclass(frozen=True)
class ClusterAgain:
    """The failed trials `rows` of a search that Katib has not ended for good."""

    cluster: Cluster
    experiment: Object
    rows: Sequence[TrialRow]
    question: str = "Run them again?"
    retries: bool = True

    @property
    def _trials(self) -> list[str]:
        """The newest trial of each configuration, which is the one that has failed."""
        before = asked(annotations_of(self.experiment))
        newest = [(row.trial, *row.continuations)[-1] for row in self.rows]
        return [trial for trial in newest if trial not in before]

    @property
    def _patch(self) -> Object:
        """The change of the Experiment, which the API server refuses where somebody has changed that meanwhile."""
        spec, trials = self.experiment["spec"], self._trials
        more = with_more({key: spec.get(key) for key in COUNTS if spec.get(key) is not None}, len(trials))
        listed = annotation([*asked(annotations_of(self.experiment)), *trials])
        version = self.experiment["metadata"]["resourceVersion"]
        return {"metadata": {"resourceVersion": version, "annotations": {ANNOTATION: listed}}, "spec": dict(more)}

    def show(self) -> None:
        """Prints the trials and what changes. Raises ClusterError where they cannot go on in this search."""
        search = read_search(self.experiment)
        say(f"again: experiment '{search.name}' on {self.cluster.server}: {count(len(self.rows), 'failed trial')}")
        print_words(*(f"  {row.trial}: {row.reason}" for row in self.rows), indent=4)
        if not self._trials:
            raise ClusterError(f"experiment '{search.name}': they were asked for already; make status shows them")
        self._require_ours()
        before, after = self.experiment["spec"], self._patch["spec"]
        changes = ", ".join(f"{key} {before[key]} -> {after[key]}" for key in after)
        print_words(f"  each goes on as a new trial in the old run directory: {changes}", indent=4)

    def run(self) -> RunResult:
        """Asks for them; Katib starts each when a slot is free. Raises ClusterError."""
        self.cluster.merge(EXPERIMENT, self.experiment["metadata"]["name"], self._patch)
        say("asked for; Katib starts them as slots become free: make status WATCH=1")
        return RunResult()

    def _require_ours(self) -> None:
        """Raises ClusterError where a trial could not find its run directory again, or nobody would propose it."""
        manifest, name = Manifest.of(self.experiment), self.experiment["metadata"]["name"]
        if CONTINUES not in [text_at(item, "name") for item in items_at(manifest.container, "env")]:
            raise ClusterError(
                f"experiment '{name}': its trials cannot go on as others, since its manifest lacks {CONTINUES}: it is"
                " of an earlier version, or trains by a program of its own; once it has ended, make deploy continues it"
            )
        for trial in self._trials:
            item = self.cluster.get(TRIAL, trial)
            if item is not None and labels_of(item).get(PROPOSED_LABEL) != PROPOSER:
                raise ClusterError(f"trial '{trial}' was proposed by Katib's own service, which lets none go on")


def find(cluster: Cluster, word: str) -> tuple[Object, str]:
    """Returns the Experiment `word` and ''; or that of the trial `word`, which may be the end of a name, and its name.

    Raises SepsweepError, which names the nearest of all experiments and trials, where there is neither.
    """
    if (item := deployed(cluster, word)) is not None:
        return item, ""
    trials = {name_of(trial): read_trial(trial).experiment for trial in cluster.list(TRIAL) if is_ours(trial)}
    named = meant(word, trials)
    item = deployed(cluster, trials[named[0]]) if len(named) == 1 else None
    if item is None:
        names = [*map(name_of, cluster.list(EXPERIMENT, OURS)), *trials]
        hint = nearest(word, names) if names else "there is none"
        raise SepsweepError(f"no experiment or trial '{word}' of ours in namespace '{cluster.namespace}': {hint}")
    return item, named[0]
