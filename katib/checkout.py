"""Names the checkout's commit; runs git and the container tools, and puts their failures into one line."""

import subprocess
from pathlib import Path

from katib.errors import ClusterError


def commit(root: Path) -> str:
    """Returns the short hash of the checkout, with `-dirty` where something that goes into images is changed or new.

    .dockerignore says what goes into them; k8s/, which a push changes, does not. Raises ClusterError without git.
    """
    try:
        ignored = (root / ".dockerignore").read_text().splitlines()
        name = run(["git", "-C", str(root), "rev-parse", "--short=12", "--verify", "HEAD"]).strip()
        content = [line[1:] for line in ignored if line.startswith("!")]
        status = ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=normal", "--", *content]
        changed = run(status).strip()
    except FileNotFoundError as error:
        missing = "git is not installed" if error.filename == "git" else f"{error.filename} is missing"
        raise ClusterError(f"{missing}; image tags come from the commit of a checkout") from None
    except ClusterError as error:
        raise ClusterError(f"{error}; image tags come from the commit that 'git -C {root} log -1' must show") from None
    return f"{name}-dirty" if changed else name


def commit_of(folder: Path) -> str:
    """Returns the short hash of the checkout that `folder` lies in, with `-dirty` where a file of it is changed.

    Raises ClusterError without git, and where it is no checkout.
    """
    git = ["git", "-C", str(folder)]
    try:
        name = run([*git, "rev-parse", "--short=12", "--verify", "HEAD"]).strip()
        changed = run([*git, "status", "--porcelain", "--untracked-files=no"]).strip()
    except FileNotFoundError:
        raise ClusterError("git is not installed") from None
    return f"{name}-dirty" if changed else name


def run(words: list[str], *, show: bool = False) -> str:
    """Returns what a program prints; with `show`, its output goes to the terminal instead.

    Raises ClusterError with the reason where the program fails.
    """
    pipe = None if show else subprocess.PIPE
    done = subprocess.run(words, stdout=pipe, stderr=pipe, text=True, check=False)
    if done.returncode:
        command = words[3] if words[0] == "git" else words[1]  # git's follows -C and the folder
        reason = _reason(done.stderr or "") or f"exit code {done.returncode}"
        raise ClusterError(f"{words[0]} {command}: {reason}")
    return done.stdout or ""


def _reason(stderr: str) -> str:
    """Returns the line that names the cause.

    git states it first and then suggests what to type; a container tool ends with the last of a chain of causes.
    """
    lines = ["", *(line.strip() for line in stderr.splitlines() if line.strip())]
    fatal = [line for line in lines if line.startswith("fatal: ")]
    return (fatal or lines)[-1].rpartition('": ')[2]
