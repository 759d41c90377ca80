"""One training from its settings to its exit code: checks everything first, then opens the run directory and trains.

Called by trainer/__main__.py.
"""

import contextlib
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import torch

from trainer.config import Run, Training, check_architecture
from trainer.data.readers.corpora import Corpus, open_corpus
from trainer.data.readers.oddities import oddities
from trainer.data.readers.seen import memory
from trainer.data.readers.subset import SAMPLE_RATE
from trainer.data.sampling import select, worker_fault
from trainer.device import find_device
from trainer.errors import (
    ConfigError,
    DataFaultError,
    DivergedError,
    MemoryExhaustedError,
    StorageError,
)
from trainer.models import find
from trainer.tracking import NoTracker, open_tracker
from trainer.training.checkpoint import Session, new_session, resume
from trainer.training.fit import Fit
from trainer.training.gradients import Gradients
from trainer.training.memory import exhausted, is_out_of_memory
from trainer.training.metric_line import metric_line, say
from trainer.training.progress import Progress
from trainer.training.room import Room
from trainer.training.run_directory import RunDirectory, hold, spent_seconds
from trainer.training.stop import Stopped, StopRequest

STOP_SECONDS = 2.5
"""After SIGTERM the tracker has that long: Katib wants the process to end in 2 to 3 s."""


def train(run: Run) -> int:
    """Train `run` to its end, or to a signal, and return the process's exit code. Raises TrainerError.

    Nothing is written before all of the input has been checked.
    """
    stop = StopRequest()
    with stop.listening():
        device = _device(run)
        check_architecture(run.training.model, run.training.preset, run.training.architecture)
        try:
            with stop.leaving_at_once():  # a large corpus takes minutes, in which nothing needs to be saved
                corpus = open_corpus(run.data_dir, memory(say, run.run_dir.parent))
                _check_rows(run, corpus)
                identity = _identity(run.training, corpus)
            with hold(run.run_dir, identity, Room(run.room_minutes, stop)) as folder:
                return _train(run, corpus, folder, identity, device, stop)
        except Stopped:
            stop.delay_exit(_patience(run.stop_delay))
            return stop.exit_code


def _train(
    run: Run,
    corpus: Corpus,
    folder: RunDirectory,
    identity: dict[str, Any],
    device: torch.device,
    stop: StopRequest,
) -> int:
    started = time.monotonic()
    _set_up_torch(run, device)
    session = new_session(run.training, device)
    if run.compile:
        session.model.compile()
    for note in resume(session, folder.path, identity):
        say(f"warning: {note}")
    resumed = not math.isnan(session.progress.mixture_val_si_snr)
    finished = session.progress.finished(run.epochs, run.patience)
    tracker = NoTracker() if finished else open_tracker(run.run_dir)
    spent = _spent(run, session, started, finished)
    fit = Fit(run, corpus, session, _gradients(run, session), folder, identity, stop, tracker, spent)
    code = 1
    try:
        if not resumed:
            session.progress.mixture_val_si_snr = fit.mixture_si_snr()
        _announce(run, corpus, session)
        fit.summarize("finished" if finished else "running")
        if not finished:
            fit.epochs()
            if session.progress.patience_reason(run.epochs, run.patience):
                say(_finished(run, session.progress))
        # A run that finds itself finished is over before Katib's collector has looked for it; so may be one that
        # had little left to do.
        stop.wait(_patience(run.linger) - (0.0 if finished else time.monotonic() - started))
        code = stop.exit_code if stop.requested else 0
    except Stopped:
        code = stop.exit_code
        _summarize_end(fit, "stopped")
    except (DivergedError, DataFaultError) as error:
        code = error.exit_code
        _summarize_end(fit, "diverged" if isinstance(error, DivergedError) else "data fault", str(error))
        raise
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and (fault := worker_fault(error)):
            code = fault.exit_code
            _summarize_end(fit, "data fault", str(fault))
            raise fault from error
        if not is_out_of_memory(error):
            raise
        code = MemoryExhaustedError.exit_code
        _summarize_end(fit, "out of memory")
    finally:
        tracker.finish(code, str(sys.exception() or ""), _tracking_seconds(session, stop))
    # Only here, where the failed step's tensors are gone with its traceback, is there memory to try in.
    if code == MemoryExhaustedError.exit_code:
        del fit  # with what was recorded
        longest = max(int(subset.frames.max()) for subset in (corpus.train, corpus.validation))
        raise exhausted(run, session, min(longest, round(run.training.segment_seconds * SAMPLE_RATE)))
    stop.delay_exit(_patience(run.stop_delay))
    return code


def _summarize_end(fit: Fit, state: str, reason: str | None = None) -> None:
    """Writes the summary of a run that ends early; a full volume changes nothing about why it ends."""
    with contextlib.suppress(Stopped, StorageError):
        fit.summarize(state, reason)


def _spent(run: Run, session: Session, started: float, finished: bool) -> Callable[[], float]:
    """Returns a clock of the run: it continues where the process before was cut off, so that it never goes back, and
    rests once the run is finished.
    """
    progress = session.progress
    trained = sum(record.seconds for record in progress.history) + progress.partial.seconds
    before = max(spent_seconds(run.run_dir), trained)
    return lambda: before if finished else before + time.monotonic() - started


