"""A small corpus in PolSESS format, written in milliseconds."""

import csv
from pathlib import Path

import numpy as np
import soundfile

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
    """Mixtures of two harmonic voices, noise and a click.

    The even ones indoors, with a delayed copy as reverberation.
    """
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
