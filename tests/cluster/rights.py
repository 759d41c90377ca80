"""The rights that the program uses, as the API server's RBAC names them, against those that a role gives."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

from katib.backend.cluster.client import Cluster
from katib.backend.cluster.kinds import Object

VERBS = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}


class Use(NamedTuple):
    """A right: a verb on a resource (with its subresource) in a namespace."""

    namespace: str
    group: str
    resource: str
    verb: str


@contextmanager
def recorded() -> Iterator[set[Use]]:
    """Yields the rights that calls of the API server use meanwhile, but for those that everybody has."""
    uses: set[Use] = set()
    call = Cluster._call

    def noting(self: Cluster, method: str, path: str, *args: Any, **keys: Any) -> Any:
        query = args[1] if len(args) > 1 else keys.get("query")
        if use := use_of(method, path, dict(query or {})):
            # Whoever applies what is not there creates it.
            applies = "apply-patch" in f"{args} {keys}"
            uses.update((use, use._replace(verb="create")) if applies else (use,))
        return call(self, method, path, *args, **keys)

    with patch.object(Cluster, "_call", noting):
        yield uses


def use_of(method: str, path: str, query: dict[str, str]) -> Use | None:
    """Returns the right that a call needs; None for one outside a namespace, or for a version."""
    words = urlsplit(path).path.strip("/").split("/")
    group = words[1] if words[0] == "apis" else ""
    rest = words[3:] if words[0] == "apis" else words[2:]
    query |= {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}
    if rest[:1] != ["namespaces"] or len(rest) < 2:
        return None
    namespace, resource, *name = [rest[1], *rest[2:]] if len(rest) > 2 else [rest[1], "namespaces", rest[1]]
    watched = "watch" if "watch" in query else "list"
    verb = VERBS.get(method) or ("get" if name else watched)
    return Use(namespace, group, "/".join([resource, *name[1:2]]), verb)


def granted(role: Object, namespace: str) -> set[Use]:
    """Returns the rights of a Role."""
    return {
        Use(namespace, group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
