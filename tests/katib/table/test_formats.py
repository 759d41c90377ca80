"""The table as CSV, JSON and Markdown, and the files that delete leaves, read back with ordinary readers."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katib.__main__ import main
from katib.backend.local.record import Effort
from katib.backend.local.table import read_table
from katib.errors import FolderError
from katib.table import export
from katib.table.formats import as_csv, as_json, markdown, print_table
from katib.table.trial_table import CLUSTER, TrialRow, TrialTable
from katib.terminal import output
from tests.katib.conclude.made import identity, made, trial
from tests.verbs import Terminal

AGREED = ["trial", "state", "reason", "assignments", "val_si_snr", "best_epoch", "epochs", "seconds"]


def small(folder: Path) -> TrialTable:
    return made(
        folder,
        trial("a", 1.0, 3.0, 2.0, proposed=0.0, ended=270.0),
        trial("b", 0.5, state="EarlyStopped", reason="best of epoch 1 | below"),
        trial("c", state="Failed", reason='exit code 1: a "comma", and more', effort=Effort(starts=3)),
    )


def test_json_has_the_agreed_keys_first_and_columns_of_every_metric(tmp_path: Path) -> None:
    found = json.loads("".join(as_json(small(tmp_path))))
    assert [list(record)[:8] for record in found] == [AGREED] * 3
    assert found[0]["metrics"]["val_si_snr"] == {
        "epoch": [1, 2, 3],
        "value": [1.0, 3.0, 2.0],
        "time": [None] * 3,
    }
    assert found[0]["started"] == "1970-01-01T00:00:00.000+00:00"
    assert json.loads("".join(as_json(made(tmp_path)))) == []


def test_csv_reads_back_whole(tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO("".join(as_csv(small(tmp_path))))))
    assert [row["trial"] for row in rows] == ["a", "b", "c"]
    assert (rows[0]["lr"], rows[0]["val_si_snr"], rows[0]["best_epoch"]) == ("0.001", "3.0", "2")
    assert rows[2]["reason"] == 'exit code 1: a "comma", and more'
    assert (rows[2]["restarts"], rows[2]["val_si_snr"]) == ("2", "")


def test_a_searched_setting_and_a_metric_of_one_name_have_a_column_each(tmp_path: Path) -> None:
    """The trainer reports the learning rate of each epoch, and lr is searched."""
    (tmp_path / "a").mkdir()
    history = [{"epoch": 1, "lr": 0.25, "val_si_snr": 1.0}]
    (tmp_path / "a" / "summary.json").write_text(json.dumps({"history": history}))
    (row,) = csv.DictReader(io.StringIO("".join(as_csv(made(tmp_path, trial("a", 1.0))))))
    assert (row["lr"], row["at_best_lr"]) == ("0.001", "0.25")


def test_markdown_has_as_many_cells_in_each_line(tmp_path: Path) -> None:
    lines = "".join(markdown(small(tmp_path))).splitlines()
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "best of epoch 1 \\| below" in lines[3]


def test_a_narrow_terminal_leaves_the_settings_out_and_a_file_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for file, wanted in ((Terminal(), False), (io.StringIO(), True)):
        print_table(small(tmp_path), output(file))
        assert ("weight_decay  " in file.getvalue()) == wanted


IDENTITY = identity()
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


@settings(deadline=None)
@given(trial_name=TEXT, reason=TEXT, value=st.none() | st.floats(allow_nan=False, allow_infinity=False), lr=TEXT)
def test_any_row_survives_csv_and_json(trial_name: str, reason: str, value: float | None, lr: str) -> None:
    row = TrialRow(trial_name, "Succeeded", reason, {"lr": lr}, value, None, 0, 0.0, objective="val_si_snr")
    found = TrialTable(IDENTITY, (row,))
    (record,) = json.loads("".join(as_json(found)))
    (line,) = csv.DictReader(io.StringIO("".join(as_csv(found)), newline=""))
    assert (record["trial"], record["reason"], record["val_si_snr"]) == (trial_name, reason, value)
    for cell, text in ((line["trial"], trial_name), (line["reason"], reason), (line["lr"], lr)):
        formula = text.lstrip().startswith(("=", "+", "-", "@")) or text[:1] in ("\t", "\r")
        assert cell == text or (formula and cell == f"'{text}")


def test_what_delete_writes_is_read_as_it_was(tmp_path: Path) -> None:
    """But for the reports of a store on this machine, which no search on a cluster has."""
    written = replace(small(tmp_path), venue=CLUSTER, gpus=2, notes=("a log could not be read",))
    folder = tmp_path / written.identity.name
    assert export.write(written, folder) == (folder / export.JSON, folder / export.CSV)
    found = read_table(tmp_path, written.identity.name)
    assert found.rows == tuple(replace(row, metrics=dict(row.metrics), reports=()) for row in written.rows)
    assert (found.identity, found.spec, found.budget, found.gpus) == (
        written.identity,
        written.spec,
        written.budget,
        2,
    )
    assert "when the experiment was deleted" in found.notes[0]
    assert found.notes[1:] == written.notes
    assert len(list(csv.reader(io.StringIO((folder / export.CSV).read_text(), newline="")))) == 4


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"experiment": {}, "trials": [], "gpus": 1, "notes": []}'])
def test_a_damaged_file_of_delete_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / export.JSON).write_text(content)
    with pytest.raises(FolderError, match="is not a table that `make delete` wrote"):
        read_table(tmp_path, "x")


def test_an_unknown_format_names_the_nearest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["results", "x", "--format", "jsn", "--out", str(tmp_path)]) == 2
    assert "did you mean 'json'?" in capsys.readouterr().err
