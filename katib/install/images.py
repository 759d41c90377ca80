"""Builds the images of images/ with the container tool that is there, and pushes them. Called by the verb images.

An image is tagged with the git commit that it was built from; a pushed one is known by its digest, which k8s/site.yaml
(trainer) or k8s/katib/katib-config.yaml (services) then names, so that all trials of a search run the same bytes.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from katib.errors import ClusterError, SepsweepError, nearest
from katib.files import write_whole

TOOLS = ("docker", "podman", "buildah")
ROOT = Path(__file__).parents[2]
SERVICES_CONFIG = ROOT / "k8s" / "katib" / "katib-config.yaml"
TRAINER_LINE = re.compile(r"^(image:[ \t]+)\S+", re.MULTILINE)
SERVICES_LINE = re.compile(r"( image:[ \t]+)\S+/services[:@]\S+")
REVISION = "org.opencontainers.image.revision"

_HOST = re.compile(r"[a-z0-9]+([.-]+[a-z0-9]+)*(:\d+)?")
_PART = re.compile(r"[a-z0-9]+((\.|__?|-+)[a-z0-9]+)*")
_LOOPBACK = re.compile(r"(localhost|127(\.\d+){3})(:\d+)?")
_ADVICE = (
    (r"unauthorized|authentication|credentials|denied|forbidden", "may you push there? {login}"),
    (
        r"to HTTPS client|x509|certificate",
        "plain http, or a certificate of its own: docs/cluster.md, 'Images and their registry'",
    ),
    (r"refused|no such host|time(d )?out|unreachable|EOF|reset", "is {host} the registry, and does it run?"),
    (r"status: 5\d\d", "{host} failed; its log and its disk say why"),
    ("", "{name} push {reference} tells more"),
)


@dataclass(frozen=True)
class Image:
    """One image: its Dockerfile, and its name with the tag."""

    dockerfile: Path
    reference: str

    @property
    def repository(self) -> str:
        """Its name without the tag."""
        return self.reference.rpartition(":")[0]

    def named_in(self, site: Path) -> tuple[Path, re.Pattern[str]]:
        """Returns the file that names it, and the lines there that do."""
        if self.dockerfile.parent.name == "trainer":
            return site, TRAINER_LINE
        return SERVICES_CONFIG, SERVICES_LINE


def images(registry: str, root: Path = ROOT) -> list[Image]:
    """Returns one for each folder of images/, tagged with the commit. Raises ClusterError where there is none."""
    found = sorted((root / "images").glob("*/Dockerfile"))
    if not found:
        raise ClusterError(f"{root / 'images'}: no Dockerfile; is this a checkout of the repository?")
    tag = commit(root)
    return [Image(path, f"{registry}/{path.parent.name}:{tag}") for path in found]


def require_registry(registry: str, *, push: bool) -> None:
    """Raises SepsweepError where `registry` is not host/project, or where a push would go to someone else's."""
    if not _is_registry(registry):
        meant = re.sub(r"^\w+://", "", registry).strip("/").lower()
        advice = (
            f"did you mean '{meant}'?"
            if _is_registry(meant)
            else "write host/project in lower case, such as registry.example.org/sepsweep"
        )
        raise SepsweepError(f"--registry '{registry}': {advice}")
    if push and not _host(registry):
        raise SepsweepError(
            f"--registry '{registry}' has no host, which to a container tool is Docker Hub's user of that name; "
            f"give REGISTRY=host/project (docker.io/{registry}, where that is meant)"
        )


def _is_registry(text: str) -> bool:
    host = _host(text)
    parts = text.split("/")[1 if host else 0 :]
    return (not host or _HOST.fullmatch(host) is not None) and all(_PART.fullmatch(part) for part in parts)


def _host(name: str) -> str:
    """Of a name's parts the first, where it is a host by the rule of all container tools."""
    first = name.partition("/")[0]
    return first if "." in first or ":" in first or first == "localhost" else ""


def commit(root: Path) -> str:
    """Returns the short hash of the checkout, `-dirty` where what goes into images has changed or is new: a tag never
    lies.

    What goes into them is what .dockerignore lets through; k8s/, which a push changes, is not among it.
    """
    try:
        ignored = (root / ".dockerignore").read_text().splitlines()
        name = _run(["git", "-C", str(root), "rev-parse", "--short=12", "--verify", "HEAD"]).strip()
        content = [line[1:] for line in ignored if line.startswith("!")]
        status = ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=normal", "--", *content]
        changed = _run(status).strip()
    except FileNotFoundError as error:
        missing = "git is not installed" if error.filename == "git" else f"{error.filename} is missing"
        raise ClusterError(f"{missing}; image tags come from the commit of a checkout") from None
    except ClusterError as error:
        raise ClusterError(f"{error}; image tags come from the commit that 'git -C {root} log -1' must show") from None
    return f"{name}-dirty" if changed else name


