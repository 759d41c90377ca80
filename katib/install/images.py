"""Builds the images of images/ with the installed container tool, and pushes them.

An image is tagged with the git commit that it was built from. Once it is pushed, its digest is written into
k8s/site.yaml (trainer) or k8s/katib/katib-config.yaml (services), so that all trials of a search run the same bytes.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from katib.checkout import commit, run
from katib.errors import ClusterError, FolderError, SepsweepError, nearest
from katib.install.checkout import pin, pinned
from katib.program import ROOT

TOOLS = ("docker", "podman", "buildah")
SERVICES_CONFIG = ROOT / "k8s" / "katib" / "katib-config.yaml"
TRAINER_LINE = re.compile(r"^(image:[ \t]+)\S+", re.MULTILINE)
SERVICES_LINE = re.compile(r"( image:[ \t]+)\S+/services[:@]\S+")
REVISION = "org.opencontainers.image.revision"

_HOST = re.compile(r"[a-z0-9]+([.-]+[a-z0-9]+)*(:\d+)?")
_PART = re.compile(r"[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*")
_LOOPBACK = re.compile(r"(localhost|127(\.\d+){3})(:\d+)?")
_PUSH_FIXES = (
    (r"unauthorized|authentication|credentials|denied|forbidden", "do you have the right to push there? {login}"),
    (
        r"to HTTPS client|x509|certificate",
        "the registry speaks plain http or has its own certificate: docs/cluster.md, 'Images and their registry'",
    ),
    (r"refused|no such host|time(d )?out|unreachable|EOF|reset", "is {host} the registry, and is it up?"),
    (r"status: 5\d\d", "{host} failed; its log and its disk say why"),
    ("", "{name} push {reference} shows more"),
)


@dataclass(frozen=True)
class Image:
    """An image: its Dockerfile, and its name with the tag."""

    dockerfile: Path
    reference: str

    @property
    def repository(self) -> str:
        """Its name without the tag."""
        return self.reference.rpartition(":")[0]

    def named_in(self, site: Path) -> tuple[Path, re.Pattern[str]]:
        """Returns the file that names the image, and the pattern of the lines in it that do."""
        if self.dockerfile.parent.name == "trainer":
            return site, TRAINER_LINE
        return SERVICES_CONFIG, SERVICES_LINE


def images(registry: str, root: Path = ROOT) -> list[Image]:
    """Returns an image for each folder of images/, tagged with the commit. Raises FolderError where there is none."""
    dockerfiles = sorted((root / "images").glob("*/Dockerfile"))
    if not dockerfiles:
        raise FolderError(f"{root / 'images'}: no Dockerfile; a checkout of the repository has them: run make there")
    tag = commit(root)
    return [Image(path, f"{registry}/{path.parent.name}:{tag}") for path in dockerfiles]


def require_registry(registry: str, *, push: bool) -> None:
    """Raises SepsweepError where `registry` is not host/project, or where a push would go to someone else's."""
    if not _is_registry(registry):
        meant = re.sub(r"^\w+://", "", registry).strip("/").lower()
        fix = (
            f"did you mean '{meant}'?"
            if _is_registry(meant)
            else "write host/project in lower case, such as registry.example.org/sepsweep"
        )
        raise SepsweepError(f"--registry '{registry}': {fix}")
    if push and not _host(registry):
        raise SepsweepError(
            f"--registry '{registry}' has no host, so a container tool takes it for a user of Docker Hub; "
            f"give REGISTRY=host/project (docker.io/{registry} if you mean that user)"
        )


def _is_registry(text: str) -> bool:
    host = _host(text)
    parts = text.split("/")[1 if host else 0 :]
    return (not host or _HOST.fullmatch(host) is not None) and all(_PART.fullmatch(part) for part in parts)


def _host(name: str) -> str:
    """Returns the first part of an image's name where it is a host by the rule of all container tools, else ''."""
    first = name.partition("/")[0]
    return first if "." in first or ":" in first or first == "localhost" else ""


def tool() -> str:
    """Returns the first container tool that is installed and answers. Raises ClusterError with the reason for each."""
    reasons = []
    for name in TOOLS:
        if shutil.which(name) is None:
            reasons.append(f"{name} is not installed")
            continue
        try:
            run([name, "info"])
        except ClusterError as error:
            reasons.append(str(error))
        else:
            return name
    raise ClusterError(f"no container tool: {'; '.join(reasons)}; start or install one of them")


