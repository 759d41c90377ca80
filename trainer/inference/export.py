"""`python -m trainer export`: writes a trained network as TorchScript, which C++ and Python run without this package.

The network is recorded with PyTorch's own operations, as in torch.compile; loops over time stay loops, so that it takes
any batch and length. What was written is read back and compared with the original on validation mixtures.
"""

import io
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import Tensor, nn

from trainer.data.readers.corpora import open_subset
from trainer.data.readers.seen import memory
from trainer.data.readers.subset import SAMPLE_RATE
from trainer.data.sampling import Excerpt, loader, select
from trainer.errors import ConfigError, DataError, StorageError
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
TOLERANCE = 2.0**-16
"""The greatest deviation, relative to the loudest sample of the estimates: half a step of 16-bit audio (-96 dB), which
rounding hides. Sums in another order differ by about 1e-6 in fp32; a wrong operation by far more."""
DETAILS = "sepsweep.json"
"""The file in the archive that says what the network is."""


class Exported(nn.Module):
    """Takes mixtures [batch, samples] at 8 kHz of LEAST_SAMPLES or more, and returns the voices [batch, 2, samples]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.least = LEAST_SAMPLES

    def forward(self, mixtures: Tensor) -> Tensor:
        """Separates the mixtures. Raises an error where they are shorter, because the result would be another one."""
        if mixtures.shape[1] < self.least:
            raise ValueError("the mixtures are shorter than 2000 samples (0.25 s at 8 kHz); fill them up with zeros")
        voices: Tensor = self.network(mixtures)
        return voices


def export(request: Export) -> int:
    """Writes the network of the checkpoint, checks it, and returns the exit code. Raises TrainerError."""
    if request.out.exists():
        raise ConfigError(f"--out {request.out}: exists already; name another file")
    stop = StopRequest()
    separator = load_separator(request.checkpoint, torch.device("cpu"))
    separator.network.requires_grad_(False)
    partial = request.out.with_name(f".{request.out.name}.partial")
    try:
        with stop.listening(), stop.leaving_at_once():
            mixtures = _mixtures(request)
            _write(separator, mixtures, partial)
            deviation = _deviation(separator, partial, mixtures)
            if not deviation <= TOLERANCE:
                raise ConfigError(
                    f"{separator.identity['model']}: does not allow an export as TorchScript, which deviates from the"
                    f" original by {deviation:.1e} of the loudest sample, more than {TOLERANCE:.1e} (half a step of"
                    " 16-bit audio)"
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
        f"{request.out}: TorchScript; on {count(len(mixtures), 'validation mixture')} its greatest deviation from the"
        f" original is {deviation:.1e} of the loudest sample (tolerated: {TOLERANCE:.1e}, half a step of 16-bit audio)"
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


def _write(separator: Separator, mixtures: Tensor, file: Path) -> None:
    """Writes the recording. Raises ConfigError where the network cannot be recorded."""
    identity = separator.identity
    details = {
        "model": identity["model"],
        "preset": identity["preset"],
        "epoch": separator.epoch,
        "sample_rate": SAMPLE_RATE,
        "least_samples": LEAST_SAMPLES,
    }
    try:
        with _quiet(), torch.inference_mode():
            recorded = torch.jit.trace(  # type: ignore[no-untyped-call]
                separator.network, mixtures[:, :LEAST_SAMPLES], check_trace=False
            )
            whole = torch.jit.script(Exported(recorded).eval())
            content = io.BytesIO()
            torch.jit.save(whole, content, _extra_files={DETAILS: json.dumps(details)})
    # Whatever torch may raise for an operation that it cannot record.
    except Exception as error:
        what = (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
        raise ConfigError(f"{identity['model']}: does not allow an export as TorchScript ({what})") from error
    file.write_bytes(content.getbuffer())


def _deviation(separator: Separator, file: Path, mixtures: Tensor) -> float:
    """Returns the greatest deviation of the recording in `file`, relative to the loudest sample; NaN where one is NaN.

    It is asked for other batches and lengths than it was recorded with, too, down to the shortest.
    """
    with _quiet():
        recorded = torch.jit.load(file, map_location="cpu")  # type: ignore[no-untyped-call]
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
