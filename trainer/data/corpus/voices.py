"""Synthetic speakers: eSpeak NG voices from the espeakng-loader wheel, for machines without recordings.

A speaker is a voice variant with a pitch and a rate of its own.
"""

import ctypes
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import espeakng_loader
import numpy as np
import soundfile
from numpy.typing import NDArray

from trainer.errors import DataError

SYNCHRONOUS = 2
"""espeak_AUDIO_OUTPUT: samples go to the callback before espeak_Synth returns."""
RATE, PITCH = 1, 3
"""espeak_PARAMETER."""
UTF8 = 1
REGISTERS = {"low": (20, 51), "high": (85, 100)}
"""eSpeak's pitch, 0 to 99, by register."""
SENTENCES = (
    "Dzisiaj rano pociąg do Krakowa przyjechał z dużym opóźnieniem.",
    "Proszę zostawić klucze na stole obok okna w kuchni.",
    "Wieczorem pójdziemy nad rzekę, jeżeli przestanie padać deszcz.",
    "Moja siostra uczy się grać na skrzypcach od siedmiu lat.",
    "W bibliotece jest cicho, więc najlepiej czyta się tam przed południem.",
    "Ten przepis wymaga trzech jajek, szklanki mąki i odrobiny cierpliwości.",
    "Zadzwoń do mnie, kiedy skończy się zebranie w urzędzie.",
    "Stary zegar na wieży wybija godziny odrobinę za wcześnie.",
    "Na targu kupiliśmy jabłka, gruszki i koszyk świeżych malin.",
    "Wiatr przewrócił płot, ale drzewa w sadzie stoją jak dawniej.",
    "Lekarz powiedział, że wystarczy odpoczynek i dużo ciepłej herbaty.",
    "Dzieci zbudowały z piasku zamek z czterema krzywymi wieżami.",
)


class Engine(NamedTuple):
    """A started eSpeak NG."""

    library: ctypes.CDLL
    sample_rate: int
    """Hz, of what it speaks."""
    chunks: list[NDArray[np.int16]]
    """The samples so far, to which the callback appends."""
    callback: object
    """Kept alive here, because the library has only its address."""


def voices() -> list[str]:
    """Returns the names of all speakers: the human-like voice variants of the wheel, in a fixed order."""
    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    # Whispers have no pitch, and the others are effects (robots, echoes), not speakers.
    effects = {"croak", "whisper", "whisperf", "robosoft", "UniRobot", "Demonic", "grandma", "grandpa"}
    # The breath of these is random in each process, so that their bytes are never the same twice.
    random = {"f3", "f5"}
    names = sorted({path.name for path in folder.iterdir()} - random)
    names = [name for name in names if name.rstrip("0123456789") not in effects]
    # Neighbours in name are often neighbours in sound.
    return names[::2]


def record(folder: Path) -> None:
    """Records all sentences in every voice, into `folder`/<register>/<voice>/speech.wav.

    Nearly all of eSpeak's voices are male and much alike, so every other one speaks in a high register. This needs a
    fresh process: the last bits of a voice depend on what eSpeak has said before.
    """
    engine = _engine()
    for voice, register in zip(voices(), cycle(REGISTERS)):
        (folder / register / voice).mkdir(parents=True)
        speech = _speech(engine, voice, REGISTERS[register])
        soundfile.write(folder / register / voice / "speech.wav", speech, engine.sample_rate, "PCM_16")


def _speech(started: "Engine", voice: str, pitch: tuple[int, int]) -> NDArray[np.int16]:
    """Returns all sentences in one voice, one after the other [T]."""
    engine, chunks = started.library, started.chunks
    character = np.random.default_rng([ord(letter) for letter in voice])
    if engine.espeak_SetVoiceByName(f"pl+{voice}".encode()) != 0:
        raise DataError(f"eSpeak NG has no voice 'pl+{voice}'; reinstall espeakng-loader")
    engine.espeak_SetParameter(PITCH, int(character.integers(*pitch)), 0)
    engine.espeak_SetParameter(RATE, int(character.integers(140, 201)), 0)
    chunks.clear()
    for index in character.permutation(len(SENTENCES)):
        text = SENTENCES[index].encode() + b"\0"
        engine.espeak_Synth(text, len(text), 0, 0, 0, UTF8, None, None)
    return np.concatenate(chunks)


def _engine() -> Engine:
    """Starts eSpeak NG in this process and returns it."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, str(espeakng_loader.get_data_path()).encode(), 0)
    if rate <= 0:
        raise DataError("eSpeak NG does not start; reinstall espeakng-loader, or give recordings with --speech")
    chunks: list[NDArray[np.int16]] = []

    def collect(samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: int) -> int:
        if samples and count:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    callback = kind(collect)
    library.espeak_SetSynthCallback(callback)
    return Engine(library, rate, chunks, callback)
