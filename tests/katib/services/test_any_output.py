"""Whatever bytes a trainer prints, the collector finds the metric lines among them and no others."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from katib.metrics import MetricParser, metric_filter
from katib.services.collector.output import CHUNK, Output
from katib.services.collector.trainer import Trainer
from katib.untrusted import LINE_LIMIT
from tests.katib.services.pod import Pods, epoch
from tests.katib.services.rig import METRIC

PARSER = MetricParser([metric_filter(METRIC)], [METRIC])
NOISE = st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"\r")) | st.sampled_from(
    [
        b"\x1b[32m" + epoch(1, 9).encode() + b"\x1b[0m",
        f"epoch 3 of 9 {METRIC}=9".encode(),
        f"2026-11-24T09:30:00Z best_{METRIC}=9".encode(),
        f"2026-11-24T09:30:00Z {METRIC}=nan".encode(),
        f"2026-11-24T09:30:00Z {METRIC}=9 dB".encode(),
        f"--metric={METRIC}".encode(),
        epoch(1, 9).encode() + b"\x00",
        epoch(1, 9).encode() + b"\xff",
        epoch(1, 9).encode("utf-16"),
        b"x" * (LINE_LIMIT + 5),
        b"x" * LINE_LIMIT + epoch(1, 9).encode(),
    ]
)


def found(output: Output) -> list[float]:
    return [report.value for line in output.lines() for report in PARSER.parse(line)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NOISE | st.integers(-99, 99), max_size=20), st.lists(st.integers(1, 90_000), max_size=6))
def test_only_metric_lines_are_metrics(tmp_path: Path, items: list[bytes | int], cuts: list[int]) -> None:
    """However the output is cut into pieces on its way; the copy is the output."""
    file, copy = tmp_path / "metrics.log", io.BytesIO()
    file.write_bytes(b"")
    output, values = Output(file, copy), []
    data = b"".join((item if isinstance(item, bytes) else epoch(1, item).encode()) + b"\n" for item in items)
    begin = 0
    for cut in [*cuts, len(data)]:
        with file.open("ab") as target:
            target.write(data[begin : begin + cut])
        begin += cut
        while output.behind:
            values += found(output)
    assert values == [item for item in items if isinstance(item, int)]
    assert copy.getvalue() == data
    assert output.last() == ""


def test_a_line_of_ten_megabytes_is_not_kept(tmp_path: Path) -> None:
    """It is passed over, whatever it ends with, and the line after it is read."""
    file = tmp_path / "metrics.log"
    tail = f" {METRIC}=9\n{epoch(1, 2)}\n".encode()
    file.write_bytes(b"x" * 10_000_000 + tail)
    output, values = Output(file, io.BytesIO()), []
    while output.behind:
        values += found(output)
        assert len(output._rest) <= LINE_LIMIT + CHUNK
    assert values == [2]
    assert output.skipped == 1


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    """And is read for itself only when the output is known to be complete."""
    file = tmp_path / "metrics.log"
    output = Output(file, io.BytesIO())
    assert found(output) == []
    file.write_text(epoch(1, 5.12))
    assert found(output) == []
    with file.open("a") as target:
        target.write("34\n" + epoch(2, 6))
    assert found(output) == [5.1234]
    assert [report.value for report in PARSER.parse(output.last())] == [6]
    assert output.last() == ""


def test_an_output_that_begins_anew_is_read_anew(tmp_path: Path) -> None:
    """A container that Kubernetes has started again truncates its file."""
    file = tmp_path / "metrics.log"
    output = Output(file, io.BytesIO())
    file.write_text(f"{epoch(1, 1)}\n{epoch(2, 2)}\nhalf")
    assert found(output) == [1, 2]
    file.write_text(f"{epoch(1, 1)}\n")
    assert found(output) == [1]


@pytest.mark.parametrize("kind", ["a link", "a pipe", "a folder", "a link to nothing"])
def test_what_a_trainer_puts_in_the_place_of_its_output_is_not_read(tmp_path: Path, kind: str) -> None:
    """A pipe would be waited for without end; a link leads to what the collector's own container has."""
    file, copy = tmp_path / "metrics.log", io.BytesIO()
    file.write_text(f"{epoch(1, 1)}\n")
    output = Output(file, copy)
    assert found(output) == [1]
    file.unlink()
    (tmp_path / "secret").write_text(f"{epoch(2, 9)}\n" * 10)
    if kind == "a pipe":
        os.mkfifo(file)
    elif kind == "a folder":
        file.mkdir()
    else:
        file.symlink_to("secret" if kind == "a link" else "nothing")
    assert found(output) == []
    assert not output.behind
    assert copy.getvalue() == f"{epoch(1, 1)}\n".encode()


def test_a_mark_is_written_through_no_link_and_read_from_no_pipe(pods: Pods) -> None:
    """The folder of the marks is the trainer's too (webhook/v1beta1/pod/utils.go)."""
    pod = pods(stopper="127.0.0.1:1").start_trainer()
    trainer = Trainer(pod.output)
    assert not trainer.ended
    assert trainer.shell
    folder, victim = pod.output.parent, pod.output.parent / "victim"
    victim.write_text("as it was")
    (folder / f"{trainer.shell.pid}.draft").symlink_to(victim)
    assert trainer.stop()
    assert victim.read_text() == "as it was"
    pod.shell.wait(600)  # type: ignore[union-attr]
    mark = folder / f"{trainer.shell.pid}.pid"
    mark.unlink()
    os.mkfifo(mark)
    assert trainer.ended
    assert not trainer.completed
