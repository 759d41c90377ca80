"""Mixes the voices of training mixtures anew: voices of other mixtures (dynamic mixing), at other speeds.

What lies below the voices stays: in each variant a mixture is its background plus its two voices, with their
reverberation where the variant keeps it. A voice that replaces another comes with its own reverberation, which is why
it is of a mixture of the same kind. Every draw is a function of (seed, epoch, row).

References:
    Zeghidour & Grangier 2021, "Wavesplit: End-to-end speech separation by speaker clustering", IEEE/ACM TASLP 29:
    dynamic mixing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.mixing import SPEECH, SPEECH_REVERB
from trainer.data.readers.oddities import foreign
from trainer.data.readers.subset import Indices, Row, Rows, Samples, Subset
from trainer.data.speed import needed, played
from trainer.errors import DataError

GAIN = 2.5
"""Most dB by which a voice of a new pair is made louder or quieter; the ratio of a pair changes by up to twice that."""
STREAM = 1
"""Distinguishes these draws from those of order, variants and segments, which stay what they are without them."""


@dataclass(frozen=True)
class Voice:
    """One of the two voices of a mixture that is mixed anew."""

    row: Row
    """The mixture that it comes from."""
    speaker: int
    """0 or 1: which of the voices there."""
    start: int
    """First sample."""
    percent: int
    """Of its original speed."""
    gain: float
    """Factor of its samples."""

    def added(self, mixture: Samples, speech: Samples, reverberant: bool) -> None:
        """Adds the voice to `mixture` [T], and makes `speech` [T] its dry samples; a short one is repeated."""
        frames = min(needed(len(mixture), self.percent), self.row.frames - self.start)
        speech[:] = self._heard(SPEECH, frames, len(mixture))
        mixture += speech
        if reverberant:
            mixture += self._heard(SPEECH_REVERB, frames, len(mixture))

    def _heard(self, stems: tuple[str, str], read: int, frames: int) -> Samples:
        samples = self.row.subset.read_stem(self.row.index, stems[self.speaker], self.start, read)
        heard: Samples = np.resize(played(samples, self.percent), frames) * np.float32(self.gain)
        return heard


@dataclass(frozen=True)
class Remix:
    """How the voices of training mixtures are drawn; without effect where both are 0."""

    mixing: int = 0
    """Per cent of the mixtures in which one voice is replaced."""
    speed: int = 0
    """Most per cent by which a voice is played faster or slower."""

    @property
    def changes(self) -> bool:
        """Whether any voice is another one, or at another speed."""
        return bool(self.mixing or self.speed)

    def check(self, subset: Subset) -> None:
        """Raises DataError where `subset` does not offer what this needs."""
        flag = "--dynamic-mixing" if self.mixing else "--speed-perturbation"
        if not self.changes:
            return
        if not subset.apart:
            raise DataError(
                f"{flag}: {subset.source} keeps mixtures and no voices with their reverberation; train with the WAV "
                "files beside it, or leave the option out"
            )
        if others := foreign(subset):
            raise DataError(
                f"{flag}: {subset.source}: {others} of the checked mixtures are not the sum of their stems; `make "
                "corpus-check` lists them, and without the option they can be trained on"
            )
        if self.mixing and (unnamed := int((subset.speakers < 0).any(1).sum())):
            raise DataError(
                f"{flag}: {subset.source}: {unnamed} of {len(subset.frames)} mixtures do not name their speakers; "
                "add the columns speaker1Id and speaker2Id, or leave the option out"
            )
        if self.mixing and (alone := np.flatnonzero(subset.speakers[:, 0] == subset.speakers[:, 1])).size:
            raise DataError(
                f"{flag}: {subset.source}: mixture {alone[0] + 1} names one speaker twice; correct it, or leave the "
                "option out"
            )

    def drawn(self, rows: Rows, starts: Indices, frames: int, *, seed: int, epoch: int) -> "Voices | None":
        """Returns the voices of the mixtures `rows` in an epoch's order; None where they stay as they are.

        `starts` are the first samples of their segments, which are at most `frames` long.
        """
        if not self.changes:
            return None
        size = (len(rows), 2)
        draw = np.random.default_rng((seed, epoch, STREAM))
        chance, kept, other, where = draw.random((4, len(rows)))
        percents = 100 + draw.integers(-self.speed, self.speed + 1, size)
        gains = 10 ** (draw.uniform(-GAIN, GAIN, size) / 20)
        mixed = 100 * chance < self.mixing
        replaced = mixed[:, None] & ((kept < 0.5)[:, None] == np.array([True, False]))
        partners, theirs = _partners(rows, replaced, other) if self.mixing else (0, 0)
        sources = np.where(replaced, partners, np.arange(len(rows))[:, None])
        lasting = -(-np.minimum(frames, rows.frames)[:, None] * percents // 100)
        latest = np.maximum(0, rows.frames[sources] - lasting)
        begins = np.where(replaced, where[:, None] * (latest + 1), np.minimum(starts[:, None], latest))
        return Voices(
            rows,
            sources,
            speakers=np.where(replaced, theirs, np.array([0, 1])),
            starts=begins.astype(np.int64),
            percents=percents,
            gains=np.where(mixed[:, None], gains, 1.0),
        )


def _partners(rows: Rows, replaced: NDArray[np.bool_], chance: NDArray[np.float64]) -> tuple[Indices, Indices]:
    """Returns for each mixture the index into `rows` and the number of a voice in place of the one `replaced`, [N, 1].

    It is one of another speaker than the voice that stays, in a mixture of the same kind, and each of these is as
    likely as the others.
    """
    speakers = rows.subset.speakers[rows.indices]
    stays = np.where(replaced[:, 0], speakers[:, 1], speakers[:, 0])
    sources, voices = np.zeros((2, len(rows)), np.int64)
    for code in np.unique(rows.kinds):
        members = np.flatnonzero(rows.kinds == code)
        names = speakers[members].ravel()
        order = np.argsort(names, kind="stable")
        first, last = (np.searchsorted(names[order], stays[members], side) for side in ("left", "right"))
        picked = (chance[members] * (len(names) - (last - first))).astype(np.int64)
        chosen = order[picked + np.where(picked >= first, last - first, 0)]
        sources[members], voices[members] = members[chosen // 2], chosen % 2
    return sources[:, None], voices[:, None]


PLAIN = Remix()


@dataclass(frozen=True, eq=False)
class Voices:
    """The two voices of each of an epoch's mixtures, as arrays [N, 2]; a Voice is made only when it is needed."""

    rows: Rows
    sources: Indices
    """Index into `rows`, which are those of the whole epoch."""
    speakers: Indices
    starts: Indices
    percents: Indices
    gains: NDArray[np.float64]

    def __getitem__(self, part: slice) -> "Voices":
        return Voices(
            self.rows,
            self.sources[part],
            self.speakers[part],
            self.starts[part],
            self.percents[part],
            self.gains[part],
        )

    def of(self, index: int) -> tuple[Voice, Voice]:
        """Returns the voices of one of the mixtures."""
        first, second = (
            Voice(
                self.rows[int(self.sources[index, slot])],
                int(self.speakers[index, slot]),
                int(self.starts[index, slot]),
                int(self.percents[index, slot]),
                float(self.gains[index, slot]),
            )
            for slot in (0, 1)
        )
        return first, second


def revoice(row: Row, variant: str, start: int, voices: tuple[Voice, Voice], mixture: Samples, speech: Samples) -> None:
    """Replaces the voices of a mixture [T] that was read from `start` in `variant`, and its targets `speech` [2, T]."""
    reverberant = "R" in variant
    mixture -= speech[0]
    mixture -= speech[1]
    if reverberant:
        for speaker in (0, 1):
            mixture -= row.subset.read_stem(row.index, SPEECH_REVERB[speaker], start, len(mixture))
    for voice, dry in zip(voices, speech, strict=True):
        voice.added(mixture, dry, reverberant)
