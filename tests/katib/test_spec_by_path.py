"""A spec by its path, wherever a verb takes one by its name."""

from pathlib import Path

import pytest

from katib.backend.local.store import Store
from katib.backend.local.table import read_table
from katib.conclude.remarks import differences, no_baseline
from katib.manifest.experiment import load_experiment
from katib.manifest.object import Manifest
from katib.spec import SPECS, load_spec, search_name
from katib.table import export
from katib.table.origin import origin
from tests.verbs import katib


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a spec in the current folder, which holds nothing else."""
    monkeypatch.chdir(tmp_path)
    text = (SPECS / "demo.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("\nname: demo\n", "\nname: mine\n"))
    return tmp_path / "mine.yaml"


def test_its_manifest_names_the_file(spec: Path) -> None:
    for path in ("mine.yaml", "./mine.yaml", str(spec)):
        head, *rest = katib("render", path).stdout.splitlines()
        assert head == f"# Rendered from {path} and the site; change those, not this."
        assert "  name: mine" in rest
    assert katib("sweep", "mine.yaml", "--data", "d").stdout.startswith("# Rendered from mine.yaml;")


def test_it_stands_for_its_experiment(spec: Path) -> None:
    assert (search_name("mine.yaml"), search_name("convtasnet")) == ("mine", "series3-convtasnet")
    for verb in ("results", "report", "log", "best", "confirm", "ui", "fetch"):
        assert "no experiment 'mine'" in katib(verb, "mine.yaml").stderr
        assert "no experiment 'series3-dprnn'" in katib(verb, "dprnn").stderr


def test_a_search_with_the_name_of_a_model_comes_before_that_of_the_model(spec: Path) -> None:
    for name in ("series3-dprnn", "dprnn"):
        experiment = load_experiment(katib("render", "dprnn", "--name", name).stdout, name)
        Path("runs", name).mkdir(parents=True)
        Store.create(Path("runs", name), experiment.identity()).close()
        assert katib("results", "dprnn").stderr == f"note: {name}: no trial yet\n"


def test_local_tells_it_from_a_manifest_by_its_keys(spec: Path) -> None:
    assert katib("local", "mine.yaml").stderr == (
        "error: --data is missing: the folder of the corpus, which holds train/ and val/; `make corpus` builds one\n"
    )
    manifest = katib("render", "mine.yaml").stdout
    Path("manifest.yaml").write_text(manifest)
    assert "--trials changes a rendered manifest" in katib("local", "manifest.yaml", "--trials", "2").stderr


@pytest.mark.parametrize("verb", ["render", "plan", "local", "deploy", "sweep", "results"])
@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "wrong.yaml: cannot be read (No such file or directory)"),
        ("trails: 3\n", "wrong.yaml: unknown key 'trails': did you mean 'trials'?"),
    ],
)
def test_a_wrong_one_is_one_line(verb: str, content: str | None, line: str, spec: Path) -> None:
    if content is not None:
        Path("wrong.yaml").write_text(spec.read_text() + content)
    done = katib(verb, "wrong.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {line}\n"


@pytest.fixture
def searched(spec: Path) -> Path:
    """Returns the spec with a baseline, once a search of it is on record, in runs/mine."""
    text = spec.read_text()
    spec.write_text(text + 'baseline: {seeds: {42: 1.5, 123: 2.5}, differences: ["old\\u202Edata"]}\n')
    made = load_experiment(katib("render", "mine.yaml", "--trials", "2").stdout, "mine.yaml")
    Path("runs/mine").mkdir(parents=True)
    Store.create(Path("runs/mine"), made.identity()).close()
    return spec


def test_its_search_has_its_baseline(searched: Path) -> None:
    table = read_table(Path("runs"), "mine")
    assert table.spec == load_spec("mine.yaml")
    assert table.baseline is not None
    assert (table.baseline.mean, no_baseline(table)) == (2.0, "")
    assert "trained with old data." in differences(table)
    export.write(table, Path("saved"))
    assert export.read(Path("saved")).baseline == table.baseline


def test_its_plan_counts_its_search(searched: Path) -> None:
    """The spec may have other ranges and trials now; its fixed settings say whether it is the same training."""
    searched.write_text(searched.read_text().replace("\ntrials: ", "\ntrials: 1"))
    assert katib("plan", "mine.yaml").stderr == ""
    searched.write_text(searched.read_text().replace("  patience: 4\n", "  patience: 77\n"))
    assert "settings that its spec does not have" in katib("plan", "mine.yaml").stderr


def test_a_record_of_no_spec_or_of_another_training_is_none(searched: Path) -> None:
    table = read_table(Path("runs"), "mine")
    manifest, own = Manifest(table.identity.spec), table.identity.own_spec
    ours = load_spec("demo")
    for record in (
        "",
        "{",
        "[1]",
        own.replace('"epochs"', '"epoch"'),
        own.replace('"patience":4', '"patience":77'),
    ):
        assert origin(manifest, record) == ours
