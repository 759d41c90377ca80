"""The trainer's image against what it is built from and what the manifest expects of it."""

import ctypes
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "images/trainer/Dockerfile").read_text()


def pinned(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text().splitlines()
    return {_name(name): version for name, version in (line.split("==") for line in lines)}


def _name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_everything_the_trainer_asks_for_is_pinned() -> None:
    """What requirements.py prints for the image is what pyproject.toml asks for, and constraints.txt has a version."""
    command = [sys.executable, "images/trainer/requirements.py", "trainer"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {_name(re.split(r"[<>=]", line)[0]) for line in printed.splitlines()}
    assert {"torch", "numpy", "soundfile", "soxr", "tyro", "wandb", "pillow"} <= names
    assert names <= pinned("constraints.txt").keys()


def test_the_base_has_the_cuda_of_torch() -> None:
    """So that a driver new enough for the one is new enough for the other."""
    tags = re.findall(r"nvidia/cuda:(\d+\.\d+)\.\d+-base-ubuntu", DOCKERFILE)
    pins = (ROOT / "constraints.txt").read_text()
    assert tags == re.findall(r"^nvidia-cuda-runtime==(\d+\.\d+)", pins, re.MULTILINE)
    assert torch.version.cuda in (None, *tags)


def test_the_image_runs_as_the_user_of_the_site() -> None:
    """The last stage ends as the uid and gid that the manifest asks for, and keeps python on the path."""
    site = yaml.safe_load((ROOT / "k8s/site.yaml").read_text())
    last = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert re.findall(r"^USER (.*)$", last, re.MULTILINE) == [f"{site['user']['uid']}:{site['user']['gid']}"]
    assert 'ENTRYPOINT ["python", "-m", "trainer"]' in last


def test_nothing_in_an_image_becomes_another_user() -> None:
    """The bits are taken away while the last stage is still root."""
    for image in ("trainer", "services"):
        last = (ROOT / f"images/{image}/Dockerfile").read_text().rpartition("\nFROM ")[2]
        before_user, _, _ = last.partition("\nUSER ")
        assert "RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +" in before_user


def test_the_services_image_has_no_program_that_lacks_its_packages() -> None:
    """The project is installed there without what its programs ask for: `sepsweep` would be a trace."""
    text = (ROOT / "images/services/Dockerfile").read_text()
    programs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert "--no-deps -c constraints.txt kubeflow-katib ." in text
    assert programs
    assert [name for name in programs if f"&& rm /opt/sepsweep/bin/{name} " not in text] == []


def test_what_is_removed_from_the_image_is_there_and_nothing_that_torch_links_to() -> None:
    """A pattern that no longer matches would leave the image larger; one that matches too much would break it."""
    if torch.version.cuda is None or find_spec("triton") is None or shutil.which("readelf") is None:
        pytest.skip("torch without CUDA has none of it; readelf tells what links to what")
    packages = Path(torch.__file__).parents[1]
    slim = runpy.run_path(str(ROOT / "images/trainer/slim.py"))
    removed = {pattern: list(packages.glob(pattern)) for pattern in slim["UNUSED"]}
    assert [pattern for pattern, paths in removed.items() if not paths] == []
    assert [pattern for pattern in slim["STRIPPED"] if not list(packages.glob(pattern))] == []
    libraries = [*packages.glob("torch/lib/*.so*"), *packages.glob("nvidia/*/lib/*.so*")]
    kept = [str(path) for path in libraries if path not in {path for paths in removed.values() for path in paths}]
    command = ["readelf", "-d", *kept]
    dynamic = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    linked = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert {"libcudnn.so.9", "libcusolver.so.12"} <= linked
    assert [path for paths in removed.values() for path in paths if path.name in linked] == []


def test_the_trainer_starts_without_what_is_removed_from_the_image(tmp_path: Path) -> None:
    """torch looks for some of its files although it opens none of them; here are links to all that stay."""
    packages = Path(torch.__file__).parents[1]
    patterns = runpy.run_path(str(ROOT / "images/trainer/slim.py"))["UNUSED"]
    removed = {path for pattern in patterns for path in packages.glob(pattern)}
    whole = {path.name for path in packages.iterdir()} - {path.relative_to(packages).parts[0] for path in removed}
    for name in whole:
        (tmp_path / name).symlink_to(packages / name)
    for walked, names, files in os.walk(packages):
        folder = Path(walked)
        names[:] = [
            name for name in names if folder / name not in removed and (folder != packages or name not in whole)
        ]
        for name in files:
            link = tmp_path / (folder / name).relative_to(packages)
            if folder / name not in removed and not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(folder / name)
    code = "import torch, trainer.training.train, trainer.tracking.reporter; print(torch.__file__, torch.ones(2).sum())"
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(str(tmp_path / "torch")), done.stderr


def test_a_stripped_library_loses_its_symbol_table_and_works(tmp_path: Path) -> None:
    """What a program calls is in another table, which stays: every section that is loaded is as it was."""
    if any(shutil.which(tool) is None for tool in ("gcc", "/usr/bin/strip", "readelf")):
        pytest.skip("gcc or binutils is not installed")
    library = tmp_path / "torch/lib/libsum.so"
    library.parent.mkdir(parents=True)
    code = "static int twice(int x) { return 2 * x; } int thrice(int x) { return twice(x) + x; }"
    subprocess.run(["gcc", "-g", "-shared", "-fPIC", "-xc", "-", "-o", library], input=code, text=True, check=True)
    loaded, tables = _sections(library)
    assert {".symtab", ".debug_info"} <= tables
    size = library.stat().st_size
    freed = runpy.run_path(str(ROOT / "images/trainer/slim.py"))["strip"](tmp_path)
    assert freed == size - library.stat().st_size > 0
    assert _sections(library) == (loaded, {".comment", ".shstrtab"})
    assert ctypes.CDLL(str(library)).thrice(14) == 42


def _sections(library: Path) -> tuple[dict[str, str], set[str]]:
    """Returns the sections that are loaded, with type, address and size, and the names of the others."""
    command = ["readelf", "-SW", str(library)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"\] (\.\S+) +(\S+ +\w+) \w+ (\w+) +\w\w +(\w*) +\d+ +\d+ +\d+$", printed, re.MULTILINE)
    loaded = {name: f"{where} {size}" for name, where, size, flags in rows if "A" in flags}
    return loaded, {name for name, _, _, flags in rows if "A" not in flags}


def test_triton_gets_its_driver_without_a_compiler(tmp_path: Path) -> None:
    """What driver.sh has compiled is what `cc` hands over, for this source alone; a compiler that is there compiles."""
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if shutil.which("gcc") is None or not headers.exists() or find_spec("triton") is None:
        pytest.skip("gcc, Python's headers or triton is not installed")
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    folder, source = tmp_path / "triton", tmp_path / "driver.c"
    subprocess.run(["sh", "images/trainer/driver.sh", str(folder)], cwd=ROOT, env=environment, check=True)
    shutil.copy(ROOT / "images/trainer/cc", folder / "cc")
    shutil.copy(folder / "driver.c", source)
    command = [str(folder / "cc"), str(source), "-O3", "-shared", "-o", str(tmp_path / "made.so"), "-lcuda"]
    without = tmp_path / "bin"
    without.mkdir()
    for tool in ("cmp", "cp"):
        (without / tool).symlink_to(shutil.which(tool) or "")
    subprocess.run(command, env={"PATH": str(without)}, check=True)
    assert (tmp_path / "made.so").read_bytes() == (folder / "driver.so").read_bytes()
    needed = subprocess.run(["readelf", "-d", str(tmp_path / "made.so")], capture_output=True, text=True, check=True)
    assert "libcuda.so.1" in needed.stdout
    source.write_text("int other;")
    done = subprocess.run(command, env={"PATH": str(without)}, capture_output=True, text=True, check=False)
    assert (done.returncode, "--build-arg COMPILER=g++" in done.stderr) == (1, True)
    subprocess.run(command[:-1], env={"PATH": "/usr/bin:/bin"}, check=True)
    assert (tmp_path / "made.so").read_bytes() != (folder / "driver.so").read_bytes()
