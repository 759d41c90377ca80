"""Finds the run directory of a continuation: a trial that goes on with what an earlier one has trained.

On Katib a continuation is a trial of its own name; the first trial's name, which is its run directory's, comes in the
environment. Whether the directory holds the same training is for run_directory.py to say.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from trainer.config import Run
from trainer.errors import ConfigError
from trainer.metric_line import say
from trainer.run_files import LAST, PREVIOUS

CONTINUES = "SEPSWEEP_CONTINUES"
"""The variable with the name of the first trial; missing or empty where a run is not a continuation."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""A value of a Kubernetes label, which can name neither another folder's files nor the folder above."""


def continued(run: Run, environment: Mapping[str, str]) -> Run:
    """Returns `run` in the run directory that it goes on in, beside its own; `run` itself where it is no continuation.

    Raises ConfigError for a variable that is no plain name.
    """
    first = environment.get(CONTINUES, "")
    if not first:
        return run
    if not _NAME.fullmatch(first):
        raise ConfigError(
            f"{CONTINUES} {first[:100]!r}: is no name of a trial, which has letters, digits, '-', '_' and '.' only;"
            " correct it, or unset it to begin a run"
        )
    path = run.run_dir.absolute().parent / first
    there = (path / LAST).exists() or (path / PREVIOUS).exists()
    say(f"note: {run.run_dir.absolute().name} continues {path}" + ("" if there else ": no checkpoint; starts anew"))
    return replace(run, run_dir=path)
