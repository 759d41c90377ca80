"""Turns a trial of a manifest into a command for this machine.

Container paths become folders, and what a cluster would add is filled in. Only `_environment` and `_on` depend on the
trainer of this project; any other command of a manifest runs as well.
"""

import netrc
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from katib.backend.local.corpus import fingerprint, of_tables
from katib.backend.local.devices import cores, slots_here
from katib.backend.local.own_model import require_model
from katib.backend.local.variables import unset, variables
from katib.backend.local.volumes import HOST_PATH, corpus_volume, mounted_folders, stand_ins
from katib.errors import FolderError, ManifestError
from katib.manifest.cluster_only import beside, not_followed
from katib.manifest.command import as_run, expand, is_trainer, trainer_in
from katib.manifest.experiment import Experiment, TrialPod
from katib.program import CHECKOUT, ROOT, TRAINER_PACKAGES, lack
from katib.text import count
from katib.trainer_contract import DATA_VOLUME, START_ANEW, TRACKERS, Flags


@dataclass(frozen=True)
class Launch:
    """A command that can be started here."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    working_dir: Path | None = None
    """The folder in which it starts, created if need be; None: that of the engine."""
    volumes: tuple[Path, ...] = ()
    """Folders that replace the pod's own volumes, created if need be."""

    @property
    def ours(self) -> bool:
        """Whether it is our trainer."""
        return is_trainer(self.argv)


