"""Prints the bill of materials of the image that runs it (CycloneDX 1.5): Python's distributions, Debian's packages.

    docker run --rm -i --entrypoint python sepsweep/services:0.1.0 - < images/sbom.py > services.cdx.json
    docker run --rm -i --entrypoint python sepsweep/trainer:0.1.0 - < images/sbom.py > trainer.cdx.json

It needs nothing but Python, since neither image has pip or another tool in it that could tell.
"""

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import quote

Component = dict[str, object]


def python_components() -> Iterator[Component]:
    """One component for each installed distribution."""
    for found in distributions():
        name = re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()
        yield _component("pypi", name, found.version, _licence(found))


def _licence(found: Distribution) -> str:
    """The licence as its metadata name it: an SPDX expression or a short text; empty where they do not."""
    said = found.metadata.get("License-Expression") or found.metadata.get("License") or ""
    return said.strip() if "\n" not in said.strip() else ""


def debian_components(status: Path, release: dict[str, str]) -> Iterator[Component]:
    """One component for each package that dpkg's status file calls installed."""
    if not status.exists():
        return
    for entry in status.read_text(errors="replace").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in entry.splitlines() if re.match(r"[A-Z][\w-]*: ", line))
        if fields.get("Status", "").endswith(" installed"):
            place = f"deb/{release.get('ID', 'debian')}"
            where = f"?arch={fields['Architecture']}&distro={release.get('ID')}-{release.get('VERSION_ID')}"
            yield _component(place, fields["Package"], fields["Version"], "", where)


def _component(place: str, name: str, version: str, licence: str = "", where: str = "") -> Component:
    purl = f"pkg:{place}/{quote(name)}@{quote(version, safe='')}{where}"
    made: Component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    return made | ({"licenses": [{"license": {"name": licence}}]} if licence else {})


def release_of(file: Path) -> dict[str, str]:
    """The variables of an os-release file."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines) if value}


def bill(root: Path = Path("/")) -> dict[str, object]:
    """The bill of materials of this Python and of the Debian or Ubuntu below `root`."""
    release = release_of(root / "etc" / "os-release")
    listed = [*python_components(), *debian_components(root / "var/lib/dpkg/status", release)]
    system = {
        "type": "operating-system",
        "name": release.get("ID", "linux"),
        "version": release.get("VERSION_ID", ""),
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": "sepsweep"}},
        "components": [system, *sorted(listed, key=lambda item: str(item["purl"]))],
    }


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1)
    print()
