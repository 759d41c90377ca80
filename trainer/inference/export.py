"""`python -m trainer export`: writes a trained network as TorchScript or ONNX, which run without this package.

What was written is read back and compared with the original on validation mixtures.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from trainer.data.readers.corpora import open_subset
from trainer.data.readers.seen import memory
from trainer.data.readers.subset import SAMPLE_RATE
from trainer.data.sampling import Excerpt, loader, select
from trainer.errors import ConfigError, DataError, StorageError
from trainer.inference import as_onnx, as_torchscript
from trainer.inference.evaluate import corpus_of
from trainer.inference.separator import Separator, load_separator
from trainer.metric_line import say
from trainer.requests import Export
from trainer.text import count
from trainer.training.stop import Stopped, StopRequest

MIXTURES, SECONDS = 2, 2.0
"""Mixtures that are compared, and how much of each; SPMamba as published takes minutes for it on a processor."""
LEAST_SAMPLES = 2000
"""The shortest mixture that an exported network takes: a recording does not hold how the shortest are filled up."""
FORMS: dict[str, tuple[str, ModuleType]] = {"torchscript": ("TorchScript", as_torchscript), "onnx": ("ONNX", as_onnx)}
"""How each form is called, and the module that writes and reads it and knows its TOLERANCE: the greatest deviation,
relative to the loudest sample of the estimates. A wrong operation differs by far more."""


def export(request: Export) -> int:
    """Writes the network of the checkpoint, checks it, and returns the exit code. Raises TrainerError."""
    if request.out.exists():
        raise ConfigError(f"--out {request.out}: exists already; name another file")
    called, form = FORMS[request.form]
    if missing := [name for name in form.PACKAGES if find_spec(name) is None]:
        fix = "the extra `onnx` has it: pip install 'sepsweep[onnx]'"
        raise ConfigError(f"--form {request.form}: {missing[0]} is not installed; {fix}")
    stop = StopRequest()
    separator = load_separator(request.checkpoint, torch.device("cpu"))
    separator.network.requires_grad_(False)
    partial = request.out.with_name(f".{request.out.name}.partial")
    try:
        with stop.listening(), stop.leaving_at_once():
            mixtures = _mixtures(request)
            _write(separator, mixtures, partial, request.form)
            deviation = _deviation(separator, partial, mixtures, form)
            if not deviation <= form.TOLERANCE:
                raise ConfigError(
                    f"{separator.identity['model']}: does not allow an export as {called}, which deviates from the"
                    f" original by {deviation:.1e} of the loudest sample, more than {form.TOLERANCE:.1e}"
                )
            partial.replace(request.out)
    except Stopped:
        return stop.exit_code
    except OSError as error:
        raise StorageError(f"--out {request.out}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):
            partial.unlink()
    say(
        f"{request.out}: {called}; on {count(len(mixtures), 'validation mixture')} its greatest deviation from the"
        f" original is {deviation:.1e} of the loudest sample (tolerated: {form.TOLERANCE:.1e})"
    )
    return 0


def _mixtures(request: Export) -> Tensor:
    """Returns the first validation mixtures [B, T], each cut to the shortest of them. Raises DataError."""
    checkpoint = request.checkpoint
    run_dir = checkpoint if checkpoint.is_dir() else checkpoint.parent
    data_dir = request.data_dir or corpus_of(run_dir)
    subset = open_subset(data_dir, "val", memory(say, data_dir.parent))
    variant = subset.shown[0]
    excerpts = [Excerpt(row, variant, 0) for row in select(subset, [variant], MIXTURES, "--data-dir")]
    frames = min(round(SECONDS * SAMPLE_RATE), *(excerpt.row.frames for excerpt in excerpts))
    if frames < LEAST_SAMPLES:
        raise DataError(
            f"{data_dir}: its validation mixtures are shorter than {LEAST_SAMPLES} samples, too short to check"
        )
    (batch,) = loader([excerpts], frames=frames, workers=0, pin=False)
    return batch.mixtures


def _write(separator: Separator, mixtures: Tensor, file: Path, name: str) -> None:
    """Writes the network in this form. Raises ConfigError where it cannot be recorded."""
    called, form = FORMS[name]
    identity = separator.identity
    details = {
        "model": identity["model"],
        "preset": identity["preset"],
        "epoch": separator.epoch,
        "sample_rate": SAMPLE_RATE,
        "least_samples": LEAST_SAMPLES,
    }
    try:
        with _quiet():
            form.write(separator, mixtures, file, details, LEAST_SAMPLES)
    except OSError:
        raise
    # Whatever torch may raise for an operation that it cannot record.
    except Exception as error:
        what = (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
        raise ConfigError(f"{identity['model']}: does not allow an export as {called} ({what})") from error


def _deviation(separator: Separator, file: Path, mixtures: Tensor, form: ModuleType) -> float:
    """Returns the greatest deviation of the recording in `file`, relative to the loudest sample; NaN where one is NaN.

    It is asked for other batches and lengths than it was recorded with, too, down to the shortest.
    """
    with _quiet():
        recorded = form.read(file)
    deviations, odd = [], max(LEAST_SAMPLES, 2 * mixtures.shape[1] // 3 | 1)
    for asked in (mixtures, mixtures[:1, :odd], mixtures[-1:, :LEAST_SAMPLES]):
        expected = separator(asked)
        with torch.inference_mode():
            found = recorded(asked)
        deviations.append((found - expected).abs().max() / expected.abs().max())
    return float(torch.stack(deviations).max())


@contextmanager
def _quiet() -> Iterator[None]:
    """Leaves out PyTorch's warnings: TorchScript is deprecated, and a recording may depend on its input.

    The former stands in docs/trainer.md, and the comparison with the original answers the latter.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
