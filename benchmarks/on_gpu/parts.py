"""Lists the parts of the GPU measurements; `python -m benchmarks.on_gpu.parts NAME SIZES` is the process of one.

It prints a line of JSON for each row as soon as it is known, so that what a time limit cuts off is not lost.
"""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from benchmarks.on_gpu.gpu_tests import first_tests, other_tests
from benchmarks.on_gpu.rivals import against_speechbrain
from benchmarks.on_gpu.roofline import kernels_of_steps, roofline
from benchmarks.on_gpu.rows import AbsentError, Row, Sizes
from benchmarks.on_gpu.together import by_mps, by_turns
from benchmarks.on_gpu.whole_step import in_one_graph, steps


@dataclass(frozen=True)
class Part:
    """A measurement with its time limit in seconds, which holds its imports, too."""

    name: str
    seconds: float
    rows: Callable[[Sizes], Iterator[Row]]


PARTS = (
    Part("first-tests", 80, first_tests),
    Part("steps", 50, steps),
    Part("one-graph", 50, in_one_graph),
    Part("by-turns", 60, by_turns),
    Part("by-mps", 60, by_mps),
    Part("roofline", 35, roofline),
    Part("kernels", 25, kernels_of_steps),
    Part("speechbrain", 120, against_speechbrain),
    Part("other-tests", 60, other_tests),
)
"""In the order in which they run: what nothing else can tell comes first."""


def _main(name: str, sizes_json: str) -> int:
    (part,) = (part for part in PARTS if part.name == name)
    given: dict[str, Any] = json.loads(sizes_json)
    lists: dict[str, Any] = {key: tuple(value) for key, value in given.items() if isinstance(value, list)}
    sizes = Sizes(**{**given, **lists})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that MPS and trials are ended
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    try:
        for row in part.rows(sizes):
            print(json.dumps(asdict(row)), flush=True)
    except AbsentError as error:
        print(json.dumps({"skipped": str(error)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
