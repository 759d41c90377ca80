"""The program kubectl, for what the API alone does not do: kustomize. Called by install-katib."""

import shutil
import subprocess

from katib.errors import ClusterError


def kubectl(*words: str, stdin: str | None = None, context: str | None = None) -> str:
    """Its output. Raises ClusterError with its last line where it fails, or where it is not installed."""
    program = shutil.which("kubectl")
    if program is None:
        raise ClusterError("kubectl is not installed; it renders k8s/katib")
    place = ["--context", context] if context is not None else []
    done = subprocess.run([program, *place, *words], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [
            f"exit code {done.returncode}"
        ]
        raise ClusterError(f"kubectl {' '.join(words[:3])}: {lines[-1]}")
    return done.stdout
