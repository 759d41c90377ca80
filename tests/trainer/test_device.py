"""--device: what is refused, and what is said where CUDA does not work.

The machine is made up: driver file, device nodes and what torch says of CUDA. The least drivers are those of NVIDIA's
CUDA compatibility table.
"""

from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

from tests.trainer.training import Training
from trainer import device
from trainer.__main__ import main
from trainer.errors import ConfigError
from trainer.models import CURRICULA

OLD = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.161.03  Fri Nov 4 00:00:00 UTC 2022\nGCC version: 9.3.0\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build  (user@host)\n"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Makes up a machine: the CUDA that torch was built for, the driver's text, and whether there is a GPU's node."""

    def make(cuda: str | None, driver: str | None, node: bool = False) -> None:
        monkeypatch.setattr(torch.version, "cuda", cuda)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(device, "DRIVER", tmp_path / "version")
        monkeypatch.setattr(device, "NODES", tmp_path)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if driver is not None:
            (tmp_path / "version").write_text(driver)
        if node:
            (tmp_path / "nvidia0").touch()

    return make


@pytest.mark.parametrize("name", ["mps", "xpu", "meta", "cuda:-1", "cuda:", "cpu:0", "CUDA", "gpu", "hpu:0", ""])
def test_a_device_that_is_not_supported_is_refused_by_every_verb(
    name: str, training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line, and no folder, though torch knows some of the names."""
    out = tmp_path / "out"
    commands = [
        training.arguments(tmp_path / "trial", "--device", name)[0:],
        ["evaluate", "--run-dir", str(tmp_path / "trial"), "--out", str(out), f"--device={name}"],
        ["separate", "x.wav", "--checkpoint", str(tmp_path), "--out", str(out), f"--device={name}"],
    ]
    commands[0] = [word for word in commands[0] if word not in ("cpu", "--device", name)] + [f"--device={name}"]
    for command in commands:
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: --device")
    assert not (tmp_path / "trial").exists()
    assert not out.exists()


@pytest.mark.parametrize(
    ("cuda", "driver", "expected"),
    [
        ("12.8", OLD, ["CUDA 12.8", "470.161.03 is loaded", "525.60.13 or later"]),
        ("13.2", OLD, ["CUDA 13.2", "470.161.03 is loaded", "580.65.06 or later"]),
        ("11.8", None, ["CUDA 11.8", "no driver is loaded", "450.80.02 or later"]),
        ("13.2", OPEN, ["580.82.07 is loaded", "CUDA says: "]),
        (None, OLD, ["built without CUDA"]),
        ("17.0", "unreadable", ["CUDA 17.0", "of an unknown version is loaded"]),
    ],
)
def test_cuda_that_does_not_work_names_the_least_driver(
    cuda: str | None, driver: str | None, expected: list[str], machine: Any
) -> None:
    """And the driver that is there, in one line."""
    machine(cuda, driver)
    for name in ("cuda", "cuda:3"):
        with pytest.raises(ConfigError) as raised:
            device.find_device(name)
        line = str(raised.value)
        assert line.startswith(f"--device {name}: CUDA does not work here: ")
        assert [part for part in expected if part not in line] == [], line
        assert "--device cpu" in line
        assert "\n" not in line


@pytest.mark.parametrize(
    ("node", "hidden", "warns"),
    [(True, None, True), (True, "", False), (True, "-1", False), (False, None, False)],
)
def test_auto_that_falls_to_the_cpu_beside_a_gpu_warns(
    node: bool,
    hidden: str | None,
    warns: bool,
    machine: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In one line on stderr; not where there is no GPU, or where it was hidden on purpose."""
    machine("12.8", OLD, node)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert device.find_device("auto").type == "cpu"
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == warns
    assert all("525.60.13" in line and line.startswith("warning: ") for line in lines)


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_a_gpu_that_cannot_compute_is_no_trace(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that PyTorch has no kernels for counts as available until the first of them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda chosen: None)

    def zeros(*size: int, device: torch.device) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nCUDA kernel …")

    monkeypatch.setattr(torch, "zeros", zeros)
    with pytest.raises(ConfigError, match=r"no kernel image is available for execution on the device\); --device cpu"):
        device.find_device(name)
    with pytest.raises(ConfigError, match="this machine has 1 usable GPU, from cuda:0"):
        device.find_device("cuda:1")


def test_a_model_without_a_published_curriculum_trains_on_all_variants(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line says so, and config.json names the curriculum."""
    curricula = {name: stages for name, stages in CURRICULA.items() if name != "convtasnet"}
    monkeypatch.setattr("trainer.models.registry.CURRICULA", MappingProxyType(curricula))
    assert training.here(tmp_path / "trial", "--epochs", "1") == 0
    assert "convtasnet has no curriculum of its own: all variants" in capsys.readouterr().out
    assert '"curriculum": "all"' in (tmp_path / "trial" / "config.json").read_text()
