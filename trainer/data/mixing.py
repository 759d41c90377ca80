"""The variants of a PolSESS mixture: what each keeps, which stems are subtracted for it, which rows can show
it.

A variant's letters say what is kept beside the speech: S scene, E event, R reverberation; C keeps nothing
(MM-IPC). Pure rules; trainer/data/polsess.py reads the files by them and trainer/data/sampling.py selects
rows by them.
"""

from collections.abc import Iterable

INDOOR_VARIANTS = ("SER", "SR", "ER", "R", "C")
"""Of mixtures that have reverberation."""
OUTDOOR_VARIANTS = ("SE", "S", "E", "C")
"""Of mixtures that have none."""
VARIANTS = tuple(dict.fromkeys(INDOOR_VARIANTS + OUTDOOR_VARIANTS))

SPEECH = ("speaker1File", "speaker2File")
"""CSV columns of the targets, dry in every variant: where R is kept the model learns to dereverberate as
well."""
SPEECH_REVERB = ("reverbForSpeaker1", "reverbForSpeaker2")
EVENT_REVERB = "reverbForEvent"


def subtracted(variant: str, *, indoor: bool) -> tuple[str, ...]:
    """CSV columns of the stems that are subtracted from the mix to make `variant`."""
    stems: list[str] = []
    if "S" not in variant:
        stems.append("sceneFile")
    if "E" not in variant:
        stems += ["eventFile", EVENT_REVERB] if indoor else ["eventFile"]
    if indoor and "R" not in variant:
        stems += SPEECH_REVERB
    return tuple(stems)


def fitting(allowed: Iterable[str], *, indoor: bool) -> tuple[str, ...]:
    """Those of the allowed variants that a mixture of this kind can show; empty where it takes no part.

    C is of both kinds and names neither: with C and R only indoor mixtures take part, with C alone all of
    them.
    """
    own, other = (INDOOR_VARIANTS, OUTDOOR_VARIANTS) if indoor else (OUTDOOR_VARIANTS, INDOOR_VARIANTS)
    allowed = tuple(allowed)
    named = [variant for variant in allowed if variant != "C"]
    if named and all(variant in other for variant in named):
        return ()
    return tuple(variant for variant in allowed if variant in own)
