"""A study.db from a stranger is data: whatever it holds, a verb refuses it in a line or shows it, and writes nowhere
else.
"""

import os
import sqlite3
import struct
from pathlib import Path
from typing import Any

import pytest

from katib.backend.local import database
from katib.backend.local.record import DATABASE, read
from katib.backend.local.store import Store
from katib.errors import EngineError
from tests.katib.attacks.hostile import NAME, TRIALS, attribute, query, run_folder
from tests.verbs import katib

PATHS = [
    "../../../x",
    "/etc",
    "..",
    ".",
    "",
    "a/b",
    "a\nb",
    "a\0b",
    "A",
    "-rf",
    "x" * 300,
    "~",
    "ż",
    "a ",
    ["x"],
    None,
    7,
]


def refused(folder: Path) -> str:
    """Returns the one line with which both readers refuse the study."""
    with pytest.raises(EngineError) as first:
        read(folder)
    with pytest.raises(EngineError) as second:
        Store(folder)
    assert str(first.value) == str(second.value)
    assert len(str(first.value).splitlines()) == 1
    return str(first.value)


@pytest.mark.parametrize("name", PATHS)
def test_a_trial_has_a_name_of_kubernetes_or_is_refused(tmp_path: Path, name: Any) -> None:
    """Its name becomes a folder, into which the engine writes and out of which the report reads."""
    folder = run_folder(tmp_path)
    attribute(folder, "name", name)
    assert "it holds no search of this engine" in refused(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("state", "Escaped"),
        ("state", ["Succeeded"]),
        ("assignments", ["x"]),
        ("assignments", {"x": 1}),
        ("reason", {"text": "x"}),
        ("effort", {"seconds": "long"}),
        ("effort", []),
        ("name", "test-bbbbbbbb"),
        ("name", b"{"),
        ("name", b"[" * 100_000),
        ("assignments", b'{"x":' * 200 + b"1" + b"}" * 200),
        ("assignments", b'{"x": 1e999}'),
        ("assignments", b"NaN"),
        ("assignments", b"9" * 5000),
    ],
)
def test_what_no_engine_has_written_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    folder = run_folder(tmp_path)
    attribute(folder, key, value)
    assert "it holds no search of this engine" in refused(folder)


@pytest.mark.parametrize(
    "experiment",
    [
        [],
        {"name": "test"},
        {"name": "../x"},
        {"metric": "a\x1b[2Jb"},
        {"spec": [1]},
        {"strategy": "all"},
        b"[" * 9999,
    ],
)
def test_a_search_without_an_identity_is_refused(tmp_path: Path, experiment: Any) -> None:
    folder = run_folder(tmp_path)
    if isinstance(experiment, dict) and len(experiment) == 1 and "name" not in experiment:
        experiment = {
            "name": "test",
            "metric": "m",
            "maximize": True,
            "strategy": "max",
            "spec": {},
        } | experiment
    attribute(folder, "experiment", experiment, "study_user_attributes")
    assert "it holds no search of this engine" in refused(folder)


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE trials; CREATE VIEW trials AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT i AS trial_id, 1 AS study_id, i AS number, NULL AS datetime_start, NULL AS datetime_complete FROM n",
        "CREATE TRIGGER t AFTER INSERT ON trials BEGIN DELETE FROM studies; END",
        "ALTER TABLE trial_user_attributes ADD COLUMN bomb TEXT GENERATED ALWAYS AS (hex(zeroblob(500000000)))",
        "CREATE VIRTUAL TABLE v USING fts5(x)",
    ],
)
def test_a_schema_that_computes_is_refused(tmp_path: Path, sql: str) -> None:
    """Views, triggers, generated columns and virtual tables are programs of SQLite."""
    folder = run_folder(tmp_path)
    query(folder, sql)
    assert "was not made by this engine" in refused(folder)


@pytest.mark.parametrize("value", ["'much'", "x'ff'", "1e999", "NULL"])
def test_a_value_that_is_no_number_is_refused_or_none(tmp_path: Path, value: str) -> None:
    """SQLite keeps a text in a column of numbers."""
    folder = run_folder(tmp_path)
    query(folder, f"UPDATE trial_intermediate_values SET intermediate_value = {value} WHERE trial_id = 1")
    if value == "1e999":
        assert read(folder)[1][0].value("max") is None
    else:
        assert "it holds no search of this engine" in refused(folder)


@pytest.mark.parametrize("start", ["'10000-01-01'", "'yesterday'", "x'00'", "-1"])
def test_a_date_that_is_none_is_refused(tmp_path: Path, start: str) -> None:
    folder = run_folder(tmp_path)
    query(folder, f"UPDATE trials SET datetime_start = {start}")
    assert "it holds no search of this engine" in refused(folder)