def _gradients(run: Run, session: Session) -> Gradients:
    record = run.cuda_graph and session.device.type == "cuda"
    return Gradients(session.model, run.training.precision, session.scaler, run.rows, record)


def _tracking_seconds(session: Session, stop: StopRequest) -> float:
    """Returns how long the tracker may take to end: a hundredth of the training, or, after a signal, what the exit is
    delayed by anyway.
    """
    trained = sum(record.seconds for record in session.progress.history)
    return STOP_SECONDS if stop.requested else min(max(10.0, trained / 100), 120.0)


def _patience(seconds: float) -> float:
    """Returns what to wait for the reader's sake: nothing where it has said that it reads to the end anyway."""
    return 0.0 if os.environ.get("TRAINER_READ_TO_END") else seconds


def _announce(run: Run, corpus: Corpus, session: Session) -> None:
    """What is trained on what; then, of a resumed run, the epochs that are done, with the times when they were."""
    training, progress = run.training, session.progress
    say(f"{training.model} ({training.preset}), {session.parameters:,} parameters, on {session.device}")
    for note in find(training.model).notes(session.device):
        say(note)
    say(
        f"{run.data_dir}: {len(corpus.train.rows)} mixtures to train ({corpus.train.storage}), "
        f"{len(corpus.validation.rows)} to validate ({corpus.validation.storage})"
    )
    for note in _notes(run, corpus):
        say(note)
    if training.curriculum == "auto" and training.curriculum_name != training.model:
        say(f"{training.model} has no curriculum of its own: all variants are trained on from the first epoch")
    say(f"unprocessed validation mixtures: {progress.mixture_val_si_snr:.2f} dB SI-SNR")
    for record in progress.history:
        say(
            f"epoch {record.epoch}/{run.epochs}: done before, validation {record.val_si_snr:.2f} dB",
            metric_line(record.time, record.val_si_snr),
        )
    if progress.finished(run.epochs, run.patience):
        say(_finished(run, progress))
    elif progress.history or progress.partial.batches:
        say(f"{run.run_dir}: goes on with epoch {progress.epoch}, after {progress.partial.batches} batches of it")


def _notes(run: Run, corpus: Corpus) -> Iterator[str]:
    """Notes what is odd about the corpus, stages of the curriculum of which it can show nothing, and a patience that
    cannot end the run.
    """
    if run.patience is not None and run.patience >= run.epochs:
        yield f"note: --patience {run.patience} has no effect: it would need more than the {run.epochs} of --epochs"
    for subset in (corpus.train, corpus.validation):
        if subset.repeated:
            yield f"note: {subset.source}: {subset.repeated} of {len(subset.rows)} mixtures repeat one before them"
        yield from oddities(subset)
    if set(corpus.train.shown) != set(corpus.validation.shown):
        yield (
            f"note: the mixtures to train can show {' '.join(corpus.train.shown)}, those to validate "
            f"{' '.join(corpus.validation.shown)}; a corpus has the same in both"
        )
    curriculum, shown = run.training.stages, corpus.train.shown
    for stage in curriculum.stages:
        if stage.first_epoch <= run.epochs and not set(stage.variants) & set(shown):
            yield (
                f"note: no mixture here can show {' '.join(stage.variants)}; from epoch {stage.first_epoch} on "
                f"the training stays with {' '.join(curriculum.variants(stage.first_epoch, shown))}"
            )


def _finished(run: Run, progress: Progress) -> str:
    """Returns why nothing is left to train, and what trains more."""
    more = "more --epochs continue it"
    if reason := progress.patience_reason(run.epochs, run.patience):
        more = f"--epochs asks for {run.epochs}; {reason}; a larger --patience continues it"
    return f"{run.run_dir}: finished, {len(progress.history)} epochs are done; {more}"


def _device(run: Run) -> torch.device:
    device = find_device(run.device)
    if device.type != "cuda" and run.training.precision == "fp16":
        raise ConfigError(f"--precision fp16: needs a GPU, this is {device.type}; choose bf16 or fp32")
    if run.compile and not shutil.which(compiler := os.environ.get("CXX", "g++")):
        raise ConfigError(f"--compile: needs a C++ compiler, there is no {compiler}; train without, or install it")
    return device


def _set_up_torch(run: Run, device: torch.device) -> None:
    """Matrix products of fp32 in TF32 where the GPU has it, and only reproducible kernels where asked for."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        # What cuBLAS needs to be reproducible; it reads it when CUDA starts, which is later than this.
        if run.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(run.deterministic)


def _check_rows(run: Run, corpus: Corpus) -> None:
    """Raises DataError where the validation has no rows.

    Each epoch of training has some, since every mixture can show C.
    """
    if variants := run.training.validation_variants:
        select(corpus.validation, variants, run.training.validation_limit, "--validation-variants")


def _identity(training: Training, corpus: Corpus) -> dict[str, Any]:
    """Returns what the run directory is the directory of, as JSON holds it.

    The corpus by content, because it may be moved.
    """
    values = asdict(training) | {"curriculum": training.curriculum_name, "corpus": corpus.fingerprint()}
    return values | {"validation_variants": list(training.validation_variants or corpus.validation.whole)}
