"""Trial tables of simulated searches, as large and as odd as a test of the report needs them."""

from dataclasses import replace
from typing import Any

import numpy as np
import yaml

from katib.manifest.render import Overrides, render
from katib.site import load_site
from katib.spec import load_spec
from katib.table.trial_table import Budget, Point, TrialRow, TrialTable
from katib.trial import Identity

METRIC = "val_si_snr"
START = 1_790_000_000.0


def identity(trials: int = 30, name: str = "series3-sepformer") -> Identity:
    """Of the search of SepFormer, with the manifest's own space."""
    text = render(load_spec("sepformer"), load_site(), Overrides(name=name, trials=trials))
    return Identity(name, METRIC, True, "max", yaml.safe_load(text)["spec"])


def row(number: int, values: Any, *, lr: float = 1e-3, state: str = "Succeeded", **more: Any) -> TrialRow:
    """Returns one trial with these values by epoch; one that is not finite is a gap."""
    finite = [(step, float(value)) for step, value in enumerate(values, 1) if np.isfinite(value)]
    best = max((value for _, value in finite), default=None)
    made = TrialRow(
        trial=f"series3-sepformer-{number:08x}",
        state=state,  # type: ignore[arg-type]
        reason="",
        assignments={"lr": repr(lr), "weight_decay": "1e-05", "grad_clip_norm": "5.0", "lr_factor": "0.5"},
        value=best,
        best_epoch=next((step for step, value in finite if value == best), None),
        epochs=len(values),
        seconds=600.0 * len(values),
        objective=METRIC,
        metrics={METRIC: tuple(Point(step, value, START + 600 * step) for step, value in finite)},
        gpu_hours=len(values) / 6,
        started=START + 3600 * number,
    )
    return replace(made, **more)


def table(*rows: TrialRow, epochs: int = 50, **more: Any) -> TrialTable:
    """Of these rows, the best first."""
    ordered = sorted(rows, key=lambda one: (one.value is None, -(one.value or 0.0)))
    known: dict[str, Any] = {"spec": load_spec("sepformer"), "model": "sepformer", "gpus": 1}
    known["budget"] = Budget(max(1, len(rows)), epochs, 12.0)
    return TrialTable(identity(max(1, len(rows))), tuple(ordered), **(known | more))


def searched(trials: int, epochs: int = 50, seed: int = 0) -> TrialTable:
    """Returns a search in which the learning rate alone matters, a third of the trials are stopped and one in 13 fails."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(trials):
        place = draw.random(4)
        top = 5.6 - 8 * (place[0] - 0.6) ** 2 + 0.1 * draw.standard_normal()
        steps = np.arange(1, epochs + 1)
        values = top - (top + 4) * np.exp(-6 * steps / epochs) + 0.05 * draw.standard_normal(epochs)
        state, more = "Succeeded", dict[str, Any]()
        if number % 13 == 7:
            state, values = "Failed", values[: 3 * (number % 2)]
            more = {"reason": "out of GPU memory", "fix": "lower batch_size"}
        elif number > 4 and top < 5.2:
            state, values = "EarlyStopped", values[: max(2, epochs // 3)]
            more = {"reason": "best of epoch 16, 3.10 dB, is below the median of 9 other trials, 4.20 dB"}
        settings = {
            "lr": 1e-4 * 100 ** place[0],
            "weight_decay": 1e-6 * 100 ** place[1],
            "grad_clip_norm": 1 + 9 * place[2],
            "lr_factor": 0.3 + 0.5 * place[3],
        }
        made = row(number, values, state=state, **more)
        rows.append(replace(made, assignments={name: repr(float(value)) for name, value in settings.items()}))
    return table(*rows, epochs=epochs)


def foreign(trials: int = 24, suffix: str = "", name: str = "own-search") -> TrialTable:
    """Returns a search of somebody else's trainer, whose loss is minimised over numbers and listed values.

    `suffix` makes the names of its parameters longer, and that of its metric too.
    """
    draw, metric, rows = np.random.default_rng(5), f"val_loss{suffix}", []
    optimizers = ("adam", "sgd", "lion", "adamw-with-decoupled-weight-decay-and-warmup" if suffix else "adamw")
    for number in range(trials):
        kind, rate = int(draw.integers(4)), float(10 ** draw.uniform(-4, -2))
        end = 0.2 + (0.05, 0.2, 0.1, 0.0)[kind] + 0.1 * abs(np.log10(rate) + 3) + 0.01 * draw.standard_normal()
        values, state, reason = end + 2 * np.exp(-0.6 * np.arange(1, 13)), "Succeeded", ""
        if number % 9 == 4:
            values, state, reason = values[:2], "Failed", f"ValueError: the batch does not fit{suffix}"
        elif number > 5 and end > 0.45:
            values, state, reason = values[:4], "EarlyStopped", "best of epoch 4, 0.61, is above the median, 0.5"
        points = tuple(Point(step, float(value), START + 60 * step) for step, value in enumerate(values, 1))
        settings = {"lr": repr(rate), "batch_size": str(int(2 ** draw.integers(3, 8))), "optimizer": optimizers[kind]}
        settings["amp"] = ("false", "true")[number % 2]
        made = row(number, values, state=state, reason=reason, trial=f"{name}-{number:08x}", objective=metric)
        made = replace(made, value=min(point.value for point in points), best_epoch=len(points))
        rows.append(replace(made, assignments={f"{key}{suffix}": text for key, text in settings.items()}))
        rows[-1] = replace(rows[-1], metrics={metric: points})
    space: dict[str, Any] = {
        "lr": ("double", {"min": "0.0001", "max": "0.01", "distribution": "logUniform"}),
        "batch_size": ("int", {"min": "8", "max": "128"}),
        "optimizer": ("categorical", {"list": list(optimizers)}),
        "amp": ("categorical", {"list": ["false", "true"]}),
    }
    parameters = [
        {"name": f"{key}{suffix}", "parameterType": kind, "feasibleSpace": range_}
        for key, (kind, range_) in space.items()
    ]
    objective = {"type": "minimize", "objectiveMetricName": metric}
    found = Identity(name, metric, False, "min", {"objective": objective, "parameters": parameters})
    rows.sort(key=lambda one: (one.value is None, one.value or 0.0))
    return TrialTable(found, tuple(rows), spec=None, model="", gpus=1, budget=None)
