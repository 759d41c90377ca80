"""Makes GPUs up for the node: an extended resource, or devices of dynamic resource allocation (DRA) with a driver.

The driver is as small as the kubelet lets it be (kubelet/pkg/apis/dra/v1 and pluginregistration/v1 of Kubernetes 1.34):
it registers on a socket, and answers that a claim is prepared. No container sees a device of it.
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.cluster import rig

SLICE = "nvidia.com/mig-1g.10gb"
DRIVER = "gpu.sepsweep.test"
TEMPLATE = "one-gpu"
NODE = "node1"
PLUGINS = rig.HOME / "run" / "kubelet" / "plugins_registry"
_FIELDS = {
    "InfoRequest": {},
    "PluginInfo": {"type": "s", "name": "s", "endpoint": "s", "supported_versions": "s*"},
    "RegistrationStatus": {"plugin_registered": "b", "error": "s"},
    "RegistrationStatusResponse": {},
    "Claim": {"namespace": "s", "uid": "s", "name": "s"},
    "Claims": {"claims": "Claim*"},
    "Device": {"request_names": "s*", "pool_name": "s", "device_name": "s", "cdi_device_ids": "s*"},
    "Prepared": {"devices": "Device*", "error": "s"},
    # A map is on the wire what a list of its pairs is.
    "Pair": {"key": "s", "value": "Prepared"},
    "Answer": {"claims": "Pair*"},
}
"""The messages with their fields in order: s is a text, b a bool, and * a list."""


class Devices(Protocol):
    """GPUs of the node, which has none at first; `missing` is what Kubernetes says then of a pod that waits for one."""

    missing: str
    asked: tuple[str, str]
    """The key of the site's resources, and its value, by which a trial asks for one."""

    def announce(self, kubeconfig: Path, namespace: str) -> None:
        """Makes what a pod needs to ask for one."""

    def give(self, kubeconfig: Path) -> None:
        """Gives the node two of them."""

    def take(self, kubeconfig: Path) -> None:
        """Removes them."""


class Slices:
    """Slices of a GPU that a node claims to have, as Kubernetes lets an administrator make up extended resources."""

    missing = f"Insufficient {SLICE}"
    asked = ("gpu_resource", SLICE)

    def announce(self, kubeconfig: Path, namespace: str) -> None:
        """Does nothing: a pod names the resource."""

    def give(self, kubeconfig: Path) -> None:
        """Gives the node two of them."""
        self._patch(kubeconfig, "2")

    def take(self, kubeconfig: Path) -> None:
        """Removes them."""
        self._patch(kubeconfig, None)

    def _patch(self, kubeconfig: Path, count: str | None) -> None:
        amounts = {SLICE: count}
        patch = json.dumps({"status": {"capacity": amounts, "allocatable": amounts}})
        words = ("patch", "node", NODE, "--subresource=status", "--type=merge", "-p", patch)
        rig.kubectl(*words, kubeconfig=kubeconfig)


class Claims:
    """Devices of a driver, for pods with a claim of the template."""

    missing = "cannot allocate all claims"
    asked = ("gpu_claim_template", TEMPLATE)

    def __init__(self) -> None:
        self.prepared: list[str] = []
        """The names of the claims whose devices the kubelet has asked for."""
        self._server = grpc.server(ThreadPoolExecutor(4))

    def announce(self, kubeconfig: Path, namespace: str) -> None:
        """Makes the class of the devices, and the namespace's template of a claim to one."""
        selector = {"cel": {"expression": f"device.driver == '{DRIVER}'"}}
        request = {"name": "gpu", "exactly": {"deviceClassName": DRIVER}}
        _make(kubeconfig, "DeviceClass", DRIVER, {"selectors": [selector]})
        claim = {"spec": {"devices": {"requests": [request]}}}
        _make(kubeconfig, "ResourceClaimTemplate", TEMPLATE, claim, namespace)

    def give(self, kubeconfig: Path) -> None:
        """Gives the node two of them."""
        self._serve()
        pool = {"name": NODE, "generation": 1, "resourceSliceCount": 1}
        devices = [{"name": "gpu-0"}, {"name": "gpu-1"}]
        spec = {"driver": DRIVER, "nodeName": NODE, "pool": pool, "devices": devices}
        _make(kubeconfig, "ResourceSlice", NODE, spec)

    def take(self, kubeconfig: Path) -> None:
        """Removes them."""
        rig.kubectl("delete", "resourceslice", NODE, "--ignore-not-found", kubeconfig=kubeconfig)
        rig.kubectl("delete", "deviceclass", DRIVER, "--ignore-not-found", kubeconfig=kubeconfig)
        self._server.stop(1).wait()
        (PLUGINS / "gpu.sock").unlink(missing_ok=True)

    def _serve(self) -> None:
        socket = PLUGINS / "gpu.sock"
        versions = ["v1.DRAPlugin"]
        info = {"type": "DRAPlugin", "name": DRIVER, "endpoint": str(socket), "supported_versions": versions}
        self._add(
            "pluginregistration.Registration",
            {
                "GetInfo": ("InfoRequest", lambda _: MESSAGES["PluginInfo"](**info)),
                "NotifyRegistrationStatus": (
                    "RegistrationStatus",
                    lambda _: MESSAGES["RegistrationStatusResponse"](),
                ),
            },
        )
        self._add(
            "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin",
            {
                "NodePrepareResources": ("Claims", self._prepare),
                "NodeUnprepareResources": ("Claims", lambda asked: _answer(asked.claims, [])),
            },
        )
        self._server.add_insecure_port(f"unix:{socket}")
        self._server.start()

    def _add(self, service: str, methods: dict[str, tuple[str, Callable[[Any], Any]]]) -> None:
        handlers: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(
                lambda request, _, answer=answer: answer(request),
                request_deserializer=MESSAGES[kind].FromString,
                response_serializer=lambda reply: reply.SerializeToString(),
            )
            for name, (kind, answer) in methods.items()
        }
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])

    def _prepare(self, asked: Any) -> Any:
        self.prepared += [claim.name for claim in asked.claims]
        return _answer(asked.claims, [MESSAGES["Device"](pool_name=NODE, device_name="gpu-0")])


def _make(kubeconfig: Path, kind: str, name: str, spec: object, namespace: str = "default") -> None:
    body = {"apiVersion": "resource.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    rig.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(body), kubeconfig=kubeconfig)


def _answer(claims: Sequence[Any], devices: Sequence[Any]) -> Any:
    done = MESSAGES["Prepared"](devices=devices)
    return MESSAGES["Answer"](claims=[MESSAGES["Pair"](key=claim.uid, value=done) for claim in claims])


def _messages() -> dict[str, Any]:
    """Returns the classes of the messages."""
    file = descriptor_pb2.FileDescriptorProto(name="sepsweep/devices.proto", package="devices", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto
    for name, fields in _FIELDS.items():
        message = file.message_type.add(name=name)
        for number, (key, kind) in enumerate(fields.items(), 1):
            label = field.LABEL_REPEATED if kind.endswith("*") else field.LABEL_OPTIONAL
            plain = {"s": field.TYPE_STRING, "b": field.TYPE_BOOL}.get(kind.rstrip("*"))
            made = message.field.add(name=key, number=number, label=label, type=plain or field.TYPE_MESSAGE)
            if plain is None:
                made.type_name = f".devices.{kind.rstrip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"devices.{name}")) for name in _FIELDS}


MESSAGES = _messages()
