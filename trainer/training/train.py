"""Runs one training, from its settings to its exit code.

All of the input is checked first; only then is the run directory opened.
"""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

import torch

from trainer.config import Run, Training, check_architecture
from trainer.data.readers.corpora import Corpus, open_corpus
from trainer.data.readers.seen import memory
from trainer.data.readers.subset import SAMPLE_RATE
from trainer.device import find_device, made_with
from trainer.errors import (
    ConfigError,
    DataFaultError,
    DivergedError,
    MemoryExhaustedError,
    StorageError,
    TrainerError,
    worker_fault,
)
from trainer.metric_line import metric_line, say
from trainer.models import find
from trainer.recipe import departures
from trainer.text import count
from trainer.tracking import NoTracker, open_tracker, tracker_names
from trainer.training.checkpoint import Session, new_session, resume
from trainer.training.continuation import continued
from trainer.training.epoch import remix_of
from trainer.training.fit import Fit
from trainer.training.group import PeerLostError
from trainer.training.heartbeat import Heartbeat
from trainer.training.memory import exhausted, fitting, is_out_of_memory
from trainer.training.notes import notes
from trainer.training.progress import Progress
from trainer.training.replicas import Replicas
from trainer.training.room import Room
from trainer.training.run_directory import RunDirectory, hold, spent_seconds
from trainer.training.setup import gradients_of, set_up_torch
from trainer.training.stop import Stopped, StopRequest
from trainer.training.takeover import taken_over
from trainer.training.validation import Validation

MADE_WITH = "made with: "
"""The beginning of the line that names versions and corpus, for those who have only the output."""
STOP_SECONDS = 2.5
"""Time for the tracker after SIGTERM, because Katib wants the process to end within 2 to 3 s."""


def train(run: Run) -> int:
    """Trains `run` to its end, or until a signal, and returns the process's exit code. Raises TrainerError.

    Nothing is written before all of the input has been checked.
    """
    run = fitting(continued(run, os.environ))
    tracker_names(os.environ)
    stop = StopRequest()
    with stop.listening():
        device = _device(run)
        check_architecture(run.training.model, run.training.preset, run.training.architecture)
        try:
            # A large corpus takes minutes, in which nothing needs to be saved.
            with stop.leaving_at_once():
                remix = remix_of(run.training)
                corpus = open_corpus(run.data_dir, memory(say, run.run_dir.parent), apart=remix.changes)
                remix.check(corpus.train)
                _check_rows(run, corpus)
                identity = _identity(run.training, corpus)
            begun = taken_over(run.continue_from, run.run_dir, identity)
            with hold(run.run_dir, identity, Room(run.room_minutes, stop)) as folder:
                for name, content in begun.items():
                    folder.write(name, content)
                return _train(run, corpus, folder, identity, device, stop)
        except Stopped:
            stop.delay_exit(_unless_read_to_end(run.stop_delay))
            return stop.exit_code


def _train(
    run: Run, corpus: Corpus, folder: RunDirectory, identity: dict[str, object], device: torch.device, stop: StopRequest
) -> int:
    """Trains in the run directory and returns the exit code. Raises TrainerError."""
    started = time.monotonic()
    set_up_torch(run, device)
    session = new_session(run.training, device)
    for note in resume(session, folder.path, identity):
        say(f"warning: {note}")
    finished = session.progress.finished(run.epochs, run.patience, run.hopeless)
    replicas = Replicas()
    if run.gpus > 1 and not finished:
        replicas.start(run, session, stop)
    tracker = NoTracker() if finished else open_tracker(run.run_dir)
    spent = _spent(run, session, started, finished)
    gradients = gradients_of(run, session)
    heartbeat = Heartbeat(run.epochs)
    fit = Fit(run, corpus, session, gradients, folder, identity, stop, tracker, spent, replicas.group, heartbeat)
    code = 1
    try:
        fit.begin()
        _announce(run, corpus, session)
        fit.summarize("finished" if finished else "running")
        if not finished:
            with heartbeat.beating(folder.path, device):
                fit.epochs()
            if session.progress.early_reason(run.epochs, run.patience, run.hopeless):
                say(_finished(run, session.progress))
        # A run that is already finished, or nearly, would be over before Katib's collector has looked for it.
        stop.wait(_unless_read_to_end(run.linger) - (0.0 if finished else time.monotonic() - started))
        code = stop.exit_code if stop.requested else 0
    except Stopped:
        code = stop.exit_code
        _summarize_end(fit, "stopped")
    except PeerLostError as error:
        raise replicas.cause(error) from error
    except (DivergedError, DataFaultError, RuntimeError, MemoryError) as error:
        code = _fail(fit, error)
    finally:
        replicas.close()
        raised = sys.exception()
        code = raised.exit_code if isinstance(raised, TrainerError) else code
        tracker.finish(code, str(raised or ""), _tracking_seconds(session, stop))
    # Only here, where the failed step's tensors are gone with its traceback, is there memory to try smaller batches.
    if code == MemoryExhaustedError.exit_code:
        # The recorded graphs hold memory, too.
        del fit
        longest = max(int(subset.frames.max()) for subset in (corpus.train, corpus.validation))
        raise exhausted(run, session, min(longest, round(run.training.segment_seconds * SAMPLE_RATE)), folder)
    stop.delay_exit(_unless_read_to_end(run.stop_delay))
    return code


