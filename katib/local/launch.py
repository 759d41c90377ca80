"""How a trial of a manifest is started on this machine: container paths become folders here, the cluster's part is filled in.

What depends on the trainer of this project stands in `_environment` and `_on`; any other command of a manifest runs as well.
Called by the engine.
"""

import netrc
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from katib.errors import FolderError, ManifestError
from katib.experiment import Experiment, Mount, TrialCommand
from katib.local.command import expand, expanded, is_trainer
from katib.local.corpus import fingerprint, of_tables

DATA_VOLUME, RUNS_VOLUME = "data", "runs"
DATA_DIR = "--data-dir"
ROOT = Path(__file__).parents[2]
"""Where the packages katib and trainer are, so that `python -m trainer` is found from any folder."""


@dataclass(frozen=True)
class Launch:
    """A command that can be started here."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    place: Path | None = None
    """The folder that it begins in; None: that of the engine."""
    volumes: tuple[Path, ...] = ()
    """Folders that stand for the pod's own volumes; a trial finds them made, and its `place`."""

    @property
    def ours(self) -> bool:
        """Whether it is our trainer."""
        return is_trainer(self.argv)


@dataclass(frozen=True)
class Launcher:
    """Starts trials of one experiment. `data` is None where the manifest mounts none."""

    experiment: Experiment
    data: Path | None
    runs: Path
    slots: tuple[str | None, ...]
    """One a trial at a time: the GPU that it gets, or None where it gets processor cores."""

    @property
    def folder(self) -> Path:
        """Of the experiment."""
        return self.runs / self.experiment.name

    @property
    def without_gpu(self) -> bool:
        """Whether trials ask for a GPU that is not here."""
        argv = _example(self.experiment).argv
        return _on(self.slots[0], argv) != argv

    def corpus(self) -> str:
        """Returns what the corpus is known by, wherever it lies; empty without one. Raises FolderError where our trainer
        refuses it."""
        if self.data is None:
            return ""
        trial, other = (self.launch("example", _all(self.experiment, value), None) for value in ("", "0"))
        folder = _data_dir(trial.argv)
        if folder is None or folder != _data_dir(other.argv):  # another program, or a search among corpora
            return of_tables(self.data)
        return fingerprint(trial.argv[: trial.argv.index("trainer") + 1], trial.env, folder)

    def launch(self, trial: str, assignments: Mapping[str, str], device: str | None) -> Launch:
        """The command of `trial` on `device`. Raises ManifestError where the manifest does not say enough."""
        command = self.experiment.trial(trial, assignments)
        places = self._places(command.mounts, self.folder / trial)
        variables = expanded([(variable.name, variable.value) for variable in command.env], os.environ)
        argv = tuple(_mapped(expand(word, variables), places) for word in command.argv)
        place = Path(_mapped(command.working_dir, places)) if command.working_dir else None
        env = {name: _mapped(text, places) for name, text in variables.items()}
        volumes = tuple(path for path in places.values() if path.is_relative_to(self.folder / trial))
        return Launch(_python(_on(device, argv)), self._environment(env, device), place, volumes)

    def _places(self, mounts: Sequence[Mount], folder: Path) -> dict[str, Path]:
        """Container path -> folder here. A path that this machine has as well, such as /tmp, stays as it is."""
        places = {}
        for mount in mounts:
            if mount.volume == RUNS_VOLUME:
                places[mount.path] = self.runs
            elif mount.volume == DATA_VOLUME and self.data is not None:
                places[mount.path] = self.data
            elif not Path(mount.path).is_dir():
                places[mount.path] = folder / mount.volume
        return places

    def _environment(self, variables: Mapping[str, str], device: str | None) -> dict[str, str]:
        """The user's own, then the manifest's; what only the cluster knows (secrets) is the user's if it is there."""
        # HOME of a container is a place to write to; here it is where the user's settings are.
        env = {**os.environ, **{name: text for name, text in variables.items() if name != "HOME"}}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH"), str(Path.cwd())]))
        env.setdefault("PYTHONUNBUFFERED", "1")
        env.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // len(self.slots))))
        if device is not None:
            env["CUDA_VISIBLE_DEVICES"] = device
        # The engine reads to the end of the output, so the trainer need not wait for a reader (trainer/train.py).
        env["TRAINER_READ_TO_END"] = "1"
        return _with_tracking(env)


