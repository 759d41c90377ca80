"""Voices that are mixed anew: which are drawn, what the model then sees, and what a corpus must offer."""

import multiprocessing
import shutil
import signal
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.tiny_corpus import FOLDERS, write_subset
from tests.trainer.killed import killed_training
from tests.trainer.test_resume import assert_same, state
from tests.trainer.training import Training
from trainer.data.mixing import EVENT, EVENT_REVERB, MIX, SCENE, SPEECH, SPEECH_REVERB
from trainer.data.pack import pack
from trainer.data.readers.corpora import list_files, open_subset
from trainer.data.readers.subset import Samples
from trainer.data.remix import PLAIN, Remix
from trainer.data.sampling import Draw, Share, loader, training_batches
from trainer.data.speed import needed, played

FRAMES = 2000
BOTH = ("--dynamic-mixing", "80", "--speed-perturbation", "5")


def name_speakers(root: Path, people: int = 3) -> None:
    """Writes names into the CSV of train: `people` low voices and as many high ones, who take turns."""
    (table,) = (root / "train").glob("*.csv")
    head, *lines = table.read_text().splitlines()
    named = [f"{line},low {i % people},high {i % people}" for i, line in enumerate(lines)]
    table.write_text("\n".join([f"{head},speaker1Id,speaker2Id", *named]) + "\n")


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a corpus of 9 mixtures to train, which names its speakers."""
    root = tmp_path_factory.mktemp("corpora") / "PolSESS_named"
    write_subset(root, "train", 9, 0.4, seed=1)
    write_subset(root, "val", 3, 0.4, seed=2)
    name_speakers(root)
    return root


def draw(root: Path, remix: Remix = PLAIN, epoch: int = 1) -> Draw:
    rows = open_subset(root, "train").rows
    variants = ("SER", "SR", "ER", "R", "C", "SE", "S", "E")
    return training_batches(rows, variants, seed=42, epoch=epoch, frames=FRAMES, batch_size=4, remix=remix)


def test_speech_at_another_speed_has_another_pitch_and_nothing_is_mirrored() -> None:
    """A tone at 105 % is one of 1.05 times its frequency; one that would lie above 4 kHz is gone."""
    time = np.arange(8000) / 8000
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    for percent in (95, 101, 105):
        faster = played(tone, percent)
        expected = np.sin(2 * np.pi * 10 * percent * np.arange(len(faster)) / 8000)
        assert abs(len(faster) - 800_000 / percent) <= 1
        assert np.abs(faster - expected)[100:-100].max() < 1e-3
        assert all(len(played(tone[: needed(frames, percent)], percent)) >= frames for frames in range(1, 300))
    high = np.sin(2 * np.pi * 3900 * time).astype(np.float32)
    assert np.square(played(high, 110))[100:-100].mean() < 1e-4
    assert played(tone, 100) is tone


def test_an_epoch_has_pairs_of_its_own_of_different_speakers_in_the_same_rooms(named: Path) -> None:
    """One of two voices stays; order, variants and segments are those without mixing."""
    pairs = []
    for epoch in (1, 2):
        mixed, plain = (draw(named, remix, epoch) for remix in (Remix(100), PLAIN))
        for one, before in zip(chain(*mixed), chain(*plain), strict=True):
            assert (one.row.index, one.variant, one.start) == (before.row.index, before.variant, before.start)
            assert one.voices is not None
            assert before.voices is None
            speakers = [one.row.subset.speakers[voice.row.index, voice.speaker] for voice in one.voices]
            assert len(set(speakers)) == 2
            assert any(
                (voice.row.index, voice.speaker) == (one.row.index, slot) for slot, voice in enumerate(one.voices)
            )
            assert {voice.row.kind for voice in one.voices} == {one.row.kind}
            assert all(10 ** (-2.5 / 20) <= voice.gain <= 10 ** (2.5 / 20) for voice in one.voices)
            pairs.append((epoch, one.row.index, *[(voice.row.index, voice.speaker) for voice in one.voices]))
    again = [(1, *pair[1:]) for pair in pairs if pair[0] == 2]
    assert len(set(again) & set(pairs)) < 3
    half = [one.voices for one in chain(*draw(named, Remix(50)))]
    assert 0 < sum({voice.gain for voice in voices or ()} == {1.0} for voices in half) < 9


def test_the_model_sees_the_background_and_the_new_voices_with_their_reverberation(named: Path) -> None:
    """Against the files, added up by hand; and a process's share is its part of the whole, bit for bit."""
    batches = draw(named, Remix(100, 10))
    listing = list_files(named, "train")

    def stem(index: int, name: str, start: int, frames: int) -> Samples:
        samples: Samples = soundfile.read(listing.path(index, name), dtype="float32")[0][start : start + frames]
        return samples

    for excerpts, batch in zip(batches, loader(batches, frames=FRAMES, workers=0, pin=False), strict=True):
        for one, mixture, targets in zip(excerpts, batch.mixtures, batch.targets, strict=True):
            kept = [SCENE] * ("S" in one.variant) + [EVENT] * ("E" in one.variant)
            kept += [EVENT_REVERB] * ({"E", "R"} <= set(one.variant))
            expected = sum((stem(one.row.index, name, one.start, FRAMES) for name in kept), np.zeros(FRAMES))
            for voice, target in zip(one.voices or (), targets, strict=True):
                frames = needed(FRAMES, voice.percent)
                parts = [SPEECH, SPEECH_REVERB][: 1 + ("R" in one.variant)]
                dry, *echo = (
                    voice.gain * played(stem(voice.row.index, part[voice.speaker], voice.start, frames), voice.percent)
                    for part in parts
                )
                assert np.allclose(target, dry[:FRAMES], atol=1e-6)
                expected = expected + sum(echo, dry)[:FRAMES]
            assert np.allclose(mixture, expected, atol=2e-4), one
    whole = list(loader(batches[1:], frames=FRAMES, workers=0, pin=False))
    shared = [list(loader(batches[1:], frames=FRAMES, workers=0, pin=False, share=Share(rank, 2))) for rank in (0, 1)]
    for one, first, second in zip(whole, *shared, strict=True):
        assert torch.equal(torch.cat([first.mixtures, second.mixtures]), one.mixtures)


