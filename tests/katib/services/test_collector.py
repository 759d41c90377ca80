"""The collector beside a real wrapper and trainer: what it reports and how it ends, whatever is away meanwhile."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from katib.services.collector.arguments import parse
from katib.trial import Direction
from tests.katib.services.pod import FAILED, Pods, epoch, epochs
from tests.katib.services.rig import METRIC, DbManager


def test_a_metric_is_reported_while_the_trainer_runs(pods: Pods, db: DbManager) -> None:
    """With its own time and value; all else that is printed is no metric, and copied to the collector's own output."""
    pod = pods().start()
    pod.print("epoch 1 of 2", epoch(1, -0.51), f"best so far {METRIC}=9", f"{METRIC}=9", epoch(1, "nan"))
    db.wait_for("t", 1)
    pod.print(epoch(2, 3.25), "a last word")
    db.wait_for("t", 2)
    pod.end()
    assert pod.wait() == (0, 0)
    assert db.values("t") == ["-0.51", "3.25"]
    assert [time for time, *_ in db.rows["t"]] == [
        "2026-11-24T09:31:00.000000Z",
        "2026-11-24T09:32:00.000000Z",
    ]
    assert pod.printed == pod.output.read_bytes()


def test_a_flood_is_reported_whole(pods: Pods, db: DbManager) -> None:
    """10 000 metric lines at once, and as many others."""
    pod = pods().start_trainer()
    lines = [line for step in range(10_000) for line in (f"loss {step}", epoch(step, step))]
    for begin in range(0, len(lines), 1000):
        pod.print(*lines[begin : begin + 1000])
    pod.end()
    pod.start_collector()
    assert pod.wait() == (0, 0)
    assert [float(value) for value in db.values("t")] == list(range(10_000))


@pytest.mark.parametrize("timed", [True, False])
def test_a_resumed_trial_repeats_its_history_and_no_row_comes_twice(pods: Pods, db: DbManager, timed: bool) -> None:
    """Pod two prints what pod one printed, then continues; also where lines have no time."""

    def lines(*values: float) -> list[str]:
        return epochs(*values) if timed else [f"{METRIC}={value}" for value in values]

    first = pods()
    second = pods()
    for pod in (first, second):
        pod.arguments[pod.arguments.index("-f") + 1] = rf"({METRIC})=(\S+)"
        pod.start()
        if pod is first:
            pod.print(*lines(1, 2, 2))
            db.wait_for("t", 3)
            pod.kill_trainer(shell=True)
            assert pod.wait() == (-signal.SIGKILL, FAILED)
        else:
            pod.print(*lines(1, 2, 2, 2, 3))
            pod.end()
            assert pod.wait() == (0, 0)
    assert db.values("t") == ["1.0", "2.0", "2.0", "2.0", "3.0"]


@pytest.mark.parametrize("when", ["at the start", "in the middle", "at the end"])
def test_a_db_manager_that_is_away_costs_nothing_but_time(pods: Pods, db: DbManager, when: str) -> None:
    """What was printed meanwhile is there when it is back, once; the trial ends well."""
    pod = pods()
    if when == "at the start":
        db.away()
    pod.start()
    pod.print(epoch(1, 1))
    if when != "at the start":
        db.wait_for("t", 1)
        db.away()
    pod.print(epoch(2, 2))
    if when == "at the end":
        pod.end()
        assert pod.shell
        assert pod.shell.wait(600) == 0
    pod.wait_until_said("DB manager does not answer")
    db.back()
    db.wait_for("t", 2)
    if when != "at the end":
        pod.end()
    assert pod.wait() == (0, 0)
    assert db.values("t") == ["1.0", "2.0"]


def test_an_answer_that_is_lost_doubles_nothing(pods: Pods, db: DbManager) -> None:
    """The rows were kept, and the report looked like a failure."""
    db.lose_answers = 1
    pod = pods().start()
    pod.print(*epochs(1, 2, 3))
    pod.end()
    assert pod.wait() == (0, 0)
    assert db.values("t") == ["1.0", "2.0", "3.0"]
    assert pod.said.count("DB manager does not answer") == pod.said.count("DB manager is back") == 1


