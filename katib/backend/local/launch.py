"""How a trial of a manifest is started on this machine: container paths become folders here, the cluster's part is
filled in.

What depends on the trainer of this project stands in `_environment` and `_on`; any other command of a manifest runs as
well. Called by the engine.
"""

import netrc
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from katib.backend.local.corpus import fingerprint, of_tables
from katib.backend.local.variables import unset, variables
from katib.backend.local.volumes import HOST_PATH, corpus_volume, places, stand_ins
from katib.errors import FolderError, ManifestError
from katib.manifest.cluster_only import beside, not_followed
from katib.manifest.command import as_run, expand, is_trainer
from katib.manifest.experiment import Experiment, TrialPod
from katib.manifest.object import GPU_RESOURCE
from katib.text import count
from katib.trainer_contract import DATA_VOLUME, ROOT, Flags


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
    def ours(self) -> bool:
        """Whether trials are trainings of our trainer."""
        return is_trainer(_example(self.experiment).argv)

    @property
    def without_gpu(self) -> bool:
        """Whether trials ask for a GPU that is not here."""
        values = _all(self.experiment, "")
        here, there = (self.launch("example", values, device).argv for device in (self.slots[0], "0"))
        return here != there

    def notes(self) -> Iterator[str]:
        """Yields what this machine does otherwise than a cluster with the trials of this experiment, one line each."""
        pod = _example(self.experiment)
        if len(self.slots) < self.experiment.search.parallel_trials:
            yield (
                f"{count(len(self.slots), 'trial')} at a time, by the GPUs that are here, where parallelTrialCount asks for"
                f" {self.experiment.search.parallel_trials}"
            )
        for name in beside(self.experiment.spec):
            yield f"the container {name} of a trial's pod is not run here"
        if not self.ours:
            yield from not_followed(self.experiment.spec)
            yield from unset(pod, self.experiment, os.environ)
        yield from stand_ins(pod, self.data)

    def corpus(self) -> str:
        """Returns what the corpus is known by, wherever it lies; empty without one.

        Raises FolderError where our trainer refuses it.
        """
        if self.data is None:
            return ""
        trial, other = (self.launch("example", _all(self.experiment, value), None) for value in ("", "0"))
        folder = _data_dir(trial.argv)
        if folder is None or folder != _data_dir(other.argv):  # another program, or a search among corpora
            return of_tables(self.data)
        return fingerprint(trial.argv[: trial.argv.index("trainer") + 1], trial.env, folder)

    def launch(self, trial: str, assignments: Mapping[str, str], device: str | None) -> Launch:
        """Returns the command of `trial` on `device`. Raises ManifestError where the manifest does not say enough."""
        pod = self.experiment.trial(trial, assignments)
        folder = self.folder / trial
        known = variables(pod, self.experiment, os.environ)
        found = places(pod, self.experiment, self.data, self.runs, folder, known)
        argv = tuple(_mapped(word, found) for word in as_run([expand(word, known) for word in pod.argv]))
        working_dir = pod.container.working_dir
        place = Path(_mapped(working_dir, found)) if working_dir else None
        env = {name: _mapped(text, found) for name, text in known.items()}
        volumes = tuple(path for path in found.values() if path.is_relative_to(self.runs))
        return Launch(_python(_on(device, argv)), self._environment(env, device), place, volumes)

    def _environment(self, variables: Mapping[str, str], device: str | None) -> dict[str, str]:
        """Returns the user's own, then the manifest's.

        What only the cluster knows (secrets) is the user's if it is there.
        """
        # HOME of a container is a place to write to; here it is where the user's settings are.
        env = {**os.environ, **{name: text for name, text in variables.items() if name != "HOME"}}
        # So that `python` is this interpreter behind a shell or `env`, too.
        env["PATH"] = os.pathsep.join(filter(None, [str(Path(sys.executable).parent), env.get("PATH")]))
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH"), str(Path.cwd())]))
        env.setdefault("PYTHONUNBUFFERED", "1")
        env.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // len(self.slots))))
        if device is not None:
            env["CUDA_VISIBLE_DEVICES"] = device
        # The engine reads to the end of the output, so the trainer need not wait for a reader
        # (trainer/training/train.py).
        env["TRAINER_READ_TO_END"] = "1"
        return _with_tracking(env)


