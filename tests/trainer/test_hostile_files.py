"""Files of a stranger: packs with impossible entries under a right checksum, names that leave the corpus, and pipes."""

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.data.pack import pack
from trainer.data.readers.corpora import open_corpus, open_subset
from trainer.data.readers.packed import ENTRY, MAGIC, PREFIX, PackedSubset, data_begin
from trainer.errors import ConfigError, DamagedCheckpointError, DataError
from trainer.training import checkpoint
from trainer.training.room import Room
from trainer.training.run_directory import hold, spent_seconds
from trainer.training.stop import StopRequest

HEADER = {"mixtures": 2, "dtype": "int16", "sample_rate": 8000, "fingerprint": "0"}


def packed(path: Path, header: object = HEADER, samples: int = 200, **entry: int) -> Path:
    """Writes a pack of two noiseless mixtures of ten samples each, with a right checksum whatever it contains."""
    index = np.zeros(2, ENTRY)
    data = np.arange(samples, dtype="<i2")
    for row in range(2):
        crc = zlib.crc32(data[30 * row : 30 * row + 30].tobytes())
        index[row] = (30 * row, 10, 3, crc)
    for name, value in entry.items():
        index[name][1] = value
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    checked = text + index.tobytes()
    prefix = np.array([(MAGIC, len(text), zlib.crc32(checked), 0)], PREFIX).tobytes()
    path.write_bytes((prefix + checked).ljust(data_begin(len(prefix + checked)), b"\0") + data.tobytes())
    return path


def test_the_pack_that_the_others_are_made_from_is_whole(tmp_path: Path) -> None:
    assert PackedSubset(packed(tmp_path / "train.pack")).frames.tolist() == [10, 10]


