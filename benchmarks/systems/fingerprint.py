"""Measures the fingerprint of a corpus: when it is first read, when it was seen before, and after some files changed.

python -m benchmarks.systems.fingerprint --mixtures 16000 --folder /mnt/volume/try

A corpus in PolSESS format of 4-s mixtures, every other one indoors, is written as sparse files, so that the first
reading measures the processor; with --full, which writes all samples, it measures the volume. Each figure is `python -m
trainer fingerprint` as a process of its own.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.measure import at_least_one
from trainer.data.mixing import STEMS
from trainer.data.readers.polsess import FOLDERS

FRAMES = 32_000
WAIT_SECONDS = 3
"""What has just been written is not remembered."""


def write_subset(root: Path, name: str, count: int, full: bool) -> int:
    """Writes a subset and returns the number of its files."""
    folder, draw, files = root / name, np.random.default_rng(1), 0
    for stem in FOLDERS.values():
        (folder / stem).mkdir(parents=True, exist_ok=True)
    sample = folder / "sample.wav"
    soundfile.write(sample, np.zeros(FRAMES), 8000, subtype="PCM_16")
    content = sample.read_bytes()
    sample.unlink()
    header = content[: len(content) - 2 * FRAMES]
    with (folder / f"corpus_{root.name}_{name}_final.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, list(FOLDERS), restval="")
        writer.writeheader()
        for index in range(count):
            row = {stem: f"{index:05d}_{stem}.wav" for stem in STEMS["outdoor" if index % 2 else "indoor"]}
            for stem, file in row.items():
                with (folder / FOLDERS[stem] / file).open("wb") as wav:
                    wav.write(header + (draw.bytes(2 * FRAMES) if full else b""))
                    wav.truncate(len(content))
                files += 1
            writer.writerow(row)
    return files


def seconds(root: Path, cache: Path) -> tuple[float, str]:
    """Returns the time that the verb takes, and the fingerprint."""
    started = time.perf_counter()
    words = [sys.executable, "-m", "trainer", "fingerprint", "--data-dir", str(root)]
    env = os.environ | {"TRAINER_CACHE": str(cache)}
    done = subprocess.run(words, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - started, done.stdout


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mixtures", type=at_least_one, default=16_000)
    parser.add_argument("--folder", type=Path, help="where the corpus is written, and removed (default: TMPDIR)")
    parser.add_argument("--full", action="store_true", help="noise instead of sparse files: 8 GB for 16 000")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        root, cache = Path(name) / "corpus", Path(name) / "cache"
        counts = {"train": options.mixtures, "val": max(1, options.mixtures // 10)}
        files = sum(write_subset(root, subset, count, options.full) for subset, count in counts.items())
        time.sleep(WAIT_SECONDS)
        first, fingerprint = seconds(root, cache)
        seen, again = seconds(root, cache)
        changed = sorted((root / "train" / "mix").iterdir())[:100]
        for file in changed:
            with file.open("r+b") as wav:
                wav.seek(1000)
                wav.write(b"\1")
        some, other = seconds(root, cache)
        if again != fingerprint or other == fingerprint:
            raise SystemExit("error: the fingerprint is wrong")
        size = sum(file.stat().st_size for file in cache.iterdir()) / 1e6
    print(f"| {sum(counts.values())} mixtures, {files} files | seconds | target |\n|---|---|---|")
    print(f"| read for the first time | {first:.1f} | |")
    print(f"| seen before | {seen:.1f} | at most 5 for 16 000 |")
    print(f"| seen before, but for {len(changed)} files | {some:.1f} | |")
    print(f"\nWhat is remembered takes {size:.1f} MB.")


if __name__ == "__main__":
    _main()
