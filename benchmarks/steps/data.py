"""Measures how fast mixtures are read, how long a training waits for them, and how much memory that takes.

`make bench` runs it last; it prints Markdown tables. A corpus of noise in PolSESS format, which lies in the system's
file cache, is read by the WAV reader, by a plain loop of soundfile.read over the same files, and from its pack; they
take turns. A value is the median of the rounds, followed by the smallest and the greatest.
"""

import argparse
import contextlib
import csv
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch

from benchmarks.measure import Spread, at_least_one
from trainer.__main__ import main as train
from trainer.data.mixing import MIX, SPEECH, STEMS, VARIANTS, subtracted
from trainer.data.pack import pack
from trainer.data.readers.corpora import list_files
from trainer.data.readers.packed import PackedSubset, pack_path
from trainer.data.readers.polsess import FOLDERS
from trainer.data.readers.subset import Subset
from trainer.data.readers.wav import WavSubset
from trainer.data.sampling import Draw, loader, training_batches

SECONDS, RATE, BATCH, SEGMENT = 4.0, 8000, 8, 32_000
EPOCHS = 20


def write_subset(root: Path, name: str, count: int) -> None:
    """Writes mixtures of noise, every other one indoors; the mix is the sum of its stems."""
    folder, draw = root / name, np.random.default_rng(count)
    for stem in FOLDERS.values():
        (folder / stem).mkdir(parents=True, exist_ok=True)
    with (folder / f"corpus_{root.name}_{name}_final.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(FOLDERS))
        writer.writeheader()
        for index in range(count):
            kind = "outdoor" if index % 2 else "indoor"
            stems = {
                stem: draw.normal(0, 1000, round(SECONDS * RATE)).astype(np.int16)
                for stem in STEMS[kind]
                if stem != MIX
            }
            stems[MIX] = np.sum(list(stems.values()), axis=0).astype(np.int16)
            row = dict.fromkeys(FOLDERS, "")
            for stem, samples in stems.items():
                row[stem] = f"{index:05d}_{stem}.wav"
                soundfile.write(folder / FOLDERS[stem] / row[stem], samples, RATE, "PCM_16")
            writer.writerow(row)


def draw(subset: Subset, epoch: int) -> Draw:
    """Returns the batches of one epoch of the full curriculum."""
    return training_batches(subset.rows, VARIANTS, seed=1, epoch=epoch, frames=SEGMENT, batch_size=BATCH)


def speeds(wav: WavSubset, packed: PackedSubset, rounds: int) -> Iterator[str]:
    """Yields the mixtures per second of each way, in one process."""

    def plain(epoch: int) -> None:
        for file in files[epoch]:
            soundfile.read(file, dtype="float32")

    files = {
        epoch: [
            wav.listing.file(excerpt.row.index, stem)
            for batch in draw(wav, epoch)
            for excerpt in batch
            for stem in (MIX, *SPEECH, *subtracted(excerpt.variant, excerpt.row.kind))
        ]
        for epoch in range(rounds + 1)
    }
    ways: dict[str, Callable[[int], object]] = {
        "plain soundfile loop": plain,
        "WAV reader": lambda epoch: _drain(wav, epoch, workers=0),
        "packed reader": lambda epoch: _drain(packed, epoch, workers=0),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for epoch in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way(epoch)
            if epoch:  # the first one fills the cache
                taken[name].append(time.perf_counter() - started)
    yield "| reader | mixtures a second | times as fast as the WAV reader | target |"
    yield "|---|---|---|---|"
    targets = {"plain soundfile loop": "at most 1", "WAV reader": "", "packed reader": "at least 5"}
    for name, seconds in taken.items():
        rate = Spread(tuple(len(wav.frames) / value for value in seconds))
        pairs = zip(taken["WAV reader"], seconds, strict=True)
        yield f"| {name} | {rate} | {Spread(tuple(a / b for a, b in pairs))} | {targets[name]} |"


def waits(root: Path, alone: Path, folder: Path) -> Iterator[str]:
    """Yields the share of its time that a real training waits for data, with either reader."""
    gpu = torch.cuda.is_available()
    flags = ["--preset", "paper", "--precision", "bf16"] if gpu else ["--preset", "debug"]
    yield "| training | WAV files | pack | target |"
    yield "|---|---|---|---|"
    for model in ("convtasnet", "sepformer"):
        shares = []
        for data in (root, alone):
            run_dir = folder / f"{model}-{data.name}"
            arguments = [
                "--model",
                model,
                "--data-dir",
                str(data),
                "--run-dir",
                str(run_dir),
                "--epochs",
                "1",
            ]
            arguments += ["--batch-size", "8", "--curriculum", "all", *flags, "--train-limit", "64"]
            with contextlib.redirect_stdout(io.StringIO()):
                assert train(arguments) == 0
            (record,) = json.loads((run_dir / "summary.json").read_text())["history"]
            shares.append(record["waited"] / record["seconds"])
        yield f"| {model}, {' '.join(flags)} | {shares[0]:.2%} | {shares[1]:.2%} | 2 % |"


def memory(subsets: dict[str, Subset]) -> Iterator[str]:
    """Yields the peak memory of a reading process in an epoch, and how much of it is shared with its parent."""
    yield f"| corpus | worker in epoch 1 (MB) | in epoch {EPOCHS} (MB) | greatest (MB) |"
    yield "|---|---|---|---|"
    for name, subset in subsets.items():
        found = [_drain(subset, epoch, workers=1) for epoch in range(1, EPOCHS + 1)]
        yield f"| {name} | {found[0]:.1f} | {found[-1]:.1f} | {max(found):.1f} |"


def _drain(subset: Subset, epoch: int, workers: int) -> float:
    """Reads an epoch; returns the peak memory of a worker in MB (resident set, 0 without workers)."""
    most = 0.0
    for _ in loader(draw(subset, epoch), frames=SEGMENT, workers=workers, pin=False):
        if workers:
            most = max(most, *map(_resident, Path("/proc/self/task").glob("*/children")))
    return most


def _resident(children: Path) -> float:
    sizes = [0.0]
    for child in children.read_text().split():
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{child}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    sizes.append(int(line.split()[1]) / 1024)
    return max(sizes)


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=at_least_one, default=7)
    parser.add_argument("--mixtures", type=at_least_one, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for size, count in (("one", options.mixtures), ("four", 4 * options.mixtures)):
            for subset, part in (("train", count), ("val", 8)):
                write_subset(folder / size, subset, part)
                pack(folder / size, subset, folder / f"{size}-packed")
        opened = {
            size: (
                WavSubset(list_files(folder / size, "train")),
                PackedSubset(pack_path(folder / f"{size}-packed", "train")),
            )
            for size in ("one", "four")
        }
        for line in speeds(*opened["one"], options.rounds):
            print(line, flush=True)
        print()
        for line in waits(folder / "one", folder / "one-packed", folder):
            print(line, flush=True)
        print()
        named: dict[str, Subset] = {}
        for subsets in opened.values():
            count = len(subsets[0].frames)
            named |= {f"{count} mixtures, WAV": subsets[0], f"{count} mixtures, packed": subsets[1]}
        for line in memory(named):
            print(line, flush=True)


if __name__ == "__main__":
    _main()
