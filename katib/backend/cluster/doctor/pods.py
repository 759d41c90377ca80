"""Checks what the trials' pods name: runtime class, Secrets of the environment, users, memory, and registries."""

import base64
import binascii
import json
from collections.abc import Iterator
from fnmatch import fnmatchcase

from katib.backend.cluster.doctor.result import DoctorContext, Result, error, ok, quantity, warning
from katib.backend.cluster.doctor.services import accounts_of_services
from katib.backend.cluster.kinds import RUNTIME_CLASS, SECRET, SERVICE_ACCOUNT, annotations_of
from katib.tree import items_at, labels_at, text_at

UID_RANGE = "openshift.io/sa.scc.uid-range"
"""The annotation by which OpenShift tells the user ids of a namespace."""
DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


def runtime_class(context: DoctorContext) -> Iterator[Result]:
    """Checks that the runtime class exists that the site names."""
    name = context.site.runtime_class
    if name is None:
        return
    if context.cluster.get(RUNTIME_CLASS, name) is None:
        fix = "kubectl get runtimeclasses; name one of them, or runtime_class: null in k8s/site.yaml"
        yield error("runtime class", f"'{name}' does not exist", "no trial pod can be created", fix)
    else:
        yield ok("runtime class", name)


def environment(context: DoctorContext) -> Iterator[Result]:
    """Checks that the Secrets of the environment exist, with their keys."""
    named = context.site.secret_environment
    for name, source in sorted(named.items()):
        secret = context.cluster.get(SECRET, source.secret)
        create = f"kubectl -n {context.site.namespace} create secret generic {source.secret}"
        effect = "no trial starts: CreateContainerConfigError"
        if secret is None:
            fix = f"{create} --from-file={source.key}=FILE"
            yield error("environment", f"no Secret '{source.secret}', which {name} names", effect, fix)
        elif source.key not in (keys := labels_at(secret, "data")):
            problem = f"'{source.secret}' has no key {source.key}, which {name} names"
            fix = f"secret_environment.{name}.key in k8s/site.yaml is one of: {', '.join(sorted(keys)) or 'none'}"
            yield error("environment", problem, effect, fix)


def user(context: DoctorContext) -> Iterator[Result]:
    """Checks that the user id is one of those that OpenShift gives the namespace."""
    text = annotations_of(context.namespace or {}).get(UID_RANGE, "")
    first, _, rest = text.replace("-", "/").partition("/")
    if not (first.isdecimal() and rest.isdecimal()):
        return
    last = int(rest) if "-" in text else int(first) + int(rest) - 1
    uid = context.site.user.uid
    if int(first) <= uid <= last:
        yield ok("user", f"{uid}, of the namespace's own")
    else:
        problem = f"uid {uid} is outside the namespace's own, {first} to {last}"
        effect = "OpenShift's restricted-v2 refuses the trial pods, unless their account may use another constraint"
        yield warning("user", problem, effect, f"user: {{uid: {first}, gid: {first}}} in k8s/site.yaml")


def shared_memory(context: DoctorContext) -> Iterator[Result]:
    """Checks that /dev/shm, whose files count towards the memory limit, leaves room for the trainer."""
    resources = context.site.resources
    if quantity(resources.shared_memory) >= quantity(resources.memory):
        problem = f"it may take {resources.shared_memory} of the memory limit {resources.memory}"
        fix = "lower resources.shared_memory, or raise resources.memory, in k8s/site.yaml"
        yield warning("shared memory", problem, "its files count as memory: trials end as OOMKilled", fix)


def registries(context: DoctorContext) -> Iterator[Result]:
    """Checks that the pull secrets are for the image's registry, and that the services' account has them as well."""
    names, host = context.site.pull_secrets, registry_of(context.site.image)
    if not names or context.lacks_namespace:
        return
    hosts = {each for name in names for each in _hosts(context, name)}
    space = f"kubectl -n {context.site.namespace}"
    if hosts and not any(_covers(each, host) for each in hosts):
        problem = f"{', '.join(names)} is for {', '.join(sorted(hosts))}, and the image is at {host}"
        effect = "a private image cannot be pulled; trials wait with ErrImagePull"
        fix = f"{space} create secret docker-registry {names[0]}-2 --docker-server={host} --docker-username=YOU"
        yield warning("pull secrets", problem, effect, f"{fix}; pull_secrets in k8s/site.yaml")
    for account, image in accounts_of_services(context):
        item = context.cluster.get(SERVICE_ACCOUNT, account)
        lacking = set(names) - {text_at(each, "name") for each in items_at(item, "imagePullSecrets")}
        if item is not None and lacking == set(names) and registry_of(image) == host:
            patch = json.dumps({"imagePullSecrets": [{"name": name} for name in names]})
            problem = f"the suggestion service comes from {host}, too, and its account '{account}' has none of them"
            effect = "a private image cannot be pulled: no search gets a suggestion"
            yield warning("pull secrets", problem, effect, f"{space} patch serviceaccount {account} -p '{patch}'")


def registry_of(image: str) -> str:
    """Returns the host of an image's registry, docker.io where it names none."""
    first, slash, _ = image.partition("/")
    return first if slash and (set(first) & set(".:") or first == "localhost") else DOCKER_HUB[0]


def _covers(entry: str, host: str) -> bool:
    """Returns whether the kubelet takes credentials for `entry` to `host`; it may be an address with wildcards."""
    bare = entry.partition("://")[2] or entry
    place = bare.partition("/")[0]
    return fnmatchcase(host, place) or (host in DOCKER_HUB and place in DOCKER_HUB)


def _hosts(context: DoctorContext, name: str) -> list[str]:
    """Returns the registries that a pull secret has credentials for; none where it is missing or cannot be read."""
    data = labels_at(context.cluster.get(SECRET, name), "data")
    try:
        config = json.loads(base64.b64decode(data.get(".dockerconfigjson", "")) or "{}")
        return [str(host) for host in config.get("auths", {})]
    except (ValueError, binascii.Error, AttributeError, TypeError):
        return []
