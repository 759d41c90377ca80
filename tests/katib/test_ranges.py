"""Ranges of every type: what a spec says of them, and what the manifest, the search and the check make of it."""

import json
from pathlib import Path

import pytest
import yaml

from katib.document import load
from katib.errors import SpecError
from katib.manifest.experiment import parameters_of
from katib.manifest.object import Manifest
from katib.manifest.render import render
from katib.search.space import Space
from katib.site import load_site
from katib.spec import SPECS, Spec
from tests.katib.test_inputs import changed as changed_file
from tests.verbs import katib

LR = "min: 1e-4, max: 1e-2, why: x"
WHOLE = "batch_size: {type: int, why: x, distribution: uniform"
RANGES = {
    "lr": "{min: 1e-4, max: 1e-2, distribution: logNormal, why: x}",
    "batch_size": "{type: int, min: 2, max: 9, step: 2, distribution: uniform, why: x, prior: {at: 4}}",
    "lr_patience": "{type: int, min: 1, max: 8, distribution: logUniform, why: x}",
    "grad_clip_norm": "{min: 1, max: 2, step: 0.1, distribution: normal, why: x}",
    "curriculum": "{type: choice, values: [sepformer, all], why: x, prior: {at: all, sure: weak}}",
    "weight_decay": "{type: choice, values: [0, 1e-6, 1e-5], why: x}",
    "positional_encoding": "{type: bool, why: x}",
    "deterministic": "{type: bool, why: x, prior: {at: false}}",
}
POINT = {
    "lr": "0.001",
    "batch_size": "8",
    "lr_patience": "3",
    "grad_clip_norm": "1.3",
    "curriculum": "all",
    "weight_decay": "1e-06",
    "positional_encoding": "False",
    "deterministic": "True",
}
FIRST = ", ".join(f"{name}: {text}" for name, text in POINT.items())
SEARCH = f"search: {{{', '.join(f'{name}: {text}' for name, text in RANGES.items())}}}"
DEFECTS = {
    f"{WHOLE}, min: 2, max: 8, step: 1.5}}": "batch_size: an int has whole numbers, but step is 1.5; write one, or",
    f"{WHOLE}, min: 0.5, max: 8}}": "batch_size: an int has whole numbers, but min is 0.5; write one, or type: double",
    f"{WHOLE}, min: 2, max: 8, step: 7}}": "batch_size: step 7 is wider than the range; write at most 6",
    f"{WHOLE}, min: 2, max: 8, step: 0}}": "batch_size.step: must be more than 0 (got 0)",
    f"{WHOLE}, min: 8, max: 8}}": "batch_size: min 8 must lie below max 8",
    f"{WHOLE}, min: 2}}": "batch_size: key 'max' is missing",
    f"{WHOLE}, min: 2, max: 1e99}}": "batch_size.max: must be at most 1e+15",
    f"{WHOLE}, values: [2, 4]}}": "batch_size: an int has min and max, and no values; for these write type: choice",
    f"{WHOLE}, min: 2, max: 8, prior: {{at: 2.5}}}}": "prior: 2.5 is on no step of 1 from 2; 2 would do",
    "batch_size: {type: integer, min: 2, max: 8, distribution: uniform, why: x}": (
        "batch_size.type: must be one of double, int, choice, bool"
    ),
    "curriculum: {type: choice, values: [all], why: x}": "a choice has values, at least two of them; a single one",
    "curriculum: {type: choice, why: x}": "a choice has values, at least two of them",
    "curriculum: {type: choice, values: [all, dprnn, all], why: x}": "values: all stands there twice; remove one",
    "batch_size: {type: choice, values: [2, 4, 2.0], why: x}": "values: 2 stands there twice; remove one",
    "curriculum: {type: choice, values: [all, on], why: x}": "values: true is no word; put it in quotes, or",
    "curriculum: {type: choice, values: [all, 'a b'], why: x}": "curriculum.values.1: must have letters, digits and",
    "curriculum: {type: choice, values: [all, [dprnn]], why: x}": "values.1: must be a number, a word, true or false",
    "curriculum: {type: choice, values: [all, dprnn], min: 1, why: x}": "a choice has no min; remove it, or write type",
    "curriculum: {type: choice, valuse: [all, dprnn], why: x}": "did you mean 'values'?",
    "curriculum: {type: choice, values: [all, dprnn], why: x, prior: {at: wsj}}": "prior: wsj is none of all, dprnn",
    "positional_encoding: {type: bool, values: [1, 2], why: x}": "a bool has no values, it is true or false; remove",
    "positional_encoding: {type: bool}": "key 'search.positional_encoding.why' is missing",
    f"lr: {{{LR}}}": "lr: key 'distribution' is missing",
    f"lr: {{{LR}, distribution: loguniform}}": "lr.distribution: must be one of uniform, logUniform, normal, logNormal",
    "lr: {min: 0, max: 0.1, distribution: logNormal, why: x}": "lr: logNormal needs min above 0, not 0",
}
REFUSED = {
    "batch_size: {min: 2, max: 8, distribution: uniform, why: x}": "batch_size: --batch-size takes whole numbers only",
    "batch_size: {type: choice, values: [2, many], why: x}": "batch_size: 'many' is not a whole number",
    "batch_size: {type: int, min: 0, max: 8, distribution: uniform, why: x}": "min 0 does not fit, expected 1 or more",
    "lr: {type: bool, why: x}": "lr: 'True' is not a number",
    "precision: {type: choice, values: [fp32, fp8], why: x}": "'fp8' is unknown, valid: fp32, bf16, fp16",
    "precision: {type: int, min: 8, max: 16, distribution: uniform, why: x}": "takes no number; write type: choice",
    "positional_encoding: {min: 0, max: 1, distribution: uniform, why: x}": "takes no number; write type: bool",
    "deterministic: {type: choice, values: [0, 1], why: x}": "deterministic: '0' is unknown, valid: True, False",
    "deterministic: {type: int, min: 0, max: 1, distribution: uniform, why: x}": "takes no number; write type: bool",
    "seed: {type: int, min: 1, max: 9, distribution: uniform, why: x}": "seed: a seed is luck and no setting; fix it",
    "hopeless: {type: int, min: 5, max: 999, distribution: uniform, why: x}": "max 999 does not fit, expected at most",
}


