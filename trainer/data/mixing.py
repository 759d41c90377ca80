"""The variants of a mixture: what each keeps, which stems are subtracted for it, which mixtures can show it.

A variant's letters say what is kept beside the speech: S scene, E event, R reverberation; C keeps nothing (MM-IPC).
Pure rules; trainer/data/readers/subset.py and the readers mix by them, trainer/data/sampling.py selects by them.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

MIX = "mixFile"
SPEECH = ("speaker1File", "speaker2File")
"""The targets, dry in every variant: where R is kept the model learns to dereverberate as well."""
SCENE, EVENT = "sceneFile", "eventFile"
SPEECH_REVERB = ("reverbForSpeaker1", "reverbForSpeaker2")
EVENT_REVERB = "reverbForEvent"
"""Stems are called like PolSESS's CSV columns."""

INDOOR_VARIANTS = ("SER", "SR", "ER", "R", "C")
"""Of PolSESS mixtures that have reverberation."""
OUTDOOR_VARIANTS = ("SE", "S", "E", "C")
"""Of PolSESS mixtures that have none."""
NOISY_VARIANTS = ("S", "C")
"""Of two speakers and noise, as in LibriMix's mix_both: the noise is the scene."""
CLEAN_VARIANTS = ("C",)
"""Of two speakers alone, as in LibriMix's mix_clean."""

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "indoor": INDOOR_VARIANTS,
        "outdoor": OUTDOOR_VARIANTS,
        "noisy": NOISY_VARIANTS,
        "clean": CLEAN_VARIANTS,
    }
)
"""Kind of mixture -> the variants that it can show; the first keeps everything that is in the mixture."""

VARIANTS = tuple(dict.fromkeys(variant for variants in KINDS.values() for variant in variants))

_SPOKEN = (MIX, *SPEECH)
STEMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "indoor": (*_SPOKEN, SCENE, EVENT, EVENT_REVERB, *SPEECH_REVERB),
        "outdoor": (*_SPOKEN, SCENE, EVENT),
        "noisy": (*_SPOKEN, SCENE),
        "clean": _SPOKEN,
    }
)
"""Kind of mixture -> its stems, those that every epoch reads first."""


def subtracted(variant: str, kind: str) -> tuple[str, ...]:
    """Returns those stems of a mixture of `kind` that are subtracted from its mix to make `variant`."""
    dropped: list[str] = []
    if "S" not in variant:
        dropped.append(SCENE)
    if "E" not in variant:
        dropped += (EVENT, EVENT_REVERB)
    if "R" not in variant:
        dropped += SPEECH_REVERB
    return tuple(stem for stem in dropped if stem in STEMS[kind])


def fitting(allowed: Iterable[str], kind: str) -> tuple[str, ...]:
    """Selects those of the allowed variants that a mixture of `kind` can show; without any it takes no part.

    Every kind can show C, so that a stage or an evaluation that names C keeps all mixtures.
    """
    return tuple(variant for variant in allowed if variant in KINDS[kind])
