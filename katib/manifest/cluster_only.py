"""What a manifest may ask of a cluster that this side has no runner for, each said by name. Pure.

The keys are read as they stand in the document, because the models of katib/manifest/schema.py hold no more than what
is run here.
"""

from collections.abc import Iterator, Mapping
from typing import Any


def not_here(spec: object) -> str:
    """Returns the first thing in an Experiment's `spec` that only a cluster can do; empty where there is none.

    What has another form than an Experiment is left to whoever reads it next.
    """
    return next(_all(spec), "") if isinstance(spec, dict) else ""


def beside(spec: Mapping[str, Any]) -> list[str]:
    """Returns the names of the containers that are in a trial's pod and not its primary one."""
    primary = _at(spec, "trialTemplate").get("primaryContainerName")
    names = [container.get("name", "") for container in _listed(_pod(spec), "containers")]
    return [name for name in names if name != primary]


def _all(spec: Mapping[str, Any]) -> Iterator[str]:
    if spec.get("nasConfig"):
        yield "nasConfig: an architecture search (darts, enas) is not run here; it runs on a cluster with Katib"
    template = _at(spec, "trialTemplate")
    if template.get("configMap") and not template.get("trialSpec"):
        yield "trialTemplate.configMap: the trial is in a ConfigMap of the cluster; it runs on a cluster with Katib"
    job = _at(template, "trialSpec")
    kind, version = job.get("kind", "Job"), job.get("apiVersion", "batch/v1")
    if (kind, version) != ("Job", "batch/v1"):
        yield (
            f"trialSpec: trials of kind {kind} ({version}) are not run here, only batch/v1 Jobs; "
            "it runs on a cluster with Katib"
        )
    yield from _several_pods(_at(job, "spec"))
    pod = _pod(spec)
    for container in _listed(pod, "initContainers"):
        name = container.get("name", "")
        yield (
            f"initContainers: '{name}' is not run here; do what it prepares by hand and leave it out, or run it on a cluster"
        )
    for container in _listed(pod, "containers"):
        if container.get("name") == template.get("primaryContainerName") and not container.get("command"):
            image = container.get("image", "")
            yield (
                f"container '{container.get('name')}' has no command: that of its image {image} is not known here;"
                f" write it as command:, or run it on a cluster"
            )


def _several_pods(job: Mapping[str, Any]) -> Iterator[str]:
    """Yields what makes anything but one process of a Job."""
    for key in ("parallelism", "completions"):
        if job.get(key, 1) not in (1, None):
            yield f"trialSpec.spec.{key} is {job[key]}: a trial here is one process; write 1, or run it on a cluster"
    if job.get("completionMode") == "Indexed":
        yield (
            "trialSpec.spec.completionMode: Indexed: the pods of an indexed Job are not run here;"
            " leave it out, or run it on a cluster"
        )


def not_followed(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yields what a trial of the `spec` asks Kubernetes to do to its container, and nobody does here."""
    if _at(spec, "trialTemplate", "trialSpec", "spec").get("suspend") is True:
        yield "suspend: true of a trial's Job is not followed: each trial begins at once"
    primary = _at(spec, "trialTemplate").get("primaryContainerName")
    for container in _listed(_pod(spec), "containers"):
        if container.get("name") != primary:
            continue
        probes = [key for key in ("startupProbe", "livenessProbe") if container.get(key)]
        hooks = [f"lifecycle.{key}" for key in _at(container, "lifecycle")]
        yield from (f"{key} of the container {primary} is not run here" for key in [*probes, *hooks])


def _pod(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    return _at(spec, "trialTemplate", "trialSpec", "spec", "template", "spec")


def _at(node: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        found = node.get(key)
        node = found if isinstance(found, dict) else {}
    return node


def _listed(node: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = node.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
