"""The searches of benchmarks/search/real.py, which nobody runs for weeks: their specs must stay valid meanwhile."""

from pathlib import Path

import pytest
import yaml

from benchmarks.search.real import RULES, search_spec
from katib.spec import load_spec


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("model", ["convtasnet", "dprnn"])
def test_a_real_search_has_a_valid_spec(tmp_path: Path, model: str, rule: str) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(yaml.safe_dump(search_spec(model, rule, 2, 24, 12) | {"name": "search"}))
    spec = load_spec(str(file))
    assert (spec.model, spec.trials, spec.epochs, spec.max_failed_trials) == (model, 24, 12, 24)
    assert spec.early_stopping is not None
    assert spec.early_stopping.name == RULES[rule]["name"]
    assert spec.fixed["preset"] == "debug"
    assert spec.fixed["segment_seconds"] == 1
