"""Embeds what the best trial sounds like: mixture, references and estimates of a few validation mixtures.

The control side has no torch, so the trainer separates the mixtures in a process of its own and leaves them in the
trial's folder.
"""

import base64
import io
import re
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from katib.table.trial_table import TrialRow
from katib.text import count
from katib.trainer_contract import BEST, CONFIG, SCORES, Flags, program, run_trainer
from katib.untrusted import clean, read_bytes, read_json

EXAMPLES, SECONDS, BATCH = 3, 4.0, 1
"""Mixtures, and how much of each is heard."""
PATIENCE_SECONDS, LARGEST_SOUND = 180, 64 << 20
FOLDER = "evaluation-report"
SIGNALS = {
    "mixture": "mixture",
    "target1": "reference 1",
    "target2": "reference 2",
    "speaker1": "estimate 1",
    "speaker2": "estimate 2",
}
"""By the names of the trainer's files (trainer/inference/evaluate.py)."""


class Score(TypedDict):
    """The trainer's score of one mixture, counted from 0; SI-SNR and its improvement are in dB."""

    row: int
    variant: str
    si_snr: float
    improvement: float


@dataclass(frozen=True)
class Player:
    """A sound of the page; `source` holds its audio as a data URI."""

    name: str
    source: str


@dataclass(frozen=True)
class Example:
    """A mixture with its references and estimates."""

    title: str
    players: tuple[Player, ...]

    @property
    def size(self) -> int:
        """The bytes that it takes in the page."""
        return sum(len(player.source) for player in self.players)


@dataclass(frozen=True)
class Listening:
    """The sounds to play; `says` introduces them, or explains why there are none."""

    says: str
    examples: tuple[Example, ...] = ()

    def within(self, room: int) -> "Listening":
        """Returns as many examples as fit into so many bytes, with a remark where some are left out."""
        kept: list[Example] = []
        for example in self.examples:
            if example.size > room:
                break
            kept.append(example)
            room -= example.size
        if len(kept) == len(self.examples):
            return self
        missing = count(len(self.examples) - len(kept), "example")
        return Listening(f"{self.says} {missing} more would not fit into the file.", tuple(kept))


def listen(best: TrialRow | None, folder: Path | None, *, ours: bool = True) -> Listening:
    """Returns what the trial in `folder` makes of the first validation mixtures; None where its folder is elsewhere.

    A program other than our trainer (not `ours`) leaves nothing that could be played.
    """
    if best is None:
        return Listening("No audio: no trial has reported a value yet.")
    if not ours:
        return Listening("No audio: only runs of `python -m trainer` separate speech.")
    if folder is None:
        return Listening(
            f"No audio: the run directory of {best.trial} is on the cluster. Copied to this machine, "
            "`python -m trainer evaluate --run-dir …` writes mixture, references and estimates as WAV files."
        )
    if not (folder / BEST).is_file():
        return Listening(f"No audio: {folder} holds no {BEST}, the weights of the trial's best epoch.")
    place = folder / FOLDER
    if place.is_symlink() or folder.is_symlink():
        return Listening(f"No audio: {place} is reached by a symbolic link, which may lead anywhere.")
    if not _fresh(place, folder / BEST) and (problem := _separate(folder, place)):
        return Listening(f"No audio: {problem}")
    try:
        scores = read_json(place / SCORES)["scores"]
        examples = tuple(_example(place, score) for score in _one_a_mixture(scores))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, wave.Error) as error:
        return Listening(f"No audio: {place} cannot be read ({clean(str(error), 200)}).")
    return Listening(
        f"{best.trial} on the first validation mixtures, not on the ones that sound best. "
        "References are the dry voices; the estimates are in the same order.",
        examples,
    )


def _fresh(place: Path, checkpoint: Path) -> bool:
    try:
        return (place / SCORES).stat().st_mtime >= checkpoint.stat().st_mtime
    except OSError:
        return False


def _separate(folder: Path, place: Path) -> str:
    """Returns the reason, in one line, why the trainer could not separate the mixtures; empty if it did.

    It runs on the processor, because the GPUs belong to the search.
    """
    words = ["evaluate", Flags.RUN_DIR, str(folder), "--out", str(place), Flags.DEVICE, "cpu"]
    words += ["--limit", str(EXAMPLES), "--wavs", str(EXAMPLES), Flags.BATCH_SIZE, str(BATCH)]
    if variants := _variants(folder / CONFIG):
        words += ["--variants", *variants]
    try:
        answer = run_trainer([*program(), *words], timeout=PATIENCE_SECONDS)
    except TimeoutError:
        return (
            f"the trainer did not separate {EXAMPLES} mixtures within {PATIENCE_SECONDS} s on this machine's processor."
        )
    return f"the trainer says: {answer.problem}" if answer.code else ""


def _variants(config: Path) -> list[str]:
    """Returns the variants that decided the trial's validation."""
    try:
        settings = read_json(config)
        found = settings.get("validate") or settings["validation_variants"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return list(filter(_is_variant, found)) if isinstance(found, list) else []


def _is_variant(found: object) -> bool:
    """Returns whether a word from a file can name a variant.

    It becomes an argument of the trainer and part of a file's name, so that not every word may pass.
    """
    return isinstance(found, str) and bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_]{0,30}", found))


def _one_a_mixture(scores: list[Score]) -> Iterator[Score]:
    seen: set[int] = set()
    for score in sorted(scores, key=lambda score: score["row"]):
        if score["row"] not in seen and len(seen) < EXAMPLES:
            seen.add(score["row"])
            yield score


def _example(place: Path, score: Score) -> Example:
    if not _is_variant(score["variant"]) or score["row"] < 0:
        raise ValueError("a score without a mixture")
    stem = f"{score['row']:05d}-{score['variant']}"
    players = tuple(Player(name, _data(place / f"{stem}-{signal}.wav")) for signal, name in SIGNALS.items())
    title = (
        f"Mixture {score['row'] + 1}, {score['variant']}: SI-SNR {score['si_snr']:.2f} dB, "
        f"{score['improvement']:+.2f} dB over the mixture"
    )
    return Example(title, players)


def _data(file: Path) -> str:
    """Returns the first seconds of a WAV file as a data URI."""
    short = io.BytesIO()
    whole = io.BytesIO(read_bytes(file, LARGEST_SOUND))
    with wave.open(whole) as source, wave.open(short, "wb") as copy:
        copy.setparams(source.getparams())
        copy.writeframes(source.readframes(round(SECONDS * source.getframerate())))
    return "data:audio/wav;base64," + base64.b64encode(short.getvalue()).decode("ascii")
