"""A table that was written before its experiment was deleted, read again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from katib.errors import FolderError
from katib.manifest.object import Manifest
from katib.table.export import JSON, read, write
from katib.table.formats import markdown
from katib.table.origin import budget
from tests.katib.report.simulated import row, table


def test_pauses_survive_the_file_and_an_old_file_has_none(tmp_path: Path) -> None:
    write(table(replace(row(1, [1.0, 2.0, 3.0]), pauses=(1, 2), continuations=("t-2", "t-3")), row(2, [0.5])), tmp_path)
    assert [(one.pauses, one.continuations) for one in read(tmp_path).rows] == [((1, 2), ("t-2", "t-3")), ((), ())]
    written = (tmp_path / JSON).read_text()
    (tmp_path / JSON).write_text(written.replace('"pauses": [1, 2], ', "").replace('"pauses": [], ', ""))
    assert [one.pauses for one in read(tmp_path).rows] == [(), ()]
    (tmp_path / JSON).write_text(written.replace('"continuations": ["t-2", "t-3"], ', ""))
    assert [one.continuations for one in read(tmp_path).rows] == [(), ()]
    (tmp_path / JSON).write_text(written.replace('"t-2"', '"../t"'))
    with pytest.raises(FolderError, match="a continuation's name is not one of Kubernetes"):
        read(tmp_path)


@pytest.mark.parametrize("pauses", ["[-1]", "[true]", '["1"]', "7", "null"])
def test_pauses_that_are_no_epochs_are_refused(tmp_path: Path, pauses: str) -> None:
    write(table(replace(row(1, [1.0, 2.0]), pauses=(1,))), tmp_path)
    (tmp_path / JSON).write_text((tmp_path / JSON).read_text().replace('"pauses": [1]', f'"pauses": {pauses}'))
    with pytest.raises(FolderError, match="is not a table that `make delete` wrote"):
        read(tmp_path)


def test_a_column_says_after_which_epochs_a_trial_paused() -> None:
    shown = "".join(markdown(table(replace(row(1, [1.0, 2.0, 3.0]), pauses=(1, 2)), row(2, [0.5]))))
    assert "paused after" in shown
    assert "| 1, 2 |" in shown
    assert "paused after" not in "".join(markdown(table(row(2, [0.5]))))


@pytest.mark.parametrize(("configurations", "trials"), [("24", 24), ("many", 60), ("", 60)])
def test_with_promote_the_trials_of_the_budget_are_configurations(configurations: str, trials: int) -> None:
    command = ["python", "-m", "trainer", "--model", "dprnn", "--epochs", "50"]
    container = {"name": "training-container", "command": command}
    job = {"spec": {"template": {"spec": {"containers": [container]}}}}
    spec = {
        "maxTrialCount": 60,
        "earlyStopping": {
            "algorithmName": "promote",
            "algorithmSettings": [{"name": "configurations", "value": configurations}],
        },
        "trialTemplate": {"primaryContainerName": "training-container", "trialSpec": job},
    }
    found = budget(Manifest(json.loads(json.dumps(spec))), None)
    assert found is not None
    assert found.trials == trials
