"""The one parser of metric lines, against what Katib's collector does (v0.19, file-metricscollector.go) and Go's
ParseFloat.
"""

import math
from datetime import UTC, datetime

import pytest
import re2
from scipy.stats import norm

from katib.measure import SI_SNR
from katib.metrics import (
    DEFAULT_FILTER,
    JsonParser,
    MetricParser,
    compile_filter,
    katib_number,
    metric_filter,
)
from katib.trainer_contract import METRIC, UNIT


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
    assert [one.value for one in parser.parse(line)] == [float(text) for _, text in texts if text in ("0.5", "2")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0), ("-.5e-3", -0.0005), ("1.", 1.0), ("+Inf", math.inf), ("0x1p-2", 0.25), ("", None), ("1_000", None),
        (" 1", None), ("1 ", None), ("\u0661", None), ("0x1", None), ("e5", None), (".", None), ("unavailable", None),
        ("1e999", None), ("0x1p99999", None), ("0X1P+2", 4.0), ("INFINITY", math.inf), ("-inf", -math.inf),
        ("nan0", None), ("1e308", 1e308),
    ],
)  # fmt: skip
def test_a_number_is_what_go_reads(text: str, value: float | None) -> None:
    """strconv.ParseFloat(text, 64) as its documentation has it: no blanks, no digits of other scripts, and underscores
    only behind a base prefix.
    """
    assert katib_number(text) == value
    assert math.isnan(katib_number("NaN") or 0.0)


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("val_si_snr=5.1", ["5.1"]),
        ("val_si_snr = 5.1, loss=2", ["5.1"]),
        ("val_si_snr=", [""]),
        ("val_si_snr=n/a", [""]),
        ("val_si_snr=-1.5e-3", ["-1.5e-3"]),
        ("loss=1", []),
        ("val_si_snr rose", []),
        ("", []),
    ],
)
def test_katibs_default_filter_finds_what_it_finds_there(line: str, texts: list[str]) -> None:
    """`([\\w|-]+)\\s*=\\s*([+-]?\\d*(\\.\\d+)?([Ee][+-]?\\d+)?)` (common/const.go): every part of the number may be missing, and
    Katib then stores an empty text, which is no number."""
    parser = MetricParser([DEFAULT_FILTER], ["val_si_snr"])
    assert [one.text for one in parser.texts(line)] == texts
    assert [one.value for one in parser.parse(line)] == [float(text) for text in texts if text]


def test_of_two_metrics_one_on_the_line_is_found() -> None:
    """parseLogs skips a line only where it holds none of the names, and takes from it those alone that it was asked
    for.
    """
    parser = MetricParser([DEFAULT_FILTER], ["loss", "acc"])
    assert [(one.name, one.value) for one in parser.parse("acc=0.5 other=3")] == [("acc", 0.5)]
    assert [(one.name, one.value) for one in parser.parse("loss=2 acc=0.5")] == [("loss", 2.0), ("acc", 0.5)]
    assert parser.texts("other=3") == []


def test_each_filter_is_tried_on_each_line_and_a_third_group_is_ignored() -> None:
    parser = MetricParser([r"(loss):(\d+)(.*)", r"(acc)=(\d+)", r"nothing"], ["loss", "acc"])
    assert [(one.name, one.text) for one in parser.texts("acc=1 loss:2 end")] == [("loss", "2"), ("acc", "1")]


@pytest.mark.parametrize(
    ("word", "time"),
    [
        ("2026-11-24T09:30:00.5Z", datetime(2026, 11, 24, 9, 30, 0, 500_000, UTC)),
        ("2026-11-24T09:30:00+01:00", datetime(2026, 11, 24, 8, 30, tzinfo=UTC)),
        ("2026-11-24T25:30:00Z", None),
        ("2026-11-24", None),
        ("2026-11-24T09:30:00", None),
        ("09:30:00Z", None),
        ("epoch", None),
    ],
)
def test_the_time_is_the_first_word_where_that_is_an_instant(word: str, time: datetime | None) -> None:
    """time.Parse(time.RFC3339Nano, …) of the text before the first blank (parseLogs); anything else has no time."""
    parser = MetricParser([DEFAULT_FILTER], ["acc"])
    (found,) = parser.parse(f"{word} acc=1 2026-11-24T09:31:00Z")
    assert found.time == time
    assert parser.parse("acc=1 2026-11-24T09:31:00Z")[0].time is None


