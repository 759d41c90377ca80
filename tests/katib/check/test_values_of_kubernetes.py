"""Single values of a trial's Job: the check refuses those that Kubernetes refuses, and no others."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from katib.check import Defect
from katib.check.manifest import check_text
from tests.katib.check.manifests import keys, long, sound, spoiled

VALUES = yaml.safe_load(Path(__file__).with_name("values_of_kubernetes.yaml").read_text(encoding="utf-8"))

NEEDS = {"POD.dnsPolicy": "POD.dnsConfig", "JOB.spec.manualSelector": "JOB.spec.selector"}
"""Where something is missing that the value of another place needs."""


def cases(kind: str) -> list[Any]:
    """Returns each place with each of its values of that kind."""
    return [
        pytest.param(place, value, id=f"{place} {value}"[:90])
        for place, said in VALUES.items()
        for value in said.get(kind, [])
    ]


def errors(place: str, value: object) -> list[Defect]:
    """Returns the errors of the sound manifest with `value` at `place`."""
    *parents, _ = keys(long(place.replace("[-]", "[0]")))
    holder: Any = sound()
    for key in parents:
        holder = holder.get(key, []) if isinstance(holder, dict) else holder[int(key)]
    at = place.replace("[-]", f"[{len(holder)}]")
    changes = {at: value} if holder or "[-]" not in place else {at.rpartition("[")[0]: [value]}
    return [found for found in check_text(spoiled(changes), "it") if found.severity == "error"]


@pytest.mark.parametrize(("place", "value"), cases("refused"))
def test_refused_value_is_an_error_at_its_place_or_at_what_it_needs(place: str, value: object) -> None:
    found = errors(place, value)
    near = long(NEEDS.get(place, place).partition("[-]")[0])
    assert found
    assert [defect.path for defect in found if not defect.path.startswith(near)] == []


@pytest.mark.parametrize(("place", "value"), cases("accepted"))
def test_accepted_value_is_no_error(place: str, value: object) -> None:
    assert errors(place, value) == []


def test_value_that_another_rule_reports_is_told_once() -> None:
    found = errors("TRAINER.env[0].name", None)
    assert [(defect.rule, defect.path) for defect in found] == [("missing-key", long("TRAINER.env[0].name"))]
