"""A slice of benchmarks/robustness/manifests.py: changed and damaged manifests give findings and no trace.

What passes is read here.
"""

import json
from random import Random

import pytest

from benchmarks.robustness.fuzz_mutations import content
from benchmarks.robustness.manifests import changed, disagreement, manifest
from katib.check.manifest import check_text


@pytest.mark.parametrize("seed", range(4))
def test_what_the_check_passes_is_read_here_or_refused_by_name(seed: int) -> None:
    draw = Random(seed)
    for _ in range(25):
        text = changed(draw)
        if not any(found.severity == "error" for found in check_text(text, "it")):
            assert disagreement(text) == ""


def test_damaged_texts_end_in_findings() -> None:
    draw = Random(7)
    for _ in range(40):
        check_text(content(draw, json.dumps(manifest(draw), indent=1).encode()).decode("utf-8", "replace"), "it")
