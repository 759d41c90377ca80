"""`python -m trainer separate`: the two speakers of a recording of any length and sample rate, as two WAV files.

The models work at 8 kHz: the recording is brought there by soxr and the speakers back to its rate, so that they lie
beside it sample by sample, with nothing in them above 4 kHz. Their levels are those that explain the recording best,
together turned down where one would be clipped. Called by trainer/__main__.py.
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
from trainer.errors import ConfigError, DataError, MemoryExhaustedError, StorageError
from trainer.inference.separator import load_separator, separate_long
from trainer.requests import Separate
from trainer.training.losses import gains
from trainer.training.memory import is_out_of_memory
from trainer.training.metric_line import say
from trainer.training.stop import Stopped, StopRequest

BLOCK_SECONDS = 30
"""Of the recording held at its own rate."""
MOST_FRAMES = 2**22
"""Of the recording held at its own rate, whatever its header says of that."""
CEILING = 0.99
"""Of full scale, for the loudest sample written."""


def separate(request: Separate) -> int:
    """Separate, write the files, and return the exit code. Raises TrainerError."""
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
        raise DataError(f"{request.recording}: is too loud to be separated; scale it to -1..1")
    loudest = float(estimates.abs().max())
    if loudest > CEILING:
        estimates *= CEILING / loudest
        say(f"turned down by {20 * np.log10(loudest / CEILING):.1f} dB, to not be clipped")
    _write(dict(zip(files, estimates.numpy(), strict=True)), rate, frames)
    say(*map(str, files))
    return 0


def _check_free(files: Sequence[Path], request: Separate) -> None:
    """Raises ConfigError where a result is there already: it may be that of talk.flac, and this is talk.wav."""
    if (there := next(filter(os.path.lexists, files), None)) and not request.overwrite:
        raise ConfigError(
            f"{there}: is there already; --overwrite replaces it, --out names another folder for the speakers of "
            f"{request.recording.name}"
        )


def _make(folder: Path) -> None:
    """Makes the folder of the results, before anything is computed. Raises ConfigError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"--out {folder}: cannot be written ({error.strerror}); choose another folder") from error


def _read(file: Path) -> tuple[Tensor, int, int]:
    """Returns the recording at 8 kHz and mixed down to one channel, [T]; its own rate in Hz and length in samples.

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
    except (OSError, soundfile.SoundFileError, ValueError, RuntimeError) as error:  # the last two of soxr
        raise DataError(f"{file}: is no recording that can be read ({error})") from error
    samples = np.concatenate(parts) if parts else np.empty(0, np.float32)
    if not len(samples):
        raise DataError(f"{file}: holds no samples, or less than one at {SAMPLE_RATE} Hz")
    if not np.isfinite(samples).all():
        raise DataError(f"{file}: holds samples that are no numbers")
    if channels > 1:
        say(f"{file}: {channels} channels are mixed down to one")
    return torch.from_numpy(samples), rate, frames


def _write(estimates: Mapping[Path, NDArray[np.float32]], rate: int, frames: int) -> None:
    """Writes all files or, where one cannot be written, none: each estimate at `rate`, `frames` samples long.

    Raises StorageError.
    """
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
        raise StorageError(f"{file}: cannot be written ({error}); choose another --out") from error
    finally:
        with contextlib.suppress(OSError):
            for left in partial.values():
                left.unlink(missing_ok=True)


def _resampled(blocks: Iterator[NDArray[np.float32]], source: int, target: int) -> Iterator[NDArray[np.float32]]:
    """Yields the same signal, [T] in pieces, at another rate in Hz."""
    if source == target:
        yield from blocks
        return
    stream = soxr.ResampleStream(source, target, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)
