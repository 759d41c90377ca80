"""A separated validation mixture: one WAV file of five channels, and its spectrograms.

The training writes it at a best epoch, and the reporter reads it.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

CHANNELS = ("mixture", "estimate 1", "estimate 2", "target 1", "target 2")


@dataclass(frozen=True)
class Signals:
    """Signals [5, T] as CHANNELS names them, float32; estimates in the order of the targets."""

    title: str
    """The variant, and how well the mixture was separated."""
    signals: NDArray[np.float32]
    rate: int
    """Hz."""

    def write(self, file: Path) -> None:
        """Replaces `file` as a whole. Raises OSError."""
        buffer = io.BytesIO()
        loudest = max(1.0, float(np.abs(self.signals).max()))
        with soundfile.SoundFile(buffer, "w", self.rate, len(CHANNELS), "PCM_16", format="WAV") as sound:
            sound.title = self.title
            sound.write(self.signals.T / loudest)
        temporary = file.with_suffix(".tmp")
        try:
            temporary.write_bytes(buffer.getvalue())
            temporary.replace(file)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    @staticmethod
    def read(file: Path) -> "Signals":
        """Returns the signals that `write` has written to `file`."""
        with soundfile.SoundFile(file) as sound:
            return Signals(sound.title, sound.read(dtype="float32", always_2d=True).T, sound.samplerate)


def spectrograms(signals: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Returns pictures [C, F, N] of `signals` [C, T], with low frequencies at the bottom.

    The loudest bin of all is white, and 60 dB below it is black. Hann windows of 256 samples, hop 64.
    """
    size, hop = 256, 64
    padded = np.pad(signals, ((0, 0), (0, max(0, size - signals.shape[1]))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=1)[:, ::hop]  # [C, N, size]
    amplitudes = np.abs(np.fft.rfft(frames * np.hanning(size)))  # [C, N, F]
    decibels = 20 * np.log10(np.maximum(amplitudes / max(amplitudes.max(), 1e-9), 1e-3))
    pictures = np.asarray((decibels + 60) / 60 * 255, np.uint8)
    return pictures.transpose(0, 2, 1)[:, ::-1]
