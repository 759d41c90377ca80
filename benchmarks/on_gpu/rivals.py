"""Times our step against speechbrain's, eager and compiled with max-autotune, as a careful user would have it."""

from collections.abc import Iterator
from importlib.util import find_spec

from benchmarks.measure import Side, Step
from benchmarks.on_gpu.rows import AbsentError, Row, Sizes, row, timed

LIMITS: dict[Side, str] = {"reference": "<= 0.3", "reference, compiled": "<= 0.6"}
COMPARED = ("convtasnet", "dprnn", "sepformer")
"""The models that speechbrain has."""


def against_speechbrain(sizes: Sizes) -> Iterator[Row]:
    """Yields the steps of both and their ratio, first of all models eager, then compiled, which takes minutes.

    Raises AbsentError without speechbrain.
    """
    if find_spec("speechbrain") is None:
        raise AbsentError("speechbrain is not installed")
    models = [model for model in sizes.models if model in COMPARED]
    for side in LIMITS:
        if side == "reference, compiled" and sizes.device == "cpu":
            continue
        for model in models:
            load = sizes.load(model)
            ours, theirs = Step(load, "ours"), Step(load, side)
            for _ in range(3):
                ours()
                theirs()
            pairs = [(timed(ours, load.device, 1)[0], timed(theirs, load.device, 1)[0]) for _ in range(sizes.rounds)]
            yield row(f"{model}, {side.replace('reference', 'speechbrain')}", [pair[1] for pair in pairs], "ms")
            limit = LIMITS[side] if sizes.preset == "paper" else ""
            yield row(
                f"{model}, ours / {side.replace('reference', 'speechbrain')}", [a / b for a, b in pairs], "", limit
            )
