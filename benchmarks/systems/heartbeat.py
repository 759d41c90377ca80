"""Measures what the heartbeat costs a training.

python -m benchmarks.systems.heartbeat [--seconds 60] [--mixtures 400]

Trains the debug ConvTasNet on 4-s mixtures of noise for some seconds, with every call of the heartbeat timed: those in
the loop by the clock, since they delay a step, and those of its thread by its processor time, as if Python did nothing
else meanwhile. A GPU's driver is asked by the same thread. Limit: 0.1 % of the training's time.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.steps.data import write_subset
from trainer.training.heartbeat import SECONDS

LIMIT = 0.001


def main() -> None:
    """Trains once and prints the cost of the heartbeat, in all and by call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--mixtures", type=int, default=400)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "PolSESS_noise"
        write_subset(root, "train", words.mixtures)
        write_subset(root, "val", words.mixtures // 4)
        flags = [
            "--model",
            "convtasnet",
            "--preset",
            "debug",
            "--device",
            "cpu",
            "--epochs",
            "10000",
            "--stop-delay",
            "0",
        ]
        flags += ["--data-dir", str(root), "--run-dir", f"{folder}/run", "--batch-size", "2", "--curriculum", "all"]
        command = [sys.executable, "-c", "from benchmarks.systems.heartbeat import child; child()", *flags]
        process = subprocess.Popen(
            command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        time.sleep(words.seconds)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
    found = json.loads(errors.decode().splitlines()[-1])
    loop, beats = found["loop"], found["beats"]
    print(f"training of {found['seconds']:.0f} s with {loop['calls']} calls in its loop and {beats['calls']} beats")
    print(f"in the loop: {1e6 * loop['seconds'] / max(1, loop['calls']):.1f} us a call")
    each = beats["seconds"] / max(1, beats["calls"])
    print(f"in the thread: {1e3 * each:.2f} ms of the processor a beat, one every {SECONDS:g} s: {each / SECONDS:.4%}")
    share = (loop["seconds"] + beats["seconds"]) / found["seconds"]
    print(f"in all: {share:.4%} of the training's time (limit: {LIMIT:.1%})")
    sys.exit(share > LIMIT)


def child() -> None:
    """Trains in this process with the calls timed, and prints their sums on stderr."""
    from trainer.__main__ import main as train
    from trainer.training import heartbeat

    sums: dict[str, dict[str, float]] = defaultdict(lambda: {"calls": 0, "seconds": 0.0})

    def timed(kind: str, clock: Callable[[], float], call: Callable[..., Any], counts: int = 1) -> Callable[..., Any]:
        def wrapper(*words: Any, **named: Any) -> Any:
            start = clock()
            try:
                return call(*words, **named)
            finally:
                sums[kind]["seconds"] += clock() - start
                sums[kind]["calls"] += counts

        return wrapper

    beating: Any = heartbeat.Heartbeat
    for name in ("say", "train", "validate", "validated"):
        setattr(beating, name, timed("loop", time.perf_counter, getattr(beating, name)))
    beating.content = timed("beats", time.thread_time, beating.content)
    writing: Any = heartbeat
    writing._write = timed("beats", time.thread_time, heartbeat._write, counts=0)
    start = time.perf_counter()
    code = train(sys.argv[1:])
    print(json.dumps(sums | {"seconds": time.perf_counter() - start}), file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
