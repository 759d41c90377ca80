"""Settings that the trainer does not take are refused where a manifest is rendered, before a folder or a pod exists."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from katib import spec as specs
from katib.document import load
from katib.errors import SpecError
from katib.manifest.render import Overrides, render
from katib.manifest.render_sweep import render_sweep
from katib.site import load_site
from katib.spec import SPECS, Spec
from tests.verbs import katib

WIDE = {"min": 0.1, "max": 1.0, "distribution": "uniform", "why": "x"}
WHOLE = {"min": 1.0, "max": 8.0, "distribution": "uniform", "why": "x"}
DEFECTS = {
    "fixed: {preset: huge}": "fixed.preset 'huge' is unknown, valid: paper, debug",
    "fixed: {curriculum: wsj}": "fixed.curriculum 'wsj' is unknown, valid: auto, convtasnet",
    "fixed: {precision: fp8}": "fixed.precision 'fp8' is unknown, valid: fp32, bf16, fp16",
    "fixed: {validation_variants: [SER, SEE]}": "fixed.validation_variants 'SEE' is unknown, valid: SER",
    "fixed: {batch_size: 0}": "fixed.batch_size 0 does not fit, expected 1 or more mixtures",
    "fixed: {batch_size: 1.5}": "fixed.batch_size '1.5' is not a whole number",
    "fixed: {hopeless: 0}": "fixed.hopeless 0 does not fit, expected 1 or more epochs",
    "fixed: {hopeless: -1}": "fixed.hopeless -1 does not fit, expected 1 or more epochs",
    "fixed: {hopeless: 101}": "fixed.hopeless 101 does not fit, expected at most the 100 of --epochs",
    "fixed: {scheduler: cosine}": "fixed.scheduler cosine needs --cosine-epochs, which is not given",
    "fixed: {scheduler: cosine, cosine_epochs: 99}": "epochs 100 does not fit, expected at most the 99 of --cosine-epochs",
    "{search: {scheduler: {type: choice, values: [none, cosine], why: x}}, fixed: {cosine_epochs: 9}}": (
        "epochs 100 does not fit, expected at most the 9 of --cosine-epochs"
    ),
    "search: {scheduler: {type: choice, values: [none, cosine], why: x}}": (
        "search.scheduler: cosine needs --cosine-epochs, which is not given"
    ),
    "{search: {cosine_epochs: {type: choice, values: [100, 50], why: x}}, fixed: {scheduler: cosine}}": (
        "search.cosine_epochs: 50: --epochs 100 does not fit, expected at most the 50 of --cosine-epochs"
    ),
    "fixed: {hopeless: soon}": "fixed.hopeless 'soon' is not a whole number",
    "fixed: {lr_pacience: 2}": "fixed.lr_pacience: the trainer has no such setting: did you mean 'lr_patience'?",
    "fixed: {layers: 4}": "fixed.layers: dprnn has no --layers (spmamba, tfgridnet have it); its own flags: --filters, --kernel-size",
    "fixed: {epochs: 4}": "fixed.epochs: the command of a trial has --epochs already; remove it",
    "model: dprn": "model 'dprn' is unknown, valid: convtasnet, dpmamba, dprnn, sepformer, spmamba, tfgridnet",
    f"search: {{lrr: {WIDE}}}": "search.lrr: the trainer has no such setting: did you mean 'lr'?",
    f"search: {{lr: {WIDE}}}": "search.lr: max 1 does not fit, expected a number between 0 and 1",
    f"search: {{batch_size: {WHOLE}}}": "search.batch_size: --batch-size takes whole numbers only; write type: int",
    f"search: {{transformer_layers: {WHOLE}}}": "search.transformer_layers: dprnn has no --transformer-layers",
    "next_phase: {field: layers, values: [4]}": "next_phase.field 'layers': dprnn has no --layers",
    "next_phase: {field: hidden_size, values: [64, 0]}": "next_phase.values: hidden_size 0 does not fit",
}


def changed(line: str, folder: Path) -> Spec:
    """Returns the spec of dprnn with other entries in its sections."""
    document: dict[str, Any] = yaml.safe_load((SPECS / "dprnn.yaml").read_text())
    for key, value in yaml.safe_load(line).items():
        if key == "fixed":
            value = document[key] | value
        elif key == "search":
            value = {name: item for name, item in document[key].items() if name not in ("lr",)} | value
            document["fixed"] = {name: item for name, item in document["fixed"].items() if name not in value}
        document[key] = value
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(document))
    return load(path, Spec, SpecError)


@pytest.mark.parametrize(("line", "message"), DEFECTS.items())
def test_a_setting_that_the_trainer_does_not_take_is_named_by_its_key(line: str, message: str, tmp_path: Path) -> None:
    spec = changed(line, tmp_path)
    for rendered in (lambda: render(spec, load_site()), lambda: render_sweep(spec, load_site(), "d", "runs")):
        with pytest.raises(SpecError) as error:
            rendered()
        assert message in str(error.value)
        assert "command[" not in str(error.value)


def test_a_setting_of_its_own_model_is_taken(tmp_path: Path) -> None:
    assert "--hidden-size" in render(changed("fixed: {hidden_size: 64}", tmp_path), load_site())


def test_a_name_that_kubernetes_refuses_is_named_as_it_was_typed() -> None:
    with pytest.raises(SpecError, match=r"^name 'My Search': must have lower-case letters"):
        render(specs.load_spec("dprnn"), load_site(), Overrides(name="My Search"))


@pytest.mark.parametrize("verb", ["render", "local", "deploy", "sweep", "doctor"])
def test_a_preset_that_is_not_there_ends_each_verb_before_it_begins(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = katib(verb, "convtasnet", "--preset", "huge", "--name", "newone")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: preset 'huge' is unknown, valid: paper, debug\n"
    assert list(tmp_path.iterdir()) == []


def test_an_architecture_that_the_trainer_does_not_take_ends_arch_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed("next_phase: {field: hidden_size, values: [64, 0]}", tmp_path)
    (tmp_path / "spec.yaml").rename(tmp_path / "dprnn.yaml")
    monkeypatch.setattr(specs, "SPECS", tmp_path)
    done = katib("arch", "dprnn", "--out", str(tmp_path / "runs"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "next_phase.values: hidden_size 0 does not fit, expected 1 to 1000000" in done.stderr


@pytest.mark.parametrize("verb", ["confirm", "arch"])
def test_a_seed_that_the_trainer_does_not_take_is_named_as_it_was_typed(verb: str, tmp_path: Path) -> None:
    done = katib(verb, "dprnn", "--seeds", "42,9223372036854775808", "--out", str(tmp_path / "runs"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "--seeds '42,9223372036854775808': 9223372036854775808 does not fit" in done.stderr
