"""The settings of the other verbs: describe, evaluate, export, fingerprint and separate.

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
    """Describe a model: configuration, parameters, multiply-adds, receptive field, and memory of a training step."""

    batch_size: int = 1
    """Mixtures per step."""

    segment_seconds: float = 4.0
    """Length of a mixture in seconds."""

    json: bool = False
    """Print one JSON object instead of text, with memory in bytes and the receptive field in samples."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Evaluate a trained model: SI-SNR and its improvement over the mixture, by variant, with confidence intervals.

    Writes evaluation.json and WAV files of separated mixtures.
    """

    run_dir: Path
    """Run directory of the training."""

    checkpoint: Literal["best", "last"] = "best"
    """The epoch with the best validation, or the last one."""

    data_dir: Path | None = None
    """Root of a corpus. Default: where the corpus of the training was."""

    subset: Literal["val", "test"] = "val"
    """Subset of the corpus; test played no part in choosing the model."""

    variants: tuple[str, ...] | None = None
    """Variants to evaluate. Default: each that a mixture can show."""

    metrics: tuple[str, ...] | None = None
    """Further metrics, each with its improvement over the mixture: sdr, sd_sdr (scale-dependent), pesq (narrow band),
    stoi, estoi. The last three take the packages of the extra `metrics`. Default: none."""

    limit: int | None = None
    """Score only this many mixtures, the first that fit. Default: all."""

    segment_seconds: float | None = None
    """Score only the first seconds of each mixture, as the training's validation does. Default: the whole mixture."""

    wavs: int = 5
    """Mixtures per variant whose separated speakers are written as WAV files, beside mixture and targets."""

    out: Path | None = None
    """Folder to write, replaced as a whole. Default: evaluation-<subset> in the run directory."""

    batch_size: int = 8
    """Mixtures of 4 s computed at once; of longer ones fewer."""

    device: str = "auto"
    """cpu, cuda or cuda:N; auto: a GPU where there is one."""

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class Export:
    """Export a trained network as TorchScript or ONNX, which C++ and Python run without this package.

    The file is compared with the original on validation mixtures, and not written where it computes something else.
    """

    checkpoint: Path
    """best.pt of a training, or its run directory."""

    out: Path
    """File to write; an existing one is not replaced."""

    form: Literal["torchscript", "onnx"] = "torchscript"
    """Form of the file; ONNX takes the packages of the extra `onnx`, and is not for SPMamba and dual-path Mamba."""

    data_dir: Path | None = None
    """Root of a corpus. Default: where the corpus of the training was."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Print the hash by which a run directory recognises a corpus, wherever it lies and however it is stored.

    It covers everything that is trained and validated on. Unchanged files are not read again.
    """

    data_dir: Path
    """Root of a corpus in PolSESS or LibriMix format."""

    json: bool = False
    """Print one JSON object instead of text, with the numbers of mixtures."""


@dataclass(frozen=True, kw_only=True)
class Separate:
    """Separate the two speakers of a recording of any length and sample rate.

    Writes <name>.speaker1.wav and <name>.speaker2.wav, of the recording's length and rate; several channels are mixed
    down to one.
    """

    recording: Annotated[Positional[Path], arg(metavar="RECORDING")]
    """A WAV file, or any other file that libsndfile reads."""

    checkpoint: Path
    """best.pt of a training, or its run directory."""

    out: Path | None = None
    """Folder to write to, created if missing. Default: the recording's folder."""

    overwrite: bool = False
    """Whether existing files of these names are replaced; by default they are an error."""

    chunk_seconds: float = 8.0
    """Length of the pieces in which the recording is separated; they overlap by half. A training sees 4 s at once."""

    device: str = "auto"
    """cpu, cuda or cuda:N; auto: a GPU where there is one."""

    def __post_init__(self) -> None:
        check(self)