@dataclass(frozen=True)
class Launcher:
    """Prepares trials of one experiment. `data` is the corpus; None where the manifest mounts none."""

    experiment: Experiment
    data: Path | None
    runs: Path
    slots: tuple[str | None, ...]
    """One for each trial that runs at a time: the GPUs that it gets, or None where it gets processor cores."""
    trackers: str = ""
    """What our trainer reports to, with commas; empty: what the environment says."""

    @property
    def folder(self) -> Path:
        """The folder of the experiment."""
        return self.runs / self.experiment.name

    def sharers(self, device: str | None) -> int:
        """Returns how many trials at a time get the GPU `device`; 1 for processor cores."""
        return 1 if device is None else self.slots.count(device)

    @property
    def largest(self) -> dict[str, str]:
        """The largest values of the search, with which a trial takes the most time and memory."""
        parameters = self.experiment.search.parameters
        return {parameter.name: parameter.max or parameter.values[-1] for parameter in parameters}

    @property
    def ours(self) -> bool:
        """Whether trials run our trainer."""
        return is_trainer(_example(self.experiment).argv)

    @property
    def without_gpu(self) -> bool:
        """Whether trials ask for a GPU that this machine lacks."""
        values = _all(self.experiment, "")
        here, with_gpu = (self.launch("example", values, device).argv for device in (self.slots[0], "0"))
        return here != with_gpu

    def notes(self) -> Iterator[str]:
        """Yields the ways in which this machine differs from a cluster for this experiment's trials, one line each."""
        pod = _example(self.experiment)
        if len(self.slots) < self.experiment.search.parallel_trials:
            yield (
                f"{count(len(self.slots), 'trial')} at a time, given the GPUs of this machine; parallelTrialCount asks"
                f" for {self.experiment.search.parallel_trials}"
            )
        for name in beside(self.experiment.spec):
            yield f"the container {name} of a trial's pod does not run here"
        if not self.ours:
            yield from not_followed(self.experiment.spec)
            yield from unset(pod, self.experiment, os.environ)
        yield from stand_ins(pod, self.data)

    def corpus(self) -> str:
        """Returns what identifies the corpus, wherever it is; empty without one.

        Raises FolderError where our trainer refuses it.
        """
        if self.data is None:
            return ""
        trial, other = (self.launch("example", _all(self.experiment, value), None) for value in ("", "0"))
        folder = _data_dir(trial.argv)
        # The command is another program's, or the corpus is a parameter of the search.
        if folder is None or folder != _data_dir(other.argv):
            return of_tables(self.data)
        return fingerprint(trainer_in(trial.argv), trial.env, folder)

    def launch(
        self, trial: str, assignments: Mapping[str, str], device: str | None, *, continued: bool = False
    ) -> Launch:
        """Returns the command of `trial` on `device`; `continued` says that it goes on after a pause.

        Raises ManifestError where the manifest lacks something.
        """
        pod = self.experiment.trial(trial, assignments)
        values = variables(pod, self.experiment, os.environ)
        folders = mounted_folders(pod, self.experiment, self.data, self.runs, self.folder / trial, values)
        argv = tuple(_mapped(word, folders) for word in as_run([expand(word, values) for word in pod.argv]))
        working_dir = pod.container.working_dir
        env = {name: _mapped(text, folders) for name, text in values.items()}
        own = CHECKOUT or is_trainer(argv)
        return Launch(
            argv=_python(_on(device, argv), own=own),
            env=self._environment(env, device, own=own) | ({START_ANEW: "1"} if continued else {}),
            working_dir=Path(_mapped(working_dir, folders)) if working_dir else None,
            volumes=tuple(path for path in folders.values() if path.is_relative_to(self.runs)),
        )

    def _environment(self, variables: Mapping[str, str], device: str | None, *, own: bool) -> dict[str, str]:
        """Returns the user's environment with the manifest's variables in it, and what a trial on `device` needs."""
        # In a container, HOME is a folder to write to; here it holds the user's settings.
        env = {**os.environ, **{name: text for name, text in variables.items() if name != "HOME"}}
        # With this PATH, `python` is this interpreter, also behind a shell or `env`. An installed program leaves the
        # trainers of others what they have in the user's shell.
        first, packages = (str(Path(sys.executable).parent), str(ROOT)) if own else ("", "")
        env["PATH"] = os.pathsep.join(filter(None, [first, env.get("PATH")]))
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [packages, env.get("PYTHONPATH"), str(Path.cwd())]))
        env.setdefault("PYTHONUNBUFFERED", "1")
        env.setdefault("OMP_NUM_THREADS", str(max(1, cores() // len(self.slots))))
        if device is not None:
            env["CUDA_VISIBLE_DEVICES"] = device
        # The engine reads to the end of the output, so the trainer need not wait for a reader
        # (trainer/training/train.py).
        env["TRAINER_READ_TO_END"] = "1"
        if self.trackers:
            env[TRACKERS] = self.trackers
        return _with_tracking(env)


def launcher(experiment: Experiment, data: Path | None, runs: Path, per_gpu: int = 1) -> Launcher:
    """Returns the launcher of `experiment` with the corpus in `data`; its trials write below `runs`. Writes nothing.

    As many as `per_gpu` trials share a GPU.

    Raises ManifestError where the manifest cannot run here, FolderError where `data` is not what it asks for.
    """
    if experiment.template.collector != "StdOut":
        raise ManifestError(
            f"{experiment.name}: metrics collector {experiment.template.collector}: this machine reads StdOut only;"
            " have the trial print its metrics and use StdOut, or run it on a cluster"
        )
    if not experiment.search.configurations and experiment.goal is None and experiment.search.algorithm.name != "grid":
        raise ManifestError(f"{experiment.name}: neither maxTrialCount nor a goal: the search would never end")
    corpus = corpus_volume(_example(experiment))
    if corpus and not (corpus == HOST_PATH and data is None):
        require_corpus(data)
    elif data is not None:
        raise FolderError(f"--data {data}: the manifest mounts no volume '{DATA_VOLUME}' for it; leave --data out")
    # Path.resolve raises a RuntimeError of links that lead in a circle.
    folder = Path(os.path.realpath(runs))
    prepared = Launcher(experiment, data and data.resolve(), folder, slots_here(experiment, per_gpu))
    _check_command(prepared)
    example = prepared.launch("example", _all(experiment, ""), None)
    require_model(experiment.name, example.argv, example.env)
    return prepared


def _example(experiment: Experiment) -> TrialPod:
    return experiment.trial("example", _all(experiment, ""))


def _all(experiment: Experiment, value: str) -> dict[str, str]:
    return {parameter.name: value for parameter in experiment.search.parameters}


def _data_dir(argv: Sequence[str]) -> Path | None:
    """Returns the corpus that a trial of our trainer reads; None for another program."""
    words = list(argv)
    if not is_trainer(words) or Flags.DATA_DIR not in words:
        return None
    return next(map(Path, words[words.index(Flags.DATA_DIR) + 1 :]), None)


def require_corpus(data: Path | None) -> None:
    """Raises FolderError where `data` is missing, no folder, or empty."""
    if data is None:
        raise FolderError(
            "--data is missing: the folder of the corpus, which holds train/ and val/; `make corpus` builds one"
        )
    if not data.is_dir():
        raise FolderError(f"--data {data}: no such folder; `make corpus` builds a corpus")
    if not any(data.iterdir()):
        raise FolderError(f"--data {data}: the folder is empty; `make corpus` builds a corpus")


def _check_command(launcher: Launcher) -> None:
    """Raises ManifestError where a trial's folder or program is missing, as far as it is the same for each trial."""
    name = launcher.experiment.name
    launch, other = (launcher.launch("example", _all(launcher.experiment, value), None) for value in ("", "0"))
    folder, program = launch.working_dir, launch.argv[0]
    if launch.ours and (program == sys.executable or "/" not in program) and (problem := lack(TRAINER_PACKAGES)):
        raise ManifestError(f"{name}: {problem}")
    # A folder of a volume is created with the trial.
    if folder is not None and folder == other.working_dir and not (_below(launcher, folder) or folder.is_dir()):
        raise ManifestError(
            f"{name}: workingDir {folder}: no such folder on this machine; create it, or remove workingDir"
        )
    if "/" in program:
        program = str((folder or Path()) / program)
    if re.match(r"[A-Za-z_]\w*=", launch.argv[0]):
        raise ManifestError(f"{name}: command: begins with a variable, which only a shell reads; write env before it")
    if launch.argv[0] != other.argv[0] or _below(launcher, Path(program)):
        return
    if shutil.which(program, path=launch.env.get("PATH")) is None:
        there = Path(program).is_file()
        why = (
            f"is not executable; begin with its interpreter (python3 {launch.argv[0]}), or chmod +x it"
            if there
            else "no such program on this machine; install it first"
        )
        raise ManifestError(f"{name}: command {program}: {why}")
    script = next((word for word in launch.argv[1:] if not word.startswith("-")), "")
    path = Path(folder or "") / script
    if script.endswith(".py") and script in other.argv and not (_below(launcher, path) or path.exists()):
        where = (
            "on this machine; if it lies in the image, copy it to that place, or change the command"
            if path.is_absolute()
            else f"in {folder or Path.cwd()}; start it where that lies"
        )
        raise ManifestError(f"{name}: command {script}: no such file {where}")


def _below(launcher: Launcher, path: Path) -> bool:
    return path.is_relative_to(launcher.runs)


def _mapped(text: str, folders: Mapping[str, Path]) -> str:
    """Returns `text` with every container path in it replaced; a part of another path stays as it is."""
    if not folders:
        return text
    longest_first = "|".join(re.escape(path) for path in sorted(folders, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])({longest_first})(?![\w.-])", lambda match: str(folders[match[1]]), text)


def _on(device: str | None, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the trainer's command for `device`; without one, a command that asks for a GPU trains on the CPU."""
    if device is not None or not is_trainer(argv):
        return argv
    here = {Flags.DEVICE: "cpu", Flags.GPUS: "1"} if (Flags.DEVICE, "cuda") in pairwise(argv) else {}
    return tuple(here.get(flag, word) for flag, word in pairwise(("", *argv)))


def _python(argv: tuple[str, ...], *, own: bool) -> tuple[str, ...]:
    """Returns the command with the interpreter of this engine for `python`, or for one that is not there.

    With -m the interpreter must not find a module of the caller's folder first, which -P prevents.
    """
    if argv[0] not in ("python", "python3") or not (own or shutil.which(argv[0]) is None):
        return argv
    safe = ("-P",) if argv[1:2] == ("-m",) else ()
    return (sys.executable, *safe, *argv[1:])


def _with_tracking(env: dict[str, str]) -> dict[str, str]:
    """Returns the environment with W&B where the user has a key for it or sets WANDB_MODE, and else without."""
    if env.get("WANDB_API_KEY") or env.get("WANDB_MODE"):
        return env
    if _logged_in():
        return env | {"WANDB_MODE": "online"}
    return {name: value for name, value in env.items() if name != "WANDB_PROJECT"}


def _logged_in() -> bool:
    """Returns whether `wandb login` has stored a key."""
    try:
        return "api.wandb.ai" in netrc.netrc().hosts
    except (OSError, netrc.NetrcParseError):
        return False
