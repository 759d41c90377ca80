"""The collector and early stopping: a real trainer is stopped, saves and is marked, or continues."""

import os
import select
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from katib.services.collector import watch
from katib.services.collector.arguments import parse
from katib.services.stubs import pb, rpc
from tests.katib.services.pod import FAILED, Pods, epoch, epochs
from tests.katib.services.rig import METRIC, DbManager, TrialServer


def marks(cluster: TrialServer) -> list[str]:
    return [item["type"] for item in cluster.objects["trials/t"]["status"]["conditions"]]


def test_a_trial_below_the_median_is_stopped_saved_and_marked(
    pods: Pods, db: DbManager, cluster: TrialServer, stopper: str
) -> None:
    """At the epoch at which it falls below; what the trainer prints while it saves still counts."""
    pod = pods(stopper=stopper)
    Path(f"{pod.saved}.metric").write_text(epoch(5, 1) + "\n2026-11-24T09:36:00Z val_si_snr=7")
    pod.start()
    for step, value in enumerate((3.5, 4.5, 5.5), 1):
        pod.print(epoch(step, value))
        db.wait_for("t", step)
    assert marks(cluster) == ["Created", "Running"]
    pod.print(epoch(4, 5.25))
    assert pod.wait() == (0, 0)
    assert pod.saved.read_text() == "saved"
    assert marks(cluster) == ["Created", "Running", "EarlyStopped"]
    assert db.values("t") == ["3.5", "4.5", "5.5", "5.25", "1.0"]
    assert "step 4: best 5.5 is worse than 6" in pod.said
    (*_, mark) = cluster.objects["trials/t"]["status"]["conditions"]
    assert mark["message"] == "best of epoch 4, 5.50 dB, is below the median of 3 other trials, 6.00 dB"


def test_a_stopper_that_is_away_stops_nothing(pods: Pods, db: DbManager) -> None:
    """The trial runs to its end, and the collector says why it could not ask."""
    pod = pods(stopper="127.0.0.1:1").start()
    pod.print(*epochs(1, 2, 3))
    pod.wait_until_said("does not answer")
    pod.print(epoch(4, 4), epoch(5, 5))
    pod.end()
    assert pod.wait() == (0, 0)
    assert db.values("t") == ["1.0", "2.0", "3.0", "4.0", "5.0"]
    assert pod.said.count("early-stopping service does not answer") == 1


def test_a_mark_that_cannot_be_set_is_tried_again(
    pods: Pods, db: DbManager, cluster: TrialServer, stopper: str
) -> None:
    """The API server is overloaded when the trial is to be marked."""
    cluster.refuse_patches = 1
    pod = pods(stopper=stopper).start()
    pod.print(*epochs(1, 1, 1))
    assert pod.wait() == (0, 0)
    assert marks(cluster)[-1] == "EarlyStopped"
    assert cluster.refuse_patches == 0
    assert "cannot be marked" in pod.said


def test_katibs_own_stopper_is_understood(pods: Pods, db: DbManager) -> None:
    """It answers with one rule for all trials, which holds at its start step alone."""

    class Stock(rpc.EarlyStoppingServicer):  # type: ignore[misc, name-defined]
        marked = ""

        def GetEarlyStoppingRules(self, request: Any, context: grpc.ServicerContext) -> Any:
            rule = pb.EarlyStoppingRule(name=METRIC, value="4", comparison=pb.LESS, start_step=3)
            return pb.GetEarlyStoppingRulesReply(early_stopping_rules=[rule])

        def SetTrialStatus(self, request: Any, context: grpc.ServicerContext) -> Any:
            Stock.marked = request.trial_name
            return pb.SetTrialStatusReply()

    server = grpc.server(ThreadPoolExecutor(2))
    rpc.add_EarlyStoppingServicer_to_server(Stock(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    pod = pods(stopper=f"127.0.0.1:{port}").start()
    pod.print(*epochs(1, 2))
    db.wait_for("t", 2)
    assert pod.shell
    assert pod.shell.poll() is None
    pod.print(epoch(3, 3))
    assert pod.wait() == (0, 0)
    assert Stock.marked == "t"
    server.stop(None)


def test_a_trainer_that_will_not_end_is_killed(
    pods: Pods, db: DbManager, cluster: TrialServer, stopper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time that Kubernetes would give it; Katib's own collector leaves it the GPU."""
    monkeypatch.setattr(watch, "SAVE_TIMEOUT", 0.0)
    pod = pods(stopper=stopper)
    Path(f"{pod.saved}.deaf").touch()
    pod.start_trainer()
    pod.print(*epochs(1, 1, 1))
    assert watch.Watch(parse(pod.arguments)).run() == 0
    assert pod.shell
    assert pod.shell.wait(600) == 0
    assert marks(cluster)[-1] == "EarlyStopped"


def test_a_trainer_of_another_user_goes_on(
    pods: Pods, db: DbManager, stopper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be signalled: no mark is left that would make a failure of it look like a stop."""

    def refuse(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    def fail_afterwards(*_: object) -> None:
        pod.end(1)

    pod = pods(stopper=stopper).start_trainer()
    pod.print(*epochs(1, 1, 1))
    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(watch.log, "warning", fail_afterwards)
    assert watch.Watch(parse(pod.arguments)).run() == FAILED
    assert pod.shell
    assert pod.shell.wait(600) == 1


@pytest.mark.parametrize("end", ["is killed", "completes"])
def test_a_trainer_that_ends_just_before_the_signal_was_not_stopped(
    end: str,
    pods: Pods,
    db: DbManager,
    cluster: TrialServer,
    stopper: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel kills it for its memory, or it completes its last epoch: neither is marked."""
    pod = pods(stopper=stopper).start_trainer()
    pod.print(*epochs(1, 1, 1))
    kill = os.kill

    def after_its_end(pid: int, number: int) -> None:
        assert pod.shell
        if end == "completes" and pod.shell.poll() is None:
            pod.end()
            assert pod.shell.wait(600) == 0
        if end == "is killed" and number == signal.SIGTERM:
            # The shell is held, so that the trainer is dead and its id still taken when the signal comes.
            kill(pod.shell.pid, signal.SIGSTOP)
            died = os.pidfd_open(pid)
            kill(pid, signal.SIGKILL)
            assert select.select([died], [], [], 30)[0]
            os.close(died)
            kill(pid, number)
            kill(pod.shell.pid, signal.SIGCONT)
            return
        kill(pid, number)

    monkeypatch.setattr(os, "kill", after_its_end)
    code = watch.Watch(parse(pod.arguments)).run()
    assert pod.shell
    assert (code, pod.shell.wait(600)) == ((0, 0) if end == "completes" else (FAILED, 1))
    assert marks(cluster) == ["Created", "Running"]
