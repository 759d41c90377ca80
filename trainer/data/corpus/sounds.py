"""Makes the sounds around the speech: continuous scenes, sound events, and reverberation.

All are drawn from the mixture's own generator, so that the same seed gives the same bytes.
"""

import numpy as np
import pyroomacoustics as pra
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import fftconvolve

Signal = NDArray[np.float64]

REVERBERATION_TIME = (0.15, 0.3)
"""T60 in s, that of furnished rooms."""
ROOM = ((3.0, 3.0, 2.4), (7.0, 6.0, 3.2))
"""Smallest and largest room in m."""
WALL_DISTANCE = 0.5
"""Least distance of the microphone from the walls in m."""
SPEAKER_DISTANCE = (0.2, 0.4)
"""Distance from the microphone in m, that of a headset or a laptop, so that the dry speech dominates."""
MAX_ORDER = 12
"""Order of the image-source reflections; at these T60, later ones are below the noise of 16 bits."""


def scene(draw: Generator, frames: int, sample_rate: int) -> Signal:
    """Returns a continuous background [T] of unit power.

    It is slowly modulated noise whose spectrum falls by 0 to 6 dB per octave, in half of the cases with mains hum.
    """
    spectrum = np.fft.rfft(draw.standard_normal(frames))
    frequency = np.fft.rfftfreq(frames, 1 / sample_rate)
    noise = np.fft.irfft(spectrum / np.maximum(frequency, 20.0) ** draw.uniform(0.0, 1.0), frames)
    time = np.arange(frames) / sample_rate
    slow = 1 + draw.uniform(0, 0.6) * np.sin(2 * np.pi * draw.uniform(0.1, 2.0) * time + draw.uniform(0, 2 * np.pi))
    signal = unit(noise * slow)
    if draw.random() < 0.5:
        harmonics = [np.sin(2 * np.pi * 50 * k * time + draw.uniform(0, 2 * np.pi)) / k for k in (1, 2, 3, 5, 7)]
        signal = signal + draw.uniform(0.1, 0.5) * unit(np.sum(harmonics, axis=0))
    return unit(signal)


def event(draw: Generator, frames: int, sample_rate: int) -> Signal:
    """Returns a short dry sound [T] of peak 1 somewhere in the mixture: knocks, a ringing tone or a burst of noise."""
    length = min(frames, int(draw.uniform(0.1, 0.5) * sample_rate))
    time = np.arange(length) / sample_rate
    decay = np.exp(-time / draw.uniform(0.02, 0.12))
    kind = draw.integers(3)
    if kind == 0:
        sound = decay * draw.standard_normal(length)
    elif kind == 1:
        partials = draw.uniform(300, 3000, size=4)
        sound = decay * np.sin(2 * np.pi * partials[:, None] * time).sum(axis=0)
    else:
        knock = np.maximum(np.sin(2 * np.pi * draw.uniform(4, 10) * time), 0) ** 8
        sound = knock * draw.standard_normal(length)
    placed = np.zeros(frames)
    start = int(draw.integers(0, frames - length + 1))
    placed[start : start + length] = sound / max(np.abs(sound).max(), 1e-9)
    return placed


def reverberation(draw: Generator, dry: list[Signal], sample_rate: int) -> list[Signal]:
    """Returns the reverberation of one room for each of the `dry` signals [T] at one microphone: wet minus dry.

    The direct path is scaled to 1 and shifted to time 0, so that wet = dry + reverberation keeps the dry signal as it
    is in the mix.

    References:
        Allen and Berkley 1979, "Image method for efficiently simulating small-room acoustics"; by pyroomacoustics.
    """
    size = draw.uniform(*ROOM)
    absorption, order = pra.inverse_sabine(draw.uniform(*REVERBERATION_TIME), size)
    room = pra.ShoeBox(size, fs=sample_rate, materials=pra.Material(absorption), max_order=min(order, MAX_ORDER))
    microphone = draw.uniform(WALL_DISTANCE, size - WALL_DISTANCE)
    room.add_microphone(microphone)
    for _ in dry:
        direction = _direction(draw) * draw.uniform(*SPEAKER_DISTANCE)
        room.add_source(np.clip(microphone + direction, 0.1, size - 0.1))
    room.compute_rir()
    added = []
    for signal, response in zip(dry, room.rir[0], strict=True):
        direct = int(np.argmax(np.abs(response)))
        tail = response[direct:] / response[direct]
        tail[0] = 0.0
        added.append(fftconvolve(signal, tail)[: len(signal)])
    return added


def _direction(draw: Generator) -> Signal:
    """Returns a random direction [3] of length 1."""
    vector = draw.standard_normal(3)
    return np.asarray(vector / np.linalg.norm(vector))


def unit(signal: Signal) -> Signal:
    """Returns the signal at unit power."""
    return signal / max(float(np.sqrt(np.mean(signal**2))), 1e-9)
