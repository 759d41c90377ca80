"""The one parser of metric lines, against what Katib's collector does (v0.19, file-metricscollector.go) and Go's ParseFloat."""

import math

import pytest

from katib.metrics import MetricParser, number


@pytest.mark.parametrize(
    ("pattern", "line", "texts"),
    [
        (r"^(acc)=(?:(\d+\.\d+)|nan)$", "acc=nan", [("acc", "")]),
        (r"^(acc)=(?:(\d+\.\d+)|nan)$", "acc=0.5", [("acc", "0.5")]),
        (r"(?:(acc)|(loss))=(\S+)", "loss=1", []),
        (r"(?:(acc)|loss)=(\S+)", "loss=1 acc=2", [("acc", "2")]),
        (r"( acc )=([^;]*)", "x acc = 0.5 ;", [("acc", "0.5")]),
        (r"(acc)=\d", "acc=1", []),
        (r"(acc)=(\S+)", "acc=Genotype(a)", [("acc", "Genotype(a)")]),
    ],
)
def test_groups_that_are_absent_are_empty_and_white_space_is_cut(
    pattern: str, line: str, texts: list[tuple[str, str]]
) -> None:
    """Go's FindAllStringSubmatch has an empty text for a group that took no part; parseLogs trims name and value."""
    parser = MetricParser([pattern], ["acc"])
    assert [(one.name, one.text) for one in parser.texts(line)] == texts
    assert [one.value for one in parser.parse(line)] == [
        float(text) for _, text in texts if text in ("0.5", "2")
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0), ("-.5e-3", -0.0005), ("1.", 1.0), ("+Inf", math.inf), ("0x1p-2", 0.25), ("", None), ("1_000", None),
        (" 1", None), ("1 ", None), ("\u0661", None), ("0x1", None), ("e5", None), (".", None), ("unavailable", None),
        ("1e999", None), ("0x1p99999", None),
    ],
)  # fmt: skip
def test_a_number_is_what_go_reads(text: str, value: float | None) -> None:
    """strconv.ParseFloat(text, 64) as its documentation has it: no blanks, no digits of other scripts, and underscores
    only behind a base prefix."""
    assert number(text) == value
    assert math.isnan(number("NaN") or 0.0)