@pytest.mark.parametrize("stopping", [False, True])
@pytest.mark.parametrize("end", ["exit 3", "memory kill of the trainer", "memory kill of the container"])
def test_a_trainer_that_fails_fails_the_pod_and_leaves_its_rows(
    pods: Pods, db: DbManager, end: str, stopping: bool
) -> None:
    """With and without a stop rule, by whose wrapper alone a failure can be forgiven; half a line is no metric."""
    pod = pods(stopper="127.0.0.1:1" if stopping else None).start()
    pod.print(*epochs(1, 2))
    db.wait_for("t", 2)
    if end == "exit 3":
        pod.end(3)
    else:
        pod.kill_trainer(shell="container" in end)
    code, collector = pod.wait()
    assert code != 0
    assert collector == FAILED
    assert db.values("t") == ["1.0", "2.0"]


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, FAILED)])
def test_a_trainer_that_ended_before_it_was_looked_for(pods: Pods, db: DbManager, code: int, expected: int) -> None:
    """A finished run that only prints its history; Katib's own collector fails beside it."""
    pod = pods().start_trainer()
    pod.print(*epochs(1, 2))
    pod.end(code)
    assert pod.shell
    assert pod.shell.wait(600) == code
    pod.start_collector()
    assert pod.wait() == (code, expected)
    assert db.values("t") == ["1.0", "2.0"]


def test_a_collector_that_is_there_first_waits_for_the_trainer(pods: Pods, db: DbManager) -> None:
    """The trainer's image took longer; the collector is seen to be there by its first question."""
    pod = pods().start_collector()
    with db.arrived:
        assert db.arrived.wait_for(lambda: db.asked > 0, 30)
    pod.start_trainer()
    pod.print(epoch(1, 1))
    pod.end()
    assert pod.wait() == (0, 0)
    assert db.values("t") == ["1.0"]


def test_a_trial_without_a_metric_is_said_to_have_none(pods: Pods, db: DbManager) -> None:
    """By the row upon which Katib takes it for MetricsUnavailable, not by waiting for ever."""
    pod = pods().start()
    pod.print("nothing to see", f"{METRIC} = 3")
    pod.end()
    assert pod.wait() == (0, 0)
    assert db.rows["t"] == [("0001-01-01T00:00:00.000000Z", METRIC, "unavailable")]


def test_a_pod_that_is_deleted_loses_nothing_of_the_last_checkpoint(pods: Pods, db: DbManager) -> None:
    """Both containers get SIGTERM.

    The trainer, by its preStop hook, saves and prints, and only then the collector ends.
    """
    pod = pods()
    Path(f"{pod.saved}.metric").write_text(f"{epoch(2, 2)}\n{epoch(3, 3)}")
    pod.start()
    pod.print(epoch(1, 1))
    db.wait_for("t", 1)
    assert pod.collector
    assert pod.shell
    pod.collector.send_signal(signal.SIGTERM)
    children = Path(f"/proc/{pod.shell.pid}/task/{pod.shell.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGTERM)
    pod.wait_until_said("the pod is being deleted, and the trainer has ended")
    assert pod.wait() == (143, 128 + signal.SIGTERM)
    assert db.values("t") == ["1.0", "2.0"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (["-x", "1"], "unknown argument '-x'"),
        (["stray"], "unknown argument 'stray'"),
        (["-t"], "-t needs a value"),
        (["-t="], "-t is missing"),
        (["-m", ";"], "-m is empty"),
        (["-format", "CSV"], "it is TEXT or JSON"),
        (["-f", "(a)(?=b)"], "RE2 does not accept"),
        (["-f", "(a)=b"], "has 1 groups"),
    ],
)
def test_bad_arguments_are_one_line(pods: Pods, change: list[str], problem: str) -> None:
    """And exit code 2; the last of two equal flags counts, as in Katib's own."""
    done = subprocess.run(
        [sys.executable, "-m", "katib.services", *pods().arguments, *change],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert problem in done.stderr
    assert done.stderr.count("\n") == 1


def test_arguments_are_read_as_go_reads_them() -> None:
    """One dash or two, with = or without; -w, -p and -timeout are for Katib's own."""
    flags = "--t=x -m=a;b;c -o-type minimize --s-db db:1 -path /var/log/katib/metrics.log -w true -p 1s"
    found = parse(flags.split())
    assert (found.trial, found.metrics, found.objective, found.direction) == (
        "x",
        ("a", "b", "c"),
        "a",
        Direction.MINIMIZE,
    )
    assert (found.db_manager, str(found.output)) == ("db:1", "/var/log/katib/metrics.log")
    assert found.early_stopping is None
