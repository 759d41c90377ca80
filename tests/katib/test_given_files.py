"""What a user names as a file and is none: a pipe, a device without an end, links that lead in a circle."""

import os
import threading
from pathlib import Path

import pytest

from katib.untrusted import given_text
from tests.katib.backend.local.rig import as_text, manifest
from tests.verbs import katib

SPEC = ["check", "local", "render", "plan"]


@pytest.mark.parametrize("verb", SPEC)
@pytest.mark.parametrize(("kind", "told"), [("pipe", "a pipe to which nobody writes"), ("zero", "larger than 16 MiB")])
def test_a_spec_that_is_no_file_is_one_line(verb: str, kind: str, told: str, tmp_path: Path) -> None:
    """It is neither waited for nor read into the memory without end."""
    path = tmp_path / "spec.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    done = katib(verb, str(path), seconds=60)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {path}: cannot be read (is {told}")


def test_a_site_that_is_a_pipe_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "site.yaml")
    done = katib("render", "dprnn", "--site", str(tmp_path / "site.yaml"), seconds=60)
    assert done.returncode == 2
    assert "a pipe to which nobody writes" in done.stderr


def test_a_manifest_may_come_from_a_pipe(tmp_path: Path) -> None:
    """As in `sepsweep local <(helm template …)`: it is read once."""
    pipe = tmp_path / "experiment"
    os.mkfifo(pipe)
    text = as_text(manifest(name="piped", maxTrialCount=1))
    writer = threading.Thread(target=lambda: pipe.write_text(text))
    writer.start()
    done = katib("local", f"{pipe}", "--out", str(tmp_path / "runs"))
    writer.join()
    assert done.returncode == 0, done.stderr
    assert "1 Succeeded" in done.stdout


def test_text_of_a_user_has_no_byte_order_mark_and_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x")
    assert given_text(path) == "name: x"
    assert given_text(path, 10) == "name: x"
    with pytest.raises(OSError, match="larger"):
        given_text(path, 9)


@pytest.mark.parametrize("below", ["", "/deeper"])
def test_runs_below_links_in_a_circle_are_one_line(below: str, tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to("runs")
    (tmp_path / "test.yaml").write_text(as_text(manifest()))
    done = katib("local", str(tmp_path / "test.yaml"), "--out", f"{tmp_path}/runs{below}")
    assert done.returncode == 2
    assert (
        done.stderr == f"error: --out {tmp_path}/runs{below}: cannot be written (Too many levels of symbolic links)\n"
    )