def launcher(experiment: Experiment, data: Path | None, runs: Path) -> Launcher:
    """Returns how to run `experiment` with the corpus in `data` and everything it writes below `runs`. Writes nothing.

    Raises ManifestError where the manifest cannot be run here, FolderError where `data` is not what it asks for.
    """
    if experiment.template.collector != "StdOut":
        raise ManifestError(
            f"{experiment.name}: metrics collector {experiment.template.collector}: only StdOut is read here; have the trial"
            " print its metrics and take StdOut, or run it on a cluster"
        )
    if not experiment.search.max_trials and experiment.goal is None and experiment.search.algorithm.name != "grid":
        raise ManifestError(f"{experiment.name}: neither maxTrialCount nor a goal: the search would never end")
    corpus = corpus_volume(_example(experiment))
    if corpus and not (corpus == HOST_PATH and data is None):
        require_corpus(data)
    elif data is not None:
        raise FolderError(f"--data {data}: the manifest mounts no volume '{DATA_VOLUME}' to see it; leave --data away")
    found = Launcher(experiment, data and data.resolve(), runs.resolve(), _slots(experiment))
    _check_command(found)
    return found


def _example(experiment: Experiment) -> TrialPod:
    return experiment.trial("example", _all(experiment, ""))


def _all(experiment: Experiment, value: str) -> dict[str, str]:
    return {parameter.name: value for parameter in experiment.search.parameters}


def _data_dir(argv: Sequence[str]) -> Path | None:
    """Returns the corpus that a trial of our trainer reads; None of another program's."""
    words = list(argv)
    if not is_trainer(words) or Flags.DATA_DIR not in words:
        return None
    return next(map(Path, words[words.index(Flags.DATA_DIR) + 1 :]), None)


def gpus() -> list[str]:
    """Returns the GPUs that trials may use, as CUDA_VISIBLE_DEVICES names them.

    None where there is no NVIDIA driver.
    """
    if (chosen := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, "--query-gpu=uuid", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else []


def _slots(experiment: Experiment) -> tuple[str | None, ...]:
    """As many GPUs a trial as its container asks for, and one where it asks for none.

    Where there is none here, as many trials at a time as the manifest asks for. Raises ManifestError where a trial asks
    for more GPUs than there are.
    """
    here, parallel = gpus(), experiment.search.parallel_trials
    asked = max(1, _asked_gpus(_example(experiment)))
    if here and asked > len(here):
        raise ManifestError(
            f"{experiment.name}: a trial asks for {asked} GPUs ({GPU_RESOURCE}), and there are {len(here)} here; lower that limit"
        )
    groups = [",".join(here[i : i + asked]) for i in range(0, len(here) - asked + 1, asked)]
    return tuple(groups[:parallel]) or (None,) * parallel


def _asked_gpus(pod: TrialPod) -> int:
    text = str(pod.container.resources.limits.get(GPU_RESOURCE, 0))
    return int(text) if text.isdecimal() else 0


def require_corpus(data: Path | None) -> None:
    """Raises FolderError where `data` is no folder with something in it."""
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
    """Returns `text` with every container path in it replaced, and with no part of another path taken for one."""
    if not places:
        return text
    longest_first = "|".join(re.escape(path) for path in sorted(places, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])({longest_first})(?![\w.-])", lambda match: str(places[match[1]]), text)


def _on(device: str | None, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the trainer's command for this machine: one that asks for a GPU trains on the processor where there is
    none.
    """
    if device is not None or not is_trainer(argv):
        return argv
    return tuple("cpu" if words == (Flags.DEVICE, "cuda") else words[1] for words in pairwise(("", *argv)))


def _python(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the interpreter that runs this engine. With -m it must not find a module of the caller's folder first."""
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
    """Returns whether `wandb login` has left a key."""
    try:
        return "api.wandb.ai" in netrc.netrc().hosts
    except (OSError, netrc.NetrcParseError):
        return False
