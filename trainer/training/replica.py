"""`python -m trainer.training.replica`: one of the other processes of a training on several GPUs.

It trains as the first process does, with the same numbers, but prints and writes nothing. Its standard input says what
to train, and ends with the first process, whereupon this one ends, too.
"""

import os
import pickle
import signal
import sys
import threading
import traceback
from pathlib import Path

from trainer.data.readers.corpora import open_corpus
from trainer.data.readers.seen import memory
from trainer.errors import DataFaultError, TrainerError
from trainer.metric_line import say
from trainer.tracking import NoTracker
from trainer.training.checkpoint import load, new_session, unpacked
from trainer.training.epoch import remix_of
from trainer.training.fit import Fit
from trainer.training.group import DATA, MEMORY, OTHER, Group, PeerLostError, join
from trainer.training.memory import is_out_of_memory
from trainer.training.replicas import Start, answer
from trainer.training.room import Room
from trainer.training.run_directory import RunDirectory
from trainer.training.setup import gradients_of, set_up_torch
from trainer.training.stop import StopRequest


def main() -> None:
    """Trains with the others, and waits for the end of the first process."""
    # The first process stops for all.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    start: Start = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that has started this one
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    output = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        fit = _fit(start)
    except TrainerError as error:
        os.write(output, answer(error.exit_code, str(error)))
        os._exit(error.exit_code)
    os.write(output, answer(0))
    _train(fit, start)
    threading.Event().wait()


def _fit(start: Start) -> Fit:
    """Returns the training, which has its state from the first process only later. Raises TrainerError."""
    run = start.run
    set_up_torch(run, start.device)
    corpus = open_corpus(run.data_dir, memory(say, run.run_dir.parent), apart=remix_of(run.training).changes)
    session = new_session(run.training, start.device)
    stop, group = StopRequest(), Group(start.share)
    folder = _Nowhere(run.run_dir, Room(0.0, stop))
    return Fit(run, corpus, session, gradients_of(run, session), folder, {}, stop, NoTracker(), lambda: 0.0, group)


class _Nowhere(RunDirectory):
    """The run directory, which is the first process's to write."""

    def write(self, name: str, content: bytes | memoryview, *, keep: str | None = None) -> None:
        """Writes nothing."""


def _train(fit: Fit, start: Start) -> None:
    """Trains to the end, or until something fails, of which it tells the others."""
    group = fit.group
    try:
        join(start.share, start.rendezvous, start.device)
        load(fit.session, unpacked(group.spread(b""), Path("the first process's state")))
        fit.begin()
        fit.epochs()
    # The first process finds out why the others are lost, or is lost itself.
    except PeerLostError:
        return
    # Whatever it is: otherwise, the others would wait for ever.
    except Exception as error:
        kind = DATA if isinstance(error, DataFaultError) else MEMORY if is_out_of_memory(error) else OTHER
        if kind == OTHER and not isinstance(error, TrainerError):
            traceback.print_exc()
        # The failed step's tensors go with the traceback.
        text = str(error)
        del error
        group.fail(kind, text)


def _end_with_the_first() -> None:
    """Ends this process, and those that read for it, at the end of its standard input."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
