"""`data` and `fetch` through a pod that really runs: exec, the first process that waits, and the end of both."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from katib.__main__ import main
from katib.backend.cluster.kinds import EXPERIMENT, JOB, POD
from katib.site import Site
from katib.trainer_contract import CHECKSUM
from tests.cluster import rig
from tests.cluster.pods.trial import NAME, PATIENCE
from tests.cluster.search import Katib
from tests.cluster.tools import Tools, manifest
from tests.cluster.watched import Watched


@pytest.fixture
def data(site: Site) -> Iterator[Path]:
    """Yields the folder of a data claim of the test's own, which the site's user may write."""
    folder = rig.HOME / "run" / "volumes" / f"{site.namespace}-data"
    folder.mkdir(parents=True)
    os.chown(folder, site.user.uid, site.user.gid)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def claim_folders(claim_folders: dict[str, Path], site: Site, data: Path) -> dict[str, Path]:
    """Returns the claims with that of the data on this folder."""
    return claim_folders | {site.claims.data: data}


def gone(place: Tools) -> None:
    """Waits until the pod of a copy has gone, which is being deleted."""
    end = time.monotonic() + PATIENCE
    while any(pod["metadata"]["name"].startswith(("data-", "fetch-")) for pod in place.cluster.list(POD)):
        assert time.monotonic() < end
        time.sleep(0.5)


def test_a_corpus_is_copied_and_a_model_comes_home(
    place: Tools, site: Site, data: Path, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At `restricted`; after Ctrl-C in the middle the pod is gone and the same command finishes the copy."""
    file, corpus = tmp_path / "site.yaml", tmp_path / "corpus"
    file.write_text(yaml.safe_dump(site.model_dump()))
    (corpus / "train").mkdir(parents=True)
    (corpus / "train" / "a.wav").write_bytes(os.urandom(3_000_000))
    with (corpus / "train" / "b.wav").open("wb") as large:
        large.truncate(4 << 30)
    words = ("data", "--data", str(corpus), "--yes", "--site", str(file))
    with Watched(*words, terminal=True) as copy:
        copy.until("MB/s, about")
        assert copy.interrupt() == 1
    assert not place.cluster.list(JOB)
    gone(place)
    assert [path.name for path in data.iterdir()] == [f".{site.data_folder}.partial"]
    (corpus / "train" / "b.wav").write_bytes(os.urandom(9_000_000))
    assert main([*words]) == 0, capsys.readouterr()
    copied = data / site.data_folder / "train"
    assert [path.read_bytes() == (corpus / "train" / path.name).read_bytes() for path in copied.iterdir()] == [True] * 2
    assert {path.stat().st_uid for path in copied.iterdir()} == {site.user.uid}

    place.cluster.apply(EXPERIMENT, manifest(site, "demo", name=NAME, epochs=2, trials=1))
    katib = Katib(place, NAME)
    katib.state(katib.trial(f"{NAME}-b", job=False), "Succeeded", 50)
    run = runs / NAME / f"{NAME}-b"
    run.mkdir(parents=True)
    weights = os.urandom(5_000_000)
    (run / "best.pt").write_bytes(weights + CHECKSUM + hashlib.sha256(weights).hexdigest().encode())
    (run / "config.json").write_text(json.dumps({"model": "convtasnet", "preset": "debug", "seed": 42}))
    home = tmp_path / "home"
    assert main(["fetch", NAME, "--cluster", "--to", str(home), "--site", str(file)]) == 0, capsys.readouterr()
    assert (home / "best.pt").read_bytes() == (run / "best.pt").read_bytes()
    gone(place)
