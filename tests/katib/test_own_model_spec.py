"""A spec of a model outside this package: its flags come from the model's source, which is not run."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from katib.backend.cluster.model import read_search
from katib.manifest.object import Manifest
from katib.trainer_flags import own_model
from tests.verbs import katib

EXAMPLE = Path(__file__).parents[2] / "examples/own_model"
SPEC = "gru-mask.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yields the current folder, with a copy of the example whose import would end the process."""
    shutil.copytree(EXAMPLE, tmp_path / "own", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path / "own")
    for file in (Path("lab/__init__.py"), Path("lab/gru_mask.py")):
        file.write_text(f"{file.read_text().replace('from trainer', 'raise SystemExit; from trainer', 1)}")
    own_model.cache_clear()
    yield tmp_path / "own"
    own_model.cache_clear()


def test_it_renders_and_is_sound(folder: Path) -> None:
    """Without torch in this process; the label, which holds no colon, is not what the search trains."""
    loaded = "torch" in sys.modules
    rendered = katib("render", SPEC)
    assert rendered.stderr == ""
    Path("manifest.yaml").write_text(rendered.stdout)
    assert katib("check", "manifest.yaml", "--strict").stdout == "manifest.yaml: nothing found\n"
    assert ("torch" in sys.modules) == loaded
    document = yaml.safe_load(rendered.stdout)
    manifest = Manifest.of(document)
    assert manifest.labels["sepsweep/model"] == "lab.gru_mask.MODEL"
    assert manifest.model == "lab.gru_mask:MODEL"
    item = document | {"metadata": {**manifest.metadata, "uid": "1"}}
    assert read_search(item).model == "lab.gru_mask:MODEL"


DEFECTS = {
    "fixed: {unit: 3}": "fixed.unit: the trainer has no such setting: did you mean 'units'?",
    "fixed: {hidden_size: 8}": "fixed.hidden_size: lab.gru_mask:MODEL has no --hidden-size (dprnn, tfgridnet have it); its own flags:",
    "fixed: {preset: big}": "fixed.preset 'big' is unknown, valid: paper, debug",
    "fixed: {taps: many}": "fixed.taps 'many' is not a whole number",
    "fixed: {curriculum: lab.other:MODEL}": "fixed.curriculum 'lab.other:MODEL' is unknown, valid: auto, all, lab.gru_mask",
    "search: {units: {min: 1, max: 2, distribution: uniform, why: x}}": "search.units: --units takes whole numbers only",
    "search: {mask: {type: choice, values: [relu, tanh], why: x}}": "search.mask: 'tanh' is unknown, valid: sigmoid, relu",
    "next_phase: {field: lr, values: [1]}": "next_phase.field 'lr': is a setting, no field of lab.gru_mask:MODEL's config",
    "next_phase: {field: size, values: [1]}": "next_phase.field 'size': the trainer has no such setting",
    "next_phase: {field: mask, values: [relu, 1]}": "next_phase.values: mask '1' is unknown, valid: sigmoid, relu",
    "next_phase: {field: mask, values: [relu, relu]}": "next_phase: values: relu stands there twice; remove one",
    "next_phase: {field: mask, values: ['a b']}": "must have letters, digits and",
    "model: lab.gru_mask:MODLE": "gru_mask.py has no entry MODLE = Model(…); did you mean 'MODEL'?",
    "model: lab.gru:MODEL": "no module lab.gru here; start in the folder that holds lab, or put that folder on PYTHONPATH",
    "model: ':MODEL'": "name a module and its entry, such as my_package.my_model:MODEL",
}


@pytest.mark.parametrize(("line", "message"), DEFECTS.items())
def test_what_the_model_does_not_take_is_one_line(line: str, message: str, folder: Path) -> None:
    key = line.partition(":")[0]
    others = [text for text in Path(SPEC).read_text().splitlines() if not text.startswith(f"{key}:")]
    if key == "search":
        others = [text for text in others if not text.startswith("  ")]
    Path("x.yaml").write_text("\n".join([*others, line]))
    done = katib("render", "x.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    (error,) = done.stderr.splitlines()
    assert message in error


def test_a_manifest_is_checked_where_the_model_is_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One warning says what was not compared; a spec is refused, because whoever has it has the model."""
    (tmp_path / "manifest.yaml").write_text(katib("render", SPEC).stdout)
    monkeypatch.chdir(tmp_path)
    own_model.cache_clear()
    done = katib("check", "manifest.yaml")
    assert done.returncode == 0
    assert "0 errors, 1 warning" in done.stdout
    assert "lab.gru_mask:MODEL: no module lab here" in done.stdout
    assert "[trainer-own-model]" in done.stdout
    assert "model lab.gru_mask:MODEL: no module lab here" in katib("render", f"own/{SPEC}").stderr


def test_presets_that_only_python_can_read_leave_the_flags_to_the_trainer(folder: Path) -> None:
    file = Path("lab/gru_mask.py")
    file.write_text(file.read_text().replace("    presets={", "    presets=PRESETS or {"))
    rendered = katib("render", SPEC)
    assert rendered.stderr == ""
    Path("manifest.yaml").write_text(rendered.stdout)
    assert "its presets are not written out as {name: Config(…)}" in katib("check", "manifest.yaml").stdout
