"""Runs an Experiment on this machine, from its folder to its end; called by the verb `local`.

<runs>/<experiment>/study.db         the trials (katib/local/store.py)     experiment.yaml  the manifest
<runs>/<experiment>/engine.lock      held by the engine at work            <trial>/         output.log and the trial's own files
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from katib.errors import FolderError
from katib.local.corpus import EARLIER, is_earlier
from katib.local.engine import GRACE_SECONDS, Engine, Halt
from katib.local.launch import Launcher
from katib.local.process import end_leftovers
from katib.local.record import DATABASE, MANIFEST, Identity
from katib.local.store import Store, differences
from katib.local.view import view
from katib.search.sampler import idle_settings, sampler
from katib.search.stopping import stop_rule
from katib.whole_file import write_whole

LOCK = "engine.lock"
BUDGET = ("maxTrialCount", "parallelTrialCount", "maxFailedTrialCount")
"""What may change from one start to the next (Katib v0.19 lets the same three be edited)."""


def run(launcher: Launcher, manifest: str) -> Halt | None:
    """Run or go on with the search; `manifest` is the text of its Experiment. None where it came to its end.

    Raises ManifestError and FolderError before anything is written, EngineError where it cannot be.
    """
    experiment = launcher.experiment
    sampler(experiment)
    if experiment.early_stopping:
        stop_rule(experiment.early_stopping, experiment.maximize, experiment.metric)
    with _held(launcher.folder):
        store = _open(launcher, manifest)
        try:
            seen = view(experiment)
            for name in idle_settings(experiment.algorithm):
                seen.say(f"note: {experiment.algorithm.name} here has no use for the setting {name}")
            if "warm_start" in experiment.algorithm.settings:
                seen.say(
                    "note: warm_start takes the trials of a cluster; here the search begins without them"
                )
            if launcher.without_gpu:
                seen.say("note: there is no GPU here, so that trials train on the processor (--device cpu)")
            unfinished = [launcher.folder / trial.name for trial in store.trials() if not trial.finished]
            for folder in end_leftovers(unfinished, GRACE_SECONDS):
                seen.say(f"trial {folder.name}  was still running; stopped, to go on from its checkpoint")
            return Engine(launcher, store, seen).run()
        finally:
            store.close()


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make the folder and keep other engines out of it. The kernel lets go of the lock however this process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise FolderError(f"--out {folder.parent}: cannot be written ({error.strerror})") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise FolderError(f"{folder}: another engine is at work on this experiment; stop it first") from None
    try:
        yield
    finally:
        os.close(descriptor)


def _open(launcher: Launcher, manifest: str) -> Store:
    """The store of this experiment, or a new one. Raises FolderError where it belongs to another search."""
    folder, identity = launcher.folder, Identity.of(launcher.experiment, launcher.corpus())
    if not (folder / DATABASE).exists():
        write_whole(folder / MANIFEST, [manifest])
        return Store.create(folder, identity)
    store = Store(folder)
    if found := list(differences(_fixed(store.identity), _fixed(identity))):
        store.close()
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise FolderError(
            f"{folder}: holds another search: {found[0]}{more}; only {', '.join(BUDGET)} may change, "
            f"take another --name, or go on with {folder / MANIFEST}"
        )
    if store.identity.corpus not in ("", identity.corpus):
        store.close()
        if is_earlier(store.identity.corpus, identity.corpus):
            raise FolderError(f"{folder}: {EARLIER}; take another --name, or finish it with that version")
        raise FolderError(
            f"{folder}: its trials were trained on another corpus than {launcher.data}, and their values cannot be compared; "
            "give --data of that corpus, or take another --name"
        )
    if store.identity != identity:
        write_whole(folder / MANIFEST, [manifest])
        store.rebind(identity)
    return store


def _fixed(identity: Identity) -> dict[str, object]:
    return {key: value for key, value in identity.spec.items() if key not in BUDGET}
