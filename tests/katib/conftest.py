"""Provides a checkout of two small images, and programs that are scripts, to tests of `make images` and kubectl."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from katib.program import ROOT
from tests.browser import Page, browser
from tests.katib.backend.local.rig import Rig

Script = Callable[[str, str], Path]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Returns a repository with one commit."""
    for name in ("trainer", "services"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "Dockerfile").write_text("FROM scratch\nCOPY katib /\n")
    for name in ("katib", "k8s"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "there").write_text("")
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    return tmp_path


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Yields a function that installs a program, from its name and a shell body, before all others on the PATH.

    The function returns the file that records the program's calls.
    """

    def make(name: str, body: str) -> Path:
        program, calls = tmp_path / "bin" / name, tmp_path / "calls"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n{body}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        return calls

    return make


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Yields an engine in a folder of the test's own."""
    rig = Rig(tmp_path)
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def reader() -> Iterator[Page]:
    """Yields a page of a real browser."""
    with browser() as page:
        yield page
