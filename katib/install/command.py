"""Runs git and the container tools, and puts their failures into one line."""

import subprocess

from katib.errors import ClusterError


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
