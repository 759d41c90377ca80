"""`python -m trainer evaluate`: scores a trained model by variant, in evaluation.json and WAV files.

Each mixture is scored in every variant that it can show, by the SI-SNR of the best assignment, as in validation. Unlike
there, the whole mixture is scored, as in published figures, unless a segment is requested; always in fp32 and without
padding. `--metrics` adds those of quality.py.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from trainer.data.mixing import fitting
from trainer.data.readers.corpora import FINGERPRINT, open_subset
from trainer.data.readers.seen import memory
from trainer.data.readers.subset import SAMPLE_RATE, Subset
from trainer.data.sampling import Excerpt, loader, select
from trainer.device import find_device
from trainer.errors import ConfigError, DataError, MemoryExhaustedError, StorageError, unwritten
from trainer.inference.quality import check_packages, qualities
from trainer.inference.scores import CONFIDENCE, RESAMPLES, SEED, Result, Score, summarize, table
from trainer.inference.separator import Separator, load_separator
from trainer.metric_line import say
from trainer.requests import Evaluate
from trainer.run_files import BEST, LAST, SUMMARY
from trainer.training.losses import aligned, gains, pit_si_snr, si_snr
from trainer.training.memory import is_out_of_memory
from trainer.training.stop import Stopped, StopRequest

USUAL_SAMPLES = 4 * SAMPLE_RATE
"""Samples of a mixture of the usual length."""
REPORT = "evaluation.json"


def evaluate(request: Evaluate) -> int:
    """Evaluates the checkpoint, writes the folder, prints the table, and returns the exit code. Raises TrainerError."""
    check_packages(request.metrics or ())
    stop = StopRequest()
    device = find_device(request.device)
    separator = load_separator(request.run_dir / {"best": BEST, "last": LAST}[request.checkpoint], device)
    data_dir = request.data_dir or corpus_of(request.run_dir)
    out = request.out or request.run_dir / f"evaluation-{request.subset}"
    if out.exists() and not (out / REPORT).is_file():
        raise ConfigError(f"--out {out}: exists and is no evaluation, which would be replaced; choose another folder")
    partial = out.with_name(f".{out.name}.partial")
    try:
        with stop.listening(), stop.leaving_at_once():
            subset = open_subset(data_dir, request.subset, memory(say, request.run_dir.parent))
            _compare(separator, subset, request)
            _make_empty(partial)
            scores = list(_scores(request, separator, subset, partial))
            results = summarize(scores)
            _write(partial / REPORT, request, separator, data_dir, results, scores)
    except Stopped:
        return stop.exit_code
    except (OSError, soundfile.SoundFileError) as error:
        raise unwritten(partial, error) from error
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryExhaustedError(
            f"out of memory on {device} with {request.batch_size} mixtures of 4 s, or a longer one, at once; "
            "try a smaller --batch-size, or --segment-seconds"
        ) from error
    else:
        _replace(out, partial)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    seconds = request.segment_seconds
    say(
        f"scored: the first {seconds:g} s of each mixture" if seconds else "scored: each mixture as a whole",
        *table(results),
        f"{out}: {REPORT}, and mixture, targets and separated speakers of {request.wavs} mixtures per variant",
    )
    return 0


def _scores(request: Evaluate, separator: Separator, subset: Subset, folder: Path) -> Iterator[Score]:
    """Yields the score of every mixture in each variant, and writes the first of each variant to `folder`."""
    seconds = request.segment_seconds
    frames = round(seconds * SAMPLE_RATE) if seconds else int(subset.frames.max())
    variants = request.variants or subset.shown
    rows = select(subset, variants, request.limit, "--variants")
    for variant in variants:
        fits = [row for row in rows if fitting([variant], row.kind)]
        if not fits:
            say(f"note: none of the {len(rows)} mixtures can show {variant}")
        batches = _batches([Excerpt(row, variant, 0) for row in fits], frames, request.batch_size)
        chosen = {row.index for row in fits[: request.wavs]}
        for batch, audio in zip(batches, loader(batches, frames=frames, workers=0, pin=False), strict=True):
            estimates = aligned(separator(audio.mixtures), audio.targets)
            levelled = estimates * gains(estimates, audio.mixtures)
            before = si_snr(audio.mixtures.unsqueeze(1).expand_as(audio.targets), audio.targets).mean(1)
            after = pit_si_snr(estimates, audio.targets)
            for index, excerpt in enumerate(batch):
                if excerpt.row.index in chosen:
                    _write_wavs(folder, excerpt, audio.mixtures[index], audio.targets[index], levelled[index])
                gained = float(after[index] - before[index])
                metrics = qualities(request.metrics or (), audio.mixtures[index], audio.targets[index], levelled[index])
                yield Score(excerpt.row.index, variant, float(after[index]), gained, metrics)


def _batches(excerpts: Sequence[Excerpt], frames: int, size: int) -> list[list[Excerpt]]:
    """Returns batches of mixtures of one length, so that nothing is padded.

    A batch takes as much memory as `size` mixtures of USUAL_SAMPLES samples, but has at least one mixture.
    """

    def length(excerpt: Excerpt) -> int:
        return min(frames, excerpt.row.frames)

    batches = []
    for samples, group in groupby(sorted(excerpts, key=length), key=length):
        same = list(group)
        step = max(1, min(size, size * USUAL_SAMPLES // samples))
        batches += [same[first : first + step] for first in range(0, len(same), step)]
    return batches


def _write_wavs(folder: Path, excerpt: Excerpt, mixture: Tensor, targets: Tensor, estimates: Tensor) -> None:
    """Writes `mixture` [T], and `targets` and `estimates` [2, T] in the same order, as WAV files.

    All of them are turned down together if one would be clipped.
    """
    names = ("mixture", "target1", "target2", "speaker1", "speaker2")
    signals = torch.cat([mixture.unsqueeze(0), targets, estimates])
    loudest = max(1.0, float(signals.abs().max()))
    for name, samples in zip(names, signals.numpy() / loudest, strict=True):
        file = folder / f"{excerpt.row.index:05d}-{excerpt.variant}-{name}.wav"
        soundfile.write(file, samples, SAMPLE_RATE, subtype="PCM_16")


def _write(
    file: Path,
    request: Evaluate,
    separator: Separator,
    data_dir: Path,
    results: dict[str, Result],
    scores: Sequence[Score],
) -> None:
    content: dict[str, object] = {
        "checkpoint": request.checkpoint,
        "epoch": separator.epoch,
        "model": separator.identity["model"],
        "seed": separator.identity["seed"],
        "data_dir": str(data_dir.absolute()),
        "subset": request.subset,
        "segment_seconds": request.segment_seconds,
        "interval": {"confidence": CONFIDENCE, "resamples": RESAMPLES, "seed": SEED},
        "results": {name: result.to_dict() for name, result in results.items()},
        "scores": [score.to_dict() for score in scores],
    }
    try:
        file.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    except ValueError as error:
        raise DataError(f"{data_dir}: a score is not a number; the corpus or the checkpoint contains NaN") from error


def corpus_of(run_dir: Path) -> Path:
    """Returns the corpus that the run in `run_dir` was trained on. Raises ConfigError where that is not recorded."""
    try:
        return Path(json.loads((run_dir / SUMMARY).read_text())["data_dir"])
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{run_dir / SUMMARY}: does not say where the corpus is; name it with --data-dir") from error


def _compare(separator: Separator, subset: Subset, request: Evaluate) -> None:
    """Prints a note if the corpus is not the one of the validation, which may be intended."""
    version, _, trained_on = str(separator.identity["corpus"]).partition("-")
    if request.subset != "val":
        return
    if version != FINGERPRINT:
        say(
            f"note: {request.run_dir} is from an earlier version; it may have been validated on another corpus than "
            f"{subset.source}"
        )
    elif subset.fingerprint() != trained_on.rpartition("-")[2]:
        say(f"note: {request.run_dir} was validated on another corpus than {subset.source}")


def _make_empty(folder: Path) -> None:
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"{folder.parent}: cannot be written ({error.strerror}); choose another --out") from error


def _replace(out: Path, partial: Path) -> None:
    old = partial.with_suffix(".old")
    try:
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            out.rename(old)
        partial.rename(out)
    except OSError as error:
        raise StorageError(f"{out}: cannot be replaced ({error.strerror}); choose another --out") from error
    shutil.rmtree(old, ignore_errors=True)
