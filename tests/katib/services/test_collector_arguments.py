"""The collector's command line, word by word, against Katib's webhook, which writes it, and Go's package flag."""

from pathlib import Path

import pytest

from katib.services.collector.arguments import ArgumentError, parse
from katib.trial import Direction

WEBHOOK = "-t trial -m a;b -o-type maximize -s-db katib-db-manager.kubeflow:6789 -path /var/log/katib/metrics.log"
"""As getMetricsCollectorArgs writes it for StdOut (webhook/v1beta1/pod/inject_webhook.go)."""


def test_the_webhooks_line_is_read() -> None:
    """Without rules nothing is stopped early; without a filter Katib's own counts (common/const.go)."""
    found = parse(WEBHOOK.split())
    assert (found.trial, found.metrics, found.objective, found.direction) == (
        "trial",
        ("a", "b"),
        "a",
        Direction.MAXIMIZE,
    )
    assert (found.db_manager, found.output) == (
        "katib-db-manager.kubeflow:6789",
        Path("/var/log/katib/metrics.log"),
    )
    assert found.filters == (r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)",)
    assert found.early_stopping is None


def test_every_word_of_katibs_own_is_known() -> None:
    """file-metricscollector/main.go declares these; the ones without use here change nothing."""
    more = "-w false -p 1s -timeout 5 -format TEXT -f (a)=(\\d) -s-earlystop s:6788"
    found = parse([*WEBHOOK.split(), *more.split()])
    assert found.filters == (r"(a)=(\d)",)
    assert found.early_stopping is None
    rule = [*more.split(), "-stop-rule", "a;0.5;less;3", "-stop-rule", "b;0.5;less;3"]
    assert parse([*WEBHOOK.split(), *rule]).early_stopping == "s:6788"


@pytest.mark.parametrize("form", ["-{}={}", "--{}={}", "-{} {}", "--{} {}"])
def test_one_dash_or_two_with_and_without_an_equals_sign(form: str) -> None:
    """The value may hold an equals sign and begin with a dash; the last of two counts."""
    base = ["-t", "x", "-m", "a", "-s-db", "d:1", "-path", "p"]
    found = parse([*base, *form.format("f", "(a)=(-\\d)").split(), *form.format("t", "-y=z").split()])
    assert (found.trial, found.filters) == ("-y=z", (r"(a)=(-\d)",))


@pytest.mark.parametrize("word", ["minimize", "maximize"])
def test_the_direction_is_the_experiments(word: str) -> None:
    assert parse([*WEBHOOK.split(), "-o-type", word]).direction == Direction(word)


def test_filters_and_metrics_are_joined_with_semicolons() -> None:
    """Empty parts are none."""
    found = parse([*WEBHOOK.split(), "-m", ";a;;b;c", "-f", ";(a)=(1);;(b)=(2)(3)"])
    assert found.metrics == ("a", "b", "c")
    assert found.filters == ("(a)=(1)", "(b)=(2)(3)")


@pytest.mark.parametrize(("form", "filters"), [("TEXT", 1), ("", 1), ("JSON", 0)])
def test_the_format_is_that_of_a_collector_of_kind_file(form: str, filters: int) -> None:
    """The webhook writes an empty one where a manifest has none; without a filter a line is a JSON object."""
    assert len(parse([*WEBHOOK.split(), "-format", form]).filters) == filters


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("-x 1", "unknown argument '-x': "),
        ("t=1", "unknown argument 't=1': "),
        ("-pth p", "unknown argument '-pth': did you mean 'path'?"),
        ("-path", "-path needs a value: the file that the trainer's output goes to"),
        ("-t=", "-t is missing: trial"),
        ("-m=", "-m is missing: metrics, the objective first, joined with ;"),
        ("-s-db=", "-s-db is missing: address of the DB manager"),
        ("-path=", "-path is missing: the file that the trainer's output goes to"),
        ("-m ;", "-m is empty: metrics, the objective first, joined with ;"),
        ("-format CSV", "-format CSV: it is TEXT or JSON"),
        ("-f (a)(?=b)", "-f: RE2 does not accept '(a)(?=b)': "),
        ("-f (a)=b", "-f: '(a)=b' has 1 groups; it needs two, the metric's name and its value"),
        ("-f (a)=(1);b", "-f: 'b' has 0 groups; it needs two"),
    ],
)
def test_what_cannot_be_read_is_one_line(words: str, problem: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        parse([*WEBHOOK.split(), *words.split()])
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("t", "trial"),
        ("m", "metrics"),
        ("o-type", "maximize or minimize"),
        ("s-db", "DB manager"),
        ("path", "output"),
        ("f", "filters"),
        ("format", "TEXT"),
        ("stop-rule", "stopped early"),
        ("s-earlystop", "early-stopping service"),
        ("w", "other containers"),
        ("p", "how often"),
        ("timeout", "how long"),
    ],
)
def test_a_flag_without_its_value_says_what_that_is(name: str, word: str) -> None:
    with pytest.raises(ArgumentError, match=f"^-{name} needs a value: .*{word}"):
        parse([*WEBHOOK.split(), f"-{name}"])


@pytest.mark.parametrize("name", ["t", "m", "s-db", "path"])
def test_what_must_be_given_is_named(name: str) -> None:
    words = WEBHOOK.split()
    place = words.index(f"-{name}")
    with pytest.raises(ArgumentError, match=f"^-{name} is missing: "):
        parse(words[:place] + words[place + 2 :])