def test_the_filter_of_a_trainer_takes_its_line_whole_and_nothing_else() -> None:
    """The metric line of docs/trainer.md: an instant, a blank, name=number, alone on its line."""
    parser = MetricParser([metric_filter("val_si_snr")], ["val_si_snr"])
    stamp = "2026-11-24T09:30:00.123456Z"
    assert [one.value for one in parser.parse(f"{stamp} val_si_snr=-5.1234")] == [-5.1234]
    assert [one.value for one in parser.parse(f"{stamp} val_si_snr=5")] == [5.0]
    for line in (
        "val_si_snr=5.1", f"{stamp} val_si_snr=nan", f"{stamp} val_si_snr=5.", f"{stamp} best val_si_snr=5.1",
        f"{stamp} val_si_snr=5.1 dB", f"{stamp} my_val_si_snr=5.1",
    ):  # fmt: skip
        assert parser.texts(line) == []


def test_a_filter_that_re2_does_not_accept_raises_without_a_line_on_stderr(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The caller says what is wrong, once; RE2 by itself prints it as well."""
    with pytest.raises(re2.error, match="missing"):
        compile_filter("(acc")
    assert capfd.readouterr().err == ""


def test_the_tolerance_of_the_median_rule_is_as_often_exceeded_as_it_says() -> None:
    """Two values of one configuration differ by sqrt 2 deviations of 0.13 dB; by 0.35 dB and more in 1 of 17 cases."""
    assert (SI_SNR.noise, SI_SNR.tolerance) == (0.13, 0.35)
    assert 2 * norm.sf(0.35 / (0.13 * math.sqrt(2))) == pytest.approx(1 / 17, rel=0.05)


def test_the_metric_is_the_trainers_and_has_a_unit() -> None:
    """docs/trainer.md: the metric line is `val_si_snr=5.1234`, in dB."""
    assert (METRIC, UNIT) == ("val_si_snr", "dB")


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ('{"acc": "0.5", "step": 3, "loss": 1e-3}', ["0.5", "0.001"]),
        ('{"loss": 2, "acc": " 1 "}', ["1", "2"]),
        ('{"acc": NaN, "loss": "unavailable"}', ["nan", "unavailable"]),
        ('{"acc": true, "loss": null}', []),
        ('{"acc": {"value": 1}, "loss": [1]}', []),
        ('{"accuracy": 1}', []),
        ('["acc", 1]', []),
        ("acc=1", []),
        ('{"acc": 1', []),
        ("[" * 9_000, []),
        ("", []),
    ],
)
def test_a_json_line_has_the_numbers_and_texts_of_its_metrics(line: str, texts: list[str]) -> None:
    """Katib's own takes texts alone, and fails at a line that is no object."""
    assert [one.text for one in JsonParser(["acc", "loss"]).texts(line)] == texts


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ('"2026-11-24T09:30:00.5Z"', datetime(2026, 11, 24, 9, 30, 0, 500_000, UTC)),
        ("1795512600.5", datetime(2026, 11, 24, 9, 30, 0, 500_000, UTC)),
        ("1795512600", datetime(2026, 11, 24, 9, 30, tzinfo=UTC)),
        ('"yesterday"', None),
        ("1e300", None),
        ("true", None),
        ("null", None),
    ],
)
def test_a_json_line_has_a_time(stamp: str, time: datetime | None) -> None:
    (found,) = JsonParser(["acc"]).texts(f'{{"acc": 1, "timestamp": {stamp}}}')
    assert found.time == time