def build_arguments(words: Iterable[str], wanted: Sequence[Image]) -> dict[str, str]:
    """Returns the NAME=VALUE words as a dictionary. Raises SepsweepError for a NAME that no Dockerfile declares."""
    valid = set().union(*map(_declared, wanted))
    arguments = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise SepsweepError(f"--build-arg '{word}': write NAME=VALUE")
        if name not in valid and not _is_proxy(name):
            raise SepsweepError(f"--build-arg '{word}': no Dockerfile has {name}: {nearest(name, valid)}")
        arguments[name] = value
    return arguments


def _declared(image: Image) -> set[str]:
    return set(re.findall(r"^ARG (\w+)", image.dockerfile.read_text(), re.MULTILINE))


def _is_proxy(name: str) -> bool:
    """Returns whether a tool takes the argument undeclared, as it does HTTPS_PROXY and the like."""
    return name.lower().endswith("_proxy")


def build(name: str, image: Image, arguments: Mapping[str, str], root: Path = ROOT) -> None:
    """Builds one image from the checkout, with the tool's output on the terminal. Raises ClusterError."""
    # docker and podman keep layers by default.
    verb = ["bud", "--layers"] if name == "buildah" else ["build"]
    label = f"{REVISION}={image.reference.rpartition(':')[2]}"
    words = [name, *verb, "-t", image.reference, "--label", label]
    for key in sorted(arguments):
        if key in _declared(image) or _is_proxy(key):
            words += ["--build-arg", f"{key}={arguments[key]}"]
    try:
        run([*words, "-f", str(image.dockerfile), str(root)], show=True)
    except ClusterError as error:
        raise ClusterError(
            f"{image.dockerfile}: {error}; the reason is above. Where a base image cannot be pulled, see BUILD_ARGS= in"
            " docs/cluster.md"
        ) from None


def push(name: str, image: Image, folder: Path) -> str:
    """Pushes one image and returns its reference by digest; the tool may write to `folder`.

    Raises ClusterError with what to do.
    """
    host, file = _host(image.reference), folder / "digest"
    # docker allows plain http to this machine by default.
    plain = ["--tls-verify=false"] if name != "docker" and _LOOPBACK.fullmatch(host) else []
    digest_option = ["--digestfile", str(file)] if name != "docker" else []
    try:
        output = run([name, "push", *digest_option, *plain, image.reference])
    except ClusterError as error:
        fix = next(fix for fault, fix in _PUSH_FIXES if re.search(fault, str(error), re.IGNORECASE))
        login = " ".join([name, "login", *plain, host])
        fix = fix.format(name=name, host=host, login=login, reference=image.reference)
        raise ClusterError(f"{image.reference}: {error}; {fix}") from None
    text = output.rpartition("digest:")[2] if name == "docker" else file.read_text()
    digest = re.search(r"sha256:[0-9a-f]{64}", text)
    if not digest:
        files = "k8s/site.yaml or k8s/katib/katib-config.yaml"
        raise ClusterError(f"{name} push {image.reference}: names no digest; write image in {files} by hand")
    return f"{image.repository}@{digest[0]}"


def require_pinnable(wanted: Iterable[Image], site: Path) -> None:
    """Raises ClusterError where the file that should name an image has no line for it.

    A build may take an hour, so this is checked before it.
    """
    for image in wanted:
        pinned(*image.named_in(site), image.reference)


def publish(name: str, wanted: Sequence[Image], site: Path, say: Callable[[str], None]) -> None:
    """Pushes all images and then writes their digests into the files that name them.

    Files change only after the last push, so that a failed push leaves trials and services of one commit.
    """
    references = []
    with TemporaryDirectory() as folder:
        for image in wanted:
            say(f"push: {image.reference}")
            references.append(push(name, image, Path(folder)))
            say(f"pushed: {references[-1]}")
    for image, reference in zip(wanted, references, strict=True):
        file, line = image.named_in(site)
        pin(file, line, reference)
        say(f"{file}: names {reference}")
