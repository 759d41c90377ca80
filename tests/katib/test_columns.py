"""Tables of any content at any width: what is shown is whole, no line is too long, and what is left out is named.

Widths are measured with wcwidth's rules as rich has them (rich.cells), the numbers of a line are found by a plain
expression.
"""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from katib.columns import Column, columns, fit, missing, without_prefix, wrapped

WIDTHS = (20, 60, 80, 100, 120, 200)
HEADINGS = (
    "trial",
    "state",
    "validation_scale_invariant_signal_to_noise_ratio",
    "best epoch",
    "time",
    "lr",
    "weight_decay",
    "grad_clip_norm",
    "数据增强强度",
    "reason",
)


def table(rows: int) -> list[Column]:
    """As a search with long names, 16 digits, negative values and wide letters has it."""
    draw = random.Random(rows)
    made = [
        [
            f"series3-sepformer-{number:08x}",
            draw.choice(("Succeeded", "EarlyStopped", "MetricsUnavailable")),
            f"{draw.uniform(-100, 100):.16g}",
            str(draw.randint(1, 100)),
            f"{draw.randint(2, 99)} h 05 min",
            f"{draw.uniform(0, 1):.16g}",
            f"-{draw.uniform(0, 1e-5):.16g}",
            "",
            f"强{draw.randint(0, 9)}",
            "best of epoch 15, -1.23 dB, is below the median of 12 other trials, 4.41 dB",
        ]
        for number in range(rows)
    ]
    return columns(HEADINGS, made)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("rows", [0, 1, 2, 200])
def test_no_line_is_too_long_and_every_cell_that_is_shown_is_whole(rows: int, width: int) -> None:
    found = table(rows)
    made = fit(found, width)
    assert all(cell_len(line) <= width and line == line.rstrip() for line in made.plain)
    shown = [column for column in found if column.heading not in made.left_out]
    body = made.plain[made.heading_lines :]
    if width == 20:  # less than one name
        names = found[0].cells
        assert ["".join(pair) for pair in zip(body[::2], body[1::2], strict=True)] == list(names)
        return
    for row, line in enumerate(body):
        assert re.split(r"  +", line) == [column.cells[row] for column in shown if column.cells[row]]


@pytest.mark.parametrize("width", range(26, 220, 7))
def test_the_ones_that_are_left_out_are_the_ones_of_the_highest_rank(width: int) -> None:
    """Given left to right, where they stand says how soon they give way."""
    found = table(30)
    shown = len(found) - len(fit(found, width).left_out)
    assert fit(found, width).left_out == HEADINGS[shown:]


def test_a_rank_says_what_gives_way_first_wherever_a_column_stands() -> None:
    found = [Column("a", ["11111"]), Column("b", ["22222"], 2), Column("c", ["33333"], 1)]
    assert fit(found, 19).plain[-1] == "11111  22222  33333"
    assert fit(found, 18).plain[-1] == "11111  33333"
    assert fit(found, 11).left_out == ("b", "c")


def test_a_heading_is_broken_before_a_column_is_left_out() -> None:
    found = columns(["trial", "grad_clip_norm"], [["a", "7.5"]])
    assert fit(found, 21).plain == ["trial  grad_clip_norm", "a                 7.5"]
    assert fit(found, 16).plain == ["           grad_", "trial  clip_norm", "a            7.5"]
    assert fit(found, 15).plain == ["       grad_", "       clip_", "trial   norm", "a        7.5"]
    assert fit(found, 11).left_out == ("grad_clip_norm",)


def test_a_pipe_has_no_width_and_as_many_columns_in_each_line() -> None:
    """By the command that docs/results.md names: awk -F'  +'."""
    made = fit(table(9), None)
    assert not made.left_out
    assert {len(re.split(r"  +", line)) for line in made.plain} == {len(HEADINGS)}
    assert all(line == line.rstrip() for line in made.plain)
    assert "\t" not in "".join(made.plain)


def test_what_a_terminal_would_obey_and_what_would_part_a_row_is_no_cell() -> None:
    found = columns(["a\nb", "c"], [["x\x1b[31m  y\r\n", "\x07"]])
    assert fit(found, None).plain == ["a b       c", "x [31m y  -"]


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@settings(deadline=None, max_examples=40)
@given(
    cells=st.lists(st.lists(TEXT, min_size=3, max_size=3), max_size=4),
    headings=st.lists(TEXT, min_size=3, max_size=3),
    width=st.integers(2, 100),
)
def test_any_text_fits_any_width(cells: list[list[str]], headings: list[str], width: int) -> None:
    made = fit(columns(headings, cells), width)
    assert all(cell_len(line) <= width for line in made.plain)
    assert all(cell_len(line) <= width for line in wrapped(" ".join(headings), width, 4))


def test_what_is_left_out_is_named_in_two_lines_at_most() -> None:
    names = [f"hyperparameter_{number}" for number in range(40)]
    assert missing((), "--json", 80) == ""
    assert missing(("reason",), "--json", 80) == ("1 column does not fit: reason; a wider terminal or --json shows it")
    line = missing(names, "--json", 80)
    assert line.startswith("40 columns do not fit: hyperparameter_0, hyperparameter_1")
    assert re.search(r"hyperparameter_\d+ and \d+ more; a wider terminal or --json shows them$", line)
    assert len(wrapped(line, 80)) == 2


@pytest.mark.parametrize(
    ("names", "start", "prefix"),
    [
        (["series3-dprnn-ab", "series3-dprnn-cd"], "", "series3-dprnn-"),
        (["series3-dprnn-ab"], "", "series3-dprnn-"),
        (["s-first-1", "s-first-2"], "s-", "s-"),
        (["s-first-1", "other"], "s-", ""),
        (["a-", "a-b"], "", ""),
        (["a", "b"], "", ""),
        ([], "x-", ""),
        (["plain"], "", ""),
    ],
)
def test_the_prefix_ends_at_a_hyphen_and_leaves_every_name_something(names: list[str], start: str, prefix: str) -> None:
    assert without_prefix(names, start) == (prefix, [name[len(prefix) :] for name in names])


def test_a_sentence_keeps_its_words_and_its_indent() -> None:
    text = "  effect: the Service of that name is then refused, and no trial starts"
    lines = wrapped(text, 30, 10)
    assert " ".join(" ".join(lines).split()) == text.strip()
    assert all(len(line) <= 30 for line in lines)
    assert lines[0].startswith("  effect: the")
    assert all(line.startswith(" " * 10) for line in lines[1:])


def test_where_there_is_room_headings_are_broken_into_fewer_lines_the_important_ones_first() -> None:
    found = columns(["val_si_snr", "weight_decay"], [["-1.23 dB", "1e-05"]])
    assert fit(found, 17).plain[:2] == [" val_si_  weight_", "     snr    decay"]
    assert fit(found, 19).plain[:2] == ["            weight_", "val_si_snr    decay"]
    assert fit(found, 24).plain[0] == "val_si_snr  weight_decay"


@pytest.mark.parametrize("width", [1, 2, 80])
def test_a_name_without_end_takes_no_time(width: int) -> None:
    """As somebody else's manifest may have it: 60 000 letters, or as many wide ones."""
    found = columns(["x" * 60_000, "强" * 60_000], [["a", "强强"]])
    assert fit(found, width).left_out
    assert wrapped("强" * 100, width, 4)