@pytest.mark.parametrize(("seconds", "started"), [(-7193.0, None), (float("nan"), None), (1e300, 1e300), (0, -1e300)])
def test_a_time_that_no_clock_shows_is_brought_into_range(
    tmp_path: Path, seconds: float, started: float | None
) -> None:
    """Also what a clock that was set back had earlier versions write: no trial takes less than nothing."""
    folder = run_folder(tmp_path)
    attribute(folder, "effort", {"seconds": seconds, "started": started, "starts": 1})
    done = katib("results", NAME, "--out", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    assert read(folder)[1][0].effort.seconds >= 0


def test_a_million_rows_are_read_and_a_larger_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_folder(tmp_path)
    number = "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)"
    query(
        folder,
        f"{number} INSERT INTO trial_intermediate_values SELECT i + 9, 1, i, i, 'FINITE' FROM n",
    )
    assert len(read(folder)[1][0].values) == 100_000
    monkeypatch.setattr(database, "LARGEST", 1 << 20)
    assert "study.db is larger than 1 MiB" in refused(folder)


def test_a_query_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever makes it long."""
    folder = run_folder(tmp_path)
    monkeypatch.setattr(database, "_STEPS_PER_CALL", 100)
    monkeypatch.setattr(database, "_MOST_CALLS", 1)
    assert "interrupted" in refused(folder)


@pytest.mark.parametrize("ending", ["", "-journal", "-wal", "-shm"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_study_that_is_no_file_of_the_folder_is_refused(tmp_path: Path, ending: str, kind: str) -> None:
    folder, theirs = run_folder(tmp_path), tmp_path / "theirs.db"
    theirs.write_bytes((folder / DATABASE).read_bytes())
    place = folder / f"{DATABASE}{ending}"
    place.unlink(missing_ok=True)
    if kind == "link":
        place.symlink_to(theirs)
    else:
        os.mkfifo(place)
    assert ("is a symbolic link" if kind == "link" else "is no regular file") in refused(folder)
    assert katib("ui", NAME, "--out", str(tmp_path), "--port", "1").returncode == 2


def test_a_journal_cannot_have_another_file_deleted(tmp_path: Path) -> None:
    """SQLite deletes the super-journal that a journal names, once it has taken that journal back (fileformat2.html, 3)."""
    folder, victim = run_folder(tmp_path), tmp_path / "thesis.tex"
    victim.write_text("years of work")
    page = (folder / DATABASE).read_bytes()[:4096]
    magic, size = bytes.fromhex("d9d505f920a163d7"), len((folder / DATABASE).read_bytes()) // 4096
    header = magic + struct.pack(">iIIII", 1, 0, size, 512, 4096)
    check = sum(page[offset] for offset in range(4096 - 200, 0, -200)) & 0xFFFFFFFF
    name = str(victim).encode()
    end = struct.pack(">I", 4096 // 4096 + 0x40000000 // 4096) + name + struct.pack(">II", len(name), sum(name)) + magic
    journal = header.ljust(512, b"\0") + struct.pack(">I", 1) + page + struct.pack(">I", check) + end
    (folder / f"{DATABASE}-journal").write_bytes(journal)
    assert "study.db-journal names another file, which would be deleted" in refused(folder)
    assert victim.exists()
    with sqlite3.connect(folder / DATABASE) as bare:
        bare.execute("SELECT count(*) FROM trials").fetchone()
    bare.close()
    assert not victim.exists(), "the attack works on SQLite alone; else this test shows nothing"


@pytest.mark.parametrize(
    "content",
    [b"", b"not a database" * 99, b"SQLite format 3\0" + b"\xff" * 5000, b"SQLite format 3\0" + b"\0" * 5000],
)
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = run_folder(tmp_path)
    (folder / DATABASE).write_bytes(content)
    assert "cannot be read" in refused(folder)


def test_what_optuna_alone_reads_is_refused_in_a_line(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    query(
        folder,
        "UPDATE trial_params SET distribution_json = '[' WHERE trial_id = 1",
        "UPDATE trials SET state = 'RUNNING'",
    )
    store = Store(folder)
    with pytest.raises(EngineError, match="it holds no search of this engine"):
        store.close_trial(store.trials()[0])
    store.close()


@pytest.mark.parametrize("verb", ["results", "best", "report", "log", "ui"])
def test_every_verb_refuses_a_hostile_study_in_one_line(tmp_path: Path, verb: str) -> None:
    """Also where its manifest is gone, so that the runs themselves cannot stand in."""
    folder = run_folder(tmp_path)
    attribute(folder, "name", "../../../x")
    (folder / "experiment.yaml").unlink()
    extra = ["--file", str(tmp_path / "LOG.md")] if verb == "log" else []
    done = katib(verb, NAME, "--out", str(tmp_path), *extra)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "move" in line
    assert [(folder / name).is_dir() for name in TRIALS] == [True] * 3
