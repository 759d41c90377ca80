"""Replaces the search in a folder by another one of its name, where no trial of it has finished an epoch.

Such a search holds no result that could be lost.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from katib.backend.local.process import end_leftovers
from katib.backend.local.record import DATABASE, MANIFEST, Trial, read
from katib.backend.local.running import SAVE_TIMEOUT
from katib.errors import ManifestError
from katib.manifest.experiment import load_experiment
from katib.metrics import MetricParser
from katib.trainer_contract import BEST
from katib.untrusted import lines, read_text

OUTPUTS = "output*.log"
"""The output of all tries of a trial."""
_TRIAL = re.compile(r"[a-z0-9][a-z0-9-]*")


def clear(folder: Path, trials: Sequence[Trial]) -> bool:
    """Removes the search in `folder` where none of its `trials` has finished an epoch; returns whether it did.

    Its processes are ended first. The caller holds the folder's lock and has closed the store.
    """
    if _trained(folder, trials):
        return False
    runs = [folder / trial.name for trial in trials if _TRIAL.fullmatch(trial.name)]
    end_leftovers([run for run in runs if run.is_dir()], SAVE_TIMEOUT)
    if _trained(folder, trials):  # a process may have finished an epoch before it ended
        return False
    for run in runs:
        if run.is_dir() and not run.is_symlink():
            shutil.rmtree(run)
    # The database goes last: as long as it exists, the next start after an interruption comes here again.
    (folder / f"{DATABASE}-journal").unlink(missing_ok=True)
    (folder / DATABASE).unlink()
    return True


def untrained(folder: Path) -> bool:
    """Returns whether no trial of the search in `folder`, if there is one, has finished an epoch."""
    return not (folder / DATABASE).exists() or not _trained(folder, read(folder)[1])


def _trained(folder: Path, trials: Sequence[Trial]) -> bool:
    """Returns whether a trial has finished an epoch, recorded or not; True as well where that cannot be read."""
    if any(trial.values for trial in trials):
        return True
    try:
        experiment = load_experiment(read_text(folder / MANIFEST), str(folder / MANIFEST))
        parser = MetricParser(experiment.template.filters, [experiment.search.metric])
        for trial in trials:
            run = folder / trial.name
            if (run / BEST).exists():
                return True
            if any(
                parser.parse(line) for output in run.glob(OUTPUTS) for line in lines(output, [experiment.search.metric])
            ):
                return True
    except (OSError, UnicodeDecodeError, ManifestError):
        return True
    return False
