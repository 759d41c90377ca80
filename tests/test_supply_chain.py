"""What is installed: pinned versions with hashes, Katib by commit, and a bill of what an image holds."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
COMMIT = "578e60f1ce83dbb5e7151026a3bdc4de233947fc"
"""Of tag v0.19.0 in github.com/kubeflow/katib."""


def pins(text: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): pinned for name, pinned in found}


def test_each_pinned_version_has_hashes() -> None:
    """Of the very version that is tested; none more and none less."""
    text = (ROOT / "hashes.txt").read_text()
    assert pins(text) == pins((ROOT / "constraints.txt").read_text())
    entries = re.split(r"^(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins(text))
    for entry in entries:
        lines = entry.replace("\\\n", " ").split()
        assert len(lines) > 1
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in lines[1:]), lines[0]


def test_katib_is_installed_from_a_commit() -> None:
    """A tag can be moved, a commit cannot."""
    remote, *_ = yaml.safe_load((ROOT / "k8s" / "katib" / "kustomization.yaml").read_text())["resources"]
    assert remote == (f"https://github.com/kubeflow/katib//manifests/v1beta1/installs/katib-standalone?ref={COMMIT}")


def test_the_bill_of_materials_has_what_is_installed(tmp_path: Path) -> None:
    """As an image runs it, from standard input.

    Python's distributions against importlib, Debian's against dpkg's own list.
    """
    done = subprocess.run(
        [sys.executable, "-"],
        input=(ROOT / "images" / "sbom.py").read_text(),
        capture_output=True,
        text=True,
        check=True,
    )
    bill = json.loads(done.stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    purls = {item["purl"] for item in bill["components"] if "purl" in item}
    assert {f"pkg:pypi/{name}@{version(name)}" for name in ("numpy", "grpcio", "protobuf")} <= purls
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        installed = {name for state, name in map(str.split, listed.stdout.splitlines()) if state == "installed"}
        debian = {item["name"] for item in bill["components"] if item.get("purl", "").startswith("pkg:deb/")}
        assert debian == installed
