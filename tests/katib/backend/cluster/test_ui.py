"""`make ui CLUSTER=1`: the address it prints, and what it says where forwarding fails or ends.

Kubectl is a script here.
"""

from pathlib import Path

import pytest

from katib.__main__ import main
from katib.site import load_site


def kubectl(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    program, calls = folder / "bin" / "kubectl", folder / "calls"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {calls}\n{body}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return calls


def test_ui_of_the_cluster_leads_to_the_experiment_and_says_when_the_connection_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    says = (
        "echo 'Forwarding from 127.0.0.1:8123 -> 8080'; echo Handling; echo 'error: lost connection to pod' >&2; exit 1"
    )
    calls = kubectl(tmp_path, says, monkeypatch)
    assert main(["ui", "dprnn", "--cluster", "--port", "8123", "--context", "far"]) == 1
    out, err = capsys.readouterr()
    address = f"http://localhost:8123/katib/experiment/{load_site().namespace}/series3-dprnn"
    assert out.splitlines() == [f"{address} (Ctrl-C ends it)"]
    assert "error: lost connection to pod; start it again" in err
    words = "--context far -n kubeflow port-forward --address 127.0.0.1 service/katib-ui 8123:80"
    assert calls.read_text().strip() == words


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "echo 'Error from server (NotFound): services \"katib-ui\" not found' >&2; exit 1",
            '"katib-ui" not found',
        ),
        ("exit 7", "exit code 7"),
    ],
)
def test_ui_of_the_cluster_that_cannot_be_reached_is_one_line(
    body: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kubectl(tmp_path, body, monkeypatch)
    assert main(["ui", "--cluster"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert reason in err