def launcher(experiment: Experiment, data: Path | None, runs: Path) -> Launcher:
    """How to run `experiment` with the corpus in `data` and everything it writes below `runs`. Writes nothing.

    Raises ManifestError where the manifest cannot be run here, FolderError where `data` is not what it asks for.
    """
    if experiment.collector != "StdOut":
        raise ManifestError(
            f"{experiment.name}: metrics collector {experiment.collector}: only StdOut is read here"
        )
    if not experiment.max_trials and experiment.goal is None and experiment.algorithm.name != "grid":
        raise ManifestError(
            f"{experiment.name}: neither maxTrialCount nor a goal: the search would never end"
        )
    mounted = any(mount.volume == DATA_VOLUME for mount in _example(experiment).mounts)
    if mounted:
        _check_data(data)
    elif data is not None:
        raise FolderError(
            f"--data {data}: the manifest mounts no volume '{DATA_VOLUME}' to see it; leave --data away"
        )
    slots = _slots(experiment.parallel_trials)
    found = Launcher(experiment, data and data.resolve(), runs.resolve(), slots)
    _check_command(found)
    return found


def _example(experiment: Experiment) -> TrialCommand:
    return experiment.trial("example", _all(experiment, ""))


def _all(experiment: Experiment, value: str) -> dict[str, str]:
    return {parameter.name: value for parameter in experiment.parameters}


def _data_dir(argv: Sequence[str]) -> Path | None:
    """The corpus that a trial of our trainer reads; None of another program's."""
    words = list(argv)
    if not is_trainer(words) or DATA_DIR not in words:
        return None
    return next(map(Path, words[words.index(DATA_DIR) + 1 :]), None)


def gpus() -> list[str]:
    """The GPUs that trials may use, as CUDA_VISIBLE_DEVICES names them; none where there is no NVIDIA driver."""
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=uuid", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else []


def _slots(parallel: int) -> tuple[str | None, ...]:
    """One trial a GPU; where there is none, as many as the manifest asks for."""
    return tuple(gpus()[:parallel]) or (None,) * parallel


def _check_data(data: Path | None) -> None:
    if data is None:
        raise FolderError("--data is missing: the folder of the corpus, that holds train/ and val/")
    if not data.is_dir():
        raise FolderError(f"--data {data}: no such folder; `make corpus` builds a corpus")
    if not any(data.iterdir()):
        raise FolderError(f"--data {data}: the folder is empty; `make corpus` builds a corpus")


def _check_command(launcher: Launcher) -> None:
    """A trial's folder and program are there, as far as they are the same for each trial."""
    name = launcher.experiment.name
    one, other = (launcher.launch("example", _all(launcher.experiment, value), None) for value in ("", "0"))
    place = one.place
    # A folder of a volume is made with the trial.
    if place is not None and place == other.place and not (_below(launcher, place) or place.is_dir()):
        raise ManifestError(
            f"{name}: workingDir {place}: no such folder on this machine; make it, or take workingDir out"
        )
    program = one.argv[0]
    if "/" in program:
        program = str((place or Path()) / program)
    if one.argv[0] != other.argv[0] or _below(launcher, Path(program)):
        return
    if shutil.which(program, path=one.env.get("PATH")) is None:
        raise ManifestError(f"{name}: command {program}: no such program on this machine; install it first")


def _below(launcher: Launcher, path: Path) -> bool:
    return path.is_relative_to(launcher.runs)


def _mapped(text: str, places: Mapping[str, Path]) -> str:
    """`text` with every container path in it replaced, and with no part of another path taken for one."""
    if not places:
        return text
    longest_first = "|".join(re.escape(path) for path in sorted(places, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])({longest_first})(?![\w.-])", lambda match: str(places[match[1]]), text)


def _on(device: str | None, argv: tuple[str, ...]) -> tuple[str, ...]:
    """The trainer's command for this machine: one that asks for a GPU trains on the processor where there is none."""
    if device is not None or not is_trainer(argv):
        return argv
    return tuple("cpu" if words == ("--device", "cuda") else words[1] for words in pairwise(("", *argv)))


def _python(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The interpreter that runs this engine. With -m it must not find a module of the caller's folder first."""
    if argv[0] not in ("python", "python3"):
        return argv
    safe = ("-P",) if argv[1:2] == ("-m",) else ()
    return (sys.executable, *safe, *argv[1:])


def _with_tracking(env: dict[str, str]) -> dict[str, str]:
    """W&B is used where the user has a key for it or asks for it by WANDB_MODE; else a trial does not start it."""
    if env.get("WANDB_API_KEY") or env.get("WANDB_MODE"):
        return env
    if _logged_in():
        return env | {"WANDB_MODE": "online"}
    return {name: value for name, value in env.items() if name != "WANDB_PROJECT"}


def _logged_in() -> bool:
    """Whether `wandb login` has left a key."""
    try:
        return "api.wandb.ai" in netrc.netrc().hosts
    except (OSError, netrc.NetrcParseError):
        return False
