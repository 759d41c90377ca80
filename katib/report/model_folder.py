"""Takes a trained model home: weights, configuration and evaluations of a run directory, and a README, as one folder.

The weights are checked against the checksum at their end, so that a damaged file is found here and not at its first
use. The folder is written under another name and then renamed.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from katib.errors import FolderError, ResultError, SepsweepError, nearest
from katib.manifest.object import Manifest
from katib.report.model_readme import lines
from katib.table.run_folder import read_json
from katib.table.trial_table import TrialRow, TrialTable
from katib.text import count
from katib.trainer_contract import BEST, CONFIG, EVALUATED, LARGEST_MODEL, SUMMARY, damage, scores_file
from katib.trial import ENDED
from katib.untrusted import LARGEST, clean, parse_json, read_bytes

README = "README.md"

Extra = Callable[[Path], Mapping[str, str]]
"""Adds files to the folder that it is given; returns what each of them is, by name."""


@dataclass(frozen=True)
class Model:
    """A run whose model is taken home."""

    run: Path
    """Its run directory."""
    trial: str
    experiment: str = ""
    """Empty for a run that belongs to none."""


def choose(table: TrialTable, top: int | None, trial: str | None) -> TrialRow:
    """Returns the trial of this name, or the one in this place among those that have ended with a value; the best one.

    Raises SepsweepError where there is none.
    """
    name, ended = table.identity.name, [row for row in table.rows if row.state in ENDED and row.value is not None]
    if trial is not None:
        row = next((row for row in table.rows if row.trial == trial), None)
        if row is None:
            raise SepsweepError(f"'{name}' has no trial '{trial}', {nearest(trial, [row.trial for row in table.rows])}")
        if row not in ended:
            raise ResultError(
                f"{trial} has not ended with a value (it is {row.shown_state}); "
                f"without TRIAL= make fetch takes the best trial of '{name}' that has"
            )
        return row
    if not ended:
        raise ResultError(
            f"no trial of '{name}' has ended with a value ({table.counted or 'no trial yet'}); "
            f"make results EXPERIMENT={name}"
        )
    if (place := top or 1) > len(ended):
        raise SepsweepError(f"TOP={place}: '{name}' has {count(len(ended), 'trial')} that ended with a value")
    return ended[place - 1]


def require_ours(table: TrialTable, trial: str) -> None:
    """Raises ResultError that says where the files of a trial lie, where it is another trainer's."""
    if not Manifest(table.identity.spec).trains_ours:
        here = table.folder if table.venue.run_directories else None
        where = here / trial if here else f"the folder {trial} of the cluster's runs volume"
        raise ResultError(
            f"the trials of '{table.identity.name}' are not runs of `python -m trainer`, whose models alone are known;"
            f" what its program has written is in {where}"
        )


def of_directory(folder: Path) -> Model:
    """Returns the run in a run directory. Raises FolderError where there is none."""
    if not (folder / BEST).is_file():
        what = f"has no {BEST}" if folder.is_dir() else "is no folder"
        raise FolderError(f"{folder}: {what}; name a run directory, or an experiment by its name alone, such as demo")
    return Model(folder, folder.resolve().name)


def write(model: Model, target: Path, extra: Extra | None = None) -> list[str]:
    """Writes the folder `target` for `model`, and returns notes on what is not in it.

    Raises FolderError where `target` exists or cannot be written, and where the run has no model or a damaged one, and
    whatever `extra` raises; no folder remains then.
    """
    if target.exists() or target.is_symlink():
        raise FolderError(f"{target}: exists already, and is not replaced; name another folder with TO=")
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        notes = _fill(model, partial, target, extra)
        partial.rename(target)
    except OSError as error:
        raise FolderError(f"{target}: cannot be written ({error.strerror}); name another folder with TO=") from None
    finally:
        with suppress(OSError):
            shutil.rmtree(partial)
    return notes


def _fill(model: Model, folder: Path, target: Path, extra: Extra | None) -> list[str]:
    weights, config = _read(model.run / BEST, LARGEST_MODEL), _read(model.run / CONFIG)
    if problem := damage(weights):
        raise FolderError(
            f"{model.run / BEST}: is damaged, {problem}; TRIAL= or TOP=2 takes another trial, and the last epoch is in"
            f" last.pt (python -m trainer separate --checkpoint)"
        )
    settings = _settings(config, model.run / CONFIG)
    summary = read_json(model.run / SUMMARY)
    (folder / BEST).write_bytes(weights)
    (folder / CONFIG).write_bytes(config)
    files = {
        BEST: f"the weights of the best epoch; SHA-256 {hashlib.sha256(weights).hexdigest()}",
        CONFIG: "what defines the training: model, settings, seed, and a hash of the corpus",
    }
    notes, scores = [], {}
    for subset in EVALUATED:
        file = model.run / scores_file(subset)
        if not (evaluation := read_json(file)):
            continue
        if (evaluation.get("checkpoint"), evaluation.get("epoch")) != ("best", summary.get("best_epoch")):
            notes.append(f"{file} is not of the weights in {BEST}, and stays there")
            continue
        name = f"evaluation-{subset}.json"
        (folder / name).write_bytes(_read(file))
        files[name] = f"its scores on the corpus's {subset} subset, mixture by mixture"
        scores[subset] = evaluation
    if not scores:
        notes.append(
            f"no evaluation yet; python -m trainer evaluate --run-dir {target} --data-dir … --subset test adds it"
        )
    files |= extra(folder) if extra else {}
    text = "\n".join(lines(model.trial, model.experiment, settings, summary, scores, files))
    (folder / README).write_text(text + "\n", encoding="utf-8")
    return notes


def _settings(config: bytes, file: Path) -> Mapping[str, object]:
    """Returns the settings of a run. Raises FolderError where they are none."""
    try:
        settings = parse_json(config)
    except ValueError as error:
        raise FolderError(f"{file}: is no JSON ({clean(str(error), 200)})") from None
    if not isinstance(settings, dict) or not isinstance(settings.get("model"), str):
        raise FolderError(f"{file}: is no configuration of a training; it names no model")
    return settings


def _read(file: Path, most: int = LARGEST) -> bytes:
    """Returns the content of a file of the run. Raises FolderError that names the file."""
    try:
        return read_bytes(file, most)
    except FileNotFoundError:
        raise FolderError(f"{file}: is missing; a run has it after its first epoch") from None
    except OSError as error:
        raise FolderError(f"{file}: cannot be read ({error.strerror})") from None
