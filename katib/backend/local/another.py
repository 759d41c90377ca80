"""A folder that holds another search: whether it may be replaced.

A search in which no trial has finished an epoch holds no result, and makes room for the next one of its name.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from katib.backend.local.process import end_leftovers
from katib.backend.local.record import DATABASE, MANIFEST, Trial, read
from katib.backend.local.running import SAVE_SECONDS
from katib.errors import ManifestError
from katib.manifest.experiment import load_experiment
from katib.metrics import MetricParser
from katib.trainer_contract import BEST
from katib.untrusted import lines, read_text

OUTPUTS = "output*.log"
"""What the tries of a trial have printed."""
_TRIAL = re.compile(r"[a-z0-9][a-z0-9-]*")


def clear(folder: Path, trials: Sequence[Trial]) -> bool:
    """Remove the search in `folder` where none of its `trials` has finished an epoch; returns whether it has.

    Its processes are ended first. The caller holds the folder's lock and has closed the store.
    """
    if _trained(folder, trials):
        return False
    ours = [folder / trial.name for trial in trials if _TRIAL.fullmatch(trial.name)]
    end_leftovers([place for place in ours if place.is_dir()], SAVE_SECONDS)
    if _trained(folder, trials):  # what was ended may have finished an epoch meanwhile
        return False
    for place in ours:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
    # Last of all: as long as it is there, a start that was cut off comes here again.
    (folder / f"{DATABASE}-journal").unlink(missing_ok=True)
    (folder / DATABASE).unlink()
    return True


def untrained(folder: Path) -> bool:
    """Returns whether the search in `folder`, if there is one, holds no finished epoch."""
    return not (folder / DATABASE).exists() or not _trained(folder, read(folder)[1])


def _trained(folder: Path, trials: Sequence[Trial]) -> bool:
    """Returns whether a trial has finished an epoch, told or not; also where that cannot be found out."""
    if any(trial.values for trial in trials):
        return True
    try:
        experiment = load_experiment(read_text(folder / MANIFEST), str(folder / MANIFEST))
        parser = MetricParser(experiment.template.filters, [experiment.search.metric])
        for trial in trials:
            place = folder / trial.name
            if (place / BEST).exists():
                return True
            if any(
                parser.parse(line)
                for output in place.glob(OUTPUTS)
                for line in lines(output, [experiment.search.metric])
            ):
                return True
    except (OSError, UnicodeDecodeError, ManifestError):
        return True
    return False
