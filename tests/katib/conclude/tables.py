"""Trial tables for the tests of what is concluded from them."""

from typing import Any

from katib.table.trial_table import Point, TrialRow, TrialTable, best_first
from katib.trial import Identity

SPACE = {
    "parameters": [
        {
            "name": name,
            "parameterType": "double",
            "feasibleSpace": {"min": low, "max": high, "distribution": distribution},
        }
        for name, low, high, distribution in (
            ("lr", "1e-4", "1e-2", "logUniform"),
            ("grad_clip_norm", "1", "10", "uniform"),
        )
    ]
}


def row(
    name: str,
    value: float | None,
    state: str = "Succeeded",
    curve: tuple[float, ...] = (),
    **assignments: Any,
) -> TrialRow:
    """Returns a trial; `assignments` are numbers or texts."""
    values = curve or (() if value is None else (value,))
    return TrialRow(
        trial=name,
        state=state,  # type: ignore[arg-type]
        reason="diverged: the loss is nan" if state == "Failed" else "",
        assignments={key: str(text) for key, text in assignments.items()},
        value=value,
        best_epoch=None,
        epochs=len(values),
        seconds=60.0,
        objective="val_si_snr",
        metrics={"val_si_snr": tuple(Point(step, one, None) for step, one in enumerate(values, 1))},
    )


def table(*rows: TrialRow, maximize: bool = True, spec: dict[str, Any] | None = None, **fields: Any) -> TrialTable:
    """Returns a search of lr and grad_clip_norm unless `spec` says otherwise."""
    side = "max" if maximize else "min"
    identity = Identity("test", "val_si_snr", maximize, side, SPACE if spec is None else spec)  # type: ignore[arg-type]
    return TrialTable(identity, best_first(rows, identity.direction), **fields)
