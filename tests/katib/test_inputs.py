"""Specs and sites with one defect each: one line that names the file, the key and the nearest valid thing, exit code 2."""

from pathlib import Path

import pytest
import yaml

from katib.document import load
from katib.errors import SiteError, SpecError
from katib.site import Site, default_site
from katib.spec import SPECS, Spec
from tests.verbs import katib

POINT = "{lr: 0.001, weight_decay: 1e-6, grad_clip_norm: 5, lr_factor: 0.5}"
SPEC_DEFECTS = {
    "trails: 3": "unknown key 'trails': did you mean 'trials'?",
    "trials: many": "trials: must be a whole number",
    "trials: 0": "trials: must be at least 1",
    "early_stopping: {name: medianstop, start_step: 5}": "key 'early_stopping.min_trials_required' is missing",
    "early_stopping: {name: medianstopp}": "early_stopping: unknown algorithm 'medianstopp': did you mean 'medianstop'?",
    "early_stopping: {name: medianstop, min_trials_required: 3, start_step: 101}": "but there are 100",
    "early_stopping: {name: medianstop, min_trials_required: 3, start_step: 1.5}": "start_step is '1.5'; it has a whole",
    "early_stopping: {name: promote, start_step: 15}": "unknown setting 'start_step': valid: eta, rung_epochs",
    "early_stopping: {name: promote, configurations: 9}": "'trials' counts the configurations; remove configurations",
    "early_stopping: {name: promote, rung_epochs: [6, 100]}": (
        "promote: rung_epochs is 6,100, but of 100 epochs the last is no rung; name epochs up to 99"
    ),
    "early_stopping: {name: promote, rung_epochs: [18, 6]}": "is '18,6'; it has whole numbers of at least 1, each above",
    "early_stopping: {name: promote, rung_epochs: []}": "early_stopping.rung_epochs: must be a number, a word, or a list",
    "early_stopping: {name: promote, rung_epochs: {a: 1}}": "early_stopping.rung_epochs: must be a number, a word, or a",
    "early_stopping: {name: promote, eta: 1}": "early_stopping promote: eta is '1'; it has a number above 1",
    "early_stopping: {name: promote, eta: true}": "early_stopping.eta: must be a number, a word",
    "search: {lr: {min: 1.0, max: 0.1, distribution: uniform, why: x}}": "min 1 must lie below max 0.1",
    "search: {lr: {min: 0.0, max: 0.1, distribution: logUniform, why: x}}": "logUniform needs min above 0",
    "search: {lr: {minn: 0.0, min: 0.1, max: 0.2, distribution: uniform, why: x}}": "did you mean 'min'?",
    "fixed: {lr: 1.0}": "'lr' is both searched and fixed",
    "fixed: {curriculum: 'a b'}": "fixed.curriculum",
    "first_suggestions: [{lr: 0.001}]": "first_suggestions: point 1: the parameter 'grad_clip_norm' is missing",
    f"first_suggestions: [{POINT}, {POINT.replace('1e-6', '0')}]": "point 2: weight_decay 0 is outside 1e-06 to 0.0001",
    f"first_suggestions: [{POINT.replace('lr:', 'lrr:')}]": "no parameter 'lrr': did you mean 'lr'?",
    f"first_suggestions: [{POINT.replace('0.001', '.nan')}]": "first_suggestions.0.lr: '.nan' is not finite",
    f"first_suggestions: [{POINT.replace('0.001', 'fast')}]": "first_suggestions: point 1: lr 'fast' is not a number",
    f"first_suggestions: [{POINT}, {POINT.replace('1e-6', '0.000001')}]": "point 2: it stands there twice",
    f"{{trials: 1, max_failed_trials: 1, first_suggestions: [{POINT}, {POINT.replace('0.001', '0.002')}]}}": (
        "2 first_suggestions exceed trials 1"
    ),
    "algorithm: {name: random, settings: {first_suggestions: '[]'}}": "first_suggestions is a key of its own",
    "name: no_underscore": "'no-underscore' would do",
}
SITE_DEFECTS = {
    "namspace: x": "unknown key 'namspace': did you mean 'namespace'?",
    "gpus: 4": "unknown key 'gpus': did you mean 'resources.gpus'?",
    "shared_memory: 8Gi": "unknown key 'shared_memory': did you mean 'resources.shared_memory'?",
    "resources: {gpu: 1, gpus: 1, cpu: '8', memory: 32Gi, shared_memory: 8Gi}": "did you mean 'gpus'?",
    "resources: {gpus: 1, cpu: 8, memory: 32Gi, shared_memory: 8Gi}": "resources.cpu: must be a text",
    "user: {uid: 0, gid: 1000}": "user.uid: must be at least 1",
    "room_minutes: -1": "room_minutes: must be at least 0",
    "room_minutes: 0.5": "room_minutes: must be a whole number",
    "image: 'Has Blank'": "image: must be an image with its tag or digest",
}


def changed(original: Path, line: str, target: Path) -> Path:
    target.write_text(yaml.safe_dump(yaml.safe_load(original.read_text()) | yaml.safe_load(line)))
    return target


@pytest.mark.parametrize(("line", "message"), SPEC_DEFECTS.items())
def test_spec_defect_is_named_in_one_line(line: str, message: str, tmp_path: Path) -> None:
    path = changed(SPECS / "dprnn.yaml", line, tmp_path / "spec.yaml")
    with pytest.raises(SpecError) as error:
        load(path, Spec, SpecError)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert "why" not in str(error.value)  # a whole section in a message would hide what is wrong with it


@pytest.mark.parametrize(("line", "message"), SITE_DEFECTS.items())
def test_site_defect_is_named_in_one_line(line: str, message: str, tmp_path: Path) -> None:
    path = changed(default_site(), line, tmp_path / "site.yaml")
    with pytest.raises(SiteError) as error:
        load(path, Site, SiteError)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "\xff"])
def test_file_that_is_no_yaml_mapping_is_an_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SiteError, match=r"site\.yaml"):
        load(path, Site, SiteError)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rendr"], "unknown verb 'rendr': did you mean 'render'?"),
        (["render", "sepfomer"], "unknown model 'sepfomer': did you mean 'sepformer'?"),
        (["render"], "no MODEL given: convtasnet"),
        (["render", "dprnn", "--trails", "3"], "unknown option '--trails': did you mean '--trials'?"),
        (["render", "dprnn", "--site", "none.yaml"], "none.yaml: cannot be read"),
    ],
)
def test_bad_command_line_ends_with_one_line_and_exit_code_2(words: list[str], message: str) -> None:
    done = katib(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_site_and_a_spec_in_each_others_place_are_told_as_such() -> None:
    needed = "name, trials, epochs, hours_per_run, max_failed_trials, algorithm, early_stopping, search"
    for verb in ("check", "render", "plan"):
        done = katib(verb, "k8s/site.yaml")
        assert done.stderr == f"error: k8s/site.yaml: is no spec, which must have the keys {needed}\n"
    done = katib("render", "dprnn", "--site", "katib/specs/dprnn.yaml")
    assert done.stderr.startswith("error: katib/specs/dprnn.yaml: is no site, which must have the keys namespace, ")


def test_a_manifest_in_the_place_of_a_spec_is_told_as_one(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("apiVersion: kubeflow.org/v1beta1\nkind: Experiment\nmetadata: {name: x}\n")
    for verb in ("confirm", "render", "plan"):
        done = katib(verb, str(path))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"error: {path}: is an Experiment manifest, and a spec is wanted here; the verbs local and check take the"
            " manifest, results, best and report its name\n"
        )
