"""The wheel in an environment of its own, outside the checkout, with what it requires and nothing else: no torch.

The wheel is really installed. What it requires is not fetched again: links to this environment's packages, of the
wheel's requirements and of theirs alone, stand beside it.
"""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
BUILD = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "katib", "trainer", "k8s")


def required(metadata: list[str]) -> list[Path]:
    """Returns the files and folders of all that `metadata` requires on this platform, without extras."""
    waiting, found, places = list(metadata), set[str](), set[Path]()
    while waiting:
        needed = Requirement(waiting.pop())
        name = re.sub(r"[-_.]+", "-", needed.name).lower()
        if name in found or (needed.marker is not None and not needed.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        package = distribution(name)
        waiting += package.requires or []
        places |= {
            Path(str(package.locate_file(file.parts[0]))) for file in package.files or [] if ".." not in file.parts
        }
    return sorted(path for path in places if path.name != "__pycache__")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the environment with the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    source, environment = folder / "source", folder / "tool"
    source.mkdir()
    for name in BUILD:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    install = [*pip, "--python", str(environment / "bin/python"), "install", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    shutil.rmtree(source)
    (packages,) = environment.glob("lib/*/site-packages")
    (built,) = packages.glob("sepsweep-*.dist-info/METADATA")
    links = folder / "packages"
    links.mkdir()
    for path in required(re.findall(r"(?m)^Requires-Dist: (.*)$", built.read_text())):
        (links / path.name).symlink_to(path)
    (packages / "required.pth").write_text(f"{links}\n")
    return environment


def sepsweep(home: Path, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Returns what the installed program prints and returns in `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WANDB", "VIRTUAL"))}
    return subprocess.run(
        [str(home / "bin/sepsweep"), *words],
        cwd=folder,
        env=kept | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_a_search_with_a_trainer_of_ones_own_needs_no_torch(home: Path, tmp_path: Path) -> None:
    for file in (ROOT / "examples/quadratic").iterdir():
        shutil.copy(file, tmp_path)
    rendered = sepsweep(home, tmp_path, "render", "quadratic.yaml")
    (tmp_path / "search.yaml").write_text(rendered.stdout)
    checked = sepsweep(home, tmp_path, "check", "search.yaml")
    assert (checked.returncode, checked.stdout) == (0, "search.yaml: nothing found\n")
    done = sepsweep(home, tmp_path, "local", "quadratic.yaml")
    assert done.returncode == 0, done.stderr
    assert "3 Succeeded, 1 EarlyStopped" in done.stdout or "4 Succeeded" in done.stdout
    assert "next: sepsweep report quadratic · sepsweep results quadratic · sepsweep ui quadratic" in done.stdout
    table = sepsweep(home, tmp_path, "results", "quadratic", "--format", "csv").stdout
    assert len(table.splitlines()) == 5
    assert sepsweep(home, tmp_path, "report", "quadratic").returncode == 0
    report = (tmp_path / "runs/quadratic/report.html").read_text()
    assert report.count('<svg xmlns="http://www.w3.org/2000/svg" class="drawn') >= 8
    assert len(report) < 1_000_000


def test_verbs_work_in_an_empty_folder_with_the_specs_and_the_site_of_the_wheel(home: Path, tmp_path: Path) -> None:
    assert re.fullmatch(r"sepsweep \d+\.\d+\.\d+\n", sepsweep(home, tmp_path, "--version").stdout)
    assert "Usage: sepsweep VERB [OPTIONS]\n" in sepsweep(home, tmp_path).stdout
    rendered = sepsweep(home, tmp_path, "render", "demo")
    assert "namespace: sepsweep" in rendered.stdout
    (tmp_path / "x.yaml").write_text(rendered.stdout)
    assert sepsweep(home, tmp_path, "check", "x.yaml").returncode == 0
    assert "1477.5" in sepsweep(home, tmp_path, "plan").stdout.replace(" ", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.yaml"]


def test_the_site_that_one_edits_is_that_of_the_folder(home: Path, tmp_path: Path) -> None:
    written = sepsweep(home, tmp_path, "k8s")
    assert written.returncode == 0, written.stderr
    files = {path.relative_to(ROOT): path.read_bytes() for path in (ROOT / "k8s").rglob("*") if path.is_file()}
    assert {path: (tmp_path / path).read_bytes() for path in files} == files
    site = tmp_path / "k8s/site.yaml"
    assert (tmp_path / "k8s/site.schema.json").is_file()
    assert list(home.glob("lib/*/site-packages/katib/specs/spec.schema.json"))
    site.write_text(site.read_text().replace("namespace: sepsweep", "namespace: ours"))
    assert "namespace: ours" in sepsweep(home, tmp_path, "render", "demo").stdout
    again = sepsweep(home, tmp_path, "k8s")
    assert (again.returncode, again.stdout) == (2, "")
    assert (
        again.stderr == "error: k8s/: is there already; edit k8s/site.yaml, or rename the folder and run this again\n"
    )


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["corpus"], "error: pyroomacoustics is not installed; "),
        (["local", "demo", "--data", "."], "demo: soundfile is not installed; "),
        (["results", "demo"], "runs: no experiment 'demo': there is none yet; `sepsweep local MODEL` starts one"),
        (["render", "none.yaml"], "none.yaml: cannot be read (No such file or directory)"),
        (["render", "wrong.yaml"], "wrong.yaml: unknown key 'trails': did you mean 'trials'?"),
        (["local", "none.yaml"], "none.yaml: cannot be read (No such file or directory)"),
        (["images"], "images: no Dockerfile; a checkout of the repository has them"),
    ],
)
def test_what_is_missing_is_said_in_one_line(words: list[str], line: str, home: Path, tmp_path: Path) -> None:
    demo = (ROOT / "katib/specs/demo.yaml").read_text()
    (tmp_path / "wrong.yaml").write_text(demo + "trails: 3\n")
    done = sepsweep(home, tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    (said,) = done.stderr.splitlines()
    assert line in said
    if "not installed" in line:
        fix = r"`\S+/tool/bin/python -m pip install 'sepsweep\[trainer,corpus\] @ file://\S+\.whl'` installs the trainer's packages"
        assert re.search(f"; {fix}$", said)
