"""What this program renders is sound, on stock Katib too."""

import pytest

from katib.check.manifest import check_text, require_sound
from katib.errors import ManifestError
from katib.manifest.render import Overrides, render
from katib.site import load_site
from katib.spec import load_spec, specs
from tests.katib.check.manifests import DROP, spoiled

OVERRIDES = {
    "as it is": Overrides(),
    "tiny": Overrides(preset="debug", name="try", trials=4, epochs=1, parallel=1),
    "one trial at a time": Overrides(parallel=1),
    "long name": Overrides(name="n" * 40),
}


@pytest.mark.parametrize("model", specs())
def test_rendered_manifest_has_neither_errors_nor_warnings(model: str) -> None:
    assert check_text(render(load_spec(model), load_site()), model) == []


@pytest.mark.parametrize("model", specs())
@pytest.mark.parametrize("name", OVERRIDES)
def test_override_gives_no_error_and_no_warning_but_that_all_points_are_random(model: str, name: str) -> None:
    """With four trials the model of the results is indeed never used: five points are drawn first."""
    findings = check_text(render(load_spec(model), load_site(), OVERRIDES[name]), model)
    assert {finding.rule for finding in findings} <= ({"all-random"} if name == "tiny" else set())


def test_sound_manifest_is_let_through() -> None:
    require_sound(spoiled({"spec.maxTrialCount": DROP}), "x.yaml")


def test_unsound_manifest_is_refused_in_one_line_with_count_first_defect_and_command() -> None:
    text = spoiled({"metadata.name": "a.b", "TEMPLATE.retain": DROP})
    with pytest.raises(ManifestError) as refused:
        require_sound(text, "x.yaml")
    message = str(refused.value)
    assert message.startswith("x.yaml: 2 defects; line 5: metadata.name: 'a.b' ")
    assert message.endswith("run: python -m katib check x.yaml")
    assert "\n" not in message
