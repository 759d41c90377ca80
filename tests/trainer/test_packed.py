"""Packs against the WAV files they were made of: the same bits, the same training, and every kind of damage."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.trainer.test_resume import assert_same
from tests.trainer.training import Training
from trainer.data.mixing import KINDS
from trainer.data.pack import main, pack
from trainer.data.readers.corpora import list_files, open_corpus, open_subset
from trainer.data.readers.packed import PREFIX, PackedSubset
from trainer.data.readers.subset import load
from trainer.data.readers.wav import WavSubset
from trainer.data.sampling import loader, training_batches
from trainer.errors import DataError


@pytest.fixture
def packed(broken: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Returns a copy of the corpus with its packs, which the test may damage."""
    assert main(["--data-dir", str(broken)]) == 0
    capsys.readouterr()
    return broken


def assert_same_bits(packed: PackedSubset, wav: WavSubset) -> None:
    """Asserts that every variant of every mixture has the same bits, as a whole and in part."""
    assert np.array_equal(packed.frames, wav.frames)
    assert packed.fingerprint() == wav.fingerprint()
    for mine, its in zip(packed.rows, wav.rows, strict=True):
        for variant in KINDS[its.kind]:
            for start, frames in ((0, its.frames), (123, 1000)):
                for found, expected in zip(
                    load(mine, variant, start, frames), load(its, variant, start, frames), strict=True
                ):
                    assert np.array_equal(found, expected)


def test_a_pack_gives_the_bits_of_the_wav_files(packed: Path) -> None:
    """16-bit recordings: packed in 16 bits, mixed variants included."""
    subset = open_subset(packed, "train")
    assert isinstance(subset, PackedSubset)
    assert subset.packed_from["dtype"] == "int16"
    assert_same_bits(subset, WavSubset(list_files(packed, "train")))
    assert_same_bits(pickle.loads(pickle.dumps(subset)), WavSubset(list_files(packed, "train")))


def test_recordings_that_16_bits_do_not_hold_are_packed_in_floats(broken: Path) -> None:
    """One mixture has samples between two of 16 bits."""
    file = broken / "val" / "mix" / "001_mixFile.wav"
    samples = soundfile.read(file, dtype="float32")[0] + np.float32(1e-6)
    soundfile.write(file, samples, 8000, subtype="FLOAT")
    assert pack(broken, "val", broken)
    subset = open_subset(broken, "val")
    assert isinstance(subset, PackedSubset)
    assert subset.packed_from["dtype"] == "float32"
    assert_same_bits(subset, WavSubset(list_files(broken, "val")))


def test_a_variant_louder_than_16_bits_is_packed_in_floats(broken: Path) -> None:
    """Full-scale speech whose mix a scene of opposite sign keeps in range: without the scene it is louder than any
    16-bit sample.
    """
    for folder, level in (("clean/000_speaker1File", 0.9), ("clean/000_speaker2File", 0.9)):
        soundfile.write(broken / "val" / f"{folder}.wav", np.full(4000, level), 8000, subtype="PCM_16")
    soundfile.write(broken / "val/scene/000_sceneFile.wav", np.full(4000, -0.9), 8000, subtype="PCM_16")
    soundfile.write(broken / "val/mix/000_mixFile.wav", np.full(4000, 0.9), 8000, subtype="PCM_16")
    assert pack(broken, "val", broken)
    subset = open_subset(broken, "val")
    assert isinstance(subset, PackedSubset)
    mixture, _ = load(subset.rows[0], "ER", 0, 100)
    assert mixture[0] == pytest.approx(1.8, abs=1e-3)
    assert_same_bits(subset, WavSubset(list_files(broken, "val")))


