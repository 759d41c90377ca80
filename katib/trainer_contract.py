"""What katib/ knows of the trainer, which it never imports: how to start it, its flags, exit codes, messages and files.

A manifest may run any other program, of which none of this holds; katib/manifest/command.py recognises the trainer.
tests/contract/test_trainer_contract.py compares this module with the trainer itself.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from katib.program import CORPUS_PACKAGES, ROOT, TRAINER_PACKAGES, lack, remedy

MODULE = "trainer"
CORPUS_MODULE, PACK_MODULE, AUDIT_MODULE = "trainer.data.corpus", "trainer.data.pack", "trainer.data.audit"
"""The modules that build, pack and check a corpus."""
SMALLEST_PRESET = "debug"
"""The preset that a processor trains in minutes."""

METRIC, UNIT = "val_si_snr", "dB"
"""The metric that the trainer prints after each epoch: the validation SI-SNR."""
DATA, RUNS = "/data", "/runs"
"""Where a trial's pod mounts the corpus and the run directories."""
DATA_VOLUME, RUNS_VOLUME = "data", "runs"
"""The names of these volumes."""

SUMMARY, CONFIG, BEST = "summary.json", "config.json", "best.pt"
"""Files of a run directory: the history, the settings, the weights of the best epoch."""
MICRO_BATCH = "micro_batch.json"
"""The file with the smaller batches with which a run goes on after its memory ran out."""
TAKES_LESS = re.compile(r"with (\d+) x .* at once .*--micro-batch (\d+) fits and gives the same result: the next start")
"""What the message of exit code 4 says where the next start goes on with smaller batches, as it does once."""
HEARTBEAT = "heartbeat.json"
"""The file that says how far the current epoch is, renewed every 10 s while a process trains."""
EVALUATED = ("val", "test")
"""The subsets of a corpus that a network may have been evaluated on."""
WANDB_ADDRESS = "wandb/url"
PROCESS_ID = "trainer.pid"
METRIC_UNITS = {"sdr": "dB", "sd_sdr": "dB", "pesq": "MOS", "stoi": "", "estoi": ""}
"""The metrics that `python -m trainer evaluate --metrics` takes, with their units."""

SCORES = "evaluation.json"
"""What `python -m trainer evaluate` writes beside its WAV files."""
LARGEST_MODEL = 2 << 30
"""The most bytes of a best.pt; that of the largest network here has some 100 MB."""
OUTPUT = "output.log"
"""What the trainer printed, which the local engine keeps in the run directory."""
FINISHED, DIVERGED = "finished", "diverged"
FAULTS = (DIVERGED, "data fault", "out of memory")
"""How a run ended, by the `state` of its summary."""

WAITS_FOR_ROOM, ROOM_AGAIN = "waits for room: ", "room again: "
"""The beginnings of the lines about a full volume."""
START_ANEW = "TRAINER_START_ANEW"
"""The environment variable that has a run whose checkpoints cannot be read start anew, instead of an error."""
CONTINUES = "SEPSWEEP_CONTINUES"
"""The environment variable with the name of the trial in whose run directory a run goes on; empty for its own."""
TRACKERS, TRACKER_NAMES = "SEPSWEEP_TRACKERS", ("wandb", "tensorboard")
"""The environment variable that names what a run is reported to, with commas, and what it may name."""
STARTS_ANEW = "; starts anew"
"""The end of the line that says so."""
STARTED = "unprocessed validation mixtures: "
"""The beginning of the line that is printed before the first batch, once corpus and run directory can be used."""
MADE_WITH = "made with: "
"""The text before versions, device and corpus, in the output and by the key `made_with` in a summary."""
WANDB_LINK = "W&B: "
"""The text before the address of a run."""
ERROR, NOTE = "error: ", "note: "
"""The beginnings of the line that ends a run, and of lines about work that takes long."""
NO_USABLE_GPU = re.compile(r"warning: (an NVIDIA GPU .*); the CPU is used")


