"""Failures of kubectl, in one line; kubectl is a script that prints its messages."""

import re

import pytest

from katib.__main__ import main
from katib.backend.cluster.kubectl import kubectl
from katib.errors import ClusterError
from tests.katib.conftest import Script

UNREACHABLE = """E1127 06:47:12.863526   17942 run.go:72] "command failed" err=<
\taccumulating resources: 'https://github.com/x': no such host': failed to run 'git fetch': fatal: unable to access \
'https://github.com/x/': Could not resolve host: github.com
\t: exit status 128
 >"""


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (UNREACHABLE, "fatal: unable to access 'https://github.com/x/': Could not resolve host: github.com"),
        (
            'E1127 06:47 run.go:72] "command failed" err="must build at directory: /x"',
            "must build at directory: /x",
        ),
        ("W1127 deprecated\nError from server (Forbidden): no\n", "Error from server (Forbidden): no"),
        ("", "exit code 1"),
    ],
)
def test_a_failure_is_reported_with_its_reason(stderr: str, reason: str, script: Script) -> None:
    script("kubectl", f"cat >&2 <<'END'\n{stderr}\nEND\nexit 1")
    with pytest.raises(ClusterError, match=re.escape(f"kubectl kustomize x: {reason}")) as error:
        kubectl("kustomize", "x")
    assert "\n" not in str(error.value)


def test_an_install_that_cannot_fetch_its_base_says_what_to_do(
    script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script("kubectl", f"cat >&2 <<'END'\n{UNREACHABLE}\nEND\nexit 1")
    assert main(["install-katib"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "Could not resolve host: github.com" in err
    assert "OVERLAY=folder" in err
