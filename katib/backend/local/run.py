"""Runs an Experiment on this machine, from its folder to its end.

<runs>/<experiment>/study.db         the trials (katib/backend/local/store.py)
<runs>/<experiment>/experiment.yaml  the manifest
<runs>/<experiment>/engine.lock      held by the running engine
<runs>/<experiment>/sessions.jsonl   who ran it, when, and why each session ended (sessions.py)
<runs>/<experiment>/<trial>/         output.log and the trial's own files
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from katib.backend.local import live
from katib.backend.local.another import OUTPUTS, clear
from katib.backend.local.corpus import EARLIER, is_earlier
from katib.backend.local.ending import Halt
from katib.backend.local.engine import Engine
from katib.backend.local.launch import Launcher
from katib.backend.local.lock import holders, lock, named
from katib.backend.local.process import end_leftovers
from katib.backend.local.record import DATABASE, LOCK, MANIFEST, read
from katib.backend.local.requeue import requeue
from katib.backend.local.sessions import SESSIONS, session
from katib.backend.local.store import Store
from katib.backend.local.telling import Telling
from katib.backend.local.warm_start import earlier_trials
from katib.corpus_checks import corpus_line
from katib.errors import FolderError, ManifestError, SepsweepError
from katib.files import write_whole
from katib.manifest.diff import changes
from katib.manifest.experiment import load_experiment
from katib.notify import Notifier, Recipient
from katib.program import as_typed
from katib.search.history import Observation
from katib.search.sampler import idle_settings, sampler
from katib.search.stop_rules import stop_rule
from katib.stop_settings import PROMOTE
from katib.text import count
from katib.tree import at, items_at, text_at
from katib.trial import WITHOUT_RESULT, Identity
from katib.untrusted import read_text

BUDGET = ("maxTrialCount", "parallelTrialCount", "maxFailedTrialCount")
"""What may change from one start to the next (Katib v0.19 lets the same three be edited)."""


def run(launcher: Launcher, manifest: str, notify: Recipient | None = None) -> Halt | None:
    """Runs or resumes the search; `manifest` is the text of its Experiment. Returns None where it reached its end.

    `notify` is told of its events. Raises ManifestError and FolderError before anything is written, EngineError where
    writing fails.
    """
    experiment = launcher.experiment
    sampler(experiment.search)
    if experiment.search.early_stopping:
        stop_rule(experiment.search.early_stopping, experiment.search.direction, experiment.measure)
    earlier, missing = _earlier(launcher)
    with _held(launcher.folder):
        view = live.view(experiment, launcher.folder, slots=len(launcher.slots), gpu=launcher.slots[0] is not None)
        store = _open(launcher, manifest, view.say)
        try:
            for note in (*_notes(launcher), *_warm(launcher, earlier, missing)):
                view.say(f"note: {note}")
            if line := corpus_line(launcher.runs, store.identity.corpus, str(launcher.data)):
                view.say(as_typed(line))
            unfinished = [launcher.folder / trial.name for trial in store.trials() if not trial.finished]
            for folder in end_leftovers(unfinished, experiment.template.grace_seconds, view.say):
                view.say(f"trial {folder.name}  was still running; it was stopped, and resumes from its checkpoint")
            with session(launcher.folder) as ending:
                telling = Telling(view, Notifier(notify), experiment, launcher.folder) if notify else None
                if telling:
                    telling.begin(store.trials())
                halt = Engine(launcher, store, telling or view, earlier).run()
                if telling:
                    telling.end(store.trials(), halt)
                ending.why = halt.reason if halt else ""
            return halt
        finally:
            store.close()


def is_begun(launcher: Launcher) -> bool:
    """Returns whether the folder of this search holds it already, so that a start resumes it."""
    if not (launcher.folder / DATABASE).exists():
        return False
    return _fixed(read(launcher.folder)[0]) == _fixed(launcher.experiment.identity())


def _notes(launcher: Launcher) -> Iterator[str]:
    """Yields the ways in which the search differs here from one on a cluster, one line each."""
    algorithm = launcher.experiment.search.algorithm
    for name in idle_settings(algorithm):
        yield f"{algorithm.name} does not use the setting {name} here"
    yield from launcher.notes()
    if launcher.without_gpu:
        deadline = ", without the deadline that was set for a GPU" if launcher.experiment.template.job_deadline else ""
        yield f"there is no GPU here, so trials train on the processor (--device cpu){deadline}"


def _earlier(launcher: Launcher) -> tuple[list[Observation], str]:
    """Returns the trials of the searches that warm_start names, or why a search that has begun goes on without them.

    Raises ManifestError where they cannot be read and the search has not begun.
    """
    try:
        return earlier_trials(launcher.folder.parent, launcher.experiment), ""
    except ManifestError as error:
        if not is_begun(launcher):
            raise
        return [], str(error)


def _warm(launcher: Launcher, earlier: Sequence[Observation], missing: str) -> Iterator[str]:
    """Yields what the search begins with, one line each."""
    if missing:
        yield f"{missing}; the search has begun, and goes on without its trials"
    if not earlier:
        return
    space = sampler(launcher.experiment.search).space
    fitting = sum(space.key(trial.assignments) is not None for trial in earlier)
    others = f"; {len(earlier) - fitting} of another space say nothing" if fitting < len(earlier) else ""
    yield f"warm_start: the search begins with {count(fitting, 'earlier trial')}{others}"


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Creates the folder and locks other engines out. The kernel releases the lock however this process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = lock(folder / LOCK)
    except OSError as error:
        # mkdir says that it exists where a file has the name of the search.
        own = error.filename == str(folder / LOCK) or isinstance(error, FileExistsError)
        path = error.filename if own else f"--out {folder.parent}"
        fix = "; remove that file, or choose another NAME (--name)" if isinstance(error, FileExistsError) else ""
        raise FolderError(f"{path}: cannot be written ({error.strerror}){fix}") from None
    if descriptor is None:
        raise FolderError(
            f"{folder}: this experiment is already running ({named(holders(folder / LOCK))}); stop it first"
        )
    try:
        yield
    finally:
        os.close(descriptor)


def _open(launcher: Launcher, manifest: str, say: Callable[[str], None]) -> Store:
    """Returns the store of this experiment, or a new one, which also replaces a search without a finished epoch.

    Raises FolderError where the store belongs to another search, or is missing beside trials.
    """
    folder, identity = launcher.folder, launcher.experiment.identity(launcher.corpus())
    if (folder / DATABASE).exists():
        store = Store(folder)
        reason, way_out = _misfit(store.identity, identity, launcher)
        if not reason:
            for trial in requeue(store, store.trials()):
                say(f"trial {trial.name}  {trial.reason}")
        failed = [trial for trial in store.trials() if trial.state in WITHOUT_RESULT]
        limit = launcher.experiment.max_failed_trials
        if reason or (limit is not None and len(failed) >= max(1, limit)):
            trials = store.trials()
            store.close()
            if clear(folder, trials):
                reason = reason or f"had {count(len(failed), 'failed trial')}"
                say(f"{folder}: {reason}; no trial had finished an epoch, so this search replaces it")
                return _new(folder, manifest, identity)
            if reason:
                raise FolderError(f"{folder}: {reason}; {way_out}")
            store = Store(folder)
        if store.identity != identity or not _holds_experiment(folder / MANIFEST):
            write_whole(folder / MANIFEST, [manifest])
        if store.identity != identity:
            store.rebind(identity)
        return store
    if trained := {output.parent for output in folder.glob(f"*/{OUTPUTS}")}:
        raise FolderError(
            f"{folder}: {DATABASE} is missing, though {count(len(trained), 'trial')} ran here; put it back from a copy,"
            " or choose another NAME (--name) to begin anew"
        )
    return _new(folder, manifest, identity)


def _holds_experiment(path: Path) -> bool:
    """Returns whether the manifest in the folder can be read: other verbs need it."""
    try:
        load_experiment(read_text(path), str(path))
    except (OSError, UnicodeDecodeError, SepsweepError):
        return False
    return True


def _new(folder: Path, manifest: str, identity: Identity) -> Store:
    with suppress(OSError):
        (folder / SESSIONS).unlink(missing_ok=True)
    write_whole(folder / MANIFEST, [manifest])
    return Store.create(folder, identity)


def _misfit(recorded: Identity, wanted: Identity, launcher: Launcher) -> tuple[str, str]:
    """Returns why the recorded search is another one, and what to do about it; two empty texts where it is the same."""
    folder = launcher.folder
    if _fixed(recorded) != _fixed(wanted):
        first, *others = changes(_fixed(recorded), _fixed(wanted))
        more = f" and {len(others)} more" if others else ""
        return (
            f"holds another search ({first}{more})",
            "only TRIALS, PARALLEL, GPU_HOURS and max_failed_trials may change: choose another NAME (--name), continue"
            f" that search with FILE={folder / MANIFEST}, or remove it with rm -r {folder}",
        )
    if recorded.corpus not in ("", wanted.corpus):
        if is_earlier(recorded.corpus, wanted.corpus):
            return EARLIER, "choose another NAME (--name), or finish it with that version"
        return (
            f"its trials were trained on another corpus than {launcher.data}",
            "values on two corpora cannot be compared: give the DATA (--data) of that corpus, or choose another NAME"
            " (--name)",
        )
    return "", ""


def _fixed(identity: Identity) -> dict[str, object]:
    """Returns what may not change; the number of configurations of the stop rule promote is the budget there."""
    fixed = {key: value for key, value in identity.spec.items() if key not in BUDGET}
    stopping = at(identity.spec, "earlyStopping")
    if text_at(stopping, "algorithmName") == PROMOTE:
        settings = [one for one in items_at(stopping, "algorithmSettings") if text_at(one, "name") != "configurations"]
        fixed["earlyStopping"] = {**stopping, "algorithmSettings": settings}
    return fixed
