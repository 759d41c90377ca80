"""`make images` up to a push: tags, registries, build arguments, tools.

The container tool is a script that records its calls.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from katib.__main__ import main
from katib.checkout import commit
from katib.errors import ClusterError, SepsweepError
from katib.install import images as builder
from tests.katib.conftest import Script


def test_images_are_tagged_with_the_commit_and_say_where_files_changed(checkout: Path) -> None:
    tag = commit(checkout)
    assert [image.reference for image in builder.images("reg.example/x", checkout)] == [
        f"reg.example/x/services:{tag}",
        f"reg.example/x/trainer:{tag}",
    ]
    (checkout / "images" / "trainer" / "Dockerfile").write_text("FROM other\n")
    assert commit(checkout) == f"{tag}-dirty"


def test_a_new_file_makes_a_tag_dirty_where_it_goes_into_an_image_and_the_digests_of_a_push_do_not(
    checkout: Path,
) -> None:
    """An image holds everything in katib/, whether git tracks it or not, and nothing from k8s/, where a push writes."""
    tag = commit(checkout)
    (checkout / "k8s" / "there").write_text("image: another\n")
    (checkout / "notes").write_text("")
    assert commit(checkout) == tag
    (checkout / "katib" / "new.py").write_text("")
    assert commit(checkout) == f"{tag}-dirty"


def test_without_a_commit_it_says_so(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(checkout.parent))
    shutil.rmtree(checkout / ".git")
    with pytest.raises(ClusterError, match=r"git rev-parse: .*not a git repository.*; image tags come from"):
        commit(checkout)
    subprocess.run(["git", "-C", str(checkout), "init", "-q"], check=True)
    with pytest.raises(ClusterError, match=r"git rev-parse: fatal: .*; image tags come from the commit that '"):
        commit(checkout)
    (checkout / ".dockerignore").unlink()
    with pytest.raises(ClusterError, match=r"\.dockerignore is missing; image tags"):
        commit(checkout)


@pytest.mark.parametrize(
    ("word", "fix"),
    [
        ("https://reg.example/x/", "did you mean 'reg.example/x'?"),
        ("Reg.example/X", "did you mean 'reg.example/x'?"),
        ("reg.example/x:1.0", "write host/project in lower case"),
        ("reg.example:80x/y", "write host/project in lower case"),
        ("a b", "write host/project in lower case"),
    ],
)
def test_an_impossible_registry_is_refused_with_the_one_that_was_meant(word: str, fix: str) -> None:
    with pytest.raises(SepsweepError, match=re.escape(f"--registry '{word}': {fix}")):
        builder.require_registry(word, push=False)


@pytest.mark.parametrize("word", ["reg.example/x", "reg:5000/x/y", "127.0.0.1:5000", "localhost/a__b-c"])
def test_a_possible_registry_is_accepted(word: str) -> None:
    builder.require_registry(word, push=True)


def test_a_push_to_no_host_is_refused_before_anything_is_built(
    script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    """The site file names sepsweep/trainer at first, which docker and the like would push to Docker Hub."""
    calls = script("docker", "")
    assert main(["images", "--push", "--yes"]) == 2
    assert "--registry 'sepsweep' has no host" in capsys.readouterr().err
    assert not calls.exists()


def test_build_passes_the_checkout_as_context(checkout: Path, script: Script) -> None:
    calls = script("podman", "")
    image = builder.images("x", checkout)[1]
    builder.build("podman", image, {}, checkout)
    label = f"{builder.REVISION}={commit(checkout)}"
    assert calls.read_text() == f"build -t {image.reference} --label {label} -f {image.dockerfile} {checkout}\n"


def test_a_build_argument_goes_to_the_dockerfile_that_has_it(checkout: Path, script: Script) -> None:
    (checkout / "images" / "trainer" / "Dockerfile").write_text("ARG BASE=a\nFROM ${BASE}\nARG JOBS\n")
    wanted = builder.images("x", checkout)
    found = builder.build_arguments(["BASE=reg.example/b=c", "HTTPS_PROXY=p"], wanted)
    calls = script("buildah", "")
    for image in wanted:
        builder.build("buildah", image, found, checkout)
    services, trainer = calls.read_text().splitlines()
    assert "--build-arg BASE=reg.example/b=c --build-arg HTTPS_PROXY=p" in trainer
    assert "BASE" not in services
    assert "--build-arg HTTPS_PROXY=p" in services
    with pytest.raises(SepsweepError, match=r"'JOB=1': no Dockerfile has JOB: did you mean 'JOBS'\?"):
        builder.build_arguments(["JOB=1"], wanted)
    with pytest.raises(SepsweepError, match="'JOBS': write NAME=VALUE"):
        builder.build_arguments(["JOBS"], wanted)


def test_no_container_tool_is_one_line_that_names_all(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script("docker", "echo cannot connect to the daemon >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin" / "docker").write_text("#!/bin/sh\necho cannot connect to the daemon >&2\nexit 1\n")
    with pytest.raises(ClusterError, match="cannot connect to the daemon; podman is not installed; buildah is not"):
        builder.tool()
