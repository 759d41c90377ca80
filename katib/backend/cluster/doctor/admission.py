"""Would the API server take each Experiment, the Job of its trials and their pod: tried by dry runs.

Called by `examine`.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial

from katib.backend.cluster.answers import ForbiddenError
from katib.backend.cluster.deploy_diff import successor
from katib.backend.cluster.doctor.katib import INSTALL, leaves_namesakes_out
from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, warning
from katib.backend.cluster.kinds import EXPERIMENT, JOB, POD, Object, is_ours
from katib.backend.cluster.model import read_search
from katib.errors import ClusterError


def names(context: DoctorContext) -> Iterator[Result]:
    """Yields the Experiments' names are free, or ours."""
    for manifest in context.manifests:
        name = manifest["metadata"]["name"]
        found = context.cluster.get(EXPERIMENT, name)
        if found is not None and not is_ours(found):
            yield error(
                "name",
                f"'{name}' is somebody else's experiment",
                "it is not touched",
                f"NAME={successor(name)}",
            )
        elif found is not None:
            yield ok("name", f"'{name}' is ours ({read_search(found).state})")
        else:
            yield ok("name", f"'{name}' is free")


def namesakes(context: DoctorContext) -> Iterator[Result]:
    """No Experiment of another namespace has a name of ours."""
    everywhere = context.cluster.list(EXPERIMENT, namespace="")
    algorithms = {
        manifest["metadata"]["name"]: manifest["spec"]["algorithm"]["algorithmName"] for manifest in context.manifests
    }
    for found in everywhere:
        name, place = found["metadata"]["name"], found["metadata"]["namespace"]
        if name not in algorithms or place == context.site.namespace:
            continue
        text = f"'{name}' is in namespace '{place}' too"
        if leaves_namesakes_out(context, algorithms[name]):
            yield ok("name", f"{text}; our suggestion service leaves its trials out")
        else:
            effect = (
                "Katib lists trials without their namespace, and its own service takes those of both for one search's"
            )
            yield warning("name", text, effect, f"NAME={successor(name)}, or {INSTALL}")


def experiments(context: DoctorContext) -> Iterator[Result]:
    """Server-side dry runs of new Experiments: what Katib's webhook says."""
    if context.homeless:
        return
    for manifest in context.manifests:
        name = manifest["metadata"]["name"]
        found = context.cluster.get(EXPERIMENT, name)
        if found is None:
            attempt = partial(context.cluster.apply, EXPERIMENT, manifest, dry_run=True)
            yield _try(context, "experiment", f"'{name}'", attempt)


def trials(context: DoctorContext) -> Iterator[Result]:
    """Server-side dry runs of a trial's Job and pod: what pod security, quota and limit ranges say."""
    if context.homeless:
        return
    job = trial_job(context.manifests[0])
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**job["spec"]["template"]["metadata"], "name": "sepsweep-doctor"},
    }
    pod["spec"] = job["spec"]["template"]["spec"]
    yield _try(context, "trial job", "of one trial", partial(context.cluster.create, JOB, job, dry_run=True))
    yield _try(context, "trial pod", "of one trial", partial(context.cluster.create, POD, pod, dry_run=True))


def trial_job(manifest: Object, name: str = "sepsweep-doctor") -> Object:
    """Returns the Job of one trial as Katib would make it, every placeholder filled.

    A search's value by the range's min.
    """
    template = manifest["spec"]["trialTemplate"]
    low = {item["name"]: item["feasibleSpace"].get("min", "1") for item in manifest["spec"]["parameters"]}
    values = {item["name"]: low.get(item["reference"], name) for item in template["trialParameters"]}
    text = json.dumps(template["trialSpec"])
    text = re.sub(r"\$\{trialParameters\.(\w+)\}", lambda found: values[found[1]], text)
    job: Object = json.loads(text)
    job["metadata"] = {
        **job.get("metadata", {}),
        "name": name,
        "namespace": manifest["metadata"]["namespace"],
    }
    return job


def _try(context: DoctorContext, check: str, what: str, attempt: Callable[[], object]) -> Result:
    try:
        attempt()
    except ForbiddenError as cause:
        return warning(f"{check} dry run", "you may not try it", str(cause), "kubectl auth can-i --list")
    except ClusterError as cause:
        return error(
            f"{check} dry run", str(cause), f"the API server refuses the {check}", _fix_of(str(cause), context)
        )
    return ok(f"{check} dry run", f"{what} would be taken")


def _fix_of(text: str, context: DoctorContext) -> str:
    if "exceeded quota" in text:
        return "kubectl describe quota; lower resources in k8s/site.yaml"
    if "webhook" in text and "failed calling" in text:
        return "kubectl -n kubeflow rollout status deployment katib-controller"
    if "PodSecurity" in text:
        return f"kubectl get namespace {context.site.namespace} --show-labels; the rendered pod meets restricted"
    if "LimitRange" in text or "maximum" in text or "minimum" in text:
        return "kubectl describe limitrange; change resources in k8s/site.yaml"
    return "make render MODEL=… > x.yaml; make check FILE=x.yaml"
