"""Lists what the API server accepts at single places of a pod and a Job: words, ranges, names, and what must be there.

The tables follow pkg/apis/core/validation and pkg/apis/batch/validation of Kubernetes 1.34. A place is a path of keys;
`[]` stands for every item of a list.
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address

from katib.check.finding import Defect, error
from katib.check.node import Node
from katib.errors import nearest

VALUE = error(
    "pod-value",
    finds="a value that Kubernetes' validation refuses: a port, uid or size out of range, a path with ':' or '..',"
    " a name, a probe or hook without exactly one handler, a word that it does not have, a reference without its name"
    " or key, a rule of podFailurePolicy",
    effect="the API server refuses the pod or Job of each trial; the trial stays Running forever",
    fix="correct the value",
)
Words = Mapping[str, tuple[str, ...]]
Limits = Mapping[str, tuple[int, int | None]]
Names = Mapping[str, str]

INT32 = 2**31 - 1
PORTS = (1, 65535)
MODES = (0, 0o777)
PROFILES = ("RuntimeDefault", "Unconfined", "Localhost")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
HOST_PATHS = ("DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice")
CLAIM_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
PROBES, HOOKS = ("livenessProbe", "readinessProbe", "startupProbe"), ("lifecycle.postStart", "lifecycle.preStop")
REQUIRED = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[]"
PREFERRED = "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[]"
POD_TERMS = tuple(
    f"affinity.{kind}.{when}DuringSchedulingIgnoredDuringExecution[]{term}"
    for kind in ("podAffinity", "podAntiAffinity")
    for when, term in (("required", ""), ("preferred", ".podAffinityTerm"))
)
VOLUME, CLAIM = "volumes[].", "volumes[].ephemeral.volumeClaimTemplate.spec."
PARTED = ("gcePersistentDisk", "awsElasticBlockStore")
PROJECTED = "volumes[].projected.sources[]."
HANDLED = (*PROBES, *HOOKS)

POD_WORDS: Words = {
    "securityContext.seccompProfile.type": PROFILES,
    "securityContext.appArmorProfile.type": PROFILES,
    "securityContext.fsGroupChangePolicy": ("OnRootMismatch", "Always"),
    "securityContext.supplementalGroupsPolicy": ("Merge", "Strict"),
    "securityContext.seLinuxChangePolicy": ("Recursive", "MountOption"),
    "preemptionPolicy": ("Never", "PreemptLowerPriority"),
    "os.name": ("linux",),
    "topologySpreadConstraints[].whenUnsatisfiable": ("DoNotSchedule", "ScheduleAnyway"),
    "topologySpreadConstraints[].nodeAffinityPolicy": ("Honor", "Ignore"),
    "topologySpreadConstraints[].nodeTaintsPolicy": ("Honor", "Ignore"),
    f"{VOLUME}hostPath.type": HOST_PATHS,
    f"{VOLUME}azureDisk.kind": ("Shared", "Dedicated", "Managed"),
    f"{VOLUME}azureDisk.cachingMode": ("None", "ReadOnly", "ReadWrite"),
    f"{CLAIM}accessModes[]": CLAIM_MODES,
    f"{CLAIM}volumeMode": ("Filesystem", "Block"),
}
CONTAINER_WORDS: Words = {
    "ports[].protocol": ("TCP", "UDP", "SCTP"),
    "securityContext.seccompProfile.type": PROFILES,
    "securityContext.appArmorProfile.type": PROFILES,
    "securityContext.procMount": ("Default", "Unmasked"),
    "volumeMounts[].mountPropagation": ("None", "HostToContainer", "Bidirectional"),
    "volumeMounts[].recursiveReadOnly": ("Disabled", "IfPossible", "Enabled"),
    "resizePolicy[].resourceName": ("cpu", "memory"),
    "resizePolicy[].restartPolicy": ("NotRequired", "RestartContainer"),
    "env[].valueFrom.fieldRef.apiVersion": ("v1",),
    **{f"{handled}.httpGet.scheme": ("HTTP", "HTTPS") for handled in HANDLED},
}
JOB_WORDS: Words = {
    "completionMode": ("NonIndexed", "Indexed"),
    "podReplacementPolicy": ("Failed", "TerminatingOrFailed"),
    "podFailurePolicy.rules[].action": ("FailJob", "FailIndex", "Ignore", "Count"),
    "podFailurePolicy.rules[].onExitCodes.operator": ("In", "NotIn"),
    "podFailurePolicy.rules[].onPodConditions[].status": ("True", "False", "Unknown"),
}
POD_LIMITS: Limits = {
    "terminationGracePeriodSeconds": (0, None),
    "activeDeadlineSeconds": (1, INT32),
    **{f"securityContext.{key}": (0, INT32) for key in ("runAsUser", "runAsGroup", "fsGroup", "supplementalGroups[]")},
    "topologySpreadConstraints[].maxSkew": (1, None),
    "topologySpreadConstraints[].minDomains": (1, None),
    f"{PREFERRED}.weight": (1, 100),
    **{term.removesuffix(".podAffinityTerm") + ".weight": (1, 100) for term in POD_TERMS if "preferred" in term},
    **{f"{VOLUME}{kind}.defaultMode": MODES for kind in ("configMap", "secret", "projected", "downwardAPI")},
    **{f"{VOLUME}{kind}.items[].mode": MODES for kind in ("configMap", "secret", "downwardAPI")},
    **{f"{VOLUME}{kind}": (0, 255) for kind in ("iscsi.lun", *(f"{disk}.partition" for disk in PARTED))},
    f"{PROJECTED}serviceAccountToken.expirationSeconds": (600, 2**32),
}
CONTAINER_LIMITS: Limits = {
    "ports[].containerPort": PORTS,
    "ports[].hostPort": PORTS,
    **{f"securityContext.{key}": (0, INT32) for key in ("runAsUser", "runAsGroup")},
    **{
        f"{probe}.{key}": (0, None)
        for probe in PROBES
        for key in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "failureThreshold")
    },
    **{f"{probe}.successThreshold": (0, 1) for probe in ("livenessProbe", "startupProbe")},
    **{f"{probe}.terminationGracePeriodSeconds": (1, None) for probe in PROBES},
    **{f"{handled}.{kind}.port": PORTS for handled in HANDLED for kind in ("httpGet", "tcpSocket", "grpc")},
}
JOB_LIMITS: Limits = dict.fromkeys(
    ("parallelism", "completions", "maxFailedIndexes", "backoffLimitPerIndex"), (0, None)
)

DOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
PATTERNS = {
    "a name of lower-case letters, digits, '-' and '.'": re.compile(rf"(?=.{{0,253}}$){DOMAIN}"),
    "a name of at most 63 lower-case letters, digits and '-'": re.compile(r"(?=.{0,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?"),
    "a port's name: at most 15 lower-case letters, digits and single '-', one of them a letter": re.compile(
        r"(?=.{1,15}$)(?=.*[a-z])(?!.*--)[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    ),
    "a key such as example.com/kind": re.compile(
        rf"({DOMAIN}/)?(?=[^/]{{1,63}}$)[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
    ),
    "the value of a label": re.compile(r"(?=.{0,63}$)([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"),
    "a key of letters, digits, '-', '_' and '.'": re.compile(r"(?!\.\.)(?!\.$)[-._a-zA-Z0-9]{1,253}"),
    "the name of a header: letters, digits and '-'": re.compile(r"[-A-Za-z0-9]+"),
    "a domain to search, such as svc.example.com": re.compile(
        r"(?=.{1,254}$)(\.|_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*\.?)"
    ),
    "the name of a sysctl": re.compile(r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*"),
}
SUBDOMAIN, LABEL, PORT_NAME, QUALIFIED, LABEL_VALUE, DATA_KEY, HEADER, SEARCHED, SYSCTL = PATTERNS
ADDRESS = "an IP address"

POD_NAMES: Names = {
    **dict.fromkeys(("serviceAccountName", "serviceAccount", "nodeName"), SUBDOMAIN),
    **dict.fromkeys(("priorityClassName", "runtimeClassName"), SUBDOMAIN),
    **{f"resourceClaims[].{key}": SUBDOMAIN for key in ("resourceClaimName", "resourceClaimTemplateName")},
    f"{CLAIM}storageClassName": SUBDOMAIN,
    "hostname": LABEL,
    "subdomain": LABEL,
    "hostAliases[].ip": ADDRESS,
    "hostAliases[].hostnames[]": SUBDOMAIN,
    "dnsConfig.nameservers[]": ADDRESS,
    "dnsConfig.searches[]": SEARCHED,
    "securityContext.sysctls[].name": SYSCTL,
    "readinessGates[].conditionType": QUALIFIED,
    "schedulingGates[].name": QUALIFIED,
    "tolerations[].key": QUALIFIED,
    "tolerations[].value": LABEL_VALUE,
    "resourceClaims[].name": LABEL,
    **{f"{term}.topologyKey": QUALIFIED for term in POD_TERMS},
    **{f"{term}.namespaces[]": LABEL for term in POD_TERMS},
}
CONTAINER_NAMES: Names = {
    "ports[].name": PORT_NAME,
    **{f"{handled}.{kind}.port": PORT_NAME for handled in HANDLED for kind in ("httpGet", "tcpSocket")},
    **{f"{handled}.httpGet.httpHeaders[].name": HEADER for handled in HANDLED},
    **{f"envFrom[].{kind}.name": SUBDOMAIN for kind in ("configMapRef", "secretRef")},
    **{f"env[].valueFrom.{kind}.name": SUBDOMAIN for kind in ("configMapKeyRef", "secretKeyRef")},
    **{f"env[].valueFrom.{kind}.key": DATA_KEY for kind in ("configMapKeyRef", "secretKeyRef")},
}
JOB_NAMES: Names = {
    "podFailurePolicy.rules[].onPodConditions[].type": QUALIFIED,
    "managedBy": "a path such as example.com/kind",
}
PATTERNS["a path such as example.com/kind"] = re.compile(rf"{DOMAIN}/[A-Za-z0-9/._~!$&'()*+,;=:@%-]+")

POD_NEEDS = (
    "topologySpreadConstraints[].topologyKey",
    *(f"{term}.topologyKey" for term in POD_TERMS),
    "dnsConfig.options[].name",
    "dnsConfig.searches[]",
    f"{VOLUME}name",
    f"{VOLUME}persistentVolumeClaim.claimName",
    f"{VOLUME}configMap.name",
    f"{VOLUME}secret.secretName",
    f"{VOLUME}nfs.server",
    f"{VOLUME}nfs.path",
    f"{VOLUME}hostPath.path",
    f"{VOLUME}csi.driver",
    f"{VOLUME}csi.nodePublishSecretRef.name",
    f"{VOLUME}awsElasticBlockStore.volumeID",
    f"{VOLUME}gcePersistentDisk.pdName",
    f"{VOLUME}iscsi.targetPortal",
    f"{VOLUME}iscsi.iqn",
    f"{VOLUME}azureDisk.diskName",
    f"{VOLUME}azureDisk.diskURI",
    f"{VOLUME}rbd.monitors",
    f"{VOLUME}gitRepo.repository",
    f"{VOLUME}downwardAPI.items[].resourceFieldRef.containerName",
    f"{PROJECTED}downwardAPI.items[].resourceFieldRef.containerName",
    f"{VOLUME}ephemeral.volumeClaimTemplate",
    f"{CLAIM}accessModes",
    f"{CLAIM}resources",
    f"{CLAIM}resources.requests",
    f"{CLAIM}resources.requests.storage",
    *(f"{PROJECTED}{kind}.name" for kind in ("configMap", "secret")),
    f"{PROJECTED}serviceAccountToken.path",
    *(f"{VOLUME}{kind}.items[].{key}" for kind in ("configMap", "secret") for key in ("key", "path")),
    "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
)
CONTAINER_NEEDS = (
    "name",
    "env[].name",
    *(f"env[].valueFrom.{kind}.{key}" for kind in ("configMapKeyRef", "secretKeyRef") for key in ("name", "key")),
    "env[].valueFrom.fieldRef.fieldPath",
    "env[].valueFrom.resourceFieldRef.resource",
    *(f"envFrom[].{kind}.name" for kind in ("configMapRef", "secretRef")),
    "volumeMounts[].name",
    "volumeMounts[].mountPath",
    *(f"{handled}.exec.command" for handled in HANDLED),
    *(f"{handled}.httpGet.httpHeaders[].name" for handled in HANDLED),
)
JOB_NEEDS = ("podFailurePolicy.rules[].onExitCodes.values",)
Table = tuple[Words, Limits, Names, tuple[str, ...]]
POD: Table = (POD_WORDS, POD_LIMITS, POD_NAMES, POD_NEEDS)
CONTAINER: Table = (CONTAINER_WORDS, CONTAINER_LIMITS, CONTAINER_NAMES, CONTAINER_NEEDS)
JOB: Table = (JOB_WORDS, JOB_LIMITS, JOB_NAMES, JOB_NEEDS)


def places(node: Node, path: str) -> Iterator[Node]:
    """Yields the places at `path` below `node` whose parents are there."""
    key, _, rest = path.partition(".")
    if not isinstance(node.value, dict):
        return
    child = node[key.removesuffix("[]")]
    for found in child.items if key.endswith("[]") else [child]:
        if rest:
            yield from places(found, rest)
        else:
            yield found


def accepted(node: Node, table: Table) -> Iterator[Defect]:
    """Yields the places of `node` that hold something else than `table` lists."""
    words, limits, names, needs = table
    for path, choices in words.items():
        for place in places(node, path):
            if place.text and place.text not in choices:
                yield VALUE.at(place, f"'{place.text}': {nearest(place.text, choices)}", fix="choose one of its words")
    for path, (least, most) in limits.items():
        for place in places(node, path):
            if place.integer is not None and not least <= place.integer <= (place.integer if most is None else most):
                says = f"of at least {least}" if most is None else f"from {least} to {most}"
                yield VALUE.at(place, f"is {place.integer}", fix=f"write a whole number {says}")
    for path, kind in names.items():
        for place in places(node, path):
            if place.text and not (is_address(place.text) if kind == ADDRESS else PATTERNS[kind].fullmatch(place.text)):
                yield VALUE.at(place, f"'{place.text}' is not {kind}", fix=f"write {kind}")
    for path in needs:
        for place in places(node, path):
            if place.empty:
                yield VALUE.at(place, "is missing" if place.missing else "is empty", fix="add it")


def is_address(text: str) -> bool:
    """Returns whether `text` is an IP address, which Kubernetes takes with leading zeros too."""
    try:
        ip_address(".".join(part.lstrip("0") or "0" for part in text.split(".")) if "." in text else text)
    except ValueError:
        return False
    return True
