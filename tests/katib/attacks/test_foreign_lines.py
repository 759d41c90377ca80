"""What a trainer, a folder or a pod prints is shown, never obeyed: by a terminal, a spreadsheet, Markdown or a browser."""

import csv
import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katib.backend.causes import Cause
from katib.backend.cluster import causes
from katib.backend.local.process import TrialProcess
from katib.backend.local.record import read
from katib.backend.local.table import read_table
from katib.report.log import entry, placed
from katib.table import export
from katib.table.formats import FORMATS, as_csv, markdown, text
from katib.table.run_folder import wandb_link
from katib.table.trial_table import TrialRow, TrialTable
from katib.terminal import output, print_rows
from katib.text import markdown_text, spreadsheet_cell
from katib.trainer_contract import WANDB_ADDRESS
from katib.untrusted import clean, web_address
from tests.katib.attacks.hostile import NAME, TRIALS, attribute, run_folder
from tests.katib.conclude.tables import row as plain_row
from tests.katib.conclude.tables import table
from tests.verbs import katib

OBEYED = [
    "\x1b[2J\x1b[31mred",  # clears the screen
    "\x1b]0;title\x07",  # names the window
    "\x1b]52;c;cm0gLXJm\x07",  # writes the clipboard
    "\x9b31mred",  # the same as ESC [, in one character of Latin-1
    "10 %\r99 %",
    "a\nb",
    "a\bb",
    "a\x00b",
    "\u202efdp.exe",  # turns what follows
    "a\u2066b\u2069",
    "a\u2028b",
    "a\ud800b",
    "a\U000e0041b",  # a letter that nobody sees
]
FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    " =1",
    '=HYPERLINK("http://x","y")',
    "--x",
    "=-1",
]
NUMBERS = ["1", "-0.5", "+3", "1e-4", "-inf", "nan", ""]
MARKUP = [
    "<!-- ",
    "<script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](https://example.org/spy.png)",
    "`code`",
    "a | b",
    "*bold*",
    "<!-- end of test -->",
    "&lt;b&gt;",
    "\\[x](y)",
    "```",
]


@pytest.mark.parametrize("line", OBEYED)
def test_nothing_that_a_terminal_obeys_is_left(line: str) -> None:
    shown = clean(line)
    assert shown.isprintable()
    assert len(shown.splitlines()) == 1
    assert shown.encode()


@given(st.text())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_cleaning_leaves_readable_text_alone(line: str) -> None:
    """What Unicode calls a letter, a mark, a number, a punctuation or a symbol stays as it was (unicodedata, by
    isprintable).
    """
    assert [one for one in clean(line) if one.isprintable() and one != " "] == [
        one for one in line if one.isprintable() and one != " "
    ]
    assert clean(clean(line)) == clean(line)


@pytest.mark.parametrize("line", OBEYED)
def test_the_last_line_of_a_trial_is_a_reason_that_can_be_shown(tmp_path: Path, line: str) -> None:
    """As the engine records it, from what a process really printed."""
    said = f"error: {line}".encode(errors="surrogatepass")
    trial = TrialProcess(
        ["sh", "-c", 'printf "%s\\n" "$0"', said.replace(b"\0", b"\x01").decode(errors="replace")],
        {},
        tmp_path,
    )
    while trial.poll() is None:
        time.sleep(0.002)
    trial.lines(all_of_it=True)
    trial.close()
    assert trial.last_line
    assert trial.last_line.isprintable()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("line", [OBEYED[0], "\r\x1b[1A", OBEYED[8]])
def test_no_table_carries_an_escape(tmp_path: Path, format: str, line: str) -> None:
    """Of a folder whose study, summary and table hold one wherever a text stands."""
    folder = run_folder(tmp_path)
    for key in ("reason", "stop"):
        attribute(folder, key, line)
    attribute(folder, "assignments", {"x": line, line: "1"})
    attribute(folder, "effort", {"node": line})
    (folder / TRIALS[0] / "summary.json").write_text(json.dumps({"history": [{"epoch": 1, line: 1.0, "loss": 2.0}]}))
    done = katib("results", NAME, "--out", str(tmp_path), "--format", format)
    assert done.returncode == 0, done.stderr
    printed = json.dumps(json.loads(done.stdout), ensure_ascii=False) if format == "json" else done.stdout
    assert all(one.isprintable() or one in "\r\n" for one in printed)
    assert "\x1b" not in printed


