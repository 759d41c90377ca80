"""What a variant keeps and which mixtures can show it, against the letters' meaning (MM-IPC) and the corpora's own
columns.
"""

import pytest

from trainer.data.mixing import KINDS, STEMS, VARIANTS, fitting, subtracted

LETTERS = {"S": {"sceneFile"}, "E": {"eventFile", "reverbForEvent"}}
LETTERS["R"] = {"reverbForSpeaker1", "reverbForSpeaker2"}
"""What a letter of a variant keeps beside the speech (MM-IPC); the reverberation of an event belongs to the event."""
SHOWN = {"indoor": "SER SR ER R C", "outdoor": "SE S E C", "noisy": "S C", "clean": "C"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_variant_keeps_what_its_letters_say(kind: str) -> None:
    """All stems but the mix and the speech are subtracted, unless a letter keeps them.

    The kind's first variant keeps all. Which stems and variants a kind has is PolSESS's and LibriMix's.
    """
    others = set(STEMS[kind]) - {"mixFile", "speaker1File", "speaker2File"}
    assert KINDS[kind] == tuple(SHOWN[kind].split())
    for variant in KINDS[kind]:
        kept = {stem for letter in variant if letter != "C" for stem in LETTERS[letter]}
        dropped = subtracted(variant, kind)
        assert set(dropped) == others - kept
        assert len(set(dropped)) == len(dropped)
    assert subtracted(KINDS[kind][0], kind) == ()


def test_the_stems_of_a_kind_are_its_columns() -> None:
    """Of PolSESS's CSV, outdoors without reverberation; LibriMix's noise is the scene."""
    speech = {"mixFile", "speaker1File", "speaker2File"}
    assert set(STEMS["clean"]) == speech
    assert set(STEMS["noisy"]) == speech | {"sceneFile"}
    assert set(STEMS["outdoor"]) == speech | {"sceneFile", "eventFile"}
    assert set(STEMS["indoor"]) == set(STEMS["outdoor"]) | LETTERS["R"] | {"reverbForEvent"}
    assert list(STEMS) == list(KINDS)
    assert all(stems[0] == "mixFile" for stems in STEMS.values())
    assert sorted(VARIANTS) == sorted({variant for shown in SHOWN.values() for variant in shown.split()})


def test_every_kind_can_show_c() -> None:
    for kind in KINDS:
        assert fitting(["SER", "C"], kind)[-1] == "C"
        assert fitting(reversed(VARIANTS), kind) == tuple(
            variant for variant in reversed(VARIANTS) if variant in SHOWN[kind].split()
        )
