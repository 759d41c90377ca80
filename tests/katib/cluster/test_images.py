"""`make images`: tags, tools, digests and the site file; the container tool itself is a script that records its calls."""

import subprocess
from pathlib import Path

import pytest

from katib.cluster import images as builder
from katib.errors import ClusterError
from katib.site import SITE, load_site

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("trainer", "services"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "Dockerfile").write_text("FROM scratch\n")
    for words in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    return tmp_path


def script(folder: Path, name: str, body: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    program, calls = folder / "bin" / name, folder / "calls"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n{body}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return calls


def test_images_are_tagged_with_the_commit_and_say_where_files_changed(checkout: Path) -> None:
    tag = builder.commit(checkout)
    assert [image.reference for image in builder.images("reg.example/x", checkout)] == [
        f"reg.example/x/services:{tag}",
        f"reg.example/x/trainer:{tag}",
    ]
    (checkout / "images" / "trainer" / "Dockerfile").write_text("FROM other\n")
    assert builder.commit(checkout) == f"{tag}-dirty"


def test_build_passes_the_checkout_as_context(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = script(checkout, "podman", "", monkeypatch)
    image = builder.images("x", checkout)[1]
    builder.build("podman", image, checkout)
    assert calls.read_text() == f"build -t {image.reference} -f {image.dockerfile} {checkout}\n"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("docker", f'[ "$1" = push ] && echo "tag: digest: {DIGEST} size: 1"'),
        ("podman", f'[ "$1" = push ] && echo {DIGEST} > "$3"'),
    ],
)
def test_pushed_image_is_known_by_its_digest(
    name: str, body: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(checkout, name, body, monkeypatch)
    image = builder.images("reg.example:5000/x", checkout)[1]
    assert builder.push(name, image, checkout) == f"reg.example:5000/x/trainer@{DIGEST}"


def test_site_file_names_the_digest_and_keeps_the_rest(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE.read_text())
    builder.pin(site, builder.TRAINER_LINE, f"reg.example/x/trainer@{DIGEST}")
    assert load_site(site).image == f"reg.example/x/trainer@{DIGEST}"
    before, after = SITE.read_text().splitlines(), site.read_text().splitlines()
    assert [line for line in before if not line.startswith("image:")] == [
        line for line in after if not line.startswith("image:")
    ]


def test_katibs_configuration_names_our_services_and_keeps_the_rest(tmp_path: Path) -> None:
    config = tmp_path / "katib-config.yaml"
    config.write_text(builder.SERVICES_CONFIG.read_text())
    reference = f"reg.example:5000/x/services@{DIGEST}"
    for _ in range(2):  # again over a digest
        builder.pin(config, builder.SERVICES_LINE, reference)
    before, after = builder.SERVICES_CONFIG.read_text().splitlines(), config.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert {old.split()[-1] for old, _ in changed} == {"sepsweep/services:0.1.0"}
    assert {new.split()[-1] for _, new in changed} == {reference}
    assert all("sepsweep/services" not in line for line in after)


def test_a_file_without_our_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("kind: KatibConfig\n")
    with pytest.raises(ClusterError, match=r"x\.yaml: names no image of ours; write image: r/services:1"):
        builder.pin(tmp_path / "x.yaml", builder.SERVICES_LINE, "r/services:1")


def test_no_container_tool_is_one_line_that_names_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path, "docker", "echo cannot connect to the daemon >&2; exit 1", monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin" / "docker").write_text("#!/bin/sh\necho cannot connect to the daemon >&2\nexit 1\n")
    with pytest.raises(
        ClusterError, match="cannot connect to the daemon; podman is not installed; buildah is not"
    ):
        builder.tool()
