"""Runs the program kubectl for what the API alone does not do: kustomize and forwarded ports."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from katib.errors import ClusterError


def kubectl(*words: str, stdin: str | None = None, context: str | None = None) -> str:
    """Returns the output of kubectl. Raises ClusterError with the reason where it fails or is not installed."""
    command = [*program(context), *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = _reason(done.stderr) or f"exit code {done.returncode}"
        raise ClusterError(f"kubectl {' '.join(words[:3])}: {reason}")
    return done.stdout


def _reason(stderr: str) -> str:
    """Returns the reason from what kubectl prints on stderr.

    A refusal of the server is the last line. kubectl logs its own errors as err="…" or, over several lines, as err=<…>.
    """
    logged = re.search(r'"command failed" err=(?:"(.*)"|<(.*)>)', stderr, re.DOTALL)
    if logged is None:
        return next((line for line in reversed(stderr.splitlines()) if line.strip()), "")
    text = " ".join((logged[1] or logged[2]).split())
    # git's message about a base that it cannot fetch comes last.
    return text[max(text.rfind("fatal: "), 0) :]


@contextmanager
def forwarded(service: str, target: int, namespace: str, context: str | None = None) -> Iterator[int]:
    """Yields a free port of this machine that is forwarded to a Service's.

    It is open on 127.0.0.1 only. Raises ClusterError where kubectl cannot forward it.
    """
    words = ["-n", namespace, "port-forward", "--address", "127.0.0.1", f"service/{service}"]
    command = [*program(context), *words, f":{target}"]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None  # noqa: S101  (it is a pipe)
        try:
            line = process.stdout.readline()
            address = re.search(r"127\.0\.0\.1:(\d+)", line)
            if address is None:
                reason = line.strip() or f"exit code {process.wait()}"
                raise ClusterError(f"kubectl port-forward {service}: {reason}")
            yield int(address[1])
        finally:
            process.terminate()


def program(context: str | None) -> list[str]:
    """Returns the words with which a command of kubectl begins. Raises ClusterError where it is not installed."""
    found = shutil.which("kubectl")
    if found is None:
        raise ClusterError(
            "kubectl is not installed; it is needed to render k8s/katib, to forward ports and to copy files"
        )
    return [found, *(["--context", context] if context is not None else [])]
