"""Layouts and files near those that are read: each is read, or refused with what to do about it."""

import os
import shutil
from pathlib import Path

import pytest

from tests.trainer.test_layouts import write_libri
from trainer.data.readers.corpora import open_corpus
from trainer.errors import DataError


def test_libri2mix_is_found_in_the_folder_that_it_lies_in(tmp_path: Path) -> None:
    for folder in ("wav16k/min", "wav8k/max", "wav8k/min"):
        write_libri(tmp_path / "Libri2Mix" / folder)
    with pytest.raises(DataError, match=rf"did you mean --data-dir {tmp_path}/Libri2Mix/wav8k/min\?"):
        open_corpus(tmp_path)


@pytest.mark.parametrize("mix", ["mix_both", "mix"])
@pytest.mark.parametrize("inner", ["", "2speakers/wav8k/min"])
def test_wham_and_wsj0_2mix_are_read_once_linked_as_the_line_says(mix: str, inner: str, tmp_path: Path) -> None:
    there, root = write_libri(tmp_path / "there", missing=("mix_clean",)), tmp_path / "wham" / inner
    for subset, name in (("train-100", "tr"), ("dev", "cv")):
        (there / subset / "mix_both").rename(there / subset / mix)
        shutil.copytree(there / subset, root / name)
    with pytest.raises(DataError, match=r"links, train/ to tr/, dev/ to cv/") as caught:
        open_corpus(tmp_path / "wham")
    assert ("mix/ is called mix_clean/" in str(caught.value)) == (mix == "mix")
    linked = tmp_path / "linked"
    linked.mkdir()
    for subset, name in (("train", "tr"), ("dev", "cv")):
        (linked / subset).symlink_to(root / name)
        if mix == "mix":
            (root / name / mix).rename(root / name / "mix_clean")
    assert len(open_corpus(linked).train.rows) == 3


@pytest.mark.parametrize("ending", [".WAV", ".flac"])
def test_sound_under_another_ending_is_named(ending: str, tmp_path: Path) -> None:
    root = write_libri(tmp_path / "libri")
    shutil.rmtree(root / "metadata")
    for file in list(root.glob("*/*/*.wav")):
        file.rename(file.with_suffix(ending))
    with pytest.raises(DataError, match=rf"3 files such as m0{ending} do not end in \.wav"):
        open_corpus(root)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFF024])
def test_a_file_that_was_written_to_a_pipe_is_read(length: int, tmp_path: Path) -> None:
    root = write_libri(tmp_path / "libri")
    whole = open_corpus(root).fingerprint()
    for file in root.glob("*/*/*.wav"):
        data = bytearray(file.read_bytes())
        data[4:8] = length.to_bytes(4, "little")
        data[40:44] = (length - 36 if length < 2**31 else length).to_bytes(4, "little")
        file.write_bytes(data)
    assert open_corpus(root).fingerprint() == whole


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    root = write_libri(tmp_path / "libri")
    file = root / "train-100" / "s1" / "m1.wav"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(DataError, match=r"m1\.wav .*: is no regular file"):
        open_corpus(root)


def test_the_folder_val_of_a_librimix_is_told_its_name(tmp_path: Path) -> None:
    root = write_libri(tmp_path / "libri")
    (root / "dev").rename(root / "val")
    with pytest.raises(DataError, match=r"/val: LibriMix calls it dev/; rename it, or add a link"):
        open_corpus(root)
    (root / "dev").symlink_to(root / "val")
    assert len(open_corpus(root).validation.rows) == 3
