"""Measures `corpus-check`: mixtures a minute and core, planted duplicates that are found, and findings that are false.

python -m benchmarks.systems.audit --mixtures 900

A corpus of outdoor mixtures of 4 s in PolSESS format is written, two voices that no other mixture has in each, of noise
in syllables. In val/ 20 voices are those of train/ again: shifted by up to a second, scaled, with noise 30 dB below.
The check is a process of its own with one thread; counted is its own processor time, the start of Python included.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from benchmarks.measure import at_least_one
from trainer.data.mixing import EVENT, MIX, SCENE, SPEECH
from trainer.data.readers.polsess import FOLDERS

FRAMES, RATE = 32_000, 8000
PLANTED = 20
TARGET = 10_000
"""Mixtures a minute on one core."""
Signal = NDArray[np.float64]


def voice(draw: np.random.Generator) -> Signal:
    """Returns noise [T] in syllables of its own rhythm, loudness and colour."""
    found = np.zeros(FRAMES)
    start = int(draw.integers(0, 1500))
    while start < FRAMES - 600:
        length = min(int(draw.integers(600, 2400)), FRAMES - start)
        # Two formants of the syllable, from 200 to 3500 Hz.
        spectrum = np.fft.rfft(draw.normal(size=length))
        hertz = np.fft.rfftfreq(length, 1 / RATE)
        shape = sum(np.exp(-(((hertz - centre) / 120) ** 2)) for centre in draw.uniform(200, 3500, 2))
        found[start : start + length] = np.fft.irfft(spectrum * shape, length) * np.hanning(length)
        start += length + int(draw.integers(0, 1600))
    return 0.03 / float(np.sqrt(np.mean(found**2))) * found


def copied(signal: Signal, draw: np.random.Generator) -> Signal:
    """Returns the signal [T] shifted by up to a second, scaled, and with noise 30 dB below."""
    shift = int(draw.integers(-RATE, RATE + 1))
    moved = np.zeros(FRAMES)
    moved[max(0, shift) : FRAMES + min(0, shift)] = signal[max(0, -shift) : FRAMES - max(0, shift)]
    noise = float(np.sqrt(np.mean(moved**2))) * 10 ** (-30 / 20) * draw.normal(size=FRAMES)
    return float(draw.uniform(0.5, 1.5)) * (moved + noise)


def write_corpus(root: Path, train: int, val: int) -> None:
    """Writes the corpus; the first PLANTED mixtures of val/ have the first voice of those of train/."""
    for name, count in {"train": train, "val": val}.items():
        for stem in FOLDERS.values():
            (root / name / stem).mkdir(parents=True, exist_ok=True)
        with (root / name / f"corpus_{root.name}_{name}_final.csv").open("w", newline="") as table:
            writer = csv.DictWriter(table, list(FOLDERS), restval="")
            writer.writeheader()
            for index in range(count):
                draw = np.random.default_rng([index, name == "val"])
                voices = [voice(draw), voice(draw)]
                if name == "val" and index < PLANTED:
                    voices[0] = copied(voice(np.random.default_rng([index, 0])), draw)
                signals = dict(zip(SPEECH, voices, strict=True))
                signals |= {stem: 0.01 * draw.normal(size=FRAMES) for stem in (SCENE, EVENT)}
                whole = {stem: np.round(signal * 2**15).astype(np.int16) for stem, signal in signals.items()}
                whole[MIX] = sum(whole.values(), np.zeros(FRAMES, np.int16))
                row = {stem: f"{index:05d}_{stem}.wav" for stem in whole}
                for stem, file in row.items():
                    soundfile.write(root / name / FOLDERS[stem] / file, whole[stem], RATE, subtype="PCM_16")
                writer.writerow(row)


def check(root: Path) -> tuple[list[dict[str, str]], float, float]:
    """Returns the findings that are no notes, and the seconds that the check took: of the processor, and in all."""
    words = [sys.executable, "-m", "trainer.data.audit", "--data-dir", str(root), "--json"]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(words, env=env, stdout=subprocess.PIPE, text=True, check=False)
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
    findings = [finding for finding in json.loads(done.stdout)["findings"] if not finding["note"]]
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return findings, spent, seconds


def _main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mixtures", type=at_least_one, default=900, help="of train/ and val/ together, 40 or more")
    parser.add_argument("--folder", type=Path, help="where the corpus is written, and removed (default: TMPDIR)")
    options = parser.parse_args()
    if options.mixtures < 2 * PLANTED:
        parser.error(f"--mixtures {options.mixtures}: {PLANTED} duplicates take {2 * PLANTED} or more")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        val = max(PLANTED, options.mixtures // 10)
        write_corpus(Path(name) / "corpus", options.mixtures - val, val)
        findings, spent, seconds = check(Path(name) / "corpus")
    copies = {f"val: {index:05d}_{MIX}.wav" for index in range(PLANTED)}
    planted = {finding["where"] for finding in findings if finding["kind"] in ("speech", "mixture")} & copies
    false = [finding for finding in findings if finding["where"] not in planted]
    print(f"| {options.mixtures} mixtures | measured | target |\n|---|---|---|")
    print(f"| mixtures a minute and core | {60 * options.mixtures / spent:.0f} | {TARGET} or more |")
    print(f"| seconds of the processor, in all | {spent:.1f}, {seconds:.1f} | |")
    print(f"| planted duplicates found | {len(planted)} of {PLANTED} | all |")
    print(f"| other findings | {len(false)} | 0 |")
    for finding in false[:5]:
        print(f"{finding['where']}: {finding['detail']}", file=sys.stderr)


if __name__ == "__main__":
    _main()
