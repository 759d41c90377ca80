"""The corpus builder against the format that the reader holds it to, and against itself."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainer.data.corpus import build as building
from trainer.data.corpus.__main__ import main
from trainer.data.corpus.build import Settings, _pair
from trainer.data.corpus.recordings import speech
from trainer.data.mixing import MIX, STEMS
from trainer.data.readers.corpora import list_files, open_subset
from trainer.errors import ConfigError, DataError


def build(out: Path, *words: str) -> int:
    return main(["--out", str(out), "--mixtures", "6", "--seconds", "1", *words])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus") / "tiny"
    assert build(out) == 0
    return out


@pytest.mark.parametrize("subset", ["train", "val", "test"])
def test_mix_is_the_exact_sum_of_its_stems(corpus: Path, subset: str) -> None:
    """Sample by sample in 16 bits, for indoor and outdoor rows, with no sample at the rails."""
    listing = list_files(corpus, subset)
    for row in open_subset(corpus, subset).rows:
        stems = {
            stem: soundfile.read(listing.file(row.index, stem), dtype="int16")[0].astype(int)
            for stem in STEMS[row.kind]
        }
        mix = stems.pop(MIX)
        assert np.array_equal(mix, np.sum(list(stems.values()), axis=0))
        assert np.abs(mix).max() < 32767


def test_both_kinds_of_rows_are_there(corpus: Path) -> None:
    rows = [*open_subset(corpus, "val").rows, *open_subset(corpus, "train").rows]
    assert {row.kind for row in rows} == {"indoor", "outdoor"}


def test_same_seed_gives_the_same_bytes_with_any_number_of_processes(corpus: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "tiny", "--jobs", "1") == 0
    files = {path.relative_to(corpus): path.read_bytes() for path in corpus.rglob("*") if path.is_file()}
    assert files == {
        path.relative_to(tmp_path / "tiny"): path.read_bytes()
        for path in (tmp_path / "tiny").rglob("*")
        if path.is_file()
    }


def test_corpus_that_is_there_is_left_alone_and_another_is_refused(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(corpus) == 0
    assert "already there" in capsys.readouterr().out
    assert build(corpus, "--seed", "1") == 2
    assert "seed 0 instead of 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("speech", "message"),
    [("none", "no folder"), ("empty", "0 speakers"), ("noise", "libsndfile cannot read it")],
)
def test_bad_recordings_end_with_one_line_and_leave_nothing(
    speech: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise" / "anna").mkdir(parents=True)
    (tmp_path / "noise" / "anna" / "a.wav").write_bytes(b"not a recording")
    (tmp_path / "out").mkdir()
    assert build(tmp_path / "out" / "tiny", "--speech", str(tmp_path / speech)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_a_build_that_is_killed_leaves_no_corpus_and_the_next_one_is_whole(tmp_path: Path) -> None:
    """kill -9 once the first mixture is on the disk: the folder is not there, then whole, and nothing is left beside
    it.
    """
    out = tmp_path / "corpus"
    words = ["--out", str(out), "--mixtures", "200", "--seconds", "1", "--jobs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer.data.corpus", *words],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not list(tmp_path.glob(".corpus.building-*/train/mix/*.wav")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert list(tmp_path.iterdir())
    assert build(out) == 0
    assert list(tmp_path.iterdir()) == [out]


def test_silent_recordings_are_no_speech(tmp_path: Path) -> None:
    """A file of dither alone beside one of tones: what is left is as long as the tones."""
    draw = np.random.default_rng(0)
    tone = 0.1 * np.sin(np.arange(6 * 8000) * 0.3)
    files = (tmp_path / "silence.wav", tmp_path / "tone.wav")
    soundfile.write(files[0], 1e-4 * draw.standard_normal(8000), 8000)
    soundfile.write(files[1], tone, 8000)
    assert len(speech(files, 8000, "train")) == len(tone)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_recording_that_is_no_sound_is_named(value: float, tmp_path: Path) -> None:
    """It was left out as silence, with all that follows in it where it is resampled."""
    samples = 0.1 * np.sin(np.arange(6 * 16_000) * 0.3)
    samples[4321] = value
    soundfile.write(tmp_path / "tone.wav", samples, 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match=rf"tone\.wav: is no sound, sample 4321 is {value}"):
        speech((tmp_path / "tone.wav",), 8000, "train")


@pytest.mark.parametrize(("many", "said"), [(1, "1 recording for val"), (2, "2 recordings for val")])
def test_too_little_speech_names_the_subset(many: int, said: str, tmp_path: Path) -> None:
    """A speaker with enough speech in all may have too little of it in one subset."""
    files = tuple(tmp_path / f"{number}.wav" for number in range(many))
    for file in files:
        soundfile.write(file, 0.1 * np.sin(np.arange(2 * 8000) * 0.3), 8000)
    with pytest.raises(DataError, match=f"{2 * many}.0 s of speech in the speaker's {said}; 5 s are needed"):
        speech(files, 8000, "val")


def test_synthetic_speakers_of_a_mixture_are_of_two_registers() -> None:
    """One voice of each group, in either order."""
    groups: list[dict[str, tuple[Path, ...]]] = [{"a": (), "b": ()}, {"c": (), "d": ()}]
    draw = np.random.default_rng(0)
    pairs = {tuple(name for _, name in _pair(draw, groups)) for _ in range(200)}
    assert pairs == {pair for x in "ab" for y in "cd" for pair in ((x, y), (y, x))}


def test_ctrl_c_ends_the_processes_of_a_build_without_a_word() -> None:
    """Their traces would hide the line that the program itself prints."""
    with building._processes(1) as pool:
        with building._starting():
            handler = pool.submit(signal.getsignal, signal.SIGINT)
        assert handler.result() is signal.SIG_DFL
        assert signal.SIGINT not in pool.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux, where /proc shows a process's mask")
def test_ctrl_c_waits_while_the_processes_of_a_build_load_their_libraries() -> None:
    with building._processes(1) as pool:
        with building._starting():
            loaded = pool.submit(signal.getsignal, signal.SIGINT)
        (process,) = pool._processes
        status = dict(line.split(":\t") for line in Path(f"/proc/{process}/status").read_text().splitlines())
        assert int(status["SigBlk"], 16) >> (signal.SIGINT - 1) & 1
        loaded.result()


def test_a_folder_whose_name_is_a_pattern_clears_no_other_ones_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(building, "_processes", broken)
    other, own = tmp_path / ".other.building-1", tmp_path / ".*.building-2"
    other.mkdir()
    own.mkdir()
    with pytest.raises(ConfigError, match="no more processes"):
        building.build(tmp_path / "*", Settings(mixtures=6, seconds=1.0, seed=0, speech=None), 1, lambda *_: None)
    assert [path.name for path in tmp_path.iterdir()] == [other.name]
