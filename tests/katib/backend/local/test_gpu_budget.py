"""A search ends when its GPU-hours are spent, its trials pause with their checkpoints, and with more it goes on."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from katib.backend.local.record import DATABASE, read
from katib.backend.local.table import read_table
from katib.conclude.remarks import remarks
from katib.errors import ManifestError
from katib.manifest.experiment import load_experiment
from katib.manifest.gpu_hours import ANNOTATION
from katib.manifest.render import Overrides, render
from katib.site import load_site
from katib.spec import load_spec
from tests.katib.backend.local.rig import Rig, manifest, read_until
from tests.verbs import katib

EPOCHS = 8


def search(seconds: float | str | None, until: Path | None = None) -> dict[str, Any]:
    """Returns a search of two trials at a time with a budget of so many seconds of their processes.

    After three epochs each trial waits for the file `until`.
    """
    waits = ("--at", "3", "--until", str(until)) if until else ()
    found = manifest("--epochs", str(EPOCHS), *waits, values=("1", "2", "3", "4"), parallelTrialCount=2)
    hours = seconds if isinstance(seconds, str) or seconds is None else repr(seconds / 3600)
    found["metadata"]["annotations"] = {} if hours is None else {ANNOTATION: hours}
    return found


def test_it_ends_pauses_and_goes_on_with_a_larger_budget(rig: Rig) -> None:
    raised = rig.folder / "raised"
    done = rig.run(search(2.0, raised))
    assert done.returncode == 0
    spent = r"budget spent: 0\.\d+ of 0\.000555556 process-hours; raise GPU_HOURS= \(--gpu-hours\)"
    assert re.search(spent, done.stderr)
    assert "next: make report" in done.stdout
    table = read_table(rig.out, "test")
    assert {row.state for row in table.rows} == {"EarlyStopped"}
    assert len(table.rows) == 2
    assert all(row.reason.startswith("budget spent: 0.0") for row in table.rows)
    assert 3600 * table.hours_used >= 2.0
    assert not table.under_way
    assert any(line.startswith("test: budget spent: ") for line in remarks(table))
    before = {row.trial: row.reports for row in table.rows}
    starts = rig.starts()

    # Nothing is trained while it is spent.
    again = rig.run(search(2.0, raised))
    assert (again.returncode, rig.starts()) == (0, starts)
    assert "budget spent: " in again.stderr

    raised.touch()
    more = rig.run(search(1000.0, raised))
    assert (more.returncode, more.stderr) == (0, "")
    table = read_table(rig.out, "test")
    assert [row.state for row in table.rows] == ["Succeeded"] * 4
    rows = {row.trial: row for row in table.rows}
    for trial, reports in before.items():
        assert rows[trial].reports[: len(reports)] == reports
        assert (len(rows[trial].reports), rows[trial].pauses, rows[trial].restarts) == (EPOCHS, (len(reports),), 0)
        assert (f"trial {trial}  epoch 1 " in more.stdout) == (not reports)
    assert not list(remarks(table))


def test_an_engine_that_was_killed_when_it_was_spent_pauses_what_it_left(rig: Rig) -> None:
    never = rig.folder / "never"
    engine = rig.start(search(1000.0, never))
    read_until(engine, "epoch 2 ", times=2)
    engine.kill()
    engine.communicate()
    done = rig.run(search(0.1, never))
    assert done.returncode == 0
    assert "budget spent: " in done.stderr
    trials = read(rig.out / "test")[1]
    assert [(trial.state, len(trial.values) >= 1, trial.pauses) for trial in trials] == [("EarlyStopped", True, ())] * 2


def test_a_table_of_an_earlier_version_and_of_a_stranger(rig: Rig) -> None:
    """A record without a budget has none; one that is no number is a damaged record."""
    assert rig.run(manifest(maxTrialCount=1)).returncode == 0
    identity, _ = read(rig.out / "test")
    assert identity.gpu_hours is None
    from sqlite3 import connect

    with connect(rig.out / "test" / DATABASE) as database:
        ((text,),) = database.execute("SELECT value_json FROM study_user_attributes WHERE key = 'experiment'")
        about = json.loads(text)
        del about["gpu_hours"]
        database.execute("UPDATE study_user_attributes SET value_json = ?", (json.dumps(about),))
    database.close()
    assert read(rig.out / "test")[0].gpu_hours is None


@pytest.mark.parametrize("text", ["0", "-1", "many", "nan", "inf", ""])
def test_a_budget_that_is_no_number_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ManifestError, match=rf"^annotation {ANNOTATION} '{text}': is no number of GPU-hours above 0"):
        load_experiment(yaml.safe_dump(search(text)), "x")


def test_a_spec_and_the_command_line_write_the_annotation() -> None:
    spec = load_spec("demo").model_copy(update={"gpu_hours": 12.5})
    text = render(spec, load_site())
    assert load_experiment(text, "x").gpu_hours == 12.5
    assert load_experiment(render(spec, load_site(), Overrides(gpu_hours=3)), "x").gpu_hours == 3
    assert "annotations" not in yaml.safe_load(render(load_spec("demo"), load_site()))["metadata"]
    for given, said in (("0", "gpu_hours: must be more than 0"), ("nan", "finite number"), ("x", "must be a number")):
        refused = katib("render", "demo", f"--gpu-hours={given}")
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert said in refused.stderr
