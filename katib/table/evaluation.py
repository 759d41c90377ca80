"""Reads what `python -m trainer evaluate` wrote beside a run, in words. Its files may come from anybody."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from katib.table.run_folder import read_json
from katib.trainer_contract import EVALUATED, METRIC_UNITS, SUMMARY, scores_file
from katib.untrusted import clean, finite

ALL = "all"
"""The result over all mixtures, each with the mean of its variants."""


def results_of(evaluation: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    """Returns the results of an evaluation by variant; without those that are none."""
    results = evaluation.get("results")
    found = results if isinstance(results, dict) else {}
    return {clean(name, 30): one for name, one in found.items() if isinstance(one, dict) and cells(one)}


def cells(result: Mapping[str, object]) -> dict[str, str]:
    """Returns a result's metrics by their names in papers: mean and interval, such as `2.50 dB [2.25, 2.75]`."""
    metrics = result.get("metrics")
    found = {"SI-SNR": (result.get("si_snr"), "dB"), "SI-SNRi": (result.get("improvement"), "dB")}
    for name, unit in METRIC_UNITS.items():
        if isinstance(metrics, dict) and isinstance(one := metrics.get(name), dict):
            found[name.upper().replace("_", "-")] = (one.get("value"), unit)
    return {name: text for name, (mean, unit) in found.items() if (text := _cell(mean, unit))}


def sentence(subset: str, result: Mapping[str, object]) -> str:
    """Returns the result over all mixtures of a subset in one line; empty where it has no number."""
    listed = ", ".join(f"{name} {text}" for name, text in cells(result).items())
    return f"evaluation on {subset}: {listed} over {mixtures(result)} mixtures" if listed else ""


def mixtures(result: Mapping[str, object]) -> str:
    """Returns the number of mixtures of a result."""
    number = result.get("mixtures")
    return str(number) if isinstance(number, int) else "?"


def sentences(run: Path) -> Iterator[str]:
    """Yields the results of the weights of the best epoch in a run directory, a line for each subset."""
    best = read_json(run / SUMMARY).get("best_epoch")
    for subset in EVALUATED:
        evaluation = read_json(run / scores_file(subset))
        if (evaluation.get("checkpoint"), evaluation.get("epoch")) != ("best", best):
            continue
        if line := sentence(subset, results_of(evaluation).get(ALL, {})):
            yield line


def _cell(mean: object, unit: str) -> str:
    numbers = [finite(mean.get(key)) for key in ("mean", "low", "high")] if isinstance(mean, dict) else []
    value, low, high = numbers or (None, None, None)
    if value is None or low is None or high is None:
        return ""
    digits = 2 if unit else 3
    return f"{value:.{digits}f}{' ' * bool(unit)}{unit} [{low:.{digits}f}, {high:.{digits}f}]"
