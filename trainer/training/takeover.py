"""Takes over the checkpoints of another run directory, so that a run goes on from there: --continue-from.

The other run must be one of the same training on the same corpus; it stays as it is. Its epochs count as this run's, so
that a learning rate, a patience and a place in the curriculum go on as if there had been more --epochs from the start.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.errors import ConfigError, DamagedCheckpointError
from trainer.metric_line import say
from trainer.run_files import BEST, LAST, PREVIOUS
from trainer.training.checkpoint import content, unpacked
from trainer.training.run_directory import difference


def taken_over(source: Path | None, run_dir: Path, identity: Mapping[str, object]) -> dict[str, bytes]:
    """Returns the files to begin `run_dir` with, by name, in the order in which they are to be written.

    They are none where there is no `source`, or where the run directory has a checkpoint already and resumes from it.
    Raises ConfigError where `source` has no checkpoint that can be read, or one of another training.
    """
    if source is None or any((run_dir / name).exists() for name in (LAST, PREVIOUS)):
        return {}
    last, epochs = _last(source, identity)
    files = {LAST: last}
    if epochs:
        # It may be from an early epoch, and no later one need be better. It comes first: without a last.pt, a process
        # that is killed in between takes over both again.
        files = {BEST: _best(source, identity), **files}
    return files


def _last(source: Path, identity: Mapping[str, object]) -> tuple[bytes, int]:
    """Returns the last checkpoint of a run, or the one before where that is damaged, and its number of epochs."""
    found = [source / name for name in (LAST, PREVIOUS) if (source / name).exists()]
    if not found:
        raise ConfigError(
            f"--continue-from {source}: there is no {LAST}; name the run directory of a run that has its checkpoints"
        )
    damages: list[str] = []
    for file in found:
        try:
            data, state = _checked(file, identity)
            epochs = len(state["progress"]["history"])
        except DamagedCheckpointError as error:
            damages.append(str(error))
        except (KeyError, TypeError):
            damages.append(f"{file}: its parts are not those of this version")
        else:
            for damage in damages:
                say(f"warning: {damage}; takes over {file.name}, the one before")
            return data, epochs
    raise ConfigError(f"--continue-from: {'; '.join(damages)}; name a run whose checkpoints can be read")


def _best(source: Path, identity: Mapping[str, object]) -> bytes:
    """Returns the checkpoint of the best epoch. Raises ConfigError where there is none that can be read."""
    try:
        return _checked(source / BEST, identity)[0]
    except DamagedCheckpointError as error:
        raise ConfigError(f"--continue-from: {error}; name a run whose checkpoints can be read") from error


def _checked(file: Path, identity: Mapping[str, object]) -> tuple[bytes, dict[str, Any]]:
    """Returns a checkpoint's bytes and content.

    Raises DamagedCheckpointError where they cannot be read, ConfigError where it is of another training.
    """
    data = content(file)
    state = unpacked(data, file)
    if different := difference(state.get("identity") or {}, identity):
        raise ConfigError(
            f"--continue-from {file.parent}: holds another training, with {different}; give it the same settings"
        )
    return data, state
