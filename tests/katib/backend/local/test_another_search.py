"""A folder that holds another search: it is replaced where no trial has finished an epoch, and refused in words
elsewhere.
"""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from katib.manifest.diff import changes
from katib.manifest.render import Overrides, render
from katib.site import load_site
from katib.spec import load_spec
from tests.katib.backend.local.rig import Rig, job, manifest, read_until


def spec(**overrides: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(render(load_spec("dprnn"), load_site(), Overrides(**overrides)))["spec"]
    return found


def test_a_search_without_a_finished_epoch_makes_room(rig: Rig) -> None:
    first = rig.run(manifest("--at", "0", "--exit", "1"))
    assert first.returncode == 0
    before = {path.name for path in (rig.out / "test").iterdir() if path.is_dir()}
    assert before
    done = rig.run(manifest("--epochs", "2"))
    assert done.returncode == 0, done.stderr
    assert "holds another search (at: 0 became none and 2 more)" in done.stdout
    assert "no trial had finished an epoch, so this search replaces it" in done.stdout
    assert [row["state"] for row in rig.results()] == ["Succeeded"] * 3
    assert not before & {path.name for path in (rig.out / "test").iterdir()}


def test_a_failed_search_without_a_finished_epoch_begins_anew(rig: Rig, tmp_path: Path) -> None:
    once = str(tmp_path / "once")
    search = manifest("--at", "0", "--exit", "1", "--once", once, maxFailedTrialCount=1)
    job(search)["backoffLimit"] = 0
    assert rig.run(search).returncode == 1
    done = rig.run(search)
    assert done.returncode == 0, done.stderr
    assert "had 1 failed trial; no trial had finished an epoch" in done.stdout


@pytest.mark.parametrize("told", [True, False])
def test_a_search_with_a_finished_epoch_is_refused_in_words(rig: Rig, told: bool) -> None:
    """Also where the engine was killed before it had read the report."""
    assert rig.run(manifest("--epochs", "1", maxTrialCount=1)).returncode == 0
    if not told:
        (trial,) = (path for path in (rig.out / "test").iterdir() if path.is_dir())
        output = (trial / "output.log").read_text()
        other = manifest("--at", "0", "--exit", "1", name="other", maxTrialCount=1)
        assert rig.run(other).returncode == 0
        (silent,) = (path for path in (rig.out / "other").iterdir() if path.is_dir())
        (silent / "output.log").write_text(output)
    name = "test" if told else "other"
    done = rig.run(manifest("--epochs", "2", name=name, maxTrialCount=1))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    folder = rig.out / name
    assert f"{folder}: holds another search (" in line
    assert ("epochs: 1 became 2" in line) == told
    assert "command[" not in line
    assert f"choose another NAME (--name), continue that search with FILE={folder}/experiment.yaml" in line
    assert f"rm -r {folder}" in line
    assert len(rig.results(name)) == 1


def test_a_search_at_work_is_never_replaced(rig: Rig) -> None:
    engine = rig.start(manifest("--at", "0", "--hang", "--epochs", "1"))
    read_until(engine, "Running")
    done = rig.run(manifest("--epochs", "2"))
    assert done.returncode == 2
    assert "is already running" in done.stderr
    assert rig.results()[0]["state"] == "Running"


def test_a_trial_of_the_replaced_search_that_lives_on_is_ended(rig: Rig) -> None:
    engine = rig.start(manifest("--at", "0", "--hang"))
    read_until(engine, "Running")
    engine.kill()
    engine.wait()
    done = rig.run(manifest("--epochs", "2"))
    assert done.returncode == 0, done.stderr
    assert [row["state"] for row in rig.results()] == ["Succeeded"] * 3


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"preset": "debug"}, "preset: paper became debug"),
        ({"epochs": 70}, "epochs: 100 became 70"),
        ({"epochs": 15}, "early_stopping.start_step: 20 became 15"),
    ],
)
def test_a_change_is_named_by_its_flag_or_spec_key(overrides: dict[str, Any], text: str) -> None:
    assert text in list(changes(spec(), spec(**overrides)))


def test_changes_of_the_search_and_of_the_rest_are_named_too() -> None:
    before, after = spec(), copy.deepcopy(spec())
    after["parameters"][0]["feasibleSpace"]["max"] = "0.1"
    after["algorithm"]["algorithmSettings"][0]["value"] = "9"
    container = after["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]
    container["image"] = "registry.example.org/other:1"
    setting = before["algorithm"]["algorithmSettings"][0]
    assert list(changes(before, after))[:2] == [
        "search.lr.max: 0.01 became 0.1",
        f"algorithm.settings.{setting['name']}: {setting['value']} became 9",
    ]
    (image,) = list(changes(before, after))[2:]
    assert image.startswith("image: ")
    assert list(changes(before, before)) == []


def test_a_search_whose_study_is_lost_does_not_begin_anew_beside_its_trials(rig: Rig) -> None:
    """Nobody would count them any more, and their hours would be spent again in silence."""
    rig.run(manifest("--epochs", "2"))
    study = rig.out / "test" / "study.db"
    kept = study.read_bytes()
    study.unlink()
    before = sorted(path.name for path in (rig.out / "test").iterdir())
    again = rig.run(manifest("--epochs", "2"))
    assert again.returncode == 2
    assert again.stderr.splitlines() == [
        f"error: {rig.out}/test: study.db is missing, though 3 trials ran here; put it back from a copy, or choose"
        " another NAME (--name) to begin anew"
    ]
    assert sorted(path.name for path in (rig.out / "test").iterdir()) == before
    study.write_bytes(kept)
    assert rig.run(manifest("--epochs", "2")).returncode == 0
    assert [row["state"] for row in rig.results()] == ["Succeeded"] * 3
