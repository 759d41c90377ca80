"""A table that is looked at again and again: only what has changed is read, and it says the same as a new one."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from benchmarks.systems.made_experiment import make_experiment
from katib.backend.local.backend import LocalBackend
from katib.backend.local.record import DATABASE
from katib.table.formats import as_json
from katib.table.trial_table import TrialRow, TrialTable

NAME = "made"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the runs folder of a search of 20 trials. Not to be changed."""
    folder = tmp_path_factory.mktemp("again")
    make_experiment(folder, 20, 4, name=NAME)
    return folder


def written(out: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    """Changes the record as the engine does."""
    connection = sqlite3.connect(out / NAME / DATABASE)
    with connection:
        for words, values in statements:
            connection.execute(words, values)
    connection.close()


def by_name(table: TrialTable) -> dict[str, TrialRow]:
    """Returns the rows by trial."""
    return {row.trial: row for row in table.rows}


STATE = "UPDATE trial_user_attributes SET value_json = ? WHERE key = 'state' AND trial_id = ?"
REPORT = (
    "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)"
    " VALUES (?, ?, ?, 'FINITE')"
)
FORGET = "DELETE FROM trial_intermediate_values WHERE trial_id = ? AND step > ?"


def test_the_second_look_reads_what_has_changed_and_says_what_a_first_one_would(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    shutil.copytree(made, out)
    written(out, (STATE, ('"Running"', 3)))
    backend = LocalBackend(out)
    first = by_name(backend.table(NAME))
    # Trial 3 reports, and then ends; trial 10, which had failed, runs again from the first epoch, with another value.
    again = (FORGET, (10, 0)), (STATE, ('"Running"', 10)), (REPORT, (10, 1, 9.5))
    for change in ([(REPORT, (3, 99, 7.25))], [(STATE, ('"Succeeded"', 3))], again):
        written(out, *change)
        table = backend.table(NAME)
        assert "".join(as_json(table)) == "".join(as_json(LocalBackend(out).table(NAME)))
    last = by_name(table)
    assert {name for name in last if last[name] is not first[name]} == {f"{NAME}-{2:08}", f"{NAME}-{9:08}"}
    assert last[f"{NAME}-{2:08}"].value == 7.25
    assert table.best is last[f"{NAME}-{9:08}"]


def test_another_search_in_the_same_place_is_another(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    shutil.copytree(made, out)
    backend = LocalBackend(out)
    backend.table(NAME)
    shutil.rmtree(out / NAME)
    make_experiment(out, 12, 3, name=NAME)
    assert "".join(as_json(backend.table(NAME))) == "".join(as_json(LocalBackend(out).table(NAME)))
