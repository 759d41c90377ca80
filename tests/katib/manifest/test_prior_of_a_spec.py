"""A prior of a spec: in the manifest it is a setting of the algorithm, and a sweep says that it lacks it."""

import json

import pytest
import yaml
from pydantic import ValidationError

from katib.manifest.render import render
from katib.manifest.render_sweep import render_sweep
from katib.ranges import Prior
from katib.site import load_site
from katib.spec import Spec, load_spec


def with_prior(**prior: object) -> Spec:
    data = load_spec("dprnn").data
    data["search"]["lr"]["prior"] = prior
    return Spec.model_validate(data)


def test_the_manifest_carries_it() -> None:
    manifest = yaml.safe_load(render(with_prior(at=1e-3), load_site()))
    settings = {item["name"]: item["value"] for item in manifest["spec"]["algorithm"]["algorithmSettings"]}
    assert json.loads(settings["prior"]) == {"lr": {"at": "0.001", "sure": "fair"}}
    plain = yaml.safe_load(render(load_spec("dprnn"), load_site()))
    assert "prior" not in str(plain["spec"]["algorithm"])


def test_a_sweep_says_that_it_is_left_out() -> None:
    text = render_sweep(with_prior(at=1e-3, sure="strong"), load_site(), "/data", "/runs")
    assert "# A sweep knows no prior: that lr is expected at 0.001 is left out." in text


@pytest.mark.parametrize(
    ("prior", "problem"),
    [
        ({"at": 7.0}, "prior: 7 is outside 0.0001 to 0.01"),
        ({"at": float("nan")}, "finite|nan"),
        ({"at": 1e-3, "sure": "certain"}, "'strong', 'fair' or 'weak'"),
        ({"sure": "fair"}, "at"),
    ],
)
def test_a_wrong_one_is_refused(prior: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        with_prior(**prior)
    assert Prior(at=1.0).sure == "fair"
