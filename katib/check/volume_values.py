"""Checks the values of volumes and mounts, and what a container is told of its pod, as the API server does."""

import re
from collections.abc import Iterator

from katib.check.accepted import DATA_KEY, PATTERNS, QUALIFIED, SUBDOMAIN, VALUE
from katib.check.finding import Defect
from katib.check.node import Node
from katib.errors import nearest
from katib.quantity import value_of

SOURCES = ("configMap", "secret", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate")
FILE_FIELDS = ("metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels", "metadata.annotations")
ONE_OF_MANY = re.compile(r"metadata\.(?:labels|annotations)\['([^']*)'\]")
ISCSI = re.compile(r"iqn\.\d{4}-\d{2}\.[A-Za-z0-9.-]+:[^,;*&$|\s]+|(?:eui.[A-Za-z0-9]{16}|naa.[A-Za-z0-9]{32})")
AMOUNTS = tuple(f"{side}.{name}" for side in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage"))
OF_PROCESSORS = ("0", "1", "1m")
OF_BYTES = ("0", "1", *(f"1{unit}" for unit in ("k", *"MGTPE", *(f"{unit}i" for unit in "KMGTPE"))))


def volumes(spec: Node) -> Iterator[Defect]:
    """Yields the refused values of a pod's volumes, and of the devices that its containers make of them."""
    on_claims = set()
    for volume in spec["volumes"].items:
        yield from _volume(volume)
        if not (volume["persistentVolumeClaim"].missing and volume["ephemeral"].missing):
            on_claims.add(volume["name"].text)
    for container in spec["containers"].items + spec["initContainers"].items:
        mounted = {each["name"].text for each in container["volumeMounts"].items}
        for device in container["volumeDevices"].items:
            name = device["name"]
            if name.text in mounted:
                yield VALUE.at(name, f"'{name.text}' stands in volumeMounts, too", fix="keep one of the two")
            elif name.text and name.text not in on_claims:
                yield VALUE.at(name, f"no volume '{name.text}' on a claim, which a device needs")


def repeated(node: Node, *keys: str) -> Iterator[Defect]:
    """Yields the items of a list whose `keys` have the texts of an earlier one."""
    seen = set()
    for item in node.items:
        texts = tuple(item[key].text for key in keys)
        if None not in texts and texts in seen:
            yield VALUE.at(item[keys[0]], f"'{texts[0]}' stands here a second time", fix="remove it")
        seen.add(texts)


def mount(node: Node, *, privileged: bool) -> Iterator[Defect]:
    """Yields the refused values of one mount."""
    if ":" in (node["mountPath"].text or ""):
        yield VALUE.at(node["mountPath"], "holds ':'")
    if node["subPath"].text and node["subPathExpr"].text:
        yield VALUE.at(node["subPathExpr"], "stands beside subPath", fix="keep one of the two")
    for key in ("subPath", "subPathExpr"):
        yield from below(node[key])
    propagation, recursive = node["mountPropagation"], node["recursiveReadOnly"]
    if propagation.text == "Bidirectional" and not privileged:
        yield VALUE.at(propagation, "is Bidirectional, in a container that is not privileged")
    if recursive.text in ("Enabled", "IfPossible") and node["readOnly"].value is not True:
        yield VALUE.at(recursive, f"is {recursive.text}, without readOnly: true")
    elif recursive.text in ("Enabled", "IfPossible") and propagation.text not in (None, "None"):
        yield VALUE.at(recursive, f"is {recursive.text}, beside mountPropagation", fix="remove one of the two")


def below(node: Node, folder: str = "the volume") -> Iterator[Defect]:
    """Yields a defect if a path leads out of its folder."""
    path = node.text or ""
    if path.startswith("/") or ".." in path.split("/"):
        yield VALUE.at(node, f"'{path}' is not a path below {folder}")


def _volume(node: Node) -> Iterator[Defect]:
    size, remote = node["emptyDir"]["sizeLimit"], node["nfs"]["path"]
    for path in (node["hostPath"]["path"], node["gitRepo"]["directory"]):
        if ".." in (path.text or "").split("/"):
            yield VALUE.at(path, "holds '..'")
    if (value_of(size.text or "") or 0) < 0:
        yield VALUE.at(size, "is below 0")
    if remote.text and not remote.text.startswith("/"):
        yield VALUE.at(remote, f"'{remote.text}' is not absolute")
    driver = node["csi"]["driver"]
    if driver.text and not PATTERNS[SUBDOMAIN].fullmatch(driver.text.lower()):
        yield VALUE.at(driver, f"'{driver.text}' is not the name of a driver")
    yield from _disk(node)
    yield from _ephemeral(node["ephemeral"]["volumeClaimTemplate"])
    for source in node["projected"]["sources"].items:
        if len(set(SOURCES) & source.entries.keys()) != 1:
            yield VALUE.at(source, f"needs one of {', '.join(SOURCES[:4])}")
    paths = set()
    for place in [place for source in node["projected"]["sources"].items for place in _paths(source)]:
        if place.text in paths:
            yield VALUE.at(place, f"'{place.text}' stands in this volume a second time")
        paths.add(place.text)
    inner = [node, *node["projected"]["sources"].items]
    for item in [item for owner in inner for key in SOURCES[:3] for item in owner[key]["items"].items]:
        yield from below(item["path"])
        if item["key"].text and not PATTERNS[DATA_KEY].fullmatch(item["key"].text):
            yield VALUE.at(item["key"], f"'{item['key'].text}' is not {DATA_KEY}")
    for item in [item for owner in inner for item in owner["downwardAPI"]["items"].items]:
        yield from field(item["fieldRef"]["fieldPath"], FILE_FIELDS)
        yield from amount(item["resourceFieldRef"])
        if item["fieldRef"].missing == item["resourceFieldRef"].missing:
            yield VALUE.at(item, "needs one of fieldRef and resourceFieldRef")


def _disk(node: Node) -> Iterator[Defect]:
    """Yields the refused values of a disk that a storage network, or Azure, has."""
    iscsi, fibre, azure = node["iscsi"], node["fc"], node["azureDisk"]
    for name in (iscsi["iqn"], iscsi["initiatorName"]):
        if name.text and not ISCSI.fullmatch(name.text):
            yield VALUE.at(
                name, f"'{name.text}' is no name of iSCSI", fix="write iqn.2024-01.com.example:disk, eui.… or naa.…"
            )
    if True in (iscsi["chapAuthDiscovery"].value, iscsi["chapAuthSession"].value) and iscsi["secretRef"].missing:
        yield VALUE.at(iscsi["secretRef"], "is missing, which CHAP needs", fix="add it")
    if not fibre.missing and fibre["targetWWNs"].empty == fibre["wwids"].empty:
        yield VALUE.at(fibre, "needs one of targetWWNs and wwids")
    elif not fibre["targetWWNs"].empty and not 0 <= (fibre["lun"].integer or 0) <= 255:
        yield VALUE.at(fibre["lun"], f"is {fibre['lun'].integer}", fix="write a whole number from 0 to 255")
    elif not fibre["targetWWNs"].empty and fibre["lun"].missing:
        yield VALUE.at(fibre["lun"], "is missing, which targetWWNs needs", fix="add it")
    begins = "/subscriptions/" if azure["kind"].text == "Managed" else "https://"
    address = azure["diskURI"]
    if address.text and not address.text.startswith(begins):
        fix = "write kind: Managed" if address.text.startswith("/subscriptions/") else "write the disk's address"
        yield VALUE.at(address, f"does not begin with {begins}", fix=fix)


def _paths(source: Node) -> Iterator[Node]:
    """Yields where the files of a projected volume's source are named."""
    for key in SOURCES[:3]:
        yield from (item["path"] for item in source[key]["items"].items)
    yield from (source[key]["path"] for key in SOURCES[3:5] if not source[key]["path"].missing)


def _ephemeral(template: Node) -> Iterator[Defect]:
    """Yields the refused values of the claim that a volume makes for each pod."""
    modes, size = template["spec"]["accessModes"], template["spec"]["resources"]["requests"]["storage"]
    if len(modes.items) > 1 and any(mode.text == "ReadWriteOncePod" for mode in modes.items):
        yield VALUE.at(modes, "holds ReadWriteOncePod beside others", fix="keep one of them")
    if (wanted := value_of(size.text or "")) is not None and wanted <= 0:
        yield VALUE.at(size, f"is {size.text}", fix="write an amount above 0")
    if not template["metadata"]["name"].missing:
        yield VALUE.at(template["metadata"]["name"], "is what Kubernetes names itself", fix="remove it")


def amount(node: Node) -> Iterator[Defect]:
    """Yields the refused values of a resourceFieldRef."""
    resource, divisor = node["resource"], node["divisor"]
    if resource.text and resource.text not in AMOUNTS and ".hugepages-" not in resource.text:
        yield VALUE.at(resource, f"'{resource.text}': {nearest(resource.text, AMOUNTS)}")
    words = OF_PROCESSORS if (resource.text or "").endswith(".cpu") else OF_BYTES
    if resource.text and divisor.text and divisor.text not in words:
        yield VALUE.at(divisor, f"'{divisor.text}': {nearest(divisor.text, words)}", fix="choose one of its words")


def field(node: Node, fields: tuple[str, ...]) -> Iterator[Defect]:
    """Yields a defect if a fieldPath names no field of a pod."""
    indexed = ONE_OF_MANY.fullmatch(node.text or "")
    if node.text and node.text not in fields and not (indexed and PATTERNS[QUALIFIED].fullmatch(indexed[1])):
        options = (*fields, "metadata.labels['<key>']", "metadata.annotations['<key>']")
        yield VALUE.at(node, f"'{node.text}' is no field of a pod: {nearest(node.text, options)}")
