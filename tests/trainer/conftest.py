"""A small corpus in PolSESS format and the real trainer as a process, for the tests of trainer/."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import soundfile
import torch

from trainer.__main__ import main

RATE = 8000
FOLDERS = {
    "mixFile": "mix",
    "speaker1File": "clean",
    "speaker2File": "clean",
    "sceneFile": "scene",
    "eventFile": "event",
    "reverbForSpeaker1": "sp1_reverb",
    "reverbForSpeaker2": "sp2_reverb",
    "reverbForEvent": "ev_reverb",
}


def write_subset(root: Path, name: str, count: int, seconds: float, seed: int) -> None:
    """Mixtures of two harmonic voices, noise and a click; the even ones indoors, with a delayed copy as
    reverberation."""
    folder, draw = root / name, np.random.default_rng(seed)
    for stem in FOLDERS.values():
        (folder / stem).mkdir(parents=True, exist_ok=True)
    rows = []
    for index in range(count):
        stems = _stems(draw, round(seconds * RATE), indoor=index % 2 == 0)
        row = dict.fromkeys(FOLDERS, "")
        for column, samples in {"mixFile": sum(stems.values()), **stems}.items():
            row[column] = f"{index:03d}_{column}.wav"
            soundfile.write(folder / FOLDERS[column] / row[column], samples, RATE, subtype="PCM_16")
        rows.append(row)
    with (folder / f"corpus_{root.name}_{name}_final.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(FOLDERS))
        writer.writeheader()
        writer.writerows(rows)


def _stems(draw: np.random.Generator, frames: int, *, indoor: bool) -> dict[str, np.ndarray]:
    time = np.arange(frames) / RATE
    stems = {}
    for column, pitch in (("speaker1File", draw.uniform(90, 130)), ("speaker2File", draw.uniform(200, 280))):
        syllables = 0.5 + 0.5 * np.sin(2 * np.pi * draw.uniform(2, 4) * time + draw.uniform(0, 6))
        harmonics = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 6))
        stems[column] = 0.08 * syllables * harmonics
    stems["sceneFile"] = 0.01 * draw.standard_normal(frames)
    stems["eventFile"] = np.where((time > 0.3) & (time < 0.4), 0.05 * draw.standard_normal(frames), 0)
    if indoor:
        for dry, wet in zip(("speaker1File", "speaker2File", "eventFile"), list(FOLDERS)[5:], strict=True):
            stems[wet] = 0.3 * np.roll(stems[dry], 160)
    return stems


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 training and 4 validation mixtures of half a second, half of them indoors. Not to be changed."""
    root = tmp_path_factory.mktemp("corpora") / "PolSESS_tiny"
    write_subset(root, "train", 12, 0.5, seed=1)
    write_subset(root, "val", 4, 0.5, seed=2)
    return root


@pytest.fixture
def broken(corpus: Path, tmp_path: Path) -> Path:
    """A copy of the corpus that the test may damage."""
    return Path(shutil.copytree(corpus, tmp_path / corpus.name))


class Training:
    """The real trainer on the debug preset, as a process or in this one."""

    def __init__(self, corpus: Path) -> None:
        self._corpus = corpus
        self._processes: list[subprocess.Popen[str]] = []

    def here(self, run_dir: Path, *flags: str, data: Path | None = None) -> int:
        """Train in this process, with one thread as the processes do, and return the exit code."""
        torch.set_num_threads(1)
        return main(self._arguments(run_dir, *flags, *(["--data-dir", str(data)] if data else [])))

    def _arguments(self, run_dir: Path, *flags: str) -> list[str]:
        """A flag in `flags` wins over the one given here."""
        base = {
            "--model": "convtasnet",
            "--preset": "debug",
            "--data-dir": str(self._corpus),
            "--run-dir": str(run_dir),
            "--batch-size": "4",
            "--epochs": "3",
            "--stop-delay": "0",
            "--device": "cpu",
        }
        given = [word for pair in base.items() for word in pair]
        return [*given, *flags]

    def start(
        self, run_dir: Path, *flags: str, env: Mapping[str, str] = MappingProxyType({})
    ) -> "subprocess.Popen[str]":
        """Start it; its stdout and stderr can be read line by line."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        environment |= {"OMP_NUM_THREADS": "1", **env}
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer", *self._arguments(run_dir, *flags)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._processes.append(process)
        return process

    def run(
        self, run_dir: Path, *flags: str, env: Mapping[str, str] = MappingProxyType({})
    ) -> "subprocess.CompletedProcess[str]":
        """Run it to its end."""
        process = self.start(run_dir, *flags, env=env)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def close(self) -> None:
        """Leave no process behind, whatever the test did."""
        for process in self._processes:
            process.kill()
            process.communicate()


@pytest.fixture
def training(corpus: Path) -> Iterator[Training]:
    """The trainer on the small corpus."""
    training = Training(corpus)
    yield training
    training.close()
