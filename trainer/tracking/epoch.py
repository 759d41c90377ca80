"""The numbers of an epoch by the names of charts."""

from typing import Any

from trainer.metric_line import METRIC


def chart_numbers(record: dict[str, Any]) -> dict[str, float]:
    """Returns the numbers of an epoch's record in summary.json, by the names of their charts."""
    numbers = {name: value for name, value in record.items() if isinstance(value, int | float)}
    variants = {f"{METRIC}_{variant}": value for variant, value in record["variants"].items()}
    rate = record["mixtures"] / record["seconds"] if record["seconds"] else 0.0
    return numbers | variants | {"val_loss": -record[METRIC], "mixtures_per_second": rate}
