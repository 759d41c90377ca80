"""Checks single values of a trial's pod and Job as the API server does (pkg/apis/core and batch/validation)."""

import re
from collections.abc import Iterator

from katib.check.finding import Defect, error
from katib.check.node import Node
from katib.check.quantity import value_of
from katib.errors import nearest

VALUE = error(
    "pod-value",
    finds="a value that Kubernetes' validation refuses: a port, uid or size out of range, a path with ':' or '..',"
    " the name of a variable, a probe or hook without exactly one handler, a word that it does not have, a rule of"
    " podFailurePolicy",
    effect="the API server refuses the pod or Job of each trial; the trial stays Running forever",
    fix="correct the value",
)
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
PROBES, HOOKS = ("livenessProbe", "readinessProbe", "startupProbe"), ("postStart", "preStop")
VARIABLE = re.compile(r"[\x20-\x3c\x3e-\x7e]+")
"""Printable ASCII without an equals sign."""
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
HOST_PATHS = (
    "",
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
)
ACTIONS = ("FailJob", "FailIndex", "Ignore", "Count")
SECCOMP = ("RuntimeDefault", "Unconfined", "Localhost")
IDS = ("runAsUser", "runAsGroup", "fsGroup")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
FIELDS = re.compile(
    r"metadata\.(name|namespace|uid|labels|annotations|(labels|annotations)\[.+\])|status\.(hostIPs?|podIPs?)"
    r"|spec\.(nodeName|serviceAccountName)"
)


def pod_values(template: Node) -> Iterator[Defect]:
    """Yields the refused values of a trial's pod template."""
    spec = template["spec"]
    yield from _ids(spec["securityContext"])
    if (spec["terminationGracePeriodSeconds"].integer or 0) < 0:
        yield VALUE.at(spec["terminationGracePeriodSeconds"], "is below 0")
    account = spec["serviceAccountName"]
    if account.text and not SUBDOMAIN.fullmatch(account.text):
        yield VALUE.at(account, f"'{account.text}' is not a name of this kind")
    for volume in spec["volumes"].items:
        path, size = volume["hostPath"]["path"], volume["emptyDir"]["sizeLimit"]
        if ".." in (path.text or "").split("/"):
            yield VALUE.at(path, "holds '..'")
        yield from _word(volume["hostPath"]["type"], HOST_PATHS)
        if (value_of(size.text or "") or 0) < 0:
            yield VALUE.at(size, "is below 0")
    required = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    for term in required["nodeSelectorTerms"].items:
        for expression in term["matchExpressions"].items:
            yield from _word(expression["operator"], OPERATORS)
    for container in spec["containers"].items + spec["initContainers"].items:
        yield from _container(container)


def job_values(job: Node) -> Iterator[Defect]:
    """Yields the refused values of a batch/v1 Job's spec."""
    if job["completionMode"].text == "Indexed" and job["completions"].missing:
        yield VALUE.at(job["completions"], "is missing, which Indexed needs")
    pod = job["template"]["spec"]
    names = [item["name"].text for item in pod["containers"].items + pod["initContainers"].items]
    for rule in job["podFailurePolicy"]["rules"].items:
        yield from _word(rule["action"], ACTIONS)
        codes, conditions = rule["onExitCodes"], rule["onPodConditions"]
        if codes.empty == conditions.empty:
            yield VALUE.at(rule, "needs one of onExitCodes and onPodConditions")
        if codes["operator"].text == "In" and any(value.integer == 0 for value in codes["values"].items):
            yield VALUE.at(codes["values"], "holds 0, which is no failure")
        name = codes["containerName"]
        if name.text and names and name.text not in names:
            yield VALUE.at(name, f"no container '{name.text}'")


def _container(node: Node) -> Iterator[Defect]:
    yield from _ids(node["securityContext"])
    context, image = node["securityContext"], node["image"]
    if context["privileged"].value is True and context["allowPrivilegeEscalation"].value is False:
        yield VALUE.at(context["allowPrivilegeEscalation"], "is false, beside privileged: true")
    if image.text and image.text != image.text.strip():
        yield VALUE.at(image, "begins or ends with a blank")
    names: set[str] = set()
    for port in node["ports"].items:
        number, name = port["containerPort"].integer, port["name"].text
        if number is not None and not 1 <= number <= 65535:
            yield VALUE.at(port["containerPort"], f"is {number}, not 1 to 65535")
        yield from _word(port["protocol"], ("TCP", "UDP", "SCTP"))
        if name and name in names:
            yield VALUE.at(port["name"], f"'{name}' stands here a second time")
        names.add(name or "")
    for variable in node["env"].items:
        name_, field = variable["name"], variable["valueFrom"]["fieldRef"]["fieldPath"]
        if name_.text is not None and not VARIABLE.fullmatch(name_.text):
            yield VALUE.at(name_, f"'{name_.text}' is not the name of a variable")
        if field.text and not FIELDS.fullmatch(field.text):
            yield VALUE.at(field, f"'{field.text}' is no field of a pod that a variable can have")
    for source in node["envFrom"].items:
        if len({"configMapRef", "secretRef"} & source.entries.keys()) != 1:
            yield VALUE.at(source, "needs one of configMapRef and secretRef")
    for mount in node["volumeMounts"].items:
        if ":" in (mount["mountPath"].text or ""):
            yield VALUE.at(mount["mountPath"], "holds ':'")
        for key in ("subPath", "subPathExpr"):
            path = mount[key].text or ""
            if path.startswith("/") or ".." in path.split("/"):
                yield VALUE.at(mount[key], f"'{path}' is not a path below the volume")
    handled = [node[key] for key in PROBES] + [node["lifecycle"][key] for key in HOOKS]
    for handler in handled:
        if handler.value is not None and len(set(HANDLERS) & handler.entries.keys()) != 1:
            yield VALUE.at(handler, f"needs one of {', '.join(HANDLERS)}")


def _ids(context: Node) -> Iterator[Defect]:
    for key in IDS:
        if (context[key].integer or 0) < 0:
            yield VALUE.at(context[key], "is below 0")
    yield from _word(context["seccompProfile"]["type"], SECCOMP)


def _word(node: Node, words: tuple[str, ...]) -> Iterator[Defect]:
    if node.text and node.text not in words:
        yield VALUE.at(node, f"'{node.text}': {nearest(node.text, words)}")
