"""Starts the other processes of a training on several GPUs, watches them, and ends them with this one.

This process, the first, is the one that is asked to stop; it leaves between two batches, and the others end with it:
their standard input ends when it does, in whatever way (trainer/training/replica.py). A process that dies ends all.
"""

import os
import pickle
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import torch
import torch.distributed as dist

from trainer.config import Run, Training, with_fields
from trainer.data.sampling import Share
from trainer.training.checkpoint import Session, dump
from trainer.training.group import ALONE, Group, PeerLostError, ReplicaError, join
from trainer.training.setup import device_of
from trainer.training.stop import Stopped, StopRequest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

POLL_SECONDS = 0.1
GRACE_SECONDS = 10.0
"""How long this process may go on after another has died, where it does not notice by itself (NCCL)."""


@dataclass(frozen=True)
class Start:
    """What a process must know, pickled on its standard input.

    The settings are given by name, because their classes have the fields of the model and are made in each process.
    """

    settings: dict[str, object]
    training: dict[str, object]
    share: Share
    device: torch.device
    rendezvous: Path

    @property
    def run(self) -> Run:
        """The settings."""
        model = str(self.training["model"])
        training = with_fields(Training, model)(**self.training)  # type: ignore[arg-type]
        return with_fields(Run, model)(**self.settings, training=training)  # type: ignore[arg-type]


def given(settings: "DataclassInstance") -> dict[str, object]:
    """Returns the settings by name, without those of the training."""
    return {field.name: getattr(settings, field.name) for field in fields(settings) if field.name != "training"}


def answer(exit_code: int, problem: str = "") -> bytes:
    """Returns the line by which a process says that it is ready, exit code 0, or why it ends."""
    return f"{exit_code} {problem}\n".encode()


class Replicas:
    """The other processes, and the group that they form with this one; none where `run` needs one GPU only."""

    def __init__(self) -> None:
        self.group: Group = ALONE
        self._processes: list[subprocess.Popen[bytes]] = []
        self._folder: Path | None = None
        self._closing = threading.Event()

    def start(self, run: Run, session: Session, stop: StopRequest) -> None:
        """Starts them all with the state of `session`.

        Raises Stopped where a signal comes meanwhile, and ReplicaError where a process does not start.
        """
        try:
            self._start(run, session, stop)
        except BaseException:
            self.close()
            raise

    def _start(self, run: Run, session: Session, stop: StopRequest) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="trainer-"))
        rendezvous = self._folder / "rendezvous"
        for rank in range(1, run.gpus):
            device = device_of(run, session.device, rank)
            start = Start(given(run), given(run.training), Share(rank, run.gpus), device, rendezvous)
            self._processes.append(_started(start))
        for process in self._processes:
            self._await(process, stop)
        threading.Thread(target=self._watch, daemon=True).start()
        self.group = join(Share(0, run.gpus), rendezvous, session.device)
        self.group.spread(dump(session, {}))

    def cause(self, error: PeerLostError) -> ReplicaError:
        """Returns why a process no longer answers: its death, which may follow within a moment."""
        for _ in range(round(GRACE_SECONDS / 2 / POLL_SECONDS)):
            if dead := self._dead():
                return dead
            self._closing.wait(POLL_SECONDS)
        return error

    def close(self) -> None:
        """Ends them. What they have computed is in this process, too."""
        self._closing.set()
        for process in self._processes:
            _kill(process)
        self._processes.clear()
        if not self.group.alone:
            dist.destroy_process_group()
        self.group = ALONE
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _await(self, process: "subprocess.Popen[bytes]", stop: StopRequest) -> None:
        """Waits until the process is ready."""
        output = cast(IO[bytes], process.stdout)
        while not select.select([output], [], [], POLL_SECONDS)[0]:
            if stop.requested:
                raise Stopped
        code, _, problem = output.readline().decode().partition(" ")
        if code == "0":
            return
        error = ReplicaError(problem.strip())
        error.exit_code = int(code or 1)
        process.wait()
        raise error if code else self._dead() or error

    def _dead(self) -> ReplicaError | None:
        """Returns the error of the first process that has ended, which none does before this one."""
        for rank, process in enumerate(self._processes, start=1):
            code = process.poll()
            if code is not None:
                how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
                error = ReplicaError(
                    f"process {rank} of the training's {len(self._processes) + 1} {how}, and so all end; "
                    "the same command resumes"
                )
                error.exit_code = 128 - code if code < 0 else code or 1
                return error
        return None

    def _watch(self) -> None:
        """Ends this process where another has died and it does not notice."""
        while not self._closing.wait(POLL_SECONDS):
            if (dead := self._dead()) and not self._closing.wait(GRACE_SECONDS):
                print(f"error: {dead}", file=sys.stderr, flush=True)
                os._exit(dead.exit_code)


def _started(start: Start) -> "subprocess.Popen[bytes]":
    safe = ["-P"] if sys.flags.safe_path else []
    process = subprocess.Popen(
        [sys.executable, *safe, "-m", "trainer.training.replica"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Ctrl-C is for this process, and a group of its own can be killed with all that reads ahead for it.
        process_group=0,
    )
    pickle.dump(start, input := cast(IO[bytes], process.stdin))
    input.flush()
    return process


def _kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
