"""Metrics of separated speech that papers report beside SI-SNR: SDR, PESQ, STOI and ESTOI.

SDR is computed here. PESQ is the ITU's own code in the package `pesq`, STOI and ESTOI are those of `pystoi`; both
packages are the extra `metrics`. A metric is None where it has no value: no speech in a voice, or too little of it.

References:
    Vincent et al. 2006, "Performance measurement in blind audio source separation", for SDR.
    Le Roux et al. 2019, "SDR - half-baked or well done?", arXiv:1811.02508, equation 6, for the scale-dependent SDR.
    ITU-T P.862 and P.862.1, for PESQ (narrow band, MOS-LQO).
    Taal et al. 2011, and Jensen and Taal 2016, for STOI and ESTOI.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor

from trainer.data.readers.subset import SAMPLE_RATE
from trainer.errors import ConfigError

TAPS = 512
"""Length of the filter that SDR allows between a voice and its estimate, as in BSS Eval 3."""
LONGEST_PESQ = 20 * SAMPLE_RATE
"""P.862 is made for some 10 s, and its code ends the process on an array overrun with the many utterances of more."""
UNITS = {"sdr": "dB", "sd_sdr": "dB", "pesq": "MOS", "stoi": "", "estoi": ""}
"""The unit of each metric."""
PACKAGES = {"pesq": "pesq", "stoi": "pystoi", "estoi": "pystoi"}
"""The package that a metric needs."""


@dataclass(frozen=True)
class Quality:
    """A metric of a mixture, the mean over its speakers, and its improvement over the unprocessed mixture."""

    value: float
    improvement: float


def check_packages(names: Sequence[str]) -> None:
    """Raises ConfigError that names the extra where a package of one of the metrics is missing."""
    for name in names:
        if (package := PACKAGES.get(name)) and find_spec(package) is None:
            raise ConfigError(
                f"--metrics {name}: {package} is not installed; the extra `metrics` has it: "
                f"pip install 'sepsweep[metrics]'"
            )


def qualities(names: Sequence[str], mixture: Tensor, targets: Tensor, estimates: Tensor) -> dict[str, Quality | None]:
    """Returns the metrics `names` of one mixture.

    Args:
        names: keys of UNITS.
        mixture: [T].
        targets: [S, T].
        estimates: [S, T], in the order and at the level of the targets.
    """
    unprocessed = mixture.expand_as(targets)
    found: dict[str, Quality | None] = dict.fromkeys(names)
    # The compiled code of PESQ is not given what is no number; SI-SNR reports it.
    if not (mixture.isfinite().all() and targets.isfinite().all() and estimates.isfinite().all()):
        return found
    for name in names:
        before, after = _mean(METRICS[name], unprocessed, targets), _mean(METRICS[name], estimates, targets)
        found[name] = None if before is None or after is None else Quality(after, after - before)
    return found


def sdr(estimate: Tensor, target: Tensor) -> float | None:
    """Returns the SDR of BSS Eval 3 in dB; neither signal may be silent.

    What a filter of TAPS samples makes of `target` [T], closest to `estimate` [T], is the signal, the rest distortion.
    """
    estimate, target = estimate.double(), target.double()
    target, estimate = target / target.norm(), estimate / estimate.norm()
    size = target.shape[0] + TAPS
    spectrum = torch.fft.rfft(target, size)
    correlation = torch.fft.irfft(spectrum.abs().square(), size)[:TAPS]
    cross = torch.fft.irfft(spectrum.conj() * torch.fft.rfft(estimate, size), size)[:TAPS]
    lags = torch.arange(TAPS, device=target.device)
    filtered, _ = torch.linalg.solve_ex(correlation[(lags.unsqueeze(0) - lags.unsqueeze(1)).abs()], cross)
    explained = (filtered @ cross).item()
    # Rounding may bring the ratio of a perfect estimate to 1 or beyond.
    explained = min(explained, 1 - 1e-15)
    return _decibels(explained / (1 - explained))


def sd_sdr(estimate: Tensor, target: Tensor) -> float | None:
    """Returns the scale-dependent SDR in dB, which a wrong level lowers; the target may not be silent."""
    estimate, target = estimate.double(), target.double()
    power = target.square().sum()
    scale = estimate @ target / power
    noise = (target - estimate).square().sum().clamp(min=1e-15 * power)
    return _decibels((scale.square() * power / noise).item())


def pesq(estimate: Tensor, target: Tensor) -> float | None:
    """Returns the narrow-band PESQ, from 1.0 to 4.5; None for no speech, less than 0.25 s or more than LONGEST_PESQ."""
    import pesq  # an extra

    if len(target) > LONGEST_PESQ:
        return None
    try:
        return float(pesq.pesq(SAMPLE_RATE, target.cpu().numpy(), estimate.cpu().numpy(), "nb"))
    except pesq.PesqError:
        return None


def stoi(estimate: Tensor, target: Tensor, extended: bool = False) -> float | None:
    """Returns the intelligibility, about 0 to 1; None where the target has less than 0.4 s of speech."""
    import pystoi  # an extra

    with warnings.catch_warnings():
        # pystoi returns 1e-5 with this warning.
        warnings.filterwarnings("error", "Not enough STFT frames", RuntimeWarning)
        try:
            return float(pystoi.stoi(target.cpu().numpy(), estimate.cpu().numpy(), SAMPLE_RATE, extended=extended))
        except RuntimeWarning:
            return None


def estoi(estimate: Tensor, target: Tensor) -> float | None:
    """Returns the extended intelligibility, as `stoi` does."""
    return stoi(estimate, target, extended=True)


METRICS: dict[str, Callable[[Tensor, Tensor], float | None]] = {
    "sdr": sdr,
    "sd_sdr": sd_sdr,
    "pesq": pesq,
    "stoi": stoi,
    "estoi": estoi,
}


def _mean(metric: Callable[[Tensor, Tensor], float | None], estimates: Tensor, targets: Tensor) -> float | None:
    """Returns the mean over speakers; None where one has no value, as silence never has."""
    if not ((estimates != 0).any(-1) & (targets != 0).any(-1)).all():
        return None
    values = [metric(estimate, target) for estimate, target in zip(estimates, targets, strict=True)]
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if len(numbers) == len(values) else None


def _decibels(ratio: float) -> float | None:
    """Returns a ratio of energies in dB; None where it is not above 0, or no number."""
    return 10 * torch.tensor(ratio, dtype=torch.float64).log10().item() if ratio > 0 else None
