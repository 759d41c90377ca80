"""Makes the Job and the pod of one trial as Katib would create them, for dry runs. Pure."""

import json
import re

from katib.backend.cluster.kinds import Object


def trial_job(manifest: Object, name: str = "sepsweep-doctor") -> Object:
    """Returns the Job of one trial as Katib would create it, with every placeholder filled in.

    A searched value is the min of its range.
    """
    template = manifest["spec"]["trialTemplate"]
    low = {item["name"]: item["feasibleSpace"].get("min", "1") for item in manifest["spec"]["parameters"]}
    values = {item["name"]: low.get(item["reference"], name) for item in template["trialParameters"]}
    filled = re.sub(r"\$\{trialParameters\.(\w+)\}", lambda match: values[match[1]], json.dumps(template["trialSpec"]))
    job: Object = json.loads(filled)
    job["metadata"] = {
        **job.get("metadata", {}),
        "name": name,
        "namespace": manifest["metadata"]["namespace"],
    }
    return job


def trial_pod(manifest: Object) -> Object:
    """Returns the pod of one trial as its Job would create it."""
    template = trial_job(manifest)["spec"]["template"]
    metadata = {**template["metadata"], "name": "sepsweep-doctor"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