ENTRIES: dict[str, dict[str, int]] = {
    "a kind that is none": {"kind": 4},
    "a kind that 8 bits would make a sound one of": {"kind": 256 + 3},
    "a place before the data": {"first": -1},
    "a place at the end of all numbers": {"first": 2**63 - 1},
    "no samples": {"frames": 0},
    "fewer than none": {"frames": -10},
    "more samples than any file": {"frames": 2**62},
    "samples whose product overflows": {"frames": 2**63 // 3 + 1},
    "a mixture that ends beyond the data": {"first": 171},
    "data that is not there": {"frames": 2**40},
}


@pytest.mark.parametrize("what", ENTRIES)
def test_an_entry_that_cannot_be_is_refused(what: str, tmp_path: Path) -> None:
    """With a right checksum; one line that names the pack and what to do."""
    with pytest.raises(DataError, match=r"train\.pack: .*; pack again with `make pack`$") as raised:
        PackedSubset(packed(tmp_path / "train.pack", **ENTRIES[what]))
    assert "\n" not in str(raised.value)


def test_the_entry_before_the_last_is_looked_at_as_well(tmp_path: Path) -> None:
    """The longest reach counts, not the last one."""
    file = packed(tmp_path / "train.pack", samples=60)
    index = np.zeros(2, ENTRY)
    index["first"], index["frames"], index["kind"] = (1000, 0), (10, 10), (3, 3)
    text = json.dumps(HEADER).encode()
    checked = text + index.tobytes()
    prefix = np.array([(MAGIC, len(text), zlib.crc32(checked), 0)], PREFIX).tobytes()
    file.write_bytes(prefix + checked + file.read_bytes()[len(prefix + checked) :])
    with pytest.raises(DataError, match="is truncated, 1940 bytes are missing"):
        PackedSubset(file)


HEADERS: dict[str, object] = {
    "nested a hundred thousand deep": b"[" * 100_000 + b"]" * 100_000,
    "a list": [1],
    "a number": 7,
    "a kind of samples that is a list": {**HEADER, "dtype": ["int16"]},
    "a kind of samples that is none": {**HEADER, "dtype": "int8"},
    "another rate": {**HEADER, "sample_rate": 16_000},
    "no fingerprint": {key: value for key, value in HEADER.items() if key != "fingerprint"},
    "a fingerprint that is a number": {**HEADER, "fingerprint": 7},
    "no mixtures": {**HEADER, "mixtures": 0},
    "fewer mixtures than none": {**HEADER, "mixtures": -2},
    "more mixtures than the file has room for": {**HEADER, "mixtures": 2**70},
    "half a mixture": {**HEADER, "mixtures": 1.5},
    "mixtures in words": {**HEADER, "mixtures": "two"},
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_that_cannot_be_is_refused(what: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.pack: is no intact pack of this version; pack again"):
        PackedSubset(packed(tmp_path / "train.pack", HEADERS[what]))


@pytest.mark.parametrize(
    "name", ["../../../secret.wav", "..\\..\\secret.wav", "../mix/003_mixFile.wav", "a/../../b.wav"]
)
def test_a_name_that_leads_out_of_its_folder_is_refused(name: str, broken: Path) -> None:
    """Whether or not there is such a file, so that nothing is revealed about it; the line of the CSV is named."""
    table = next((broken / "train").glob("*.csv"))
    text = table.read_text()
    table.write_text(text.replace("003_mixFile.wav", name))
    (broken.parent / "secret.wav").write_bytes(b"not to be read")
    with pytest.raises(DataError) as raised:
        open_subset(broken, "train")
    assert str(raised.value) == (
        f"{table}, line 5: '{name}' leads out of mix/; column mixFile names files of that folder"
    )


@pytest.mark.parametrize("name", ["\x1b]0;title\x07\x1b[2J.wav", "a\x1eb.wav", "a\u2028b.wav", "a\x9b31mb.wav"])
def test_a_name_that_a_terminal_would_obey_is_shown_as_text(name: str, broken: Path) -> None:
    """Escapes, separators that end a line, and the one-byte escape of Latin-1."""
    table = next((broken / "train").glob("*.csv"))
    table.write_text(table.read_text().replace("003_mixFile.wav", name))
    with pytest.raises(DataError) as raised:
        open_subset(broken, "train")
    assert str(raised.value).isprintable()
    assert f"{table.name}, line 5" in str(raised.value)


def test_dots_within_a_name_lead_nowhere(broken: Path) -> None:
    file = next((broken / "train" / "mix").glob("003*"))
    file.rename(file.with_name("003..mix.wav"))
    table = next((broken / "train").glob("*.csv"))
    table.write_text(table.read_text().replace("003_mixFile.wav", "003..mix.wav"))
    assert len(open_subset(broken, "train").rows) == 12


def read_config(path: Path) -> None:
    with hold(path, {}, Room(0, StopRequest())):
        pass


READERS: dict[str, tuple[str, Callable[[Path], Any], type[Exception] | None]] = {
    "a checkpoint": ("last.pt", lambda path: checkpoint.read(path / "last.pt"), DamagedCheckpointError),
    "a run's settings": ("config.json", read_config, ConfigError),
    "a run's summary": ("summary.json", spent_seconds, None),
    "a pack": ("train.pack", lambda path: open_subset(path, "train"), DataError),
}


@pytest.mark.parametrize("special", ["pipe", "device"])
@pytest.mark.parametrize("what", READERS)
def test_a_pipe_or_a_device_is_refused_and_not_waited_for(what: str, special: str, tmp_path: Path) -> None:
    """/dev/zero never ends, and a pipe without a writer never begins."""
    name, read, error = READERS[what]
    if special == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to("/dev/zero")
    if error is None:
        assert read(tmp_path) == 0
    else:
        with pytest.raises(error, match=rf"{name}:? .*is no regular file"):
            read(tmp_path)


def test_a_table_that_is_a_pipe_is_refused(broken: Path) -> None:
    table = next((broken / "train").glob("*.csv"))
    table.unlink()
    os.mkfifo(table)
    with pytest.raises(DataError, match=r"\.csv: cannot be read as CSV \(.*is no regular file"):
        open_corpus(broken)


def test_packs_that_were_packed_here_are_whole(broken: Path) -> None:
    """The check of entries refuses none of its own."""
    for name in ("train", "val"):
        assert pack(broken, name, broken)
    assert len(open_corpus(broken).train.rows) == 12
