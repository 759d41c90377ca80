"""Calls the Kubernetes API with the caller's kubeconfig: a method for each kind of call, each failure in one line.

This is the only module that speaks to the API server; answers.py says what its refusals mean.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from katib.backend.cluster.answers import AbsentError, UnreachableError, one_line, refusal
from katib.backend.cluster.kinds import ACCESS_REVIEW, KATIB_NAMESPACE, MANAGER, POD, SERVICE, Kind, Object
from katib.errors import ClusterError, nearest

if TYPE_CHECKING:
    # The client library takes a third of a second to load; a verb's help need not wait for it.
    from kubernetes.client import ApiClient
    from urllib3 import HTTPResponse

TIMEOUT = 20
"""Seconds that an answer of the API server may take."""
RELAY_TIMEOUT = 60
"""Seconds that a program of the cluster may take to answer through the API server, which itself waits so long."""
WATCH_SECONDS = 240
"""Seconds after which the server ends a watch, so that it must be started again."""
_MALFORMED = (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError)
"""Exceptions of the client library for a kubeconfig with a value of the wrong type."""
PAGE = 500
"""Objects per answer."""


class Cluster:
    """A namespace of a cluster; `calls` counts the calls of the API server."""

    katib = KATIB_NAMESPACE
    """The namespace of Katib."""

    def __init__(
        self, namespace: str, context: str | None = None, config_file: Path | None = None, katib: str = KATIB_NAMESPACE
    ) -> None:
        self.katib = katib
        self._api = _client(context, None if config_file is None else str(config_file))
        self.namespace = namespace
        self.server: str = self._api.configuration.host
        self.calls = 0

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Object | None:
        """Returns the object `name`, or None where there is none.

        Raises NoKindError where the server lacks its type.
        """
        try:
            return self._json("GET", kind, name, namespace=namespace)
        except AbsentError:
            return None

    def list(self, kind: Kind, selector: str = "", namespace: str | None = None, fields: str = "") -> Sequence[Object]:
        """Returns all objects of a kind that the label and field selectors match.

        `namespace` "" means all namespaces.
        """
        return self.list_at(kind, selector, namespace, fields)[0]

    def list_at(
        self, kind: Kind, selector: str = "", namespace: str | None = None, fields: str = ""
    ) -> tuple[Sequence[Object], str]:
        """Returns what `list` returns, and the resource version from which a watch continues."""
        objects: list[Object] = []
        query = {"limit": str(PAGE), **({"labelSelector": selector} if selector else {})}
        query |= {"fieldSelector": fields} if fields else {}
        while True:
            answer = self._json("GET", kind, query=query, namespace=namespace)
            objects += answer["items"]
            if not (rest := answer["metadata"].get("continue")):
                return objects, answer["metadata"]["resourceVersion"]
            query["continue"] = rest

    def apply(self, kind: Kind, manifest: Object, *, dry_run: bool = False, force: bool = False) -> Object:
        """Applies `manifest` on the server and returns the object; a dry run passes admission and changes nothing.

        With `force` it also replaces what was changed in another way than by applying, which is refused otherwise.
        """
        forced = {"force": "true"} if force else {}
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict", **_dry(dry_run), **forced}
        name = manifest["metadata"]["name"]
        return self._json("PATCH", kind, name, manifest, query, content="application/apply-patch+yaml")

    def create(self, kind: Kind, body: Object, *, dry_run: bool = False) -> Object:
        """Creates an object and returns it; a dry run passes admission and changes nothing."""
        query = {"fieldManager": MANAGER, **_dry(dry_run)} | ({"fieldValidation": "Strict"} if dry_run else {})
        return self._json("POST", kind, body=body, query=query)

    def merge(self, kind: Kind, name: str, patch: Object) -> Object:
        """Replaces the keys of `patch` in an object (JSON merge patch) and returns it. Raises AbsentError."""
        query = {"fieldManager": MANAGER}
        return self._json("PATCH", kind, name, patch, query, content="application/merge-patch+json")

    def delete(self, kind: Kind, name: str, uid: str) -> None:
        """Deletes the object with this uid, and afterwards what it owns; a new object of the same name stays.

        Foreground deletion would delete what it owns first, but Katib's controller recreates the service of a
        Suggestion as long as that exists, so that deletion would last for minutes, or for ever.
        """
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        self._json("DELETE", kind, name, options)

    def raw(self, path: str) -> Object:
        """Returns the JSON object that `path` answers with, such as /version."""
        with self._errors(path):
            answer: Object = self._call("GET", path)
        return answer

    def allowed(
        self, verb: str, kind: Kind, *, subresource: str = "", name: str = "", namespace: str | None = None
    ) -> bool:
        """Returns whether the caller has a right, as the API server says (SelfSubjectAccessReview).

        With `name`, it is the right for this object.
        """
        attributes = {"verb": verb, "group": kind.group, "resource": kind.plural, "subresource": subresource}
        if kind.namespaced:
            attributes["namespace"] = self.namespace if namespace is None else namespace
        if name:
            attributes["name"] = name
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        answer = self._json("POST", ACCESS_REVIEW, body={**body, "spec": {"resourceAttributes": attributes}})
        return bool(answer["status"]["allowed"])

    def log(self, pod: str, container: str, limit_bytes: int) -> str:
        """Returns the beginning of a container's log, at most `limit_bytes` of it."""
        query = {"container": container, "limitBytes": str(limit_bytes)}
        with self._stream(POD, f"{pod}/log", query, f"log of pod '{pod}'", (TIMEOUT, TIMEOUT)) as answer:
            return str(answer.read().decode("utf-8", "replace"))

    def follow(self, pod: str, container: str, since: str | None = None) -> Iterator[str]:
        """Yields the lines of a container's log, each behind its time, as they appear, until the container ends."""
        query = {"container": container, "follow": "true", "timestamps": "true"}
        query |= {"sinceTime": since} if since else {}
        with self._stream(POD, f"{pod}/log", query, f"log of pod '{pod}'", (TIMEOUT, None)) as answer:
            yield from _lines(answer)

    def watch(self, kind: Kind, version: str, selector: str = "") -> Iterator[Object]:
        """Yields the events {type, object} after `version`, until the server ends the watch."""
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS)}
        query |= {"labelSelector": selector} if selector else {}
        query["allowWatchBookmarks"] = "true"
        timeout = (TIMEOUT, WATCH_SECONDS + TIMEOUT)
        with self._stream(kind, "", query, f"watch of {kind.plural}", timeout) as answer:
            for line in _lines(answer):
                yield json.loads(line)

    def serves(self, service: str, path: str) -> None:
        """Raises ClusterError where a Service's port, such as katib-ui:80, does not answer a GET of `path`."""
        where = _where(SERVICE, service, self.namespace)
        with self._stream(SERVICE, f"{service}/proxy{path}", {}, where, (TIMEOUT, RELAY_TIMEOUT)):
            pass

    def relay(self, service: str, method: str, target: str, headers: Mapping[str, str], body: bytes) -> "HTTPResponse":
        """Returns what a Service's port answers, whatever the status, still to be read and closed.

        The API server proxies it. `target` is the path with its query. Raises UnreachableError.
        """
        sent = {**self._api.default_headers, "Accept-Encoding": "identity", **headers}
        self.calls += 1
        with self._errors(_where(SERVICE, service, self.namespace)):
            self._api.update_params_for_auth(sent, [], ["BearerToken"])
            url = f"{self.server}{self.relay_path(service)}{target}"
            answer: HTTPResponse = self._api.rest_client.pool_manager.urlopen(
                method, url, redirect=False, body=body, headers=sent, preload_content=False, timeout=RELAY_TIMEOUT
            )
        return answer

    def relay_path(self, service: str) -> str:
        """Returns the path at the API server that leads to a Service's port."""
        return SERVICE.path(self.namespace, f"{service}/proxy")

    def _json(
        self,
        method: str,
        kind: Kind,
        name: str = "",
        body: object = None,
        query: Mapping[str, str] | None = None,
        *,
        namespace: str | None = None,
        content: str = "application/json",
    ) -> Object:
        namespace = self.namespace if namespace is None else namespace
        with self._errors(_where(kind, name or _name(body), namespace)):
            answer: Object = self._call(method, kind.path(namespace, name), body, query, content)
        return answer

    def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        timeout: object = TIMEOUT,
        stream: bool = False,
    ) -> Any:
        """Makes one call and returns the answer, through the client's transport: its typed API has no apply patch."""
        self.calls += 1
        return self._api.call_api(
            path,
            method,
            query_params=list((query or {}).items()),
            header_params={"Accept": "*/*" if stream else "application/json", "Content-Type": content},
            body=body,
            response_type=None if stream else "object",
            auth_settings=["BearerToken"],
            _return_http_data_only=True,
            _preload_content=not stream,
            _request_timeout=timeout,
        )

    @contextmanager
    def _stream(
        self, kind: Kind, name: str, query: Mapping[str, str], where: str, timeout: object
    ) -> Iterator["HTTPResponse"]:
        with self._errors(where):
            path = kind.path(self.namespace, name)
            answer = self._call("GET", path, query=query, timeout=timeout, stream=True)
            try:
                yield answer
            finally:
                answer.close()

    @contextmanager
    def _errors(self, where: str) -> Iterator[None]:
        """Turns every failure into a ClusterError of one line, which says what was called and what to do."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ApiException as cause:
            raise refusal(cause, where, self.server) from None
        except (HTTPError, OSError) as cause:
            raise UnreachableError(
                f"{self.server} cannot be reached ({_reason(cause)}); see kubectl cluster-info"
            ) from None


def _client(context: str | None, file: str | None) -> "ApiClient":
    from kubernetes import config

    # The client library reads this variable only when it is imported; it may be set later.
    file = file or os.environ.get("KUBECONFIG")
    try:
        contexts = [item["name"] for item in config.list_kube_config_contexts(file)[0]]
        if context is not None and context not in contexts:
            raise ClusterError(f"kubeconfig: no context '{context}': {nearest(context, contexts)}")
        client = config.new_client_from_config(file, context)
    except (config.ConfigException, yaml.YAMLError, OSError, *_MALFORMED) as cause:
        reason = one_line(cause).removeprefix("Invalid kube-config file. ").rstrip(".")
        raise ClusterError(
            f"no usable kubeconfig: {reason}; name one with KUBECONFIG (kubectl config get-contexts lists its"
            " contexts), or run the search on this machine with make local"
        ) from None
    # Otherwise the library retries an unreachable server for minutes.
    client.rest_client.pool_manager.connection_pool_kw["retries"] = 1
    return client


def _where(kind: Kind, name: str, namespace: str) -> str:
    called = f"{kind.name} '{name}'" if name else f"{kind.plural}{'.' + kind.group if kind.group else ''}"
    return f"{called} in namespace '{namespace}'" if kind.namespaced and namespace else called


def _name(body: object) -> str:
    return str(body.get("metadata", {}).get("name", "")) if isinstance(body, dict) else ""


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _lines(answer: "HTTPResponse") -> Iterator[str]:
    rest = b""
    for chunk in answer.stream(decode_content=False):
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


def _reason(cause: Exception) -> str:
    inner = getattr(cause, "reason", None)
    return type(inner if isinstance(inner, Exception) else cause).__name__
