"""The program kubectl, for what the API alone does not do: kustomize and forwarded ports.

Called by install-katib and ui.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from katib.errors import ClusterError


def kubectl(*words: str, stdin: str | None = None, context: str | None = None) -> str:
    """Its output. Raises ClusterError with its reason where it fails, or where it is not installed."""
    command = [*_program(context), *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = _reason(done.stderr) or f"exit code {done.returncode}"
        raise ClusterError(f"kubectl {' '.join(words[:3])}: {reason}")
    return done.stdout


def _reason(said: str) -> str:
    """Returns the server's answer is the last line.

    A fault of its own kubectl logs as err="…" or, over several lines, as err=<…>.
    """
    logged = re.search(r'"command failed" err=(?:"(.*)"|<(.*)>)', said, re.DOTALL)
    if logged is None:
        return next((line for line in reversed(said.splitlines()) if line.strip()), "")
    text = " ".join((logged[1] or logged[2]).split())
    return text[max(text.rfind("fatal: "), 0) :]  # what git says of a base that it cannot fetch comes last


@contextmanager
def forwarded(
    service: str, target: int, namespace: str, *, port: int | None = None, context: str | None = None
) -> Iterator[tuple[int, IO[str]]]:
    """Yields a port of this machine (`port`, or a free one) that leads to a Service's, and what kubectl says of it
    until it ends.

    On 127.0.0.1 alone. Raises ClusterError where kubectl cannot.
    """
    words = ["-n", namespace, "port-forward", "--address", "127.0.0.1", f"service/{service}"]
    command = [*_program(context), *words, f"{port or ''}:{target}"]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None  # noqa: S101  (it is a pipe)
        try:
            line = process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if found is None:
                reason = line.strip() or f"exit code {process.wait()}"
                raise ClusterError(f"kubectl port-forward {service}: {reason}")
            yield int(found[1]), process.stdout
        finally:
            process.terminate()


def _program(context: str | None) -> list[str]:
    program = shutil.which("kubectl")
    if program is None:
        raise ClusterError("kubectl is not installed; it renders k8s/katib and forwards ports")
    return [program, *(["--context", context] if context is not None else [])]