def changed(ranges: str, folder: Path) -> Spec:
    """Returns the spec of sepformer with other entries, and without what it fixes that is searched now."""
    document = yaml.safe_load((SPECS / "sepformer.yaml").read_text())
    given = yaml.safe_load(ranges)
    document["fixed"] = {key: value for key, value in document["fixed"].items() if key not in given["search"]}
    (folder / "fixed.yaml").write_text(yaml.safe_dump(document))
    return load(changed_file(folder / "fixed.yaml", ranges, folder / "spec.yaml"), Spec, SpecError)


@pytest.mark.parametrize(("line", "message"), DEFECTS.items())
def test_a_range_that_is_none_is_named_in_one_line(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        changed(f"search: {{{line}}}", tmp_path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert ";" not in message or str(error.value).count("search.") <= 1


@pytest.mark.parametrize(("line", "message"), REFUSED.items())
def test_a_range_that_the_trainers_flag_does_not_take_is_refused(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^spec of series3-sepformer: search\.") as error:
        render(changed(f"search: {{{line}}}", tmp_path), load_site())
    assert message in str(error.value)


def test_the_search_draws_from_every_type_what_the_check_accepts(tmp_path: Path) -> None:
    text = render(changed(f"{{{SEARCH}, first_suggestions: [{{{FIRST}}}]}}", tmp_path), load_site())
    (tmp_path / "manifest.yaml").write_text(text)
    done = katib("check", str(tmp_path / "manifest.yaml"))
    assert (done.returncode, "0 errors" in done.stdout) == (0, True), done.stdout
    spec = yaml.safe_load(text)["spec"]
    types = ("double", "int", "int", "double", "categorical", "discrete", "categorical", "categorical")
    assert {item["name"]: item["parameterType"] for item in spec["parameters"]} == dict(zip(RANGES, types, strict=True))
    settings = {item["name"]: item["value"] for item in spec["algorithm"]["algorithmSettings"]}
    assert json.loads(settings["first_suggestions"]) == [{"assignments": POINT}]
    space = Space.of(parameters_of(spec, "spec"))
    assert space.coordinates(POINT) is not None
    for share in (0.0, 0.3, 0.7, 0.999):
        drawn = space.at([share] * len(RANGES))
        assert drawn["batch_size"] in ("2", "4", "6", "8")
        assert 1 <= int(drawn["lr_patience"]) <= 8
        assert float(drawn["grad_clip_norm"]) * 10 == pytest.approx(round(float(drawn["grad_clip_norm"]) * 10))
        assert drawn["positional_encoding"] in ("True", "False")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("8", "3", "point 1: batch_size 3 is on no step of 2 from 2; 2 would do"),
        ("all", "wsj", "point 1: curriculum wsj is none of sepformer, all"),
        ("1.3", "1.35", "point 1: grad_clip_norm 1.35 is on no step of 0.1 from 1; 1.4 would do"),
    ],
)
def test_a_first_suggestion_lies_on_the_steps(old: str, new: str, message: str, tmp_path: Path) -> None:
    point = ", ".join(f"{name}: {new if text == old else text}" for name, text in POINT.items())
    with pytest.raises(SpecError, match=message):
        changed(f"{{{SEARCH}, first_suggestions: [{{{point}}}]}}", tmp_path)


def test_a_fixed_bool_turns_a_switch_on_or_off(tmp_path: Path) -> None:
    fixed = "fixed: {preset: paper, deterministic: true, cuda_graph: false, positional_encoding: false}"
    spec = changed(f"{{search: {{lr: {{{LR}, distribution: uniform}}}}, {fixed}}}", tmp_path)
    flags = Manifest.of(yaml.safe_load(render(spec, load_site()))).trainer_flags
    assert [flags[f"--{name}"] for name in ("deterministic", "cuda-graph")] == [["True"], ["False"]]
    wrong = spec.model_copy(update={"fixed": spec.fixed | {"compile": "fast"}})
    with pytest.raises(SpecError, match=r"fixed\.compile 'fast' is unknown, valid: True, False$"):
        render(wrong, load_site())
