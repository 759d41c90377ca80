"""Measures how the time that `separate` takes to join its pieces grows with the length of the recording.

python -m benchmarks.steps.joining [--minutes 15 30 60] [--rounds 3]

There is no model: each piece comes back as it went in, so the time is that of cutting, comparing, fading and joining
pieces of 8 s at 8 kHz. Prints the shortest of the rounds, and its multiple of that of the first length.
"""

import argparse
import time

import torch
from torch import Tensor

from trainer.data.readers.subset import SAMPLE_RATE
from trainer.inference.separator import separate_long

CHUNK = 8 * SAMPLE_RATE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, nargs="+", default=[15, 30, 60])
    parser.add_argument("--rounds", type=int, default=3)
    words = parser.parse_args()
    first = 0.0
    for minutes in words.minutes:
        recording = torch.randn(60 * minutes * SAMPLE_RATE)
        seconds = min(measure(recording) for _ in range(words.rounds))
        first = first or seconds
        print(f"{minutes:>4} minutes: {seconds:6.2f} s, {seconds / first:5.2f} times the first")


def measure(recording: Tensor) -> float:
    """Returns the seconds of one joining."""
    began = time.perf_counter()
    separate_long(lambda mixtures: torch.stack([mixtures, -mixtures], 1), recording, CHUNK)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
