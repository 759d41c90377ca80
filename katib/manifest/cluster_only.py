"""Names what a manifest asks for that only a cluster can do. Pure: no I/O.

The keys are read as they stand in the document, because the models of katib/manifest/schema.py hold no more than what
an engine on this machine runs.
"""

from collections.abc import Iterator

from katib.manifest.object import Manifest
from katib.tree import Tree, at, items_at, text_at


def not_here(spec: object) -> str:
    """Returns the first thing in an Experiment's `spec` that only a cluster can do; empty where there is none.

    It finds nothing in what has another form than an Experiment.
    """
    return next(_all(Manifest(at(spec))), "")


def beside(spec: Tree) -> list[str]:
    """Returns the names of the containers in a trial's pod other than its primary one."""
    primary = at(spec, "trialTemplate").get("primaryContainerName")
    names = [text_at(container, "name") for container in items_at(Manifest(spec).pod, "containers")]
    return [name for name in names if name != primary]


def _all(manifest: Manifest) -> Iterator[str]:
    spec, template, job = manifest.spec, at(manifest.spec, "trialTemplate"), manifest.job
    if spec.get("nasConfig"):
        yield "nasConfig: an architecture search (darts, enas) is not run here; it runs on a cluster with Katib"
    if template.get("configMap") and not template.get("trialSpec"):
        yield "trialTemplate.configMap: the trial is in a ConfigMap of the cluster; it runs on a cluster with Katib"
    kind, version = job.get("kind", "Job"), job.get("apiVersion", "batch/v1")
    if (kind, version) != ("Job", "batch/v1"):
        yield (
            f"trialSpec: trials of kind {kind} ({version}) are not run here, only batch/v1 Jobs; "
            "it runs on a cluster with Katib"
        )
    yield from _several_pods(at(job, "spec"))
    for container in items_at(manifest.pod, "initContainers"):
        yield (
            f"initContainers: '{container.get('name', '')}' is not run here; do what it prepares by hand and leave it"
            " out, or run it on a cluster"
        )
    for container in _primary(manifest):
        if not container.get("command"):
            yield (
                f"container '{container.get('name')}' has no command: that of its image {container.get('image', '')}"
                " is not known here; write it as command:, or run it on a cluster"
            )


def _several_pods(job: Tree) -> Iterator[str]:
    """Yields what makes a Job more than one process."""
    for key in ("parallelism", "completions"):
        if job.get(key, 1) not in (1, None):
            yield f"trialSpec.spec.{key} is {job[key]}: a trial here is one process; write 1, or run it on a cluster"
    if job.get("completionMode") == "Indexed":
        yield (
            "trialSpec.spec.completionMode: Indexed: the pods of an indexed Job are not run here;"
            " leave it out, or run it on a cluster"
        )


def not_followed(spec: Tree) -> Iterator[str]:
    """Yields what a trial of the `spec` asks Kubernetes to do to its container, and nobody does here."""
    manifest = Manifest(spec)
    if at(manifest.job, "spec").get("suspend") is True:
        yield "suspend: true of a trial's Job is not followed: each trial begins at once"
    for container in _primary(manifest):
        probes = [key for key in ("startupProbe", "livenessProbe") if container.get(key)]
        hooks = [f"lifecycle.{key}" for key in at(container, "lifecycle")]
        yield from (f"{key} of the container {container.get('name')} is not run here" for key in [*probes, *hooks])


def _primary(manifest: Manifest) -> list[Tree]:
    """Returns the containers that have the name of the primary one; a sound manifest has one."""
    primary = at(manifest.spec, "trialTemplate").get("primaryContainerName")
    return [item for item in items_at(manifest.pod, "containers") if item.get("name") == primary]