def test_a_training_is_bitwise_the_same_with_either_reader_and_says_which(
    training: Training, packed: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two epochs on WAV files, then the third on the pack, whose files may be gone, against three on WAV files."""
    assert training.here(tmp_path / "wav" / "trial") == 0
    assert "12 mixtures to train (WAV files)" in capsys.readouterr().out
    assert training.here(tmp_path / "packed" / "trial", "--epochs", "2") == 0
    capsys.readouterr()
    for subset in ("train", "val"):
        shutil.rmtree(packed / subset)
    assert training.here(tmp_path / "packed" / "trial", "--workers", "1", data=packed) == 0
    assert "12 mixtures to train (train.pack, memory-mapped)" in capsys.readouterr().out
    assert_same(tmp_path / "packed" / "trial", tmp_path / "wav" / "trial")


def test_make_pack_leaves_a_whole_pack_alone_and_mends_a_damaged_one(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last byte is changed, which no open of the pack may notice; packing again finds it.

    With --out the packs go elsewhere and are a corpus there.
    """
    train, before = packed / "train.pack", (packed / "train.pack").read_bytes()
    train.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    written = (packed / "val.pack").stat().st_mtime_ns
    assert main(["--data-dir", str(packed)]) == 0
    reported = capsys.readouterr().out.splitlines()
    assert reported[0].startswith(f"packed: {train}")
    assert reported[1].startswith("already there, intact:")
    assert train.read_bytes() == before
    assert (packed / "val.pack").stat().st_mtime_ns == written
    assert main(["--data-dir", str(packed), "--out", str(tmp_path / "fast")]) == 0
    assert open_corpus(tmp_path / "fast").fingerprint() == open_corpus(packed).fingerprint()
    assert not list(packed.glob("*.tmp"))


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no bytes": (lambda file: file.write_bytes(b""), "cannot be mapped"),
    "ten bytes": (lambda file: file.write_bytes(file.read_bytes()[:10]), "no intact pack"),
    "another magic": (lambda file: flip(file, 3), "no intact pack"),
    "a flipped bit of the header": (lambda file: flip(file, PREFIX.itemsize + 9), "no intact pack"),
    "a flipped bit of the length": (lambda file: flip(file, 22), "no intact pack"),
    "a flipped bit of the index": (lambda file: flip(file, PREFIX.itemsize + 300), "no intact pack"),
    "a flipped bit of the data": (lambda file: flip(file, 5000), "the checksum of mixture 0 is wrong"),
    "an end that is missing": (
        lambda file: file.write_bytes(file.read_bytes()[:-5000]),
        "is truncated, 5000",
    ),
    "no data": (lambda file: file.write_bytes(file.read_bytes()[:600]), "is truncated"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_pack_is_refused(
    damage: str, packed: Path, training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names the pack, what is wrong and what to do; no run directory is made."""
    break_it, expected = DAMAGES[damage]
    break_it(packed / "train.pack")
    assert training.here(tmp_path / "trial", data=packed) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in ("train.pack", expected, "`make pack`")), line
    assert not (tmp_path / "trial").exists()


def test_a_pack_of_other_files_is_refused(packed: Path) -> None:
    """The corpus was built again beside its packs."""
    mix = packed / "train" / "mix" / "000_mixFile.wav"
    soundfile.write(mix, soundfile.read(mix)[0] / 2, 8000, subtype="PCM_16")
    with pytest.raises(DataError, match=r"train\.pack: was packed from other files .* `make pack`"):
        open_subset(packed, "train")


def test_a_pack_that_becomes_shorter_ends_with_5(
    packed: Path,
    training: Training,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Reading beyond the end of a mapped file would silently kill the process."""
    from tests.trainer.test_survival import _after

    content = (packed / "train.pack").read_bytes()
    monkeypatch.setattr(
        "trainer.training.train.hold", _after(lambda: (packed / "train.pack").write_bytes(content[:5000]))
    )
    assert training.here(tmp_path / "trial", data=packed) == 5
    (line,) = capsys.readouterr().err.splitlines()
    assert "train.pack: has become shorter since the training began" in line


def test_a_full_disk_leaves_the_pack_as_it_was(
    packed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new one does not fit."""
    flip(packed / "train.pack", 5000)
    before = (packed / "train.pack").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainer.data.pack.os.fsync", full)
    assert main(["--data-dir", str(packed)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line
    assert (packed / "train.pack").read_bytes() == before
    assert not list(packed.glob("*.tmp"))


def resident_file_bytes() -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile"))
    return int(line.split()[1]) * 1024


def test_reading_a_pack_takes_no_memory_that_stays(tmp_path: Path, corpus: Path) -> None:
    """All of a pack of 40 MB is read twice; at no batch is more of it in the process's memory than a few mixtures."""
    root = tmp_path / "large"
    shutil.copytree(corpus, root)
    for file in (root / "val").rglob("*.wav"):
        samples = soundfile.read(file, dtype="int16")[0]
        soundfile.write(file, np.tile(samples, 200), 8000, subtype="PCM_16")
    assert pack(root, "val", root)
    subset = open_subset(root, "val")
    size = (root / "val.pack").stat().st_size
    assert size > 40e6
    before = resident_file_bytes()
    for epoch in (1, 2):
        batches = training_batches(subset.rows, ["SER", "SE"], seed=1, epoch=epoch, frames=800_000, batch_size=1)
        for _ in loader(batches, frames=800_000, workers=0, pin=False):
            assert resident_file_bytes() - before < size / 10
