"""A trial that trains nothing: reports `--epochs` values, keeps a checkpoint, resumes, and fails on demand.

Run as a process by the engine under test. Its curve is `--x` plus the epoch, so that a larger x is a better trial at
every epoch. As the trainer does, it prints its history again when it resumes, saves and exits 143 on SIGTERM, and
reports an epoch once that is on the disk.
"""

import argparse
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path


def main() -> None:
    """One trial."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    options.run.mkdir(parents=True, exist_ok=True)
    with (options.run / "starts").open("a") as starts:
        print(os.getpid(), file=starts)
    checkpoint = options.run / "checkpoint.json"
    history = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
    for line in history:
        print(line, flush=True)
    while len(history) < options.epochs:
        _misbehave(options, len(history))
        while options.until and len(history) == options.at and not options.until.exists():
            time.sleep(0.01)
        time.sleep(options.seconds)
        now = datetime.now(UTC).isoformat()
        history.append(f"{now} {options.metric}={options.x + len(history) + 1}")
        building = checkpoint.with_suffix(".new")
        building.write_text(json.dumps(history))
        building.replace(checkpoint)
        print(history[-1], flush=True)
    _misbehave(options, len(history))


def _misbehave(options: argparse.Namespace, epoch: int) -> None:
    """After `--at` epochs: wait for a signal, or end; with `--once FILE`, only where FILE is not there yet."""
    if epoch != options.at or (options.once and options.once.exists()):
        return
    if options.once:
        options.once.touch()
    if options.hang:
        while True:
            signal.pause()
    if options.kill:
        os.kill(os.getpid(), options.kill)
    if options.exit is not None:
        print(f"error: {options.say}", file=sys.stderr, flush=True)
        sys.exit(options.exit)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=Path)
    parser.add_argument("--x", type=float)
    parser.add_argument("--metric", default="val_si_snr")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--at", type=int)
    parser.add_argument("--once", type=Path)
    parser.add_argument("--until", type=Path, help="after --at epochs, wait for this file")
    parser.add_argument("--hang", action="store_true")
    parser.add_argument("--kill", type=int)
    parser.add_argument("--exit", type=int)
    parser.add_argument("--say", default="something is wrong")
    return parser.parse_args()


if __name__ == "__main__":
    main()
