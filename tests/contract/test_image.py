"""The trainer's image against what it is built from and what the manifest expects of it."""

import re
import subprocess
import sys
from pathlib import Path

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
