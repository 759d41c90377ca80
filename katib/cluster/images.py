"""Builds the images of images/ with the container tool that is there, and pushes them. Called by the verb images.

An image is tagged with the git commit that it was built from; a pushed one is known by its digest, which k8s/site.yaml
(trainer) or k8s/katib/katib-config.yaml (services) then names, so that all trials of a search run the same bytes.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from katib.errors import ClusterError

TOOLS = ("docker", "podman", "buildah")
ROOT = Path(__file__).parents[2]
SERVICES_CONFIG = ROOT / "k8s" / "katib" / "katib-config.yaml"
TRAINER_LINE = re.compile(r"(?<=^image: )\S+", re.MULTILINE)
SERVICES_LINE = re.compile(r"(?<= image: )\S+/services[:@]\S+")


@dataclass(frozen=True)
class Image:
    """One image: its Dockerfile, and its name with the tag."""

    dockerfile: Path
    reference: str


def images(registry: str, root: Path = ROOT) -> list[Image]:
    """One for each folder of images/, tagged with the commit. Raises ClusterError where there is none."""
    found = sorted((root / "images").glob("*/Dockerfile"))
    if not found:
        raise ClusterError(f"{root / 'images'}: no Dockerfile; is this a checkout of the repository?")
    tag = commit(root)
    return [Image(path, f"{registry}/{path.parent.name}:{tag}") for path in found]


def commit(root: Path) -> str:
    """The short hash of the checkout, `-dirty` where files have changed, so that a tag never lies."""
    try:
        name = _run(["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"]).strip()
        changed = _run(["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"]).strip()
    except FileNotFoundError:
        raise ClusterError("git is not installed; image tags come from the commit") from None
    return f"{name}-dirty" if changed else name


def tool() -> str:
    """The first container tool that is installed and answers. Raises ClusterError that says why none does."""
    reasons = []
    for name in TOOLS:
        if shutil.which(name) is None:
            reasons.append(f"{name} is not installed")
            continue
        try:
            _run([name, "info"])
        except ClusterError as error:
            reasons.append(str(error))
        else:
            return name
    raise ClusterError(f"no container tool: {'; '.join(reasons)}")


def build(name: str, image: Image, root: Path = ROOT) -> None:
    """Builds one image from the whole checkout as its context."""
    verb = "bud" if name == "buildah" else "build"
    _run([name, verb, "-t", image.reference, "-f", str(image.dockerfile), str(root)], show=True)


def push(name: str, image: Image, folder: Path) -> str:
    """Pushes one image; its reference by digest."""
    repository = image.reference.rpartition(":")[0]
    if name == "docker":
        text = _run([name, "push", image.reference])
        found = re.search(r"digest: (sha256:[0-9a-f]{64})", text)
        digest = found[1] if found else ""
    else:
        file = folder / "digest"
        _run([name, "push", "--digestfile", str(file), image.reference])
        digest = file.read_text().strip()
    if not digest:
        raise ClusterError(
            f"{name} push {image.reference}: names no digest; set image in k8s/site.yaml by hand"
        )
    return f"{repository}@{digest}"


def pin(file: Path, line: re.Pattern[str], reference: str) -> None:
    """Writes `reference` wherever `line` matches an image in a file; all else stays. Raises ClusterError."""
    text, count = line.subn(reference, file.read_text())
    if not count:
        raise ClusterError(f"{file}: names no image of ours; write image: {reference} there")
    temporary = file.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(file)


def _run(words: list[str], *, show: bool = False) -> str:
    done = subprocess.run(
        words,
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = [line for line in (done.stderr or "").splitlines() if line.strip()]
        raise ClusterError(f"{' '.join(words[:3])}: {lines[-1] if lines else f'exit code {done.returncode}'}")
    return done.stdout or ""
