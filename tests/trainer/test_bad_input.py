"""Each bad input ends in one line on stderr that says what and where, with exit code 2, and leaves no file behind."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.trainer.training import given_once
from trainer.__main__ import main

Damage = Callable[[Path], object]


def first(root: Path, folder: str) -> Path:
    return sorted((root / "train" / folder).glob("*.wav"))[0]


def table(root: Path) -> Path:
    return root / "train" / f"corpus_{root.name}_train_final.csv"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def rewrite(file: Path, *, rate: int = 8000, channels: int = 1, frames: int = 4000) -> None:
    soundfile.write(file, np.zeros((frames, channels)), rate, subtype="PCM_16")


DAMAGES: dict[str, tuple[Damage, list[str]]] = {
    "no directory": (shutil.rmtree, ["PolSESS_tiny: no such directory"]),
    "empty directory": (
        lambda root: any(shutil.rmtree(path) for path in root.iterdir()),
        ["PolSESS_tiny: has no folder train/"],
    ),
    "no CSV": (lambda root: table(root).unlink(), ["there is no corpus_*_train_final.csv"]),
    "CSV without rows": (
        lambda root: table(root).write_text(table(root).read_text().splitlines()[0] + "\n"),
        ["train_final.csv: has no rows"],
    ),
    "no folder of a stem": (
        lambda root: shutil.rmtree(root / "train" / "scene"),
        ["scene/000_sceneFile.wav", "line 2", "no such file, nor its folder scene/"],
    ),
    "no column of a stem": (
        lambda root: edit(table(root), "sceneFile", "backgroundFile"),
        ["train_final.csv, line 1: column sceneFile is missing"],
    ),
    "empty cell": (
        lambda root: edit(table(root), "003_sceneFile.wav", ""),
        ["line 5: column sceneFile is empty"],
    ),
    "reverberation of one stem only": (
        lambda root: edit(table(root), "002_reverbForEvent.wav", ""),
        ["line 4: column reverbForEvent is empty"],
    ),
    "missing file": (lambda root: first(root, "event").unlink(), ["event/000_eventFile.wav", "line 2"]),
    "truncated file": (
        lambda root: first(root, "mix").write_bytes(first(root, "mix").read_bytes()[:5000]),
        ["mix/000_mixFile.wav", "line 2", "is truncated: 5000 bytes, its header announces 8044"],
    ),
    "file of no bytes": (
        lambda root: first(root, "mix").write_bytes(b""),
        ["000_mixFile.wav", "line 2", "is empty; copy it again"],
    ),
    "file of 3 bytes": (
        lambda root: first(root, "mix").write_bytes(b"RIF"),
        ["000_mixFile.wav", "truncated"],
    ),
    "no WAV": (lambda root: first(root, "mix").write_bytes(b"\0" * 999), ["000_mixFile.wav", "no WAV file"]),
    "stereo": (
        lambda root: rewrite(first(root, "clean"), channels=2),
        ["000_speaker1File.wav", "2 channels"],
    ),
    "sample rate": (
        lambda root: rewrite(first(root, "clean"), rate=16000),
        ["16000 Hz", "8000 Hz", "line 2"],
    ),
    "length": (
        lambda root: rewrite(first(root, "scene"), frames=3999),
        ["scene/000_sceneFile.wav", "line 2", "3999 samples, its mixture has 4000; build or copy"],
    ),
    "no samples": (
        lambda root: rewrite(first(root, "mix"), frames=0),
        ["000_mixFile.wav", "holds no samples; copy it again"],
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_corpus_is_refused(
    damage: str, broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is damaged is found before the run directory is made."""
    break_it, expected = DAMAGES[damage]
    break_it(broken)
    assert_refused(broken, tmp_path / "runs" / "trial", capsys, [], expected)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--model", "convtasnt"], ["--model", "convtasnt", "did you mean 'convtasnet'?"]),
        (["--dynamic-mixing", "yes"], ["--dynamic-mixing: 'yes' is no whole number; see"]),
        (["--repeats", "3.5"], ["--repeats: '3.5' is no whole number; see"]),
        (["--loss-threshold", "x"], ["--loss-threshold: 'x' is no number; see"]),
        (["--scheduler", "cosin"], ["--scheduler: unknown 'cosin', did you mean 'cosine'?"]),
        (["--epochs"], ["--epochs: its value is missing; see"]),
        (["--preset", "debgu"], ["debgu", "debug"]),
        (
            ["--layers", "4"],
            ["--layers: convtasnet has no such field (spmamba, tfgridnet have it)", "its fields: --filters, "],
        ),
        (["--model", "dprnn", "--layers", "4"], ["--layers: dprnn", "its fields: --filters", "--hidden-size"]),
        (["--blocks", "64"], ["blocks must be at most 16, not 64"]),
        (["--filters", "1000001"], ["--filters: 1000001 does not fit, expected 1 to 1000000"]),
        (
            ["--filters", "1000000", "--kernel-size", "10000"],
            ["weights takes", "GB of memory", "choose smaller sizes"],
        ),
        (["--model", "dprnn", "--hidden-size", "1000000"], ["weights takes", "GB of memory", "choose smaller sizes"]),
        (["--model", "dprnn", "--blocks", "1001"], ["--blocks: 1001 does not fit, expected 1 to 1000"]),
        (["--hidden-size", "8"], ["--hidden-size: convtasnet has no such field (dprnn, tfgridnet have it)"]),
        (["--kernel-size", "1000000"], ["--kernel-size: 1000000 does not fit, expected 1 to 10000"]),
        (["--workers", "1000000000000"], ["--workers: 1000000000000 does not fit, expected 0 to 256 processes"]),
        (["--epochs", "9" * 23], ["--epochs: 99999", "expected 1 or more, at most 1000000"]),
        (["--batch-size", "9" * 23], ["--batch-size: 99999", "expected 1 or more mixtures, at most 1000000000"]),
        (["--patience", "0"], ["--patience", "1 or more epochs"]),
        (["--hopeless", "0"], ["--hopeless: 0 does not fit, expected 1 or more epochs"]),
        (["--hopeless", "-1"], ["--hopeless: -1 does not fit, expected 1 or more epochs"]),
        (["--hopeless", "51"], ["--hopeless: 51 does not fit, expected at most the 50 of --epochs"]),
        (["--hopeless", "soon"], ["--hopeless", "soon"]),
        (["--micro-batch", "0"], ["--micro-batch", "1 or more mixtures"]),
        (["--lrr", "1"], ["'--lrr'", "did you mean '--lr'?"]),
        (["--lr", "fast"], ["--lr", "fast"]),
        (["--lr", "-1"], ["--lr", "-1", "between 0 and 1"]),
        (["--lr", "nan"], ["--lr", "nan"]),
        (["--lr", "-inf"], ["--lr: -inf does not fit, expected a finite number"]),
        (["--batch-size", "1.5"], ["--batch-size", "1.5"]),
        (["--epochs"], ["--epochs"]),
        (["--run-dir", ""], ["--run-dir is empty; give it a value or leave it out"]),
        (["--curriculum="], ["--curriculum is empty; give it a value or leave it out"]),
        (["--epochs", "0"], ["--epochs", "1 or more"]),
        (["--curriculum", "convtasnett"], ["--curriculum", "did you mean 'convtasnet'?"]),
        (["--validation-variants", "SER", "RE"], ["--validation-variants", "RE", "did you mean"]),
        (["--validation-variants", "C", "SE", "C"], ["--validation-variants: C is given twice"]),
        (["--validation-variants"], ["--validation-variants"]),
        (["--precision", "fp8"], ["fp8", "fp32", "bf16"]),
        (["--precision", "fp16"], ["fp16", "cpu"]),
        (["--device", "gpu"], ["--device", "gpu", "cuda"]),
        (["--device", "cuda:99"], ["--device", "cuda:99", "--device cpu"]),
        (["--set", "lr"], ["--set: 'lr' is not name=value"]),
        (["--set", "lr=0.1,"], ["--set: '' is not name=value"]),
        (["--set", "lrr=1"], ["'--lrr'", "did you mean '--lr'?"]),
        (["--set", "lr=fast"], ["--lr", "fast"]),
        (["--lr", "0.1", "--set", "weight_decay=0,lr=0.2"], ["--lr is given twice"]),
        (["--lr=1", "--lr", "0.1"], ["--lr is given twice"]),
        (["--batch_size", "4", "--batch-size=4"], ["--batch-size is given twice"]),
        (["--no-compile", "--compile"], ["--compile is given twice"]),
        (["--compile", "--compile"], ["--compile is given twice"]),
        (["--compile", "True", "--no-compile"], ["--compile is given twice"]),
        (["--compile=False", "--set", "compile=True"], ["--compile is given twice"]),
        (["--compile", "True", "False"], ["'False' belongs to no flag"]),
        (["--no-compile", "False"], ["'False' belongs to no flag"]),
        (
            ["--validation-variants", "SER", "--validation_variants", "SE"],
            ["--validation-variants is given twice"],
        ),
        (["--set", "lr=0.1", "--set=lr=0.2"], ["--lr is given twice"]),
        (["--set=lr=0.1,l_r=1"], ["'--l-r'", "did you mean '--lr'?"]),
        (["--epoch", "3"], ["'--epoch'", "did you mean '--epochs'?"]),
        (["--mode", "dprnn"], ["'--mode'", "did you mean '--model'?"]),
        (["--no-compil"], ["'--no-compil'", "did you mean '--no-compile'?"]),
        (["-lr", "0.1"], ["'-lr'", "did you mean '--lr'?"]),
        (["--recording", "x.wav"], ["unknown argument '--recording'"]),
        (["--compile", "yes"], ["'yes' belongs to no flag"]),
        (["word"], ["'word' belongs to no flag"]),
    ],
    ids=" ".join,
)
def test_a_flag_that_does_not_fit_is_refused(
    flags: list[str], expected: list[str], corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the flag and what would fit."""
    assert_refused(corpus, tmp_path / "trial", capsys, flags, expected)


def test_flags_that_are_needed_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """All of them at once."""
    assert main([]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --data-dir is missing (root of a corpus in PolSESS format, with train/")
    assert (
        "; --run-dir is missing (folder for checkpoints and summary, created if missing); --model is missing (" in line
    )


def test_the_root_inside_the_directory_is_named(
    broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A volume is mounted one level too high: the message names the flag that was meant."""
    expected = [f"did you mean --data-dir {broken}?"]
    assert_refused(broken.parent, tmp_path / "trial", capsys, [], expected)


def test_a_run_directory_that_cannot_be_written_is_refused(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lies below a file."""
    (tmp_path / "file").write_text("")
    assert_refused(corpus, tmp_path / "file" / "trial", capsys, [], ["--run-dir", "cannot be written"])


def test_validation_variants_that_the_corpus_cannot_show_are_refused(
    broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without outdoor mixtures nothing shows SE, S or E; the line says what can be shown, and the flag."""
    csv = broken / "val" / f"corpus_{broken.name}_val_final.csv"
    lines = csv.read_text().splitlines()
    csv.write_text("\n".join([lines[0], *lines[1::2]]) + "\n")
    flags = ["--validation-variants", "SE", "S", "E"]
    assert_refused(broken, tmp_path / "trial", capsys, flags, ["SE S E", "show SER SR ER R C", flags[0]])


def assert_refused(
    data: Path, run_dir: Path, capsys: pytest.CaptureFixture[str], flags: list[str], expected: list[str]
) -> None:
    base = ["--model", "convtasnet", "--preset", "debug", "--device", "cpu"]
    code = main(given_once([*base, "--data-dir", str(data), "--run-dir", str(run_dir)], flags))
    printed = capsys.readouterr()
    assert code == 2
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ")
    assert [part for part in expected if part not in line] == [], line
    assert printed.out == ""
    assert not run_dir.exists()
