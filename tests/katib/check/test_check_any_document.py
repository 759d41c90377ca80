"""Whatever stands in a manifest, the check ends, and finds a required key that is gone."""

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from katib.check.manifest import check_text
from katib.manifest.render import render
from katib.site import load_site
from katib.spec import load_spec, specs
from tests.katib.check.manifests import DROP, spoiled

MANIFESTS = [yaml.safe_load(render(load_spec(name), load_site())) for name in specs()]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        [
            "",
            "nan",
            "1e-4",
            "${trialParameters.lr}",
            "${trialParameters.",
            "sh",
            "-c",
            "Job",
            "File",
            "(",
            "8Gi",
        ]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(["name", "value"]), inner, max_size=3)
    ),
    max_leaves=8,
)
REQUIRED = """
apiVersion kind metadata metadata.name spec spec.objective spec.objective.type spec.objective.objectiveMetricName
spec.algorithm spec.algorithm.algorithmName spec.algorithm.algorithmSettings[0].name
spec.algorithm.algorithmSettings[0].value spec.earlyStopping.algorithmName spec.parameters spec.parameters[0].name
spec.parameters[0].parameterType SPACE SPACE.min SPACE.max spec.metricsCollectorSpec.collector.kind TEMPLATE
TEMPLATE.retain TEMPLATE.primaryContainerName TEMPLATE.trialParameters TEMPLATE.trialParameters[0].name
TEMPLATE.trialParameters[0].reference JOB JOB.apiVersion JOB.kind JOB.spec JOB.spec.template JOB.spec.template.spec
POD.restartPolicy POD.containers TRAINER.name TRAINER.image TRAINER.command TRAINER.env[0].name
TRAINER.volumeMounts[0].name TRAINER.volumeMounts[0].mountPath POD.volumes[0].name JOB.spec.podFailurePolicy.rules
JOB.spec.podFailurePolicy.rules[0].action
"""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, entry in entries for place in places(entry, (*path, key)))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_check_ends_for_any_value_anywhere_in_a_manifest(data: st.DataObject) -> None:
    """Up to three places are replaced, removed or renamed; each finding then has a line of the file."""
    document = copy.deepcopy(data.draw(st.sampled_from(MANIFESTS)))
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(places(document)[1:] or [("x",)]))
        place: Any = document
        for key in parents:
            place = place[key]
        change = data.draw(st.sampled_from(["replace", "remove", "rename"]))
        if change == "replace":
            place[last] = data.draw(VALUES)
        elif change == "remove":
            del place[last]
        elif isinstance(place, dict):
            place[data.draw(st.text(max_size=8))] = place.pop(last)
    text = yaml.safe_dump(document, allow_unicode=data.draw(st.booleans()))
    findings = check_text(text, "test")
    assert all(1 <= finding.line <= text.count("\n") + 1 for finding in findings)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | VALUES.map(json.dumps))
def test_check_ends_for_any_text(text: str) -> None:
    findings = check_text(text, "test")
    assert [finding.severity for finding in findings] == ["error"] * len(findings)
    assert findings


@pytest.mark.parametrize("path", REQUIRED.split())
@pytest.mark.parametrize("gone", [DROP, None], ids=["removed", "null"])
def test_required_key_that_is_gone_is_an_error(path: str, gone: object) -> None:
    assert any(finding.severity == "error" for finding in check_text(spoiled({path: gone}), "test"))
