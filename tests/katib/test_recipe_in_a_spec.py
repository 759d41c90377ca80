"""Options of the recipe in a spec: each can be searched or fixed, with what the trainer takes."""

from pathlib import Path

import pytest

from katib.document import load
from katib.errors import SpecError
from katib.manifest.render import render
from katib.site import load_site
from katib.spec import SPECS, Spec
from tests.verbs import katib

SEARCHED = """search:
  optimizer: {type: choice, values: [adam, adamw], why: x}
  scheduler: {type: choice, values: [plateau, cosine, none], why: x}
  warmup_steps: {type: choice, values: [0, 1000], why: x}
  average_best: {type: choice, values: [1, 5], why: x}
  loss_threshold: {type: choice, values: [-40, -30], why: x}
  dynamic_mixing: {type: choice, values: [0, 100], why: x}
  speed_perturbation: {type: int, min: 1, max: 10, distribution: uniform, why: x}
  dropout: {type: choice, values: [0, 0.1], why: x}
  kernel_size: {type: choice, values: [2, 8, 16], why: x}
  chunk_size: {type: choice, values: [100, 250], why: x}
"""


def made(tmp_path: Path, searched: str = SEARCHED, model: str = "dprnn") -> Spec:
    """Returns DPRNN's spec with `searched` beside its own ranges."""
    text = (SPECS / "dprnn.yaml").read_text(encoding="utf-8").replace("model: dprnn", f"model: {model}")
    text = text.replace("search:\n", searched, 1).replace("fixed:\n", "fixed:\n  cosine_epochs: 100\n", 1)
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    return load(tmp_path / "spec.yaml", Spec, SpecError)


def test_every_option_can_be_searched(tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text(render(made(tmp_path), load_site()), encoding="utf-8")
    done = katib("check", str(tmp_path / "manifest.yaml"))
    assert (done.returncode, "nothing found" in done.stdout) == (0, True), done.stdout


@pytest.mark.parametrize(
    ("old", "new", "model", "message"),
    [
        ("[0, 0.1]", "[0, 1.5]", "dprnn", "search.dropout: 1.5 does not fit, expected a number from 0 to below 1"),
        ("x", "x", "convtasnet", "search.dropout: convtasnet has no --dropout"),
        ("adamw]", "adamv]", "dprnn", "search.optimizer: "),
        ("max: 10", "max: 50", "dprnn", "search.speed_perturbation: max 50 does not fit, expected 0 to 25 per cent"),
        ("[-40, -30]", "[-40, 30]", "dprnn", "search.loss_threshold: "),
        (
            "[plateau, cosine, none]",
            "[cosine, none]",
            "dprnn",
            "search.lr_factor: has no effect with --scheduler cosine or none, only with plateau; remove it from search",
        ),
    ],
)
def test_an_option_that_does_not_fit_is_one_line(old: str, new: str, model: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        render(made(tmp_path, SEARCHED.replace(old, new), model), load_site())
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_word_that_is_fixed_twice_is_one_line(tmp_path: Path) -> None:
    """Each trial would refuse it."""
    spec = made(tmp_path)
    with pytest.raises(SpecError, match=r"^spec of series3-dprnn: fixed\.validate 'SER' is there twice$"):
        render(spec.model_copy(update={"fixed": {**spec.fixed, "validate": ["SER", "C", "SER"]}}), load_site())