def _fail(fit: Fit, error: Exception) -> int:
    """Writes the summary of a failed run and raises its error; returns the exit code where memory ran out."""
    fault = worker_fault(error) if isinstance(error, RuntimeError) else None
    if isinstance(error, DivergedError):
        _summarize_end(fit, "diverged", str(error))
    elif fault or isinstance(error, DataFaultError):
        _summarize_end(fit, "data fault", str(fault or error))
    elif is_out_of_memory(error):
        _summarize_end(fit, "out of memory")
        return MemoryExhaustedError.exit_code
    if fault:
        raise fault from error
    raise error


def _summarize_end(fit: Fit, state: str, reason: str | None = None) -> None:
    """Writes the summary of a run that ends early; a full volume does not change why it ends."""
    with contextlib.suppress(Stopped, StorageError):
        fit.summarize(state, reason)


def _spent(run: Run, session: Session, started: float, finished: bool) -> Callable[[], float]:
    """Returns a clock of the run in seconds, over all of its processes.

    It continues where the previous process was cut off, so that it never runs backwards, and stands still once the run
    is finished.
    """
    progress = session.progress
    trained = sum(record.seconds for record in progress.history) + progress.partial.seconds
    before = max(spent_seconds(run.run_dir), trained)
    return lambda: before if finished else before + time.monotonic() - started


def _tracking_seconds(session: Session, stop: StopRequest) -> float:
    """Returns how long the tracker may take to end: a hundredth of the training, or STOP_SECONDS after a signal."""
    trained = sum(record.seconds for record in session.progress.history)
    return STOP_SECONDS if stop.requested else min(max(10.0, trained / 100), 120.0)


def _unless_read_to_end(seconds: float) -> float:
    """Returns the seconds to wait for whoever reads stdout: 0 where TRAINER_READ_TO_END says that it reads it all."""
    return 0.0 if os.environ.get("TRAINER_READ_TO_END") else seconds


def _announce(run: Run, corpus: Corpus, session: Session) -> None:
    """Prints the model and the corpus, and for a resumed run the finished epochs with their original times."""
    training, progress = run.training, session.progress
    together = f", {run.gpus} processes with {training.batch_size // run.gpus} mixtures each" if run.gpus > 1 else ""
    say(f"{training.model} ({training.preset}), {session.parameters:,} parameters, on {session.device}{together}")
    say(f"{MADE_WITH}{made_with(session.device)}; corpus {corpus.fingerprint()}")
    for note in find(training.model).notes(session.device):
        say(note)
    say(
        f"{run.data_dir}: {count(len(corpus.train.rows), 'mixture')} to train ({corpus.train.storage}), "
        f"{len(corpus.validation.rows)} to validate ({corpus.validation.storage})"
    )
    for note in notes(run, corpus):
        say(note)
    if training.curriculum == "auto" and training.curriculum_name != training.model:
        say(f"{training.model} has no curriculum of its own: all variants are trained on from the first epoch")
    say(f"unprocessed validation mixtures: {progress.mixture_val_si_snr:.2f} dB SI-SNR")
    for record in progress.history:
        say(
            f"epoch {record.epoch}/{run.epochs}: done before, validation {record.val_si_snr:.2f} dB",
            metric_line(record.time, record.val_si_snr),
        )
    if progress.finished(run.epochs, run.patience, run.hopeless):
        say(_finished(run, progress))
    elif progress.history or progress.partial.batches:
        say(
            f"{run.run_dir}: resumes epoch {progress.epoch} after {count(progress.partial.batches, 'batch', 'batches')}"
        )


def _finished(run: Run, progress: Progress) -> str:
    """Returns why nothing is left to train, and what would train more."""
    more = "more --epochs continue it"
    if reason := progress.early_reason(run.epochs, run.patience, run.hopeless):
        flag = "--patience" if reason.startswith("patience") else "--hopeless"
        more = f"--epochs asks for {run.epochs}; {reason}; a larger {flag} continues it"
    done = "1 epoch is" if len(progress.history) == 1 else f"{len(progress.history)} epochs are"
    return f"{run.run_dir}: finished, {done} done; {more}"


def _device(run: Run) -> torch.device:
    device = find_device(run.device, run.gpus)
    if device.type != "cuda" and run.training.precision == "fp16":
        raise ConfigError(f"--precision fp16: needs a GPU, this is {device.type}; choose bf16 or fp32")
    if run.compile and not shutil.which(compiler := os.environ.get("CXX", "g++")):
        raise ConfigError(f"--compile: needs a C++ compiler, there is no {compiler}; train without, or install it")
    return device


def _check_rows(run: Run, corpus: Corpus) -> None:
    """Raises DataError where no mixture fits the validation variants.

    Each epoch of training has mixtures, since every mixture can show C.
    """
    _ = Validation(run.training, corpus.validation).rows


def _identity(training: Training, corpus: Corpus) -> dict[str, object]:
    """Returns what identifies a run, as config.json holds it: the settings of its training, and its corpus by content.

    The corpus is not identified by its path, because it may be moved.
    """
    values = departures(asdict(training)) | {"curriculum": training.curriculum_name, "corpus": corpus.fingerprint()}
    validation = Validation(training, corpus.validation)
    shown = training.validation_variants or (*validation.deciding, *validation.beside)
    values |= {"validate": list(training.validate)} if training.validate else {}
    return values | {"validation_variants": list(shown)}