def test_a_run_is_the_same_with_workers_and_when_it_is_continued(named: Path, tmp_path: Path) -> None:
    training = Training(named)
    assert training.here(tmp_path / "once", *BOTH, "--epochs", "2") == 0
    assert training.here(tmp_path / "twice", *BOTH, "--epochs", "1", "--workers", "1") == 0
    assert training.here(tmp_path / "twice", *BOTH, "--epochs", "2") == 0
    assert_same(tmp_path / "once", tmp_path / "twice")


def test_a_run_that_is_killed_within_its_epochs_is_the_same(named: Path, tmp_path: Path) -> None:
    """Kill -9 comes after the first batch of three, and in the second epoch again."""
    training, killed, places = Training(named), tmp_path / "killed" / "trial", list[tuple[int, int]]()
    flags = (*BOTH, "--epochs", "2", "--checkpoint-minutes", "0")
    assert training.here(tmp_path / "trial", *flags) == 0
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["trainer.training.train", "trainer.models.convtasnet"])
    for code, batches in [(-signal.SIGKILL, 1), (-signal.SIGKILL, 3), (0, -1)]:
        arguments = (training.arguments(killed, *flags), str(tmp_path / "output.log"), 0.0, -1, batches)
        process = forks.Process(target=killed_training, args=arguments)
        process.start()
        process.join()
        assert process.exitcode == code
        progress = state(killed)["progress"]
        places.append((len(progress["history"]), progress["partial"]["batches"]))
    assert places == [(0, 1), (1, 1), (2, 0)]
    assert_same(killed, tmp_path / "trial")


def test_what_a_corpus_does_not_offer_is_one_line(
    named: Path, training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Packs are passed over where their WAV files are there, too."""

    def refused(data: Path, *flags: str) -> str:
        assert training.here(tmp_path / "trial", *flags, data=data) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert not (tmp_path / "trial").exists()
        return line

    shutil.copytree(named, other := tmp_path / "PolSESS_other")
    for name in ("train", "val"):
        pack(other, name, tmp_path / "packs")
        pack(other, name, other)
    assert "train.pack keeps mixtures" in refused(tmp_path / "packs", "--speed-perturbation", "5")
    assert training.here(tmp_path / "beside", *BOTH, "--epochs", "1", data=other) == 0
    capsys.readouterr()
    (table,) = (other / "train").glob("*.csv")
    for pack_file in other.glob("*.pack"):
        pack_file.unlink()
    text = table.read_text()
    table.write_text(text.replace("high 1", "").replace("low 2", "high 2"))
    assert "3 of 9 mixtures do not name their speakers" in refused(other, *BOTH)
    table.write_text(text.replace("low 2", "high 2"))
    assert "mixture 3 names one speaker twice" in refused(other, *BOTH)
    for file in (other / "train" / FOLDERS[MIX]).iterdir():
        samples, rate = soundfile.read(file)
        soundfile.write(file, samples / 2, rate, subtype="PCM_16")
    assert "are not the sum of their stems" in refused(other, "--speed-perturbation", "5")
    assert "--dynamic-mixing: 101 does not fit" in refused(named, "--dynamic-mixing", "101")
    assert "--speed-perturbation: 26 does not fit" in refused(named, "--speed-perturbation", "26")
