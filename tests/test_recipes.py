"""The recipes of docs/extend.md, whose code is what runs here; and tables of the docs against what they list."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import numpy as np
import pytest
import soundfile
import torch
import yaml

from katib.check import job
from katib.check.finding import Defect
from katib.check.node import Node
from katib.report.figure import Figure
from katib.site import Site
from katib.spec import Spec
from tests.katib.report.simulated import searched, table
from trainer.data.readers.wav import WavSubset
from trainer.errors import DataError

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
BLOCKS = [dedent(block) for block in re.findall(r"(?m)(?:^ {7}.*\n|^\n+(?= {7}))+", PAGE)]


def block(beginning: str) -> str:
    """Returns the page's indented block of code that begins so."""
    (found,) = (text for text in BLOCKS if text.lstrip().startswith(beginning))
    return found.lstrip()


def module(code: str, monkeypatch: pytest.MonkeyPatch, name: str = "recipe") -> ModuleType:
    """Returns the module with this code; dataclasses look theirs up in sys.modules."""
    made = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, made)
    exec(code, vars(made))
    return made


@pytest.mark.parametrize(("page", "model"), [("extend.md", Spec), ("site.md", Site)])
def test_a_page_has_every_key_of_the_file_and_its_default(page: str, model: type[Spec | Site]) -> None:
    """A row begins with the keys; – stands for a key that is required."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    required: dict[str, bool] = {}
    for row in rows:
        for key in re.findall(r"`(\w+)", row[0]):
            required.setdefault(key, row[1].startswith("–"))
    for key, field in model.model_fields.items():
        assert key in required, key
        assert required[key] or not field.is_required(), key


def test_the_layers_on_the_page_are_those_of_the_linter() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("| layer | holds |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [set(re.findall(r"[\w_]+", line.split("|")[1])) for line in table.splitlines()]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract.get("containers") == ["katib"])
    assert rows == [set(layer.split(" | ")) for layer in layers]


def test_the_model_separates_and_its_spec_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each preset's flags the small one is built; the length of an output is that of the mixture, odd ones too."""
    model = module(block('"""TasNet'), monkeypatch).MODEL
    estimates = model.network(model.presets["debug"])(torch.randn(3, 1001))
    assert estimates.shape == (3, 2, 1001)
    assert Spec.model_validate(yaml.safe_load(block("name: tasnet"))).model == "tasnet"


def test_the_corpus_is_read_and_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stems come back as they were written, to the precision of 16 bits."""
    folders = module(block('"""Lists a corpus with one folder'), monkeypatch)
    stems = np.random.default_rng(0).normal(0, 0.1, (3, 8000))
    for name in ("0001", "0002"):
        mixture = tmp_path / "train" / name
        mixture.mkdir(parents=True)
        for file, sound in zip(("s1", "s2", "noise", "mix"), (*stems, stems.sum(axis=0)), strict=True):
            soundfile.write(mixture / f"{file}.wav", sound, 8000)
    assert (folders.is_there(tmp_path, "train"), folders.is_there(tmp_path, "val")) == (True, False)
    read = WavSubset(folders.listing(tmp_path, "train"))
    assert len(read.rows) == 2
    stem = next(stem for stem, file in folders.FILES.items() if file == "s2.wav")
    np.testing.assert_allclose(read.read_stem(1, stem, 0, 8000), stems[1], atol=1e-4)
    (tmp_path / "train" / "0002" / "noise.wav").unlink()
    with pytest.raises(DataError, match="0002: has no noise"):
        folders.listing(tmp_path, "train")


@pytest.mark.parametrize(("tries", "found"), [(20, 0), (100, 1)])
def test_the_check_rule_finds_many_tries_and_no_others(tries: int, found: int) -> None:
    apply = block("tries = spec")
    code = f"{block('MOST_TRIES')}\ndef defects(spec):\n{re.sub('(?m)^', '    ', apply)}"
    names: dict[str, object] = dict(vars(job))
    exec(code, names)
    spec = Node({"backoffLimit": tries}, ("spec",), {})
    defects: list[Defect] = list(names["defects"](spec))  # type: ignore[operator]
    assert [(defect.rule, defect.severity) for defect in defects] == [("many-tries", "warning")] * found


def test_the_figure_shows_each_trial_with_a_value_for_page_and_phone(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?def hours_figure.*?)```", PAGE, re.DOTALL)
    figures: Mapping[str, object] = vars(module(code, monkeypatch))
    shown = searched(12)
    figure: Figure = figures["hours_figure"](shown)  # type: ignore[operator]
    assert [drawing.kind for drawing in figure.drawings] == ["across", "narrow"]
    for drawing in figure.drawings:
        assert all((row.trial in str(drawing)) == (row.value is not None) for row in shown.rows)
    assert not figures["hours_figure"](table()).drawings  # type: ignore[operator]


def test_the_script_writes_the_file_that_a_program_wants_and_becomes_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(import os, sys\n.*?)```", PAGE, re.DOTALL)
    Path("trial.py").write_text(code)
    Path("train.py").write_text("import os, sys\nprint(os.getpid(), open(sys.argv[2]).read(), 'loss=0.5')\n")
    with subprocess.Popen(
        [sys.executable, "trial.py", "0.1", "32-64", "3", "runs/a/b"], stdout=subprocess.PIPE, text=True
    ) as process:
        printed, _ = process.communicate()
    number, text = printed.split(" ", 1)
    assert int(number) == process.pid
    assert yaml.safe_load(text.removesuffix(" loss=0.5\n")) == {"lr": 0.1, "channels": [32, 64], "epochs": 3}
