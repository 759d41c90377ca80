"""The variants of a mixture: what each keeps, which stems are subtracted for it, and which mixtures can show it.

A variant's letters say what is kept beside the speech: S scene, E event, R reverberation; C keeps only the clean speech
(MM-IPC). Readers mix by these rules, and trainer/data/sampling.py selects mixtures by them.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

MIX = "mixFile"
SPEECH = ("speaker1File", "speaker2File")
"""The targets, dry in every variant: where R is kept, the model also learns to dereverberate."""
SCENE, EVENT = "sceneFile", "eventFile"
SPEECH_REVERB = ("reverbForSpeaker1", "reverbForSpeaker2")
EVENT_REVERB = "reverbForEvent"
"""Stems have the names of PolSESS's CSV columns."""

INDOOR_VARIANTS = ("SER", "SR", "ER", "R", "C")
"""Variants of PolSESS mixtures with reverberation."""
OUTDOOR_VARIANTS = ("SE", "S", "E", "C")
"""Variants of PolSESS mixtures without reverberation."""
NOISY_VARIANTS = ("S", "C")
"""Variants of two speakers and noise, as in LibriMix's mix_both; the noise is the scene."""
CLEAN_VARIANTS = ("C",)
"""Variants of two speakers alone, as in LibriMix's mix_clean."""

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "indoor": INDOOR_VARIANTS,
        "outdoor": OUTDOOR_VARIANTS,
        "noisy": NOISY_VARIANTS,
        "clean": CLEAN_VARIANTS,
    }
)
"""Variants that a kind of mixture can show; the first keeps everything in the mixture."""

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
"""Stems of a kind of mixture; first come those that every epoch reads."""


def subtracted(variant: str, kind: str) -> tuple[str, ...]:
    """Returns the stems of a mixture of `kind` that are subtracted from its mix to make `variant`."""
    dropped: list[str] = []
    if "S" not in variant:
        dropped.append(SCENE)
    if "E" not in variant:
        dropped += (EVENT, EVENT_REVERB)
    if "R" not in variant:
        dropped += SPEECH_REVERB
    return tuple(stem for stem in dropped if stem in STEMS[kind])


def fitting(allowed: Iterable[str], kind: str) -> tuple[str, ...]:
    """Returns the allowed variants that a mixture of `kind` can show; a mixture without any takes no part.

    Every kind can show C, so a stage or an evaluation that names C keeps all mixtures.
    """
    return tuple(variant for variant in allowed if variant in KINDS[kind])