def tool() -> str:
    """Returns the first container tool that is installed and answers. Raises ClusterError that says why none does."""
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
    raise ClusterError(f"no container tool: {'; '.join(reasons)}; start or install one of them")


def build_arguments(words: Iterable[str], wanted: Sequence[Image]) -> dict[str, str]:
    """Returns `NAME=VALUE` words as a dictionary. Raises SepsweepError for a NAME that no Dockerfile declares."""
    valid = set().union(*map(_declared, wanted))
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise SepsweepError(f"--build-arg '{word}': write NAME=VALUE")
        if name not in valid and not _is_proxy(name):
            raise SepsweepError(f"--build-arg '{word}': no Dockerfile has {name}: {nearest(name, valid)}")
        found[name] = value
    return found


def _declared(image: Image) -> set[str]:
    return set(re.findall(r"^ARG (\w+)", image.dockerfile.read_text(), re.MULTILINE))


def _is_proxy(name: str) -> bool:
    """HTTPS_PROXY and its like, which every container tool knows without a declaration."""
    return name.lower().endswith("_proxy")


def build(name: str, image: Image, arguments: Mapping[str, str], root: Path = ROOT) -> None:
    """Builds one image from the checkout. Raises ClusterError; the tool's own words are on the terminal by then."""
    verb = ["bud", "--layers"] if name == "buildah" else ["build"]  # the others keep layers unasked
    label = f"{REVISION}={image.reference.rpartition(':')[2]}"
    words = [name, *verb, "-t", image.reference, "--label", label]
    for key in sorted(arguments):
        if key in _declared(image) or _is_proxy(key):
            words += ["--build-arg", f"{key}={arguments[key]}"]
    try:
        _run([*words, "-f", str(image.dockerfile), str(root)], show=True)
    except ClusterError as error:
        raise ClusterError(
            f"{image.dockerfile}: {error}, and says why above; a base that cannot be pulled: BUILD_ARGS=, docs/cluster.md"
        ) from None


def push(name: str, image: Image, folder: Path) -> str:
    """Pushes one image; its reference by digest. Raises ClusterError with what to do."""
    host, file = _host(image.reference), folder / "digest"
    # docker allows plain http to this machine unasked
    plain = ["--tls-verify=false"] if name != "docker" and _LOOPBACK.fullmatch(host) else []
    digest = ["--digestfile", str(file)] if name != "docker" else []
    try:
        text = _run([name, "push", *digest, *plain, image.reference])
    except ClusterError as error:
        advice = next(advice for fault, advice in _ADVICE if re.search(fault, str(error), re.IGNORECASE))
        login = " ".join([name, "login", *plain, host])
        advice = advice.format(name=name, host=host, login=login, reference=image.reference)
        raise ClusterError(f"{image.reference}: {error}; {advice}") from None
    said = text.rpartition("digest:")[2] if name == "docker" else file.read_text()
    found = re.search(r"sha256:[0-9a-f]{64}", said)
    if not found:
        place = "k8s/site.yaml or k8s/katib/katib-config.yaml"
        raise ClusterError(f"{name} push {image.reference}: names no digest; write image in {place} by hand")
    return f"{image.repository}@{found[0]}"


def pinned(file: Path, line: re.Pattern[str], reference: str) -> str:
    """Returns the text of a file with `reference` wherever `line` matches an image; all else stays.

    Raises ClusterError.
    """
    try:
        text, count = line.subn(lambda match: match[1] + reference, file.read_bytes().decode())
    except OSError as error:
        raise ClusterError(f"{file}: cannot be read ({error.strerror})") from None
    if not count:
        raise ClusterError(f"{file}: names no image of ours; write image: {reference} there")
    return text


def pin(file: Path, line: re.Pattern[str], reference: str) -> None:
    """Writes what `pinned` says, whole or not at all. Raises ClusterError, or FolderError with the line to write."""
    write_whole(file.resolve(), [pinned(file, line, reference)], f"; write image: {reference} there")


def _run(words: list[str], *, show: bool = False) -> str:
    done = subprocess.run(
        words,
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        command = words[3] if words[0] == "git" else words[1]  # git's comes after -C and the folder
        reason = _reason(done.stderr or "") or f"exit code {done.returncode}"
        raise ClusterError(f"{words[0]} {command}: {reason}")
    return done.stdout or ""


def _reason(said: str) -> str:
    """Returns what is wrong: git says it first and then what to type.

    Of a container tool's chain of causes it is the last.
    """
    lines = ["", *(line.strip() for line in said.splitlines() if line.strip())]
    fatal = [line for line in lines if line.startswith("fatal: ")]
    return (fatal or lines)[-1].rpartition('": ')[2]
