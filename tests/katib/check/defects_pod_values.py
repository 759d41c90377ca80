"""Named defects of single values of a pod, each refused by Kubernetes (pkg/apis/core/validation,
pkg/apis/batch/validation).
"""

from tests.katib.check.manifests import Changes, Defects

VALUES: dict[str, tuple[Changes, str]] = {
    "port above all ports": ({"TRAINER.ports": [{"containerPort": 65536}]}, "TRAINER.ports[0].containerPort"),
    "port of nothing": ({"TRAINER.ports": [{"containerPort": -1}]}, "TRAINER.ports[0].containerPort"),
    "protocol in small letters": (
        {"TRAINER.ports": [{"containerPort": 80, "protocol": "tcp"}]},
        "TRAINER.ports[0].protocol",
    ),
    "port name twice": (
        {"TRAINER.ports": [{"name": "a", "containerPort": 1}, {"name": "a", "containerPort": 2}]},
        "TRAINER.ports[1].name",
    ),
    "variable with an equals sign": ({"TRAINER.env[0].name": "A=B"}, "TRAINER.env[0].name"),
    "field that no pod has": (
        {"TRAINER.env[0]": {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.nme"}}}},
        "TRAINER.env[0].valueFrom.fieldRef.fieldPath",
    ),
    "two sources of variables in one": (
        {"TRAINER.envFrom": [{"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}]},
        "TRAINER.envFrom[0]",
    ),
    "subPath that leaves the volume": (
        {"TRAINER.volumeMounts[0].subPath": "../x"},
        "TRAINER.volumeMounts[0].subPath",
    ),
    "mountPath with a colon": (
        {"TRAINER.volumeMounts[0].mountPath": "/a:b"},
        "TRAINER.volumeMounts[0].mountPath",
    ),
    "probe without a handler": ({"TRAINER.livenessProbe": {"periodSeconds": 5}}, "TRAINER.livenessProbe"),
    "probe with two handlers": (
        {"TRAINER.livenessProbe": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 80}}},
        "TRAINER.livenessProbe",
    ),
    "uid below 0": ({"POD.securityContext.runAsUser": -1}, "POD.securityContext.runAsUser"),
    "seccomp word": (
        {"POD.securityContext.seccompProfile": {"type": "Default"}},
        "POD.securityContext.seccompProfile.type",
    ),
    "image with a blank": ({"TRAINER.image": " a/b:1"}, "TRAINER.image"),
    "grace period below 0": ({"POD.terminationGracePeriodSeconds": -1}, "POD.terminationGracePeriodSeconds"),
    "account that cannot exist": ({"POD.serviceAccountName": "My SA"}, "POD.serviceAccountName"),
    "host path with dots": (
        {"POD.volumes[0]": {"name": "data", "hostPath": {"path": "/a/../b"}}},
        "POD.volumes[0].hostPath.path",
    ),
    "indexed without completions": ({"JOB.spec.completionMode": "Indexed"}, "JOB.spec.completions"),
    "failure policy for exit code 0": (
        {
            "JOB.spec.podFailurePolicy.rules": [
                {
                    "action": "FailJob",
                    "onExitCodes": {"containerName": "trainer", "operator": "In", "values": [0]},
                }
            ],
            "spec.earlyStopping": None,
        },
        "JOB.spec.podFailurePolicy.rules[0].onExitCodes.values",
    ),
    "failure policy without a reason": (
        {"JOB.spec.podFailurePolicy.rules": [{"action": "Ignore"}]},
        "JOB.spec.podFailurePolicy.rules[0]",
    ),
}
DEFECTS: Defects = {name: (changes, {f"pod-value {path}"}) for name, (changes, path) in VALUES.items()}
