"""Every reader of what others may have written, on a few changed inputs and on those that once did harm
(benchmarks/robustness/fuzz.py).
"""

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.robustness.fuzz import KEPT, tried
from benchmarks.robustness.fuzz_readers import READERS

EXAMPLES = 3


@pytest.mark.parametrize("name", READERS)
def test_a_changed_input_is_read_or_refused_in_a_line(name: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=True))
    def change(draw: Random) -> None:
        tried(name, READERS[name].change(draw))

    change()


@pytest.mark.parametrize("file", sorted(KEPT.glob("*.bin")), ids=lambda file: file.stem)
def test_an_input_that_once_did_harm_does_none(file: Path) -> None:
    tried(file.stem.rpartition("-")[0], file.read_bytes())
