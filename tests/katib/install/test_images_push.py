"""`make images PUSH=1`: digests, the files that name them, and the messages of failures.

The container tool is a script, or buildah.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from katib.__main__ import main
from katib.checkout import commit
from katib.errors import ClusterError, FolderError
from katib.install import images as builder
from katib.install.checkout import pin
from katib.site import default_site, load_site
from tests.katib.conftest import Script
from tests.katib.install import registry

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            'Error: pushing image "a" to "docker://a": trying to reuse blob sha256:0 at destination: '
            'pinging container registry reg.example: Get "https://reg.example/v2/": '
            "dial tcp 10.0.0.1:443: connect: connection refused",
            "docker push: dial tcp 10.0.0.1:443: connect: connection refused; is reg.example the registry, and",
        ),
        (
            "denied: requested access to the resource is denied",
            "do you have the right to push there? docker login reg.example",
        ),
        ("no basic auth credentials", "do you have the right to push there? docker login reg.example"),
        ("received unexpected HTTP status: 500 Internal", "reg.example failed; its log and its disk say why"),
        ("http: server gave HTTP response to HTTPS client", "docs/cluster.md, 'Images and their registry'"),
        ("no space left on device", "docker push reg.example/x/services:"),
    ],
)
def test_a_push_that_fails_says_what_to_do(said: str, told: str, checkout: Path, script: Script) -> None:
    script("docker", f"echo '{said}' >&2; exit 1")
    with pytest.raises(ClusterError, match=re.escape(told)):
        builder.push("docker", builder.images("reg.example/x", checkout)[0], checkout)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("docker", f'[ "$1" = push ] && echo "tag: digest: {DIGEST} size: 1"'),
        ("podman", f'[ "$1" = push ] && echo {DIGEST} > "$3"'),
    ],
)
def test_pushed_image_is_known_by_its_digest(name: str, body: str, checkout: Path, script: Script) -> None:
    script(name, body)
    image = builder.images("reg.example:5000/x", checkout)[1]
    assert builder.push(name, image, checkout) == f"reg.example:5000/x/trainer@{DIGEST}"


def test_site_file_names_the_digest_and_keeps_the_rest(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(default_site().read_text())
    pin(site, builder.TRAINER_LINE, f"reg.example/x/trainer@{DIGEST}")
    assert load_site(site).image == f"reg.example/x/trainer@{DIGEST}"
    before, after = default_site().read_text().splitlines(), site.read_text().splitlines()
    assert [line for line in before if not line.startswith("image:")] == [
        line for line in after if not line.startswith("image:")
    ]


@pytest.mark.parametrize("line", ["image:   a/trainer:1", 'image: "a/trainer:1"', "image: a:1   # mine"])
def test_an_image_line_may_be_written_in_any_way(line: str, tmp_path: Path) -> None:
    """The site file may be a link to a file elsewhere; it stays a link."""
    kept, site = tmp_path / "kept.yaml", tmp_path / "site.yaml"
    text = default_site().read_text().replace("\n", "\r\n")
    kept.write_bytes(text.replace("image: sepsweep/trainer:0.1.0", line).encode())
    site.symlink_to(kept)
    pin(site, builder.TRAINER_LINE, f"reg.example/x/trainer@{DIGEST}")
    assert load_site(site).image == f"reg.example/x/trainer@{DIGEST}"
    assert site.is_symlink()
    assert kept.read_bytes().count(b"\r\n") == text.count("\r\n")


def test_a_file_that_cannot_be_written_stays_and_the_message_has_the_line_to_write(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("image: a:1\n")
    (tmp_path / "site.yaml.new").mkdir()
    with pytest.raises(FolderError, match=r"site\.yaml: cannot be written .*; write image: r/trainer:2 there"):
        pin(site, builder.TRAINER_LINE, "r/trainer:2")
    assert site.read_text() == "image: a:1\n"


def test_katibs_configuration_names_our_services_and_keeps_the_rest(tmp_path: Path) -> None:
    config = tmp_path / "katib-config.yaml"
    config.write_text(builder.SERVICES_CONFIG.read_text())
    reference = f"reg.example:5000/x/services@{DIGEST}"
    for _ in range(2):  # again over a digest
        pin(config, builder.SERVICES_LINE, reference)
    before, after = builder.SERVICES_CONFIG.read_text().splitlines(), config.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert {old.split()[-1] for old, _ in changed} == {"sepsweep/services:0.1.0"}
    assert {new.split()[-1] for _, new in changed} == {reference}
    assert all("sepsweep/services" not in line for line in after)


def test_a_file_without_our_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("kind: KatibConfig\n")
    with pytest.raises(ClusterError, match=r"x\.yaml: names none of our images; write image: r/services:1"):
        pin(tmp_path / "x.yaml", builder.SERVICES_LINE, "r/services:1")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Returns a site file and Katib's configuration for a push to write into."""
    site, config = tmp_path / "site.yaml", tmp_path / "katib-config.yaml"
    shutil.copy(default_site(), site)
    shutil.copy(builder.SERVICES_CONFIG, config)
    monkeypatch.setattr(builder, "SERVICES_CONFIG", config)
    return site, config


