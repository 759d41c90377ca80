"""A cluster as a backend: searches are Experiments of one namespace, and Katib runs their trials."""

import json
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from katib.backend.base import Page
from katib.backend.cluster.again import ClusterAgain, find
from katib.backend.cluster.claim_pod import bring_run
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.deploy_diff import deployed, diff
from katib.backend.cluster.deployment import Deployment, corpus_place
from katib.backend.cluster.kinds import EXPERIMENT, OURS, Object, annotations_of, name_of
from katib.backend.cluster.logs import read
from katib.backend.cluster.model import read_search
from katib.backend.cluster.old_trials import with_old_trials
from katib.backend.cluster.searches import any_manifest
from katib.backend.cluster.table import cluster_table
from katib.corpus_checks import copied_line
from katib.errors import ClusterError, SepsweepError
from katib.manifest.again import asked, with_more
from katib.manifest.object import OWN_SPEC, PLAN
from katib.site import Site
from katib.spec import search_name
from katib.table.failed import failed_trial, failed_trials, named_trial
from katib.table.trial_table import TrialTable
from katib.terminal import say
from katib.yaml_reader import read_yaml


@dataclass(frozen=True)
class ClusterBackend:
    """The namespace of `site`, reached by the kubeconfig's `context`, or by its current one.

    An experiment may be given by the name of its model.
    """

    site: Site
    context: str | None
    out: Path
    """The runs folder of this machine, where tables of deleted searches are."""
    error: type[SepsweepError] = ClusterError
    look_seconds = 5.0

    @cached_property
    def cluster(self) -> Cluster:
        """The client. Raises ClusterError where there is no usable kubeconfig."""
        return Cluster(self.site.namespace, self.context, katib=self.site.katib_namespace)

    def has(self, experiment: str) -> bool:
        """Returns whether an Experiment of ours has this name."""
        return deployed(self.cluster, experiment) is not None

    def begun(self, experiment: str) -> bool:
        """Returns whether an Experiment of ours has this name: Katib's objects are its table."""
        return self.has(experiment)

    def settled(self, experiment: str) -> bool:
        """Returns whether an Experiment of ours has this name: what is deployed stays as it was planned."""
        return self.has(experiment)

    def table(self, experiment: str) -> TrialTable:
        """Returns the table from Katib's objects and its metrics store. Raises ClusterError."""
        return cluster_table(self.cluster, experiment, context=self.context)

    def manifest(self, experiment: str) -> str | None:
        """Returns the Experiment as the API server has it, as JSON, which is YAML too. Raises ClusterError."""
        item = deployed(self.cluster, experiment)
        return None if item is None else json.dumps(item)

    def prepare(
        self, name: str, manifest: str, search: str, data: Path | None, *, named: bool = False
    ) -> Deployment | None:
        """Returns the deployment of the Experiment `name`, or of what is left of it where it has ended.

        The corpus is the one on the site's claim, so that `data` is not used; and whether the user has `named` the file
        makes no difference, since the program runs in a pod.
        """
        current = deployed(self.cluster, name)
        item = diff(read_yaml(manifest) if current is None else as_deployed(current), current)
        if current is not None:
            if item.action != "continue":
                return None
            item = with_old_trials(self.cluster, item, self.out, say)
        return Deployment(self.cluster, self.site, [item], self.out, self.context)

    def again(self, word: str, data: Path | None, *, every: bool) -> ClusterAgain | Deployment:
        """Returns the run of failed trials; a search that has failed is continued as a whole, by its deployment."""
        item, trial = find(self.cluster, search_name(word))
        name = name_of(item)
        table, search = self.table(name), read_search(item)
        row = named_trial(table, trial) if trial else None
        rows = [failed_trial(row)] if row else failed_trials(table, every=every)
        if not search.finished or (search.state == "Succeeded" and not search.stopped):
            return ClusterAgain(self.cluster, item, rows)
        ended = f"experiment '{name}' has ended ({search.stopped or search.state})"
        if row:
            raise ClusterError(
                f"{ended}, so that its trials go on only together: make again EXPERIMENT={name} FAILED=1 CLUSTER=1"
            )
        deployment = self.prepare(name, "", name, data)
        assert deployment is not None  # noqa: S101  (an Experiment that has ended continues)
        return deployment

    @contextmanager
    def run_directory(self, experiment: str, trial: str) -> Iterator[Path]:
        """Yields a copy of what describes a trial's model, brought from the runs claim. Raises ClusterError."""
        say(f"reads the run directory of '{trial}', with a pod that mounts its claim")
        with TemporaryDirectory() as folder:
            manifest = deployed(self.cluster, experiment) or any_manifest(self.site)
            bring_run(self.cluster, manifest, experiment, trial, Path(folder), self.context)
            yield Path(folder)

    def corpus_check(self) -> str:
        """Returns what is known of the corpus on the site's claim. Raises ClusterError without a usable kubeconfig."""
        return copied_line(self.out, corpus_place(self.cluster, self.site))

    def experiments(self) -> list[str]:
        """Returns the names of all Experiments of ours, the one that was created last first. Raises ClusterError."""
        found = self.cluster.list(EXPERIMENT, OURS)
        return [name_of(item) for item in sorted(found, key=_age, reverse=True)]

    def version(self, experiment: str) -> None:
        """Returns None: the metrics are in a store of Katib's that says nothing of changes."""

    def halted(self, experiment: str) -> str:
        """Returns nothing: on a cluster, the table says why a trial waits."""
        return ""

    def last_lines(self, experiment: str, trial: str, most: int) -> list[str]:
        """Returns the last lines in the log of the trial's newest pod; none where the pod is gone."""
        try:
            return list(deque(read(self.cluster, trial), most))
        except ClusterError:
            return []

    @contextmanager
    def page(self, experiment: str | None, port: int) -> Iterator[Page]:
        """Yields Katib's UI of `experiment`, or of all experiments. Raises ClusterError."""
        from katib.backend.cluster.ui import KatibPage, guard_server  # loads a server

        path = f"experiment/{self.site.namespace}/{experiment}" if experiment else ""
        key = secrets.token_urlsafe()
        with guard_server(Cluster(self.site.katib_namespace, self.context), port, key) as server:
            yield KatibPage(server, path, key)


def _age(item: Object) -> tuple[str, str]:
    return str(item["metadata"].get("creationTimestamp", "")), name_of(item)


def as_deployed(item: Object) -> Object:
    """Returns the manifest that recreates an Experiment of the cluster.

    It keeps the plan and the user's own spec, but not what Katib, Kubernetes and `stop` have noted on the Experiment.
    """
    metadata = {key: item["metadata"][key] for key in ("name", "namespace", "labels")}
    annotations = annotations_of(item)
    metadata["annotations"] = {name: annotations[name] for name in (PLAN, OWN_SPEC) if name in annotations}
    spec = with_more(item["spec"], -len(asked(annotations)))
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": metadata, "spec": spec}
