"""The settings of the verbs beside training: describe, evaluate, fingerprint and separate.

Each field is a flag, and the docstring below it is that flag's help, as in trainer/config.py.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from trainer.config import Architecture
from trainer.limits import check


@dataclass(frozen=True, kw_only=True)
class Describe(Architecture):
    """What a model is and what a training step of it takes: configuration, parameters, multiply-adds, receptive field,
    memory.
    """

    batch_size: int = 1
    """Mixtures a step."""

    segment_seconds: float = 4.0
    """Length of a mixture in seconds."""

    json: bool = False
    """One JSON object instead of text; memory in bytes, receptive field in samples."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """How well a trained model separates: SI-SNR and its improvement over the mixture, by variant, with confidence
    intervals. Writes evaluation.json and separated WAV files.
    """

    run_dir: Path
    """Of the training."""

    checkpoint: Literal["best", "last"] = "best"
    """The epoch with the best validation, or the last one."""

    data_dir: Path | None = None
    """Root of a corpus. Default: the one trained on, where it was then."""

    subset: Literal["val", "test"] = "val"
    """Part of the corpus; test has taken no part in choosing the model."""

    variants: tuple[str, ...] = ()
    """Variants to evaluate. Default: each that a mixture can show."""

    limit: int | None = None
    """Only the first so many fitting mixtures. Default: all."""

    segment_seconds: float | None = None
    """Only the first so many seconds of each mixture are scored, as a training does in its validation. Default: all of
    it."""

    wavs: int = 5
    """Of so many mixtures a variant the separated speakers are written as WAV files, beside mixture and targets."""

    out: Path | None = None
    """Folder to write, replaced as a whole. Default: evaluation-<subset> in the run directory."""

    batch_size: int = 8
    """Mixtures of 4 s computed at once; fewer longer ones."""

    device: str = "auto"
    """cpu, cuda or cuda:N; auto: a GPU where there is one."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What a run directory knows a corpus by: a hash of all that is trained and validated on, wherever it lies and
    however it is stored. What has not changed since it was read last is not read again.
    """

    data_dir: Path
    """Root of a corpus in PolSESS format or LibriMix's."""

    json: bool = False
    """One JSON object with the number of mixtures instead of text."""


@dataclass(frozen=True, kw_only=True)
class Separate:
    """Separates the two speakers of a recording of any length and sample rate.

    Writes <name>.speaker1.wav and <name>.speaker2.wav, as long as the recording and at its rate; several channels are
    mixed down to one.
    """

    recording: Annotated[Positional[Path], arg(metavar="RECORDING")]
    """A WAV file, or any other that libsndfile reads."""

    checkpoint: Path
    """best.pt of a training, or its run directory."""

    out: Path | None = None
    """Folder to write to, made if need be. Default: that of the recording."""

    overwrite: bool = False
    """Whether files of these names that are there already are replaced; else they are refused."""

    chunk_seconds: float = 8.0
    """The recording is separated in pieces of that length that overlap by half; a training sees 4 s at once."""

    device: str = "auto"
    """cpu, cuda or cuda:N; auto: a GPU where there is one."""

    def __post_init__(self) -> None:
        check(self)
