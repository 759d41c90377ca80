"""What is installed: pinned versions with hashes, Katib by commit, and a bill of what an image holds."""

import json
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SYFT = shutil.which("syft")
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


def test_the_images_are_built_on_digests() -> None:
    """A tag can be pushed anew, a digest cannot."""
    for dockerfile in (ROOT / "images").glob("*/Dockerfile"):
        bases = re.findall(r"^ARG (?:BASE|PYTHON)=(.+)$", dockerfile.read_text(), re.MULTILINE)
        assert bases
        assert all(re.fullmatch(r"\S+:\S+@sha256:[0-9a-f]{64}", base) for base in bases), dockerfile


@pytest.mark.skipif(SYFT is None, reason="syft is not installed; docs/security.md has the command")
def test_syft_lists_the_packages_of_a_folder(tmp_path: Path) -> None:
    """With the very options that docs/security.md gives."""
    for name in ("numpy", "grpcio", "protobuf"):
        metadata = tmp_path / f"{name}-{version(name)}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version(name)}\n")
    words = [str(SYFT), f"dir:{tmp_path}", "-q", "-o", "cyclonedx-json"]
    bill = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    purls = {item.get("purl") for item in bill["components"]}
    assert {f"pkg:pypi/{name}@{version(name)}" for name in ("numpy", "grpcio", "protobuf")} <= purls