EXPORT, FORMS = "export", {"torchscript": "torchscript.pt", "onnx": "model.onnx"}
"""The trainer's verb that writes a network in another form, and the forms with the names of their files."""
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What the form onnx takes: the extra `onnx`."""
CHECKSUM = b"sha256="
"""The word before the checksum at the end of a checkpoint: 64 hexadecimal digits, of everything before this word."""


class Exit(IntEnum):
    """The exit codes of the trainer."""

    BAD_INPUT = 2
    DIVERGED = 3
    OUT_OF_MEMORY = 4


class Flags:
    """The flags that katib/ writes into a command, or reads from one."""

    MODEL = "--model"
    PRESET = "--preset"
    EPOCHS = "--epochs"
    PATIENCE = "--patience"
    HOPELESS = "--hopeless"
    SEED = "--seed"
    TRAIN_LIMIT = "--train-limit"
    CURRICULUM = "--curriculum"
    SEGMENT_SECONDS = "--segment-seconds"
    BATCH_SIZE = "--batch-size"
    MICRO_BATCH = "--micro-batch"
    DATA_DIR = "--data-dir"
    RUN_DIR = "--run-dir"
    CONTINUE_FROM = "--continue-from"
    DEVICE = "--device"
    GPUS = "--gpus"
    WORKERS = "--workers"
    LINGER = "--linger"
    STOP_DELAY = "--stop-delay"
    ROOM_MINUTES = "--room-minutes"
    CHECKPOINT_MINUTES = "--checkpoint-minutes"
    SET = "--set"


@dataclass(frozen=True)
class Answer:
    """How a process of the trainer ended, what it wrote to stdout, and the lines that it wrote to stderr."""

    code: int
    output: str
    errors: tuple[str, ...]

    @property
    def problem(self) -> str:
        """Why it failed, in its own words; and what to do where its packages are not installed."""
        last = self.errors[-1].removeprefix(ERROR) if self.errors else f"the trainer ended with exit code {self.code}"
        return last + (f"; {remedy()}" if "ModuleNotFoundError" in last else "")


def is_own(model: str) -> bool:
    """Returns whether the word names a model outside the trainer, by its module and entry: lab.gru_mask:MODEL."""
    return ":" in model


def scores_file(subset: str) -> str:
    """Returns the path in a run directory of the scores on a subset."""
    return f"evaluation-{subset}/{SCORES}"


def damage(checkpoint: bytes) -> str:
    """Returns what is wrong with the bytes of a checkpoint, best or last; empty where they are as they were written."""
    digits = len(CHECKSUM) + 64
    body, comment = memoryview(checkpoint)[:-digits], checkpoint[-digits:]
    if not comment.startswith(CHECKSUM):
        return "it has no checksum at its end"
    return "" if comment == CHECKSUM + hashlib.sha256(body).hexdigest().encode() else "its checksum is wrong"


def program(module: str = MODULE) -> tuple[str, ...]:
    """Returns the words that start a module of the trainer with this interpreter, whatever the current folder holds."""
    return (sys.executable, "-P", "-m", module)


def environment() -> dict[str, str]:
    """Returns the environment in which `program` finds the trainer."""
    paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def run_trainer(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    *,
    timeout: float | None = None,
    relayed: tuple[str, ...] = (),
) -> Answer:
    """Runs a command of the trainer in a process of its own and returns how that ended.

    Lines on stderr that begin with one of `relayed` are passed on at once. Raises TimeoutError after `timeout` seconds,
    OSError where the process cannot be started.
    """
    late = threading.Event()
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment() if env is None else env,
        ) as process,
    ):

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout or 0.0, end)
        if timeout is not None:
            timer.start()
        errors = tuple(_lines(process.stderr or (), relayed))
        code = process.wait()
        timer.cancel()
        output.seek(0)
        answer = Answer(code, output.read(), errors)
    if late.is_set():
        raise TimeoutError(f"no answer within {timeout:g} s")
    return answer


def _lines(stream: Iterable[str], relayed: tuple[str, ...]) -> Iterator[str]:
    """Yields the lines that hold a text, and prints those that begin with one of `relayed` to stderr."""
    for line in filter(None, map(str.strip, stream)):
        if line.startswith(relayed):
            print(line, file=sys.stderr, flush=True)
        yield line


def show_trainer(module: str, *words: object) -> int:
    """Runs a module of the trainer that speaks for itself on this terminal, and returns its exit code.

    It is 2, after one line, where the module's packages are not installed.
    """
    if problem := lack(CORPUS_PACKAGES if module == CORPUS_MODULE else TRAINER_PACKAGES):
        print(f"{ERROR}{problem}", file=sys.stderr)
        return int(Exit.BAD_INPUT)
    return subprocess.run([*program(module), *map(str, words)], env=environment(), check=False).returncode
