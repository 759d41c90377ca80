"""Checks values of a trial's pod and Job that depend on others, as the API server does (pkg/apis/core and batch)."""

import re
from collections.abc import Iterator

from katib.check.accepted import (
    CONTAINER,
    HANDLED,
    JOB,
    LABEL_VALUE,
    OPERATORS,
    PATTERNS,
    POD,
    POD_TERMS,
    PREFERRED,
    PROBES,
    QUALIFIED,
    REQUIRED,
    VALUE,
    accepted,
    places,
)
from katib.check.finding import Defect
from katib.check.node import Node
from katib.check.refused import labels
from katib.check.volume_values import amount, below, field, mount, repeated, volumes
from katib.errors import nearest

HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
VARIABLE = re.compile(r"[\x20-\x3c\x3e-\x7e]+")
"""Printable ASCII without an equals sign."""
FIELDS = (
    *(f"metadata.{key}" for key in ("name", "namespace", "uid")),
    *(f"status.{key}" for key in ("hostIP", "hostIPs", "podIP", "podIPs")),
    *(f"spec.{key}" for key in ("nodeName", "serviceAccountName")),
)
VARIABLE_SOURCES = ("secretKeyRef", "configMapKeyRef", "fieldRef", "resourceFieldRef")
DEFAULT_GRACE = 30
OF_THE_JOB = ("controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name")
"""Labels of a pod that Kubernetes sets itself, and compares with what it would set."""
MOST_RULES, MOST_NAMESERVERS = 20, 3


def pod_values(template: Node) -> Iterator[Defect]:
    """Yields the refused values of a trial's pod template."""
    spec = template["spec"]
    yield from accepted(spec, POD)
    yield from _profiles(spec["securityContext"])
    yield from volumes(spec)
    yield from _pod_terms(spec)
    yield from repeated(spec["resourceClaims"], "name")
    yield from repeated(spec["securityContext"]["sysctls"], "name")
    yield from repeated(spec["topologySpreadConstraints"], "topologyKey", "whenUnsatisfiable")
    if not spec["ephemeralContainers"].empty:
        yield VALUE.at(spec["ephemeralContainers"], "belongs to pods that run, not to a template", fix="remove it")
    for key in OF_THE_JOB:
        if not (label := template["metadata"]["labels"][key]).missing:
            yield VALUE.at(label, "is a label that Kubernetes sets itself", fix="remove it")
    for path in (f"{REQUIRED}.matchExpressions[]", f"{PREFERRED}.preference.matchExpressions[]"):
        for expression in places(spec, path):
            yield from _expression(expression, OPERATORS)
    for expression in places(spec, f"{REQUIRED}.matchFields[]"):
        if expression["key"].text != "metadata.name" or len(expression["values"].items) != 1:
            yield VALUE.at(expression, "is not one value of metadata.name", fix="use matchExpressions for labels")
    nameservers = spec["dnsConfig"]["nameservers"]
    if spec["dnsPolicy"].text == "None" and nameservers.empty:
        yield VALUE.at(nameservers, "is missing, which dnsPolicy None needs", fix="add a nameserver")
    elif len(nameservers.items) > MOST_NAMESERVERS:
        yield VALUE.at(nameservers, f"has {len(nameservers.items)} items", fix=f"keep {MOST_NAMESERVERS}")
    for spread in spec["topologySpreadConstraints"].items:
        if not spread["minDomains"].missing and spread["whenUnsatisfiable"].text == "ScheduleAnyway":
            yield VALUE.at(
                spread["minDomains"], "stands beside ScheduleAnyway", fix="remove it, or write DoNotSchedule"
            )
    yield from _claims(spec)
    yield from _containers(spec)
    yield from _windows(spec)


def _pod_terms(spec: Node) -> Iterator[Defect]:
    """Yields the defects of what selects other pods by their labels."""
    for owner in (*POD_TERMS, "topologySpreadConstraints[]"):
        for selected in places(spec, f"{owner}.labelSelector.matchLabels"):
            yield from labels(selected, values=True)
        for expression in places(spec, f"{owner}.labelSelector.matchExpressions[]"):
            yield from _expression(expression, OPERATORS[:4])
        for term in places(spec, owner):
            for key in ("matchLabelKeys", "mismatchLabelKeys"):
                if not term[key].empty and term["labelSelector"].missing:
                    yield VALUE.at(term[key], "needs labelSelector", fix="add that, or remove this")


