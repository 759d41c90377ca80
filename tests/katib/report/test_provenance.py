"""A report says by itself where its numbers come from; what an old search did not record is left out."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from katib.backend.local.sessions import SESSIONS, session, sessions
from katib.corpus_checks import FOLDER
from katib.report.audio import Listening
from katib.report.log import entry
from katib.report.page import page
from katib.report.provenance import provenance
from katib.report.summary import conclude
from katib.table import export
from katib.table.trial_table import CLUSTER
from katib.trainer_contract import SUMMARY
from katib.untrusted import LARGEST
from tests.katib.report.simulated import row, table

CORPUS = "v2-0a-0b"
CHECK = {
    "fingerprint": CORPUS,
    "checked": 1_793_700_000.0,
    "data_dir": "/lab/polsess",
    "mixtures": {},
    "found": [{"kind": "mixture", "subsets": ["train", "test"], "count": 2}],
}
MADE = "sepsweep 0.1.0, Python 3.12.3, PyTorch 2.8.0, CUDA 12.8, NVIDIA H200"


def recorded(folder: Path) -> None:
    """Writes the sessions and summaries of a search of three trials, one of them with another PyTorch."""
    with session(folder) as ending:
        ending.why = "interrupted"
    with pytest.raises(RuntimeError), session(folder):
        raise RuntimeError
    with session(folder) as ending:
        ending.why = ""
    for number, made in enumerate((MADE, MADE, MADE.replace("2.8", "2.9"))):
        run = folder / f"series3-sepformer-{number:08x}"
        run.mkdir()
        (run / SUMMARY).write_text(json.dumps({"made_with": made, "data_dir": "/lab/polsess"}))


def test_provenance_of_a_search_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    monkeypatch.setattr("platform.node", lambda: "gpu01")
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / f"{CORPUS}.json").write_text(json.dumps(CHECK))
    folder = tmp_path / "series3-sepformer"
    folder.mkdir()
    recorded(folder)
    rows = [row(number, [1.0, 2.0], node="gpu01", ended=1_790_007_200.0) for number in range(3)]
    rows[2] = replace(rows[2], state="EarlyStopped", node="gpu02")
    made = table(*rows, folder=folder)
    made = replace(made, identity=replace(made.identity, corpus=CORPUS))
    found = provenance(made, tmp_path)
    said = dict(found)
    assert [value for name, value in found if name == "versions"] == [
        f"{MADE} (2 runs)",
        f"{MADE.replace('2.8', '2.9')} (1 run)",
    ]
    assert said["program"].startswith("sepsweep ") or said["program"].startswith("commit ")
    assert said["corpus"] == f"{CORPUS}, in /lab/polsess"
    assert said["corpus check"].endswith("2026: 2 duplicates across train and test")
    assert said["seed"] == "42"
    assert "patience 10" in said["fixed"]
    assert said["algorithm"].startswith("bayesianoptimization")
    assert said["stop rule"].startswith("medianstop (")
    assert said["lr"].startswith("0.0001 to 0.01, logUniform: ")
    assert len(said["lr"]) > len("0.0001 to 0.01, logUniform: ")
    assert said["dates"].endswith(" UTC")
    assert [value for name, value in found if name == "hours"] == ["0.7 GPU-hours on gpu01", "0.3 GPU-hours on gpu02"]
    ends = [value.rpartition("UTC, ")[2] for name, value in found if name == "session"]
    assert ends == ["interrupted", "an error ended it", "at its end"]
    assert all(value.startswith("ann on gpu01, ") for name, value in found if name == "session")
    assert said["stopped"] == "1 trial by medianstop"
    html = page(made, conclude(made, None), Listening(""), origins=found)
    assert "<dt>seed</dt><dd>42</dd>" in html
    assert f"- corpus: {CORPUS}, in /lab/polsess" in entry(made, "abc", None, found)


def test_a_cluster_s_provenance_is_what_a_trial_printed_and_outlives_the_experiment(tmp_path: Path) -> None:
    made = table(row(0, [1.0]), venue=CLUSTER, made_with=f"{MADE}; corpus {CORPUS}")
    export.write(made, tmp_path)
    said = dict(provenance(export.read(tmp_path), tmp_path))
    assert said["versions"] == MADE
    assert said["corpus"] == CORPUS
    assert said["corpus check"] == "not checked: make corpus-check DATA=…"
    assert said["image"]


def test_a_search_of_an_earlier_version_has_a_shorter_one(tmp_path: Path) -> None:
    names = [name for name, _ in provenance(table(row(0, [1.0]), folder=tmp_path), tmp_path)]
    assert not {"program", "versions", "corpus", "corpus check", "session"} & set(names)
    assert {"seed", "lr", "dates"} <= set(names)


def test_a_session_without_an_end_was_killed_and_damaged_lines_are_left_out(tmp_path: Path) -> None:
    lines = ['{"started": 1.0, "user": "a\\u001b"}', "{", '{"ended": 1e300}', "[]", '{"started": 2, "host": 3}']
    lines += ['{"started": 5.0}', '{"ended": 6.0, "why": "disk full"}', '{"ended": 7.0}']
    (tmp_path / SESSIONS).write_text("\n".join(lines))
    first, second = sessions(tmp_path)
    assert (first.user, first.ended) == ("a ", None)
    assert (second.started, second.ended, second.why) == (5.0, 6.0, "disk full")


def test_a_record_of_sessions_without_measure_is_not_read(tmp_path: Path) -> None:
    """Nobody waits for 40 GB of it."""
    with (tmp_path / SESSIONS).open("w") as file:
        file.write('{"started": 1.0}\n')
        file.truncate(LARGEST + 1)
    assert sessions(tmp_path) == []


def test_a_record_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("")
    (tmp_path / SESSIONS).symlink_to(target)
    with session(tmp_path):
        pass
    assert not target.read_text()


def test_who_paused_and_deleted_a_search_is_in_its_provenance_its_log_and_its_kept_table(tmp_path: Path) -> None:
    acts = ("paused by ann at 2026-11-28 14:05 UTC", "deleted by bob at 2026-11-29 09:00 UTC")
    export.write(replace(table(row(0, [1.0])), venue=CLUSTER, acts=acts), tmp_path)
    kept = export.read(tmp_path)
    assert kept.acts == acts
    found = provenance(kept, tmp_path)
    assert [one for one in found if one[0] in ("paused", "deleted")] == [
        ("paused", "by ann at 2026-11-28 14:05 UTC"),
        ("deleted", "by bob at 2026-11-29 09:00 UTC"),
    ]
    assert "- deleted: by bob at 2026-11-29 09:00 UTC" in entry(kept, "abc", None, found)
