"""The PolSESS reader: variants against sums of the stems themselves, row selection, and every kind of damage."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainer.data.mixing import INDOOR_VARIANTS, MIX, OUTDOOR_VARIANTS, STEMS, fitting
from trainer.data.readers.corpora import open_subset
from trainer.data.readers.subset import Row, load
from trainer.data.readers.wav import WavSubset
from trainer.data.sampling import Excerpt, loader, select, training_batches, validation_batches

ROUNDING = 8 / 2**15  # eight stems were rounded to 16 bits

KEPT = {
    "SER": ["sceneFile", "eventFile", "reverbForEvent", "reverbForSpeaker1", "reverbForSpeaker2"],
    "SR": ["sceneFile", "reverbForSpeaker1", "reverbForSpeaker2"],
    "ER": ["eventFile", "reverbForEvent", "reverbForSpeaker1", "reverbForSpeaker2"],
    "R": ["reverbForSpeaker1", "reverbForSpeaker2"],
    "SE": ["sceneFile", "eventFile"],
    "S": ["sceneFile"],
    "E": ["eventFile"],
    "C": [],
}


def stem(row: Row, column: str) -> np.ndarray:
    assert isinstance(row.subset, WavSubset)
    return np.asarray(soundfile.read(row.subset.listing.file(row.index, column))[0])


@pytest.mark.parametrize("variant", INDOOR_VARIANTS)
def test_an_indoor_variant_is_the_speech_and_what_it_keeps(corpus: Path, variant: str) -> None:
    """The reader subtracts from the mix; here the stems that the variant keeps are added up."""
    assert_variant(open_subset(corpus, "train").rows[0], variant)


@pytest.mark.parametrize("variant", OUTDOOR_VARIANTS)
def test_an_outdoor_variant_is_the_speech_and_what_it_keeps(corpus: Path, variant: str) -> None:
    """As above, for a row whose reverb cells are empty."""
    assert_variant(open_subset(corpus, "train").rows[1], variant)


def assert_variant(row: Row, variant: str) -> None:
    mixture, targets = load(row, variant, 100, 3000)
    kept = ["speaker1File", "speaker2File", *KEPT[variant]]
    expected = np.sum([stem(row, column) for column in kept], axis=0)
    np.testing.assert_allclose(mixture, expected[100:3100], atol=ROUNDING)
    np.testing.assert_allclose(targets[0], stem(row, "speaker1File")[100:3100], atol=1e-7)
    np.testing.assert_allclose(targets[1], stem(row, "speaker2File")[100:3100], atol=1e-7)


def test_a_row_takes_part_if_its_kind_can_show_any_variant_of_the_stage() -> None:
    """The published rule as a plain loop, over every selection of the eight variants and every kind of mixture."""
    shown = {"indoor": "SER SR ER R C", "outdoor": "SE S E C", "noisy": "S C", "clean": "C"}
    for size in range(len(KEPT) + 1):
        for stage in itertools.combinations(KEPT, size):
            for kind, variants in shown.items():
                expected = []
                for variant in stage:
                    for own in variants.split():
                        if own == variant:
                            expected.append(variant)
                assert list(fitting(stage, kind)) == expected


def test_an_epoch_of_the_stage_c_r_shows_outdoor_rows_as_c_and_indoor_ones_as_both(corpus: Path) -> None:
    """All twelve rows take part in each of twenty epochs; the even rows are indoors."""
    subset = open_subset(corpus, "train")
    rows = select(subset, ["C", "R"], None)
    drawn = [
        (excerpt.row.index, excerpt.variant)
        for epoch in range(1, 21)
        for batch in training_batches(rows, ["C", "R"], seed=1, epoch=epoch, frames=4000, batch_size=5)
        for excerpt in batch
    ]
    assert Counter(index for index, _ in drawn) == dict.fromkeys(range(12), 20)
    indoor = Counter(variant for index, variant in drawn if index % 2 == 0)
    assert {variant for index, variant in drawn if index % 2} == {"C"}
    assert set(indoor) == {"C", "R"}
    assert min(indoor.values()) > 40  # of 120


def test_a_limit_takes_the_first_rows_after_the_selection(corpus: Path) -> None:
    """With R alone the outdoor rows drop out first, then three are left: the first, third and fifth."""
    rows = select(open_subset(corpus, "train"), ["R"], 3)
    assert [row.index for row in rows] == [0, 2, 4]


def test_a_training_epoch_is_drawn_from_seed_and_epoch_alone(corpus: Path) -> None:
    """Drawn twice it is the same; the next epoch, and another seed, draw otherwise."""
    rows, variants = open_subset(corpus, "train").rows, ["SER", "SR", "ER", "R", "SE", "S", "E", "C"]

    def draw(seed: int, epoch: int) -> list[list[Excerpt]]:
        return list(training_batches(rows, variants, seed=seed, epoch=epoch, frames=2000, batch_size=5))

    assert draw(42, 3) == draw(42, 3)
    assert draw(42, 3) != draw(42, 4)
    assert draw(42, 3) != draw(43, 3)
    drawn = [excerpt for batch in draw(42, 3) for excerpt in batch]
    assert sorted(excerpt.row.index for excerpt in drawn) == [row.index for row in rows]
    assert all(excerpt.variant in fitting(variants, excerpt.row.kind) for excerpt in drawn)
    assert [len(batch) for batch in draw(42, 3)] == [5, 5, 2]


def test_a_validation_variant_is_fixed_for_each_row_and_independent_of_the_batch_size(corpus: Path) -> None:
    """All trials must be judged on the same signals; with SER and SE each row has exactly one variant."""
    rows = open_subset(corpus, "val").rows
    one = validation_batches(rows, ["SR", "R", "S", "E"], frames=4000, batch_size=1)
    many = validation_batches(rows, ["SR", "R", "S", "E"], frames=4000, batch_size=3)
    assert [e for batch in one for e in batch] == [e for batch in many for e in batch]
    fixed = validation_batches(rows, ["SER", "SE"], frames=4000, batch_size=4)[0]
    assert [excerpt.variant for excerpt in fixed] == ["SER", "SE", "SER", "SE"]


def test_a_short_file_is_repeated_in_training_and_kept_apart_in_validation(broken: Path) -> None:
    """One row is shortened to 0.1 s: the three others keep every sample of their segment, and the short one is itself
    over and over, with its targets; a validation batch has one length.
    """
    shorten(broken / "val", open_subset(broken, "val").rows[1], 800)
    rows = open_subset(broken, "val").rows
    training = training_batches(rows, ["SER", "SE"], seed=0, epoch=1, frames=3000, batch_size=4)
    (batch,) = loader(training, frames=3000, workers=0, pin=False)
    for excerpt, mixture, targets in zip(training[0], batch.mixtures, batch.targets, strict=True):
        whole, speech = load(excerpt.row, excerpt.variant, excerpt.start, min(3000, excerpt.row.frames))
        for place in range(3000):
            assert mixture[place] == whole[place % len(whole)]
            assert (targets[:, place].numpy() == speech[:, place % len(whole)]).all()
    validation = validation_batches(rows, ["SER", "SE"], frames=3000, batch_size=4)
    shapes = [batch.mixtures.shape for batch in loader(validation, frames=3000, workers=0, pin=False)]
    assert shapes == [(1, 800), (3, 3000)]


def shorten(folder: Path, row: Row, frames: int) -> None:
    assert isinstance(row.subset, WavSubset)
    for stem in STEMS[row.kind]:
        file = row.subset.listing.file(row.index, stem)
        soundfile.write(file, soundfile.read(file, dtype="int16")[0][:frames], 8000, subtype="PCM_16")


def test_a_corpus_that_was_moved_or_renamed_keeps_its_fingerprint(corpus: Path, broken: Path) -> None:
    """It may be mounted as /data; a corpus with other sound is another one, though its CSV is the same."""
    renamed = broken.rename(broken.with_name("data"))
    subset = open_subset(renamed, "val")
    before = subset.fingerprint()
    assert before == open_subset(corpus, "val").fingerprint()
    assert isinstance(subset, WavSubset)
    file = subset.listing.file(0, MIX)
    soundfile.write(file, soundfile.read(file)[0] * 0.5, 8000, subtype="PCM_16")
    assert open_subset(renamed, "val").fingerprint() != before
