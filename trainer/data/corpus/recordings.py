"""Recorded speakers, in a folder with one sub-folder per speaker.

Recordings may have any sample rate and format that libsndfile reads; channels are averaged and silence is cut out. With
at least six speakers val and test have speakers of their own; with fewer, each speaker's recordings are divided, so
that no recording is in two subsets.
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
LEAST_SECONDS = 5.0
"""Speech that a speaker needs to take part in a subset."""
SILENCE = 0.01
"""Amplitude of silence relative to the recording's loudest frame: 40 dB below it nobody speaks."""
FLOOR = 0.001
"""Amplitude of silence relative to full scale: below -60 dB there is silence, however quiet the rest is."""
FRAME_SECONDS = 0.02
SHORTEST = 1.0
"""Seconds of the shortest recording that counts; a shorter one is a beep, a digit or a click."""
LONGEST_SPEECH = 300.0
"""Seconds that are kept of a speaker, to bound the memory of a worker."""


def speakers(folder: Path) -> dict[str, list[Path]]:
    """Returns the recordings of each speaker, sorted. Raises DataError where there are fewer than two speakers."""
    if not folder.is_dir():
        raise DataError(f"--speech: there is no folder {folder}; it should have one sub-folder per speaker")
    recordings: dict[str, list[Path]] = {}
    seen: set[Path] = set()
    for child in sorted(path for path in folder.iterdir() if path.is_dir()):
        # A link is a second name of the same speaker.
        if child.resolve() in seen:
            continue
        seen.add(child.resolve())
        files = sorted(p for p in child.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        files = [path for path in files if _seconds(path) >= SHORTEST]
        if files:
            recordings[child.name] = files
    if len(recordings) < 2:
        raise DataError(
            f"--speech: {folder} has {count(len(recordings), 'speaker')} with recordings of {SHORTEST:g} s or more; "
            "two are needed (one sub-folder per speaker)"
        )
    return recordings


@cache
def speech(files: tuple[Path, ...], sample_rate: int, subset: str) -> NDArray[np.float64]:
    """Returns the speech [T] of a speaker in `subset` at `sample_rate` Hz, all recordings in a row, without silence.

    Raises DataError that names the subset where there is too little speech.
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
            f" {count(len(files), 'recording')} for {subset}; {LEAST_SECONDS:g} s are needed: add recordings or"
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