def row(value: float | None = 1.0, **changes: Any) -> TrialRow:
    return replace(plain_row("test-aaaaaaaa", value), **changes)


def kept(folder: Path, **changes: Any) -> TrialTable:
    """Returns the table of a cluster as its file has it after a stranger changed the first trial."""
    export.write(replace(read_table(folder.parent, NAME), notes=()), folder)
    path = folder / export.JSON
    found = json.loads(path.read_text())
    found["trials"][0] |= changes
    path.write_text(json.dumps(found))
    return export.read(folder)


@pytest.mark.parametrize("line", [OBEYED[0], OBEYED[8]])
def test_a_kept_table_carries_no_escape(tmp_path: Path, line: str) -> None:
    made = kept(run_folder(tmp_path), reason=line, node=line, remedy=line, assignments={line: line}, wandb=line)
    shown = "".join(text(made, "csv")) + "".join(text(made, "markdown"))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert {row.wandb for row in made.rows} == {""}


@pytest.mark.parametrize(
    "change",
    [
        {"trial": "../x"},
        {"val_si_snr": "1"},
        {"val_si_snr": float("nan")},
        {"seconds": float("inf")},
        {"epochs": "many"},
        {"epochs": None},
        {"state": "Won"},
        {"assignments": {"x": 1}},
        {"assignments": []},
        {"reason": 1},
        {"wandb": 1},
        {"started": 5},
        {"started": "then"},
        {"metrics": {"loss": {"epoch": [10**15], "value": [1.0], "time": [None]}}},
        {"metrics": {"loss": {"epoch": [1], "value": [float("inf")], "time": [None]}}},
        {"metrics": {"loss": {"epoch": [1, 2], "value": [1.0], "time": [None]}}},
        {"metrics": []},
        {"gpu_hours": True},
    ],
)
def test_a_kept_table_with_what_is_none_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Among them an epoch of 10^15, of which a list would have a place each."""
    from katib.errors import FolderError

    with pytest.raises(FolderError, match="is not a table that `make delete` wrote") as refused:
        kept(run_folder(tmp_path), **change)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_text_is_no_formula_of_a_spreadsheet(formula: str) -> None:
    """Where it would begin as one (OWASP, CSV Injection), it begins with an apostrophe."""
    made = table(row(reason=formula, assignments={"x": formula, formula: "-0.5"}, node=formula, fix=formula))
    for cells in csv.reader(io.StringIO("".join(as_csv(made)), newline="")):
        for cell in cells:
            assert not cell.lstrip().startswith(("=", "+", "-", "@")) or float(cell) == -0.5


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_stays_a_number_of_a_spreadsheet(number: str) -> None:
    assert spreadsheet_cell(number) == number
    assert spreadsheet_cell(-0.5) == -0.5


@pytest.mark.parametrize("markup", MARKUP)
def test_a_text_is_no_markup_of_the_log(markup: str) -> None:
    """The entry can be replaced afterwards, and a Markdown reader finds neither HTML nor a link in it."""
    made = table(row(value=None, state="Failed", reason=markup, assignments={"x": markup}, fix=markup), row())
    body = entry(made, "0" * 40, None)
    assert "<" not in body.replace("&lt;", "")
    assert "](" not in body.replace("\\]", "")
    log, _ = placed("# Log\n", made.identity.name, body)
    again, replaced = placed(log, made.identity.name, body)
    assert (again, replaced) == (log, True)
    cells = [line.count("|") - line.count("\\|") for line in markdown(made)]
    assert len(set(cells)) == 1


def test_a_setting_does_not_leave_its_block_of_code() -> None:
    """A long value would be wrapped by YAML, and its next line could end the block."""
    made = table(row(assignments={"x": "word " * 30 + "``` <img src=x>"}), row(assignments={"x": "1"}))
    block = entry(made, "0" * 40, None).partition("```yaml\n")[2]
    inside = block.partition("\n```")[0]
    assert "<img" not in block.removeprefix(inside)


@pytest.mark.parametrize("address", ["https://wandb.ai/a/b/runs/c", "http://localhost:8080/a/b"])
def test_an_address_of_the_web_is_one(tmp_path: Path, address: str) -> None:
    (tmp_path / "wandb").mkdir()
    (tmp_path / WANDB_ADDRESS).write_text(f"{address}\n")
    assert wandb_link(tmp_path) == address


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "https:",
        "https://",
        "//example.org",
        "https://a b",
        "https://[x",
        "https://example.org/\x1b[2J",
        "https://example.org/\njavascript:x",
        '=HYPERLINK("https://example.org")',
        "https://example.org/" + "x" * 3000,
        "https://еxample.org",  # a Cyrillic letter
    ],
)
def test_what_is_no_address_of_the_web_is_no_link(tmp_path: Path, address: str) -> None:
    (tmp_path / "wandb").mkdir()
    (tmp_path / WANDB_ADDRESS).write_text(address)
    assert wandb_link(tmp_path) == web_address(address) == ""


def test_what_a_pod_says_is_shown_and_not_obeyed() -> None:
    line = "I1128 21:30:00.000000       1 main.go:1] error: \x1b[2Jgone\u202e"
    assert causes.clean(line).isprintable()
    assert str(Cause("\x1b]0;x\x07")).isprintable()


def test_an_error_is_one_line_that_can_be_shown(tmp_path: Path) -> None:
    """A file's name is a stranger's as well."""
    done = katib("check", str(tmp_path / "a\x1b[2J\nb.yaml"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.isprintable()


def test_a_manifests_texts_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text('kind: Experiment\n"a\\e[2J": 1\nmetadata: {name: "\\e[31m\\u202e"}\n')
    done = katib("check", str(tmp_path / "x.yaml"))
    assert done.returncode in (1, 2)
    assert all(one.isprintable() or one == "\n" for one in done.stdout + done.stderr)


@pytest.mark.parametrize(
    "summary",
    [
        '{"mixture_val_si_snr": 1e999}',
        '{"mixture_val_si_snr": NaN}',
        '{"mixture_val_si_snr": true}',
        '{"mixture_val_si_snr": ' + "9" * 400 + "}",
        '{"history": [{"epoch": 1000000000000, "loss": 1}]}',
        '{"history": [{"epoch": 1, "loss": ' + "9" * 400 + "}]}",
        '{"history": [{"epoch": true, "loss": 1}]}',
        '{"history": [[1], 2, {"epoch": 1, "time": "9999-99-99", "variants": 3}]}',
        '{"history": {"epoch": 1}}',
        '{"state": ["finished"]}',
    ],
)
def test_a_summary_with_what_is_none_is_harmless(tmp_path: Path, summary: str) -> None:
    folder = run_folder(tmp_path)
    (folder / TRIALS[0] / "summary.json").write_text(summary)
    for format in ("json", "csv"):
        done = katib("results", NAME, "--out", str(tmp_path), "--format", format)
        assert done.returncode == 0, done.stderr
    (found,) = [row for row in read_table(tmp_path, NAME).rows if row.trial == TRIALS[0]]
    assert found.gain is None
    assert all(point.step < 10**6 for points in found.metrics.values() for point in points)
    assert read(folder)


def test_a_clock_that_is_set_back_takes_no_time_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine counts by the monotonic clock; the wall clock is only written down."""
    trial = TrialProcess(["true"], {}, tmp_path)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert trial.seconds >= 0
    while trial.poll() is None:
        pass
    trial.close()
    assert 0 <= trial.seconds < 3600


def test_small_tables_and_markdown_show_what_they_are_given() -> None:
    file = io.StringIO()
    print_rows(["[bold]a"], [["[link=file:///etc]x[/link]"]], out=output(file))
    assert "[link=file:///etc]x[/link]" in file.getvalue()
    assert markdown_text("plain 1.5 dB, val_si_snr; exit code 1: no") == "plain 1.5 dB, val_si_snr; exit code 1: no"
