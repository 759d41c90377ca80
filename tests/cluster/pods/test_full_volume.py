"""A runs volume that fills up under a real trial, which waits for room; and an ended search that continues."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from katib.__main__ import main
from katib.backend.cluster.kinds import EXPERIMENT, JOB, NAMESPACE, TRIAL
from katib.site import Site
from katib.trainer_contract import METRIC
from tests.cluster import rig
from tests.cluster.pods.conftest import SECURITY
from tests.cluster.pods.trial import EPOCHS, NAME, begin, metrics, shortened, wait_for_line
from tests.cluster.search import Katib
from tests.cluster.tools import Tools

SEARCH = ("demo", "--name", NAME, "--epochs", str(EPOCHS), "--trials", "9")
Answer = tuple[int, str]


@pytest.fixture
def runs(site: Site) -> Iterator[Path]:
    """Yields a runs volume of 64 MiB that root has made, apart from its owner."""
    folder = rig.HOME / "run" / "volumes" / site.namespace
    folder.mkdir(parents=True)
    rig.run("mount", "-t", "tmpfs", "-o", "size=64m", "runs", str(folder))
    os.chown(folder, site.user.uid, site.user.gid)
    yield folder
    rig.run("umount", "--lazy", str(folder))
    folder.rmdir()


@pytest.fixture
def verb(place: Tools, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Returns a function that runs a verb on the test's namespace and returns exit code and output."""
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(site.model_dump()))

    def run(*words: str) -> Answer:
        capsys.readouterr()
        code = main([*words, "--site", str(file)])
        return code, "".join(capsys.readouterr())

    return run


def fill(folder: Path) -> Path:
    """Uses up the volume, to the last byte."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(b"x" * size)
            except OSError:
                size //= 2
    return filler


def history(runs: Path, trial: str) -> list[str]:
    """Returns the time at which each epoch of a run ended."""
    return [record["time"] for record in json.loads((runs / NAME / trial / "summary.json").read_text())["history"]]


def test_a_full_volume_is_waited_for_and_an_ended_search_continues(
    place: Tools, site: Site, runs: Path, tmp_path: Path, verb: Callable[..., Answer]
) -> None:
    """A trial meets a full volume, gets room again, fails with its search, is deployed again and deleted."""
    out = ("--out", str(tmp_path))
    katib, trial = begin(place, site, tries=0)
    pod = katib.pod(trial)["metadata"]["name"]
    wait_for_line(place, pod, f" {METRIC}=")
    filler = fill(runs)
    wait_for_line(place, pod, "waits for room: ")
    assert "waits for room" in verb("status", NAME)[1]
    filler.unlink()
    wait_for_line(place, pod, "room again: ")

    place.kubectl("delete", "pod", pod, "--timeout=300s")
    place.kubectl("wait", "--for=condition=Failed", f"job/{trial}", "--timeout=300s")
    katib.state(trial, "Failed")
    katib.end("Failed")
    kept = history(runs, trial)
    assert kept
    baseline = {
        "metadata": {"labels": {SECURITY: "baseline"}}
    }  # Katib's early-stopping container needs it, says doctor
    place.cluster.merge(NAMESPACE, place.namespace, baseline)
    code, said = verb("deploy", *SEARCH, "--yes", "--wait", "0", *out)
    assert code == 0, said
    assert f"it continues the ended search: 1 trial from their run directories ({len(kept)} epochs kept)" in said
    assert f'"trial": "{trial}"' in (tmp_path / NAME / "cluster-trials.json").read_text()
    found = place.cluster.get(EXPERIMENT, NAME)
    assert found is not None
    assert found["metadata"]["uid"] != katib.experiment["metadata"]["uid"]
    settings = {item["name"]: item["value"] for item in found["spec"]["algorithm"]["algorithmSettings"]}
    (first,) = json.loads(settings["first_suggestions"])
    assert (first["trial"], place.cluster.list(TRIAL), place.cluster.list(JOB)) == (trial, [], [])
    assert verb("deploy", *SEARCH, "--yes", *out)[1].startswith(f"experiment '{NAME}' runs as it should")

    again = shortened(Katib(place, NAME))
    again.trial(first["trial"], assignments=first["assignments"])
    second = again.pod(trial)["metadata"]["name"]
    wait_for_line(place, second, f"resumes epoch {len(kept) + 1}")
    replayed = metrics(place.kubectl("logs", second, "-c", "metrics-logger-and-collector"))
    assert [line.split(" ")[0] for line in replayed[: len(kept)]] == kept

    code, said = verb("delete", NAME, "--yes", *out)
    assert code == 0, said
    place.kubectl("wait", "--for=delete", f"pod/{second}", "--timeout=300s")  # it may save another epoch
    epochs = len(history(runs, trial))
    assert epochs >= len(kept)
    assert "it continues the deleted search: 1 trial" in verb("deploy", *SEARCH, "--dry-run", *out)[1]
    code, said = verb("delete", NAME, "--runs", "--yes", *out)
    assert code == 0, said
    assert f"{trial}: {epochs} epochs" in said
    assert not (runs / NAME).exists()
    code, said = verb("delete", NAME, "--runs", "--yes", *out)
    assert code == 1
    assert f"neither an experiment '{NAME}' of ours" in said
