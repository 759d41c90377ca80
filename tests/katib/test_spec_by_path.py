"""A spec by its path, wherever a verb takes one by its name."""

from pathlib import Path

import pytest

from katib.spec import SPECS, experiment_of, search_name
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
    assert (search_name("mine.yaml"), experiment_of("mine.yaml")) == ("mine", "mine")
    assert (search_name("convtasnet"), experiment_of("convtasnet")) == ("series3-convtasnet", "convtasnet")
    for verb in ("results", "report", "log", "best", "confirm", "ui"):
        assert "no experiment 'mine'" in katib(verb, "mine.yaml").stderr


def test_local_tells_it_from_a_manifest_by_its_keys(spec: Path) -> None:
    assert katib("local", "mine.yaml").stderr == (
        "error: --data is missing: the folder of the corpus, which holds train/ and val/\n"
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
