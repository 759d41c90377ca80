"""Makes the pod of a trial what Katib's pod webhook makes of it, for a node that really runs it: the wrapped command,
the shared volume, the collector's container (pod/utils.go of Katib v0.19, inject_webhook.go).

The collector, unless another is given, prints the trainer's lines and ends as Katib's does, and reports to nobody. The
image is bare Debian: Python's packages come from this machine, mounted read-only.
"""

import json
from collections.abc import Callable
from typing import Any

from katib.backend.cluster.kinds import SIDECAR

LOG = "/var/log/katib/metrics.log"
MARKER = "/var/log/katib/$$$$.pid"
MARKER_INSIDE = MARKER.replace("$$$$", "$$")
"""Kubernetes makes one dollar of two, but not inside $(...), which it leaves as it is when it knows no such
variable."""
PACKAGES = "/opt/packages"
STOPPED = (
    f"if test -f {MARKER} && [ $(head -n 1 {MARKER_INSIDE}) = early-stopped ]; then echo Training Container was Early "
    f"Stopped; else echo Training Container was Failed; exit 1; fi"
)
COLLECT = f"""
until [ -e {LOG} ]; do sleep 0.1; done
tail -n +1 -f {LOG} &
while pgrep -f '[e]cho completed > /var/log/katib' >/dev/null; do sleep 0.2; done
sleep 1
kill $!
ls /var/log/katib/*.pid >/dev/null 2>&1 || exit 255
"""


def wrap(
    pod: dict[str, Any],
    packages: str,
    *,
    rules: bool = False,
    collector: Callable[[str], dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Returns the pod as Katib's webhook leaves it; `packages` is the claim that holds Python's packages.

    With `rules` the trial may be stopped early. `collector` makes the collector's container for a trial.
    """
    pod = json.loads(json.dumps(pod))
    spec = pod["spec"]
    trainer = spec["containers"][0]
    line = " ".join([*trainer["command"], *trainer.get("args", [])]) + f" 1>{LOG} 2>&1"
    line += f" || {STOPPED}" if rules else ""
    trainer["command"], trainer["args"] = ["sh", "-c"], [f"{line} && echo completed > {MARKER}"]
    shared = {"name": "metrics-volume", "mountPath": "/var/log/katib"}
    trainer["volumeMounts"] += [shared, {"name": "packages", "mountPath": PACKAGES, "readOnly": True}]
    paths = f"{PACKAGES}/repository:{PACKAGES}/site-packages"
    trainer["env"] += [{"name": "PYTHONPATH", "value": paths}, {"name": "OMP_NUM_THREADS", "value": "1"}]
    spec["shareProcessNamespace"] = True
    spec["volumes"] += [
        {"name": "metrics-volume", "emptyDir": {}},
        {"name": "packages", "persistentVolumeClaim": {"claimName": packages, "readOnly": True}},
    ]
    resources = {
        "limits": {"cpu": "500m", "memory": "100Mi"},
        "requests": {"cpu": "50m", "memory": "10Mi"},
    }
    made = {"image": trainer["image"], "command": ["sh", "-c", COLLECT], "resources": resources}
    if collector is not None:
        made = collector(pod["metadata"]["ownerReferences"][0]["name"])
    made |= {"name": SIDECAR, "securityContext": trainer["securityContext"], "volumeMounts": [shared]}
    spec["containers"].append(made)
    return pod
