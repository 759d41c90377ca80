"""A cluster as a backend: searches are Experiments of one namespace, and Katib runs their trials."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import IO

from katib.backend.base import Page
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.deploy_diff import deployed
from katib.backend.cluster.kinds import KATIB_NAMESPACE
from katib.backend.cluster.kubectl import forwarded
from katib.backend.cluster.table import cluster_table
from katib.errors import ClusterError
from katib.site import Site
from katib.spec import search_name
from katib.table.trial_table import TrialTable

KATIB_UI, KATIB_UI_PORT = "katib-ui", 80


@dataclass(frozen=True)
class ClusterBackend:
    """The namespace of `site`, reached by the kubeconfig's `context`, or by its current one.

    An experiment may be called by the name of its model.
    """

    site: Site
    context: str | None

    @cached_property
    def cluster(self) -> Cluster:
        """The client. Raises ClusterError where there is no usable kubeconfig."""
        return Cluster(self.site.namespace, self.context)

    def has(self, experiment: str) -> bool:
        """Returns whether an Experiment of ours has this name."""
        return deployed(self.cluster, search_name(experiment)) is not None

    def table(self, experiment: str) -> TrialTable:
        """Returns the table from Katib's objects and its metrics store. Raises ClusterError."""
        return cluster_table(self.cluster, search_name(experiment), context=self.context)

    def manifest(self, experiment: str) -> str | None:
        """Returns the Experiment as the API server has it, as JSON, which is YAML too. Raises ClusterError."""
        found = deployed(self.cluster, search_name(experiment))
        return None if found is None else json.dumps(found)

    @contextmanager
    def page(self, experiment: str | None, port: int) -> Iterator[Page]:
        """Yields Katib's UI of `experiment`, or of all experiments, through a forwarded port. Raises ClusterError.

        It is reachable from this machine alone: it asks nobody who they are, and deletes on a GET as well, so that
        filtering methods would not make it safe.
        """
        path = f"experiment/{self.site.namespace}/{search_name(experiment)}" if experiment else ""
        with (
            suppress(KeyboardInterrupt),
            forwarded(KATIB_UI, KATIB_UI_PORT, KATIB_NAMESPACE, port=port, context=self.context) as (_, lines),
        ):
            yield KatibPage(f"http://localhost:{port}/katib/{path}", lines)


@dataclass(frozen=True)
class KatibPage:
    """Katib's own UI, for as long as kubectl forwards its port."""

    title: str
    lines: IO[str]
    """What kubectl prints: one line for each connection."""
    notes: tuple[str, ...] = ("Katib's UI can create and delete experiments, and asks nobody who they are",)

    def serve(self) -> None:
        """Waits until kubectl ends. Raises ClusterError with its last line."""
        *_, last = ["it has ended", *self.lines]
        raise ClusterError(f"kubectl port-forward {KATIB_UI}: {last.strip()}; start it again")
