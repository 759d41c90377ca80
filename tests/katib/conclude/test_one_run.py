"""The manifest of one trial of a search runs that trial alone, with its own settings."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from katib.backend.local.table import read_table
from katib.conclude.one_run import NAME, VALUE, one_run
from tests.katib.backend.local.rig import Rig, manifest, medianstop
from tests.katib.report.simulated import row, table


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Yields an engine in a folder of the test's own."""
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def test_it_trains_that_trial_and_nothing_else(rig: Rig, tmp_path: Path) -> None:
    search = manifest("--epochs", "2", values=("1", "7"), earlyStopping=medianstop(1, 1))
    assert rig.run(search).returncode == 0
    found = one_run(read_table(rig.out, "test"))
    assert found is not None
    assert found.settings == ("x",)
    file = tmp_path / "again.yaml"
    file.write_text(found.text.replace(NAME, "again").replace(VALUE.format(0), '"7"'))
    ran = rig.verb("local", str(file), "--yes")
    assert ran.returncode == 0, ran.stderr
    (only,) = rig.results("again")
    assert only["assignments"] == {"x": "7"}
    assert only["epochs"] == 2
    assert [path.parent.parent.name for path in rig.out.glob("again/*/starts")] == ["again"]


def test_a_search_that_does_not_say_how_its_trials_run_has_none() -> None:
    found = table(row(1, [1.0]))
    assert one_run(found) is not None
    assert one_run(replace(found, identity=replace(found.identity, spec={}))) is None
