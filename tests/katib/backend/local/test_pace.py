"""A model of published size on a machine without a usable GPU: what it costs is said, and asked for."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from katib.backend.local import pace as module
from katib.backend.local.launch import Launcher
from katib.backend.local.pace import Pace, pace
from katib.errors import ManifestError
from katib.manifest.experiment import load_experiment
from katib.manifest.render import Overrides, render
from katib.site import load_site
from katib.spec import load_spec
from katib.trainer_contract import Answer
from tests.katib.backend.local.rig import Rig, manifest
from tests.verbs import katib

HOUR = 3600.0
Answers = Callable[[list[str]], tuple[int, str, list[str]]]


def launcher(folder: Path, model: str = "sepformer", gpu: str | None = None, **overrides: Any) -> Launcher:
    text = render(load_spec(model), load_site(), Overrides(**overrides))
    return Launcher(load_experiment(text, model), folder, folder / "runs", (gpu, gpu))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Returns what the trainer is asked; it answers an hour an epoch on the processor."""
    return answering(monkeypatch, lambda words: (0, answer("cpu"), []))


def answering(monkeypatch: pytest.MonkeyPatch, answers: Answers) -> list[list[str]]:
    found: list[list[str]] = []

    def ask(words: list[str], env: object, *, relayed: tuple[str, ...]) -> Answer:
        found.append(list(words))
        code, output, errors = answers(list(words))
        return Answer(code, output, tuple(errors))

    monkeypatch.setattr(module, "run_trainer", ask)
    return found


def answer(device: str) -> str:
    return json.dumps({"device": device, "mixtures": 900, "validation_mixtures": 90, "seconds": HOUR})


def device(words: list[str]) -> str:
    return words[words.index("--device") + 1]


def test_the_trainer_is_asked_with_the_flags_of_a_trial(asked: list[list[str]], tmp_path: Path) -> None:
    found = pace(launcher(tmp_path, trials=4, epochs=10))
    assert found is not None
    # 4 trials x 10 epochs x 1 h, two at a time
    assert str(found) == (
        "there is no GPU here: an epoch of sepformer on 900 mixtures takes about 60 min on the processor,"
        " and 4 trials of 10 epochs, 2 at a time, up to 20 h 00 min"
    )
    ((*words,),) = asked
    assert words[words.index("trainer") + 1] == "pace"
    assert words[words.index("--data-dir") + 1].startswith(str(tmp_path))
    assert words[words.index("--precision") + 1] == "bf16"
    assert (device(words), words.count("--device")) == ("auto", 1)
    assert not any("${" in word for word in words)


def test_the_debug_preset_and_other_programs_are_not_asked_about(asked: list[list[str]], tmp_path: Path) -> None:
    assert pace(launcher(tmp_path, preset="debug")) is None
    assert pace(launcher(tmp_path, "demo")) is None
    foreign = load_experiment(json.dumps(manifest()), "test")
    assert pace(Launcher(foreign, tmp_path, tmp_path, (None,))) is None
    assert asked == []


def test_where_the_gpu_works_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = answering(monkeypatch, lambda words: (0, answer("cuda"), []))
    assert pace(launcher(tmp_path, gpu="GPU-1")) is None
    assert device(asked[0]) == "cuda"


def test_a_gpu_that_the_trainer_cannot_use_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    warning = "warning: an NVIDIA GPU is here, but CUDA does not work: no driver; the CPU is used, --device cuda would"
    answering(monkeypatch, lambda words: (0, answer("cpu"), ["reading", warning]))
    assert str(pace(launcher(tmp_path))).startswith(
        "an NVIDIA GPU is here, but CUDA does not work: no driver: an epoch of sepformer"
    )
    answering(monkeypatch, lambda words: (2, "", ["error: --device cuda: CUDA does not work here: no driver"]))
    with pytest.raises(ManifestError, match=r"^series3-sepformer: --device cuda: CUDA does not work here: no driver$"):
        pace(launcher(tmp_path, gpu="GPU-1"))


def test_a_gpu_that_nvidia_smi_does_not_list_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = answering(monkeypatch, lambda words: (0, answer("cpu" if device(words) == "cpu" else "cuda"), []))
    assert "nvidia-smi lists no GPU, though PyTorch can use one" in str(pace(launcher(tmp_path)))
    assert [device(words) for words in asked] == ["auto", "cpu"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(90, "90 s"), (2 * HOUR, "2 h 00 min"), (72 * HOUR, "3 days"), (26280 * HOUR, "3.0 years")],
)
def test_times_are_told_in_units_of_their_size(seconds: float, text: str) -> None:
    one = Pace("m", 1, seconds, epochs=1, trials=None, parallel=1, reason="r")
    assert str(one) == f"r: an epoch of m on 1 mixture takes about {text} on the processor"


def small(folder: Path) -> Path:
    """Returns the manifest of a published model on next to nothing: 1 mixture of 0.05 s."""
    text = render(load_spec("convtasnet"), load_site(), Overrides(name="small", trials=1, epochs=1, parallel=1))
    path = folder / "small.yaml"
    path.write_text(
        text.replace(
            '                  - "--precision"\n',
            "".join(
                f'                  - "{word}"\n'
                for word in ("--segment-seconds", "0.05", "--train-limit", "1", "--validation-limit", "1")
            )
            + '                  - "--precision"\n',
        ).replace("/data/PolSESS_C_both", "/data")
    )
    return path


def test_without_a_terminal_and_without_yes_nothing_begins(
    rig: Rig, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real trainer and a real corpus. YES=1 begins it, and the same command goes on without a question."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    words = [str(small(rig.folder)), "--data", str(corpus)]
    refused = rig.verb("local", *words)
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = refused.stderr.splitlines()
    assert "there is no GPU here: an epoch of convtasnet on 1 mixture takes about " in line
    assert "PRESET=debug trains a small model, YES=1 (--yes) starts it all the same" in line
    assert not rig.out.exists()
    done = rig.verb("local", *words, "--yes")
    assert done.returncode == 0, done.stderr
    assert "an epoch of convtasnet on 1 mixture takes about" in done.stdout
    again = rig.verb("local", *words)
    assert again.returncode == 0, again.stderr
    assert "takes about" not in again.stdout


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "code"), [("n\n", 1), ("\n", 1), ("", 1)])
def test_on_a_terminal_no_is_the_default(
    typed: str, code: int, asked: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.verbs.io", SimpleNamespace(StringIO=Terminal))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (tmp_path / "PolSESS_C_both").mkdir()
    out = tmp_path / "runs"
    done = katib("local", "dprnn", "--data", str(tmp_path), "--out", str(out), stdin=typed)
    assert done.returncode == code
    assert "an epoch of dprnn" in done.stdout
    assert not out.exists()
