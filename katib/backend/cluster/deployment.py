"""Experiments that are about to be deployed: shown with what doctor finds, then asked for, then applied."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from katib.backend.base import RunResult
from katib.backend.cluster import deploying
from katib.backend.cluster.client import Cluster
from katib.backend.cluster.deploy_diff import DeployDiff
from katib.backend.cluster.doctor.view import print_results
from katib.site import Site
from katib.terminal import print_words, say


@dataclass(frozen=True)
class Deployment:
    """What applying `diffs` to the cluster of `site` takes. `wait` is in seconds, for the first trial to train."""

    cluster: Cluster
    site: Site
    diffs: Sequence[DeployDiff]
    out: Path
    context: str | None = None
    wait: int = 0
    question: str = "Apply?"

    @property
    def due(self) -> list[DeployDiff]:
        """The Experiments that change."""
        return [item for item in self.diffs if item.action != "nothing"]

    @property
    def retries(self) -> bool:
        """Whether a trial that has failed continues."""
        return any(trial.state == "Failed" for item in self.diffs if item.continued for trial in item.continued.trials)

    def show(self) -> None:
        """Prints what doctor finds and what changes, which the API server has tried in a dry run.

        Raises ClusterError where the search would fail.
        """
        for item in self.diffs:
            if item.action == "nothing":
                print_words(*deploying.unchanged(self.cluster, item), indent=4)
        if not self.due:
            return
        results = deploying.examined(self.cluster, self.site, self.due)
        print_results(results, all_of_them=False)
        deploying.require_fit(results)
        for item in self.due:
            deploying.try_out(self.cluster, item)
            print_words(*deploying.summary(self.cluster, item, self.out), indent=4)

    def run(self) -> RunResult:
        """Applies the Experiments, which Katib then runs."""
        deploying.apply(self.cluster, self.due, self.out, say, wait=self.wait, context=self.context)
        print("watch it with: make status, or python -m katib status -w")
        return RunResult()
