"""The real trainer, as a process or in this one, on the small corpus of the tests."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

from trainer.__main__ import main
from trainer.training.fit import Fit


def given_once(base: Sequence[str], flags: Sequence[str]) -> list[str]:
    """Returns the flags of `base`, each with one value, that are not among `flags`, followed by `flags`."""
    pairs = zip(base[::2], base[1::2], strict=True)
    return [word for pair in pairs if pair[0] not in flags for word in pair] + list(flags)


def summary(run_dir: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run_dir / "summary.json").read_text())
    return content


def stop_after_every_second_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has trainings of this process receive SIGTERM then."""
    step, calls = Fit._step, iter(range(1, 1000))

    def stepping(self: Fit, *arguments: Any) -> None:
        step(self, *arguments)
        if next(calls) % 2 == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Fit, "_step", stepping)


class Training:
    """The real trainer on the debug preset, as a process or in this one."""

    def __init__(self, corpus: Path) -> None:
        self._corpus = corpus
        self._processes: list[subprocess.Popen[str]] = []

    def here(self, run_dir: Path, *flags: str, data: Path | None = None) -> int:
        """Trains in this process, with one thread as the processes do, and returns the exit code."""
        torch.set_num_threads(1)
        return main(self.arguments(run_dir, *flags, *(["--data-dir", str(data)] if data else [])))

    def arguments(self, run_dir: Path, *flags: str) -> list[str]:
        """Returns the command line; a flag in `flags` replaces the one given here."""
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
        return given_once([word for pair in base.items() for word in pair], flags)

    def start(
        self, run_dir: Path, *flags: str, env: Mapping[str, str] = MappingProxyType({})
    ) -> "subprocess.Popen[str]":
        """Starts a training; its stdout and stderr can be read line by line."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        environment |= {"OMP_NUM_THREADS": "1", **env}
        process = subprocess.Popen(
            [sys.executable, "-m", "trainer", *self.arguments(run_dir, *flags)],
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
        """Runs a training to its end."""
        process = self.start(run_dir, *flags, env=env)
        out, err = process.communicate(timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def close(self) -> None:
        """Ends all processes that the test has left."""
        for process in self._processes:
            process.kill()
            process.communicate()