def job_values(job: Node) -> Iterator[Defect]:
    """Yields the refused values of a batch/v1 Job's spec."""
    yield from accepted(job, JOB)
    indexed, per_index = job["completionMode"].text == "Indexed", job["backoffLimitPerIndex"]
    if indexed and job["completions"].missing:
        yield VALUE.at(job["completions"], "is missing, which Indexed needs")
    for key in ("backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"):
        if not indexed and not job[key].missing:
            yield VALUE.at(job[key], "needs completionMode Indexed", fix="remove it, or write that mode")
    if not job["maxFailedIndexes"].missing and per_index.missing:
        yield VALUE.at(per_index, "is missing, which maxFailedIndexes needs")
    manual = job["manualSelector"].value is True
    if manual == job["selector"].missing:
        problem = "is missing, which manualSelector needs" if manual else "stands without manualSelector: true"
        yield VALUE.at(job["selector"], problem, fix="remove both; Kubernetes selects a Job's pods itself")
    policy, replacement = job["podFailurePolicy"], job["podReplacementPolicy"]
    if not policy.missing and replacement.text == "TerminatingOrFailed":
        yield VALUE.at(replacement, "stands beside podFailurePolicy, which needs Failed", fix="write Failed")
    if len(policy["rules"].items) > MOST_RULES:
        yield VALUE.at(policy["rules"], f"has {len(policy['rules'].items)} items", fix=f"keep {MOST_RULES}")
    pod = job["template"]["spec"]
    names = [item["name"].text for item in pod["containers"].items + pod["initContainers"].items]
    for rule in policy["rules"].items:
        yield from _failure_rule(rule, [name for name in names if name], per_index=not per_index.missing)


def _failure_rule(rule: Node, names: list[str], *, per_index: bool) -> Iterator[Defect]:
    codes, conditions = rule["onExitCodes"], rule["onPodConditions"]
    if codes.empty == conditions.empty:
        yield VALUE.at(rule, "needs one of onExitCodes and onPodConditions")
    if rule["action"].text == "FailIndex" and not per_index:
        yield VALUE.at(rule["action"], "is FailIndex, which needs backoffLimitPerIndex")
    listed = [code for value in codes["values"].items if (code := value.integer) is not None]
    if codes["operator"].text == "In" and 0 in listed:
        yield VALUE.at(codes["values"], "holds 0, which is no failure")
    if listed != sorted(set(listed)):
        yield VALUE.at(codes["values"], "is not in ascending order, each code once", fix=f"write {sorted(set(listed))}")
    name = codes["containerName"]
    if name.text is not None and names and name.text not in names:
        yield VALUE.at(name, f"no container '{name.text}': {nearest(name.text, names)}")


def _containers(spec: Node) -> Iterator[Defect]:
    grace = spec["terminationGracePeriodSeconds"].integer
    host_ports: set[tuple[object, ...]] = set()
    on_host = spec["hostNetwork"].value is True
    for container in spec["containers"].items:
        yield from _container(container, DEFAULT_GRACE if grace is None else grace)
        if not container["restartPolicy"].missing:
            yield VALUE.at(container["restartPolicy"], "belongs to init containers", fix="remove it")
        for policy in places(container, "resizePolicy[].restartPolicy"):
            if policy.text == "RestartContainer" and spec["restartPolicy"].text == "Never":
                yield VALUE.at(policy, "is RestartContainer, in a pod that restarts none", fix="write NotRequired")
        yield from repeated(container["resizePolicy"], "resourceName")
        for port in container["ports"].items:
            place, own = port["hostPort"], port["containerPort"].integer
            taken = (port["protocol"].text or "TCP", port["hostIP"].text or "", place.integer)
            if place.integer and taken in host_ports:
                yield VALUE.at(place, f"{place.integer} stands here a second time")
            if place.integer and on_host and place.integer != own:
                yield VALUE.at(place, f"is {place.integer}, and with hostNetwork it is containerPort")
            host_ports.add(taken)
    for container in spec["initContainers"].items:
        yield from _container(container, DEFAULT_GRACE if grace is None else grace)
        restart = container["restartPolicy"]
        if restart.text and restart.text != "Always":
            yield VALUE.at(restart, f"'{restart.text}': {nearest(restart.text, ['Always'])}", fix="remove it")
        if isinstance(container.value, dict) and container["image"].empty:
            yield VALUE.at(container["image"], "is missing", fix="add it")
        for key in (*PROBES, "lifecycle"):
            if restart.text != "Always" and not container[key].missing:
                yield VALUE.at(container[key], "belongs to containers that run on, and this one prepares", fix="remove")


def _container(node: Node, grace: int) -> Iterator[Defect]:
    yield from accepted(node, CONTAINER)
    context, image = node["securityContext"], node["image"]
    yield from _profiles(context)
    escalation = context["allowPrivilegeEscalation"]
    if escalation.value is False and context["privileged"].value is True:
        yield VALUE.at(escalation, "is false, beside privileged: true")
    if escalation.value is False and any(cap.text == "CAP_SYS_ADMIN" for cap in context["capabilities"]["add"].items):
        yield VALUE.at(escalation, "is false, beside CAP_SYS_ADMIN")
    if image.text and image.text != image.text.strip():
        yield VALUE.at(image, "begins or ends with a blank")
    names: set[str] = set()
    for port in node["ports"].items:
        name = port["name"].text
        if name and name in names:
            yield VALUE.at(port["name"], f"'{name}' stands here a second time")
        names.add(name or "")
    yield from _environment(node)
    privileged = context["privileged"].value is True
    for mounted in node["volumeMounts"].items:
        yield from mount(mounted, privileged=privileged)
    for path in HANDLED:
        for handler in places(node, path):
            yield from _handler(handler, grace)
    late = node["readinessProbe"]["terminationGracePeriodSeconds"]
    if not late.missing:
        yield VALUE.at(late, "belongs to the other probes", fix="remove it")


