"""`python -m trainer separate`: writes the two speakers of a recording of any length and sample rate as WAV files.

The models work at 8 kHz. soxr resamples the recording to that rate and the speakers back to the recording's, so that
they match it sample by sample, with nothing above 4 kHz. Their levels are those whose sum fits the recording best; both
are turned down if one would be clipped.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.readers.subset import SAMPLE_RATE
from trainer.device import find_device
from trainer.errors import ConfigError, DataError, MemoryExhaustedError, unwritten
from trainer.inference.separator import load_separator, separate_long
from trainer.metric_line import say
from trainer.requests import Separate
from trainer.training.losses import gains
from trainer.training.memory import is_out_of_memory
from trainer.training.stop import Stopped, StopRequest

BLOCK_SECONDS = 30
"""Seconds of the recording that are held at its own rate."""
MOST_FRAMES = 2**22
"""The most samples that are held at the recording's own rate, whatever rate its header claims."""
CEILING = 0.99
"""Level of the loudest sample written, relative to full scale."""


def separate(request: Separate) -> int:
    """Separates the recording, writes the files, and returns the exit code. Raises TrainerError."""
    stop = StopRequest()
    device = find_device(request.device)
    folder = request.out or request.recording.parent
    files = [folder / f"{request.recording.stem}.speaker{speaker}.wav" for speaker in (1, 2)]
    _check_free(files, request)
    separator = load_separator(request.checkpoint, device)
    try:
        with stop.listening(), stop.leaving_at_once():
            recording, rate, frames = _read(request.recording)
            _make(folder)
            estimates = separate_long(separator, recording, round(request.chunk_seconds * SAMPLE_RATE))
    except Stopped:
        return stop.exit_code
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryExhaustedError(
            f"out of memory on {device} with {request.chunk_seconds:g} s at once; try a shorter --chunk-seconds"
        ) from error
    estimates = estimates * gains(estimates.unsqueeze(0), recording.unsqueeze(0))[0]
    if not torch.isfinite(estimates).all():
        raise DataError(f"{request.recording}: is too loud to separate; scale it to -1..1")
    loudest = float(estimates.abs().max())
    if loudest > CEILING:
        estimates *= CEILING / loudest
        say(f"turned down by {20 * np.log10(loudest / CEILING):.1f} dB to avoid clipping")
    _write(dict(zip(files, estimates.numpy(), strict=True)), rate, frames)
    say(*map(str, files))
    return 0


def _check_free(files: Sequence[Path], request: Separate) -> None:
    """Raises ConfigError where a result exists already: it may be that of talk.flac, and this is talk.wav."""
    if (existing := next(filter(os.path.lexists, files), None)) and not request.overwrite:
        raise ConfigError(
            f"{existing}: exists already; --overwrite replaces it, --out names another folder for the speakers of "
            f"{request.recording.name}"
        )


def _make(folder: Path) -> None:
    """Creates the folder of the results before anything is computed. Raises ConfigError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot be written ({error.strerror}); choose another folder") from error


def _read(file: Path) -> tuple[Tensor, int, int]:
    """Returns the recording [T] at 8 kHz, mixed down to one channel, with its own rate in Hz and length in samples.

    Raises DataError.
    """
    if not file.is_file():
        what = "is a folder; name one recording" if file.is_dir() else "there is no such recording"
        raise DataError(f"{file}: {what}")
    try:
        with soundfile.SoundFile(file) as sound:
            rate, channels = sound.samplerate, sound.channels
            blocks = sound.blocks(min(BLOCK_SECONDS * rate, MOST_FRAMES), dtype="float32", always_2d=True)
            parts = list(_resampled((block.mean(1) for block in blocks), rate, SAMPLE_RATE))
            frames = sound.tell()
    # ValueError and RuntimeError are soxr's.
    except (OSError, soundfile.SoundFileError, ValueError, RuntimeError) as error:
        raise DataError(f"{file}: cannot be read as a recording ({error})") from error
    samples = np.concatenate(parts) if parts else np.empty(0, np.float32)
    if not len(samples):
        raise DataError(f"{file}: has no samples, or less than one at {SAMPLE_RATE} Hz")
    if not np.isfinite(samples).all():
        raise DataError(f"{file}: has samples that are not numbers")
    if channels > 1:
        say(f"{file}: {channels} channels are mixed down to one")
    return torch.from_numpy(samples), rate, frames


def _write(estimates: Mapping[Path, NDArray[np.float32]], rate: int, frames: int) -> None:
    """Writes each estimate at `rate`, `frames` samples long; if one cannot be written, none is. Raises StorageError."""
    step = BLOCK_SECONDS * SAMPLE_RATE
    partial = {file: file.with_name(f".{file.name}.partial") for file in estimates}
    try:
        for file, estimate in estimates.items():
            blocks = (estimate[first : first + step] for first in range(0, len(estimate), step))
            with soundfile.SoundFile(partial[file], "w", rate, 1, "PCM_16", format="WAV") as sound:
                for block in _resampled(blocks, SAMPLE_RATE, rate):
                    sound.write(block[: frames - sound.tell()].clip(-1, 1))
                sound.write(np.zeros(frames - sound.tell(), np.float32))
        for file in estimates:
            partial[file].replace(file)
    except (OSError, soundfile.SoundFileError) as error:
        raise unwritten(file, error) from error
    finally:
        with contextlib.suppress(OSError):
            for leftover in partial.values():
                leftover.unlink(missing_ok=True)


def _resampled(blocks: Iterator[NDArray[np.float32]], source: int, target: int) -> Iterator[NDArray[np.float32]]:
    """Yields the signal, [T] in pieces, at another rate in Hz."""
    if source == target:
        yield from blocks
        return
    stream = soxr.ResampleStream(source, target, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)
