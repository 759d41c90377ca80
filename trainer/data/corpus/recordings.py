"""Recorded speakers: a folder with one sub-folder a speaker. Called by build.py.

Any sample rate and format that libsndfile reads; channels are averaged, silence is cut away. With at least six speakers
val and test have speakers of their own; with fewer, each speaker's recordings are divided instead, so that no recording
is in two subsets.
"""

from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from trainer.data.readers.sound import fault
from trainer.errors import DataError
from trainer.text import count

SUFFIXES = {"." + name.lower() for name in soundfile.available_formats()} | {".aif", ".oga", ".opus"}
LEAST_SECONDS = 5.0  # of speech, for a speaker to take part in a subset
SILENCE = 0.01  # of the recording's loudest frame: 40 dB below it nobody speaks
FLOOR = 0.001  # of full scale: below -60 dB there is silence however quiet the rest is
FRAME_SECONDS = 0.02
SHORTEST = 1.0  # s; what is shorter is a beep, a digit or a click
LONGEST_SPEECH = 300.0  # s kept of a speaker: bounds the memory of a worker


def speakers(folder: Path) -> dict[str, list[Path]]:
    """Speaker -> recordings, sorted. Raises DataError where the folder holds fewer than two speakers."""
    if not folder.is_dir():
        raise DataError(f"--speech: no folder {folder}; it holds one sub-folder a speaker")
    found: dict[str, list[Path]] = {}
    seen: set[Path] = set()
    for child in sorted(path for path in folder.iterdir() if path.is_dir()):
        if child.resolve() in seen:  # a second name (a link) of the same speaker
            continue
        seen.add(child.resolve())
        files = sorted(p for p in child.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        files = [path for path in files if _seconds(path) >= SHORTEST]
        if files:
            found[child.name] = files
    if len(found) < 2:
        raise DataError(
            f"--speech: {folder} holds {count(len(found), 'speaker')} with recordings of {SHORTEST:g} s or more, two are needed"
            " (one sub-folder a speaker)"
        )
    return found


@cache
def speech(files: tuple[Path, ...], sample_rate: int, subset: str) -> NDArray[np.float64]:
    """Returns the speech of one speaker in `subset` [T] at `sample_rate` Hz, recordings one after the other, silence
    cut away. Raises DataError that names the subset where it is too little.
    """
    parts: list[NDArray[np.float64]] = []
    frames = 0
    for path in files:
        try:
            samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise DataError(f"{path}: libsndfile cannot read it ({error.error_string}); remove or convert it") from None
        mono = samples.mean(axis=1)
        if what := fault(mono):
            raise DataError(f"{path}: is no sound, {what}; remove or convert it")
        if rate != sample_rate:
            mono = soxr.resample(mono, rate, sample_rate)
        parts.append(_voiced(mono, int(FRAME_SECONDS * sample_rate)))
        frames += len(parts[-1])
        if frames > LONGEST_SPEECH * sample_rate:
            break
    if frames < LEAST_SECONDS * sample_rate:
        raise DataError(
            f"{files[0].parent}: {frames / sample_rate:.1f} s of speech in the speaker's"
            f" {count(len(files), 'recording')} for {subset}, where {LEAST_SECONDS:g} s are needed; add recordings or"
            " remove the speaker"
        )
    return np.concatenate(parts)


def _voiced(samples: NDArray[np.float64], frame: int) -> NDArray[np.float64]:
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    power = np.sqrt((frames**2).mean(axis=1))
    kept: NDArray[np.float64] = frames[power > max(FLOOR, SILENCE * power.max(initial=0.0))].ravel()
    return kept


def _seconds(path: Path) -> float:
    try:
        return float(soundfile.info(path).duration)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{path}: libsndfile cannot read it ({error.error_string}); remove or convert it") from None
