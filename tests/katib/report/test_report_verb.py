"""The verb on a real search of the real trainer: what it writes, says, and does where something is damaged or away."""

import base64
import io
import re
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from katib.report.audio import SIGNALS, Listening, listen
from katib.report.page import FILE
from katib.table.trial_table import TrialTable
from tests.katib.backend.local.rig import Rig, manifest
from tests.verbs import katib


@pytest.fixture(scope="module")
def searched_runs(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns two trials of two epochs of the demo's search on the tiny corpus. Not to be changed."""
    out = tmp_path_factory.mktemp("runs")
    done = katib("local", "demo", "--data", str(corpus), "--out", str(out), "--trials", "2", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert "make report EXPERIMENT=demo" in done.stdout
    return out


@pytest.fixture
def runs(searched_runs: Path, tmp_path: Path) -> Path:
    """Returns a copy, to be damaged."""
    return Path(shutil.copytree(searched_runs, tmp_path / "runs"))


def best(runs: Path) -> TrialTable:
    from katib.backend.local.table import read_table

    return read_table(runs, "demo")


def test_the_report_is_one_file_in_which_the_best_trial_can_be_heard(searched_runs: Path, corpus: Path) -> None:
    """Each of the fifteen sounds is a WAV file.

    The mixture is that of the corpus, the estimates are as loud as speech.
    """
    done = katib("report", "demo", "--out", str(searched_runs))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"report: {searched_runs / 'demo' / FILE}" in done.stdout
    text = (searched_runs / "demo" / FILE).read_text(encoding="utf-8")
    assert len(text.encode()) < 8_000_000
    sounds = re.findall(r'src="data:audio/wav;base64,([^"]+)"', text)
    assert len(sounds) == 3 * len(SIGNALS)
    for sound in sounds:
        with wave.open(io.BytesIO(base64.b64decode(sound))) as file:
            assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, 1, 4000)
    first = soundfile.read(io.BytesIO(base64.b64decode(sounds[0])))[0]
    mixture = soundfile.read(corpus / "val" / "mix" / "000_mixFile.wav")[0]
    assert np.abs(first - mixture).max() < 2e-4
    assert best(searched_runs).best.trial in text  # type: ignore[union-attr]


def test_a_second_report_does_not_separate_again(searched_runs: Path) -> None:
    found = best(searched_runs)
    assert found.best is not None
    folder = searched_runs / "demo" / found.best.trial
    listen(found.best, folder)
    written = (folder / "evaluation-report" / "evaluation.json").stat().st_mtime_ns
    assert len(listen(found.best, folder).examples) == 3
    assert (folder / "evaluation-report" / "evaluation.json").stat().st_mtime_ns == written


def test_sounds_that_do_not_fit_are_left_out_with_a_word(searched_runs: Path) -> None:
    found = best(searched_runs)
    assert found.best is not None
    heard = listen(found.best, searched_runs / "demo" / found.best.trial)
    less = heard.within(heard.examples[0].size)
    assert len(less.examples) == 1
    assert "2 examples more would not fit" in less.says
    assert heard.within(10**9) is heard


def test_where_nothing_can_be_heard_one_line_says_why(runs: Path) -> None:
    found = best(runs)
    assert found.best is not None
    folder = runs / "demo" / found.best.trial
    shutil.rmtree(folder / "evaluation-report", ignore_errors=True)
    assert "on the cluster" in listen(found.best, None).says
    assert "no trial has reported a value" in listen(None, folder).says
    (folder / "best.pt").write_bytes(b"no checkpoint")
    assert "the trainer says:" in _silent(listen(found.best, folder)).says
    (folder / "best.pt").unlink()
    assert "holds no best.pt" in _silent(listen(found.best, folder)).says


def test_a_damaged_database_is_named_and_the_runs_are_reported_all_the_same(runs: Path) -> None:
    (runs / "demo" / "study.db").write_bytes(b"no database at all" * 100)
    done = katib("report", "demo", "--out", str(runs))
    assert done.returncode == 0, done.stderr
    (note,) = done.stderr.splitlines()
    assert "study.db: cannot be read" in note
    assert "study.db: cannot be read" in (runs / "demo" / FILE).read_text(encoding="utf-8")


def test_an_experiment_that_is_not_there_is_one_line(runs: Path) -> None:
    done = katib("report", "dmo", "--out", str(runs))
    assert done.returncode == 2
    assert done.stderr == f"error: {runs}: no experiment 'dmo': did you mean 'demo'?\n"
    assert not (runs / "dmo").exists()


def test_a_folder_that_cannot_be_written_is_one_line(runs: Path) -> None:
    (runs / "demo" / FILE).unlink(missing_ok=True)
    (runs / "demo" / FILE).mkdir()
    done = katib("report", "demo", "--out", str(runs))
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_search_whose_trials_all_failed_has_a_report_that_says_why(tmp_path: Path) -> None:
    """A trial of another project, which leaves nothing but its output."""
    rig = Rig(tmp_path)
    try:
        done = rig.run(manifest("--at", "0", "--exit", "4", "--say", "OutOfMemoryError", values=("1", "2")))
        assert done.returncode == 0, done.stderr
    finally:
        rig.close()
    done = katib("report", "test", "--out", str(rig.out))
    assert done.returncode == 0, done.stderr
    assert "No conclusion: no trial has reached a value." in done.stdout
    text = (rig.out / "test" / FILE).read_text(encoding="utf-8")
    assert "2 trials of 2 failed" in text
    assert "OutOfMemoryError" in text
    assert "output.log shows the output" in text
    assert "lower batch_size" not in text, "the exit codes and settings of our trainer are not those of another"


def _silent(heard: Listening) -> Listening:
    assert heard.examples == ()
    return heard