def test_a_push_that_fails_halfway_writes_neither_file(
    files: tuple[Path, Path], script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    site, config = files
    before = site.read_text(), config.read_text()
    body = f'case "$*" in push*trainer*) echo no >&2; exit 1;; push*) echo "x: digest: {DIGEST}";; esac'
    calls = script("docker", body)
    words = ["images", "--push", "--yes", "--registry", "reg.example/x", "--site", str(site)]
    assert main(words) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert (site.read_text(), config.read_text()) == before
    assert [line.split()[0] for line in calls.read_text().splitlines()] == [
        "info",
        "build",
        "build",
        "push",
        "push",
    ]


def test_a_site_file_without_a_line_for_the_image_is_reported_before_the_build(
    files: tuple[Path, Path], script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    site, _ = files
    site.write_text(site.read_text().replace("image: sepsweep", "'image': sepsweep"))
    calls = script("docker", "")
    assert main(["images", "--push", "--yes", "--registry", "reg.example/x", "--site", str(site)]) == 1
    assert "names none of our images; write image: reg.example/x/trainer:" in capsys.readouterr().err
    assert not calls.exists()


@pytest.fixture
def buildah(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the checkout, for a real buildah whose images are in a store of the test's own."""
    if shutil.which("buildah") is None or os.geteuid() != 0:
        pytest.skip("needs root and buildah: apt-get install buildah")
    store = checkout / ".git" / "store"
    store.mkdir()
    (store / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{store}/images"\nrunroot = "{store}/run"\n'
    )
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(store / "storage.conf"))
    return checkout


def test_buildah_pushes_to_a_registry_of_this_machine_and_pulls_by_the_digest(buildah: Path) -> None:
    """It uses plain http, as docker allows there; the image names its commit."""
    with registry.running() as there:
        image = builder.images(f"{there.address}/x", buildah)[0]
        builder.build("buildah", image, {}, buildah)
        reference = builder.push("buildah", image, buildah)
        subprocess.run(["buildah", "rmi", image.reference], check=True, capture_output=True)
        subprocess.run(["buildah", "pull", "-q", "--tls-verify=false", reference], check=True, capture_output=True)
    shown = subprocess.run(["buildah", "inspect", reference], check=True, capture_output=True, text=True).stdout
    label = json.loads(shown)["OCIv1"]["config"]["Labels"][builder.REVISION]
    assert label == commit(buildah)


def test_buildah_without_the_right_to_push_says_what_to_do(buildah: Path) -> None:
    with registry.running(closed=True) as there:
        image = builder.images(f"{there.address}/x", buildah)[0]
        builder.build("buildah", image, {}, buildah)
        with pytest.raises(
            ClusterError,
            match=f"do you have the right to push there\\? buildah login --tls-verify=false {there.address}$",
        ):
            builder.push("buildah", image, buildah)


def test_a_base_that_cannot_be_pulled_is_one_line_with_the_dockerfile(buildah: Path) -> None:
    image = builder.images("localhost/x", buildah)[0]
    with registry.running() as there:
        image.dockerfile.write_text(f"FROM {there.address}/none:1\n")
        with pytest.raises(ClusterError, match=r"services/Dockerfile: buildah bud: exit code \d+; the reason is above"):
            builder.build("buildah", image, {}, buildah)