def _handler(node: Node, grace: int) -> Iterator[Defect]:
    if node.value is not None and len(set(HANDLERS) & node.entries.keys()) != 1:
        yield VALUE.at(node, f"needs one of {', '.join(HANDLERS)}")
    seconds = node["sleep"]["seconds"]
    if seconds.integer is not None and not 0 <= seconds.integer <= grace:
        fix = f"write at most {grace}, or raise terminationGracePeriodSeconds"
        yield VALUE.at(seconds, f"is {seconds.integer}, and the pod has {grace} s to end", fix=fix)


def _environment(node: Node) -> Iterator[Defect]:
    for variable in node["env"].items:
        name, source = variable["name"], variable["valueFrom"]
        if name.text and not VARIABLE.fullmatch(name.text):
            yield VALUE.at(name, f"'{name.text}' is not the name of a variable")
        if isinstance(source.value, dict) and len(set(VARIABLE_SOURCES) & source.entries.keys()) != 1:
            yield VALUE.at(source, f"needs one of {', '.join(VARIABLE_SOURCES)}")
        yield from field(source["fieldRef"]["fieldPath"], FIELDS)
        yield from amount(source["resourceFieldRef"])
    for source in node["envFrom"].items:
        if len({"configMapRef", "secretRef"} & source.entries.keys()) != 1:
            yield VALUE.at(source, "needs one of configMapRef and secretRef")
        prefix = source["prefix"]
        if prefix.text and not VARIABLE.fullmatch(prefix.text):
            yield VALUE.at(prefix, f"'{prefix.text}' is not the beginning of a variable's name")


def _profiles(context: Node) -> Iterator[Defect]:
    for profile in (context["seccompProfile"], context["appArmorProfile"]):
        local = profile["localhostProfile"]
        if profile["type"].text == "Localhost" and local.empty:
            yield VALUE.at(local, "is missing, which Localhost needs", fix="add it, or write RuntimeDefault")
        elif profile["type"].text != "Localhost" and not local.missing:
            yield VALUE.at(local, "stands without type Localhost", fix="remove it")
        elif local.text and local.text != local.text.strip():
            yield VALUE.at(local, "begins or ends with a blank")
    yield from below(context["seccompProfile"]["localhostProfile"], "the kubelet's folder of profiles")


def _windows(spec: Node) -> Iterator[Defect]:
    """Yields the options for Windows that a pod cannot have: those of a process of the host, and any on Linux."""
    for owner in (spec, *spec["containers"].items, *spec["initContainers"].items):
        options = owner["securityContext"]["windowsOptions"]
        if not options.missing and spec["os"]["name"].text == "linux":
            yield VALUE.at(options, "stands beside os.name linux", fix="remove it")
        elif options["hostProcess"].value is True and spec["hostNetwork"].value is not True:
            yield VALUE.at(options["hostProcess"], "is true, which needs hostNetwork: true", fix="remove it")


def _expression(node: Node, operators: tuple[str, ...]) -> Iterator[Defect]:
    """Yields the defects of one expression that selects nodes or pods by a label."""
    key, operator, values = node["key"], node["operator"], node["values"]
    if operator.text and operator.text not in operators:
        yield VALUE.at(operator, f"'{operator.text}': {nearest(operator.text, operators)}")
    if operator.text in ("In", "NotIn") and values.empty:
        yield VALUE.at(values, f"is missing, which {operator.text} needs")
    elif operator.text in ("Exists", "DoesNotExist") and not values.empty:
        yield VALUE.at(values, f"stands beside {operator.text}", fix="remove it")
    elif operator.text in ("Gt", "Lt") and len(values.items) != 1:
        yield VALUE.at(values, f"has {len(values.items)} items, and {operator.text} needs one number")
    if key.text and not PATTERNS[QUALIFIED].fullmatch(key.text):
        yield VALUE.at(key, f"'{key.text}' is not {QUALIFIED}")
    for value in values.items:
        if value.text and not PATTERNS[LABEL_VALUE].fullmatch(value.text):
            yield VALUE.at(value, f"'{value.text}' is not {LABEL_VALUE}")


def _claims(spec: Node) -> Iterator[Defect]:
    """Yields the defects of resource claims, and of containers that use one that the pod does not have."""
    names = [claim["name"].text or "" for claim in spec["resourceClaims"].items]
    for claim in spec["resourceClaims"].items:
        if claim["resourceClaimName"].missing == claim["resourceClaimTemplateName"].missing:
            yield VALUE.at(claim, "needs one of resourceClaimName and resourceClaimTemplateName")
    for container in spec["containers"].items + spec["initContainers"].items:
        for used in container["resources"]["claims"].items:
            name = used["name"]
            if name.text and name.text not in names:
                hint = nearest(name.text, names) if names else "the pod has no resourceClaims"
                yield VALUE.at(name, f"no claim '{name.text}': {hint}")
