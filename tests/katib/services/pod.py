"""A trial's pod without a cluster, as processes: Katib's own wrapper around a trainer, and the real collector.

The trainer prints what it is sent through a pipe, and so ends when the test says so.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

from katib.metrics import metric_filter
from tests.katib.services.rig import METRIC, DbManager, stamp

TRAINER = """
import os, signal, sys
orders, saved = sys.argv[1:]
def stop(*_):
    os.write(1, b"saving a checkpoint\\n")
    if os.path.exists(saved + ".metric"):
        os.write(1, open(saved + ".metric", "rb").read())
    open(saved, "w").write("saved")
    os._exit(143)
signal.signal(signal.SIGTERM, signal.SIG_IGN if os.path.exists(saved + ".deaf") else stop)
with open(orders, "rb", buffering=0) as lines:
    for line in lines:
        if line.startswith(b"exit "):
            os._exit(int(line[5:]))
        os.write(1, line)
"""

FAILED = 255
"""The collector's exit code beside a trainer that failed."""


def epoch(step: int, value: float | str, metric: str = METRIC) -> str:
    """Returns the line that the trainer prints for an epoch."""
    return f"{stamp(step)} {metric}={value}"


def epochs(*values: float | str) -> list[str]:
    return [epoch(step, value) for step, value in enumerate(values, 1)]


class Pod:
    """One try of a trial. `folder` is its own: Katib's emptyDir."""

    def __init__(self, folder: Path, db: DbManager, *, trial: str = "t", stopper: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.output, self.saved = folder / "metrics.log", folder / "checkpoint"
        self._orders = folder / "orders"
        self._trainer_file = folder / "trainer.py"
        self._trainer_file.write_text(TRAINER)
        os.mkfifo(self._orders)
        self._stopper = stopper
        rule = ["-stop-rule", f"{METRIC};-1e30;less;1", "-s-earlystop", stopper] if stopper else []
        self.arguments = [
            *("-t", trial, "-m", METRIC, "-o-type", "maximize", "-s-db", db.address),
            *("-path", str(self.output), "-f", metric_filter(METRIC), "-format", "TEXT", *rule),
        ]
        self._pipe: IO[bytes] | None = None
        self.shell: subprocess.Popen[bytes] | None = None
        self.collector: subprocess.Popen[bytes] | None = None
        self.said = ""

    def start_trainer(self) -> "Pod":
        """As webhook/v1beta1/pod/utils.go wraps a command; the part after || stands there with a stop rule alone."""
        folder = self.output.parent
        command = f"{sys.executable} -S -E {self._trainer_file} {self._orders} {self.saved} 1>{self.output} 2>&1"
        if self._stopper:
            command += (
                f" || if test -f {folder}/$$.pid && [ $(head -n 1 {folder}/$$.pid) = early-stopped ];"
                " then echo Training Container was Early Stopped; else echo Training Container was Failed; exit 1; fi"
            )
        command += f" && echo completed > {folder}/$$.pid"
        self.shell = subprocess.Popen(["sh", "-c", command], start_new_session=True)
        self._pipe = self._orders.open("wb")  # waits for the trainer to read
        return self

    def start_collector(self) -> "Pod":
        self.collector = subprocess.Popen(
            [sys.executable, "-m", "katib.services", *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        return self

    def start(self) -> "Pod":
        return self.start_trainer().start_collector()

    def print(self, *lines: str) -> None:
        assert self._pipe
        self._pipe.write("".join(f"{line}\n" for line in lines).encode())
        self._pipe.flush()

    def end(self, code: int = 0) -> None:
        """The trainer ends by itself."""
        assert self._pipe
        self._pipe.write(f"exit {code}\n".encode())
        self._pipe.close()

    def wait_until_said(self, text: str) -> None:
        """Until the collector has said so on stderr."""
        assert self.collector
        assert self.collector.stderr
        while text not in self.said:
            line = self.collector.stderr.readline().decode()
            assert line, self.said
            self.said += line

    def kill_trainer(self, *, shell: bool) -> None:
        """The kernel's memory kill: of the process that is too big, or of all in the container."""
        assert self.shell
        if shell:
            os.killpg(self.shell.pid, signal.SIGKILL)
        else:
            children = Path(f"/proc/{self.shell.pid}/task/{self.shell.pid}/children").read_text().split()
            os.kill(int(children[0]), signal.SIGKILL)

    def wait(self) -> tuple[int, int]:
        """Exit codes of the trainer's container and of the collector's, once both have ended."""
        assert self.shell
        assert self.collector
        out, err = self.collector.communicate(timeout=600)
        self.printed = out
        self.said += err.decode()
        return self.shell.wait(600), self.collector.returncode

    def close(self) -> None:
        if self._pipe:
            self._pipe.close()
        for process in (self.shell, self.collector):
            if process and process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdout, process.stderr) if process else ():
                if stream:
                    stream.close()


Pods = Callable[..., Pod]
"""Makes a pod of its own folder, with Pod's keywords."""
