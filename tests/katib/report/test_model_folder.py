"""`fetch`: what it brings of which trial, what it refuses in one line, and that it leaves no half of a folder."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from benchmarks.systems.made_experiment import make_experiment
from katib.backend.local.backend import LocalBackend
from katib.backend.local.table import read_table
from katib.errors import ResultError
from katib.report.model_folder import choose
from katib.report.summary import summary_notes
from katib.table.trial_table import TrialTable
from katib.trainer_contract import damage
from tests.verbs import katib
from trainer.config import Training
from trainer.errors import ConfigError, DamagedCheckpointError
from trainer.inference import load
from trainer.training.checkpoint import _dump, new_session

NAME = "made"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns runs with ten trials, of which the best two have a model. Not to be changed."""
    runs = tmp_path_factory.mktemp("runs")
    make_experiment(runs, 10, 20, model="convtasnet", name=NAME)
    training = Training(model="convtasnet", preset="debug")
    identity = asdict(training) | {"corpus": "v2-0-0"}
    session = new_session(training, torch.device("cpu"))
    for row in table(runs).rows[:2]:
        run = runs / NAME / row.trial
        best = _dump({"model": session.model.state_dict(), "identity": identity, "epoch": 7, "val_si_snr": 3.0})
        (run / "best.pt").write_bytes(best)
        (run / "config.json").write_text(json.dumps(identity))
        summary = json.loads((run / "summary.json").read_text())
        summary |= {"best_epoch": 7, "best_val_si_snr": 3.0, "improvement_db": 4.2}
        (run / "summary.json").write_text(json.dumps(summary))
        for subset, epoch in (("test", 7), ("val", 6)):
            (run / f"evaluation-{subset}").mkdir()
            scores = {"mean": 2.5, "low": 2.25, "high": 2.75}
            pesq = {"mixtures": 8, "value": {"mean": 2.125, "low": 2, "high": 3}, "improvement": scores}
            odd = {
                "|<b>\x1b[31m": {"value": scores},
                "stoi": {"value": {"mean": 0.9, "low": None, "high": 1}},
                "sdr": 3,
            }
            results = {
                "SER": {"mixtures": 5, "si_snr": scores, "metrics": {"pesq": pesq} | odd},
                "C": {"mixtures": 4, "si_snr": scores, "improvement": scores},
                "R": 7,
                "all": {"mixtures": 9, "si_snr": scores, "metrics": {"pesq": pesq}},
            }
            evaluation = {"checkpoint": "best", "epoch": epoch, "results": results}
            (run / f"evaluation-{subset}" / "evaluation.json").write_text(json.dumps(evaluation))
    return runs


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    """Returns a copy, to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "runs"))


def table(runs: Path) -> TrialTable:
    return read_table(runs, NAME)


def refused(*words: str) -> tuple[int, str]:
    """Returns the exit code of `fetch` and its one line."""
    done = katib("fetch", *words)
    (line,) = done.stderr.splitlines()
    assert done.stdout == ""
    return done.returncode, line


def test_the_best_trials_model_comes_home_and_is_a_network_in_three_lines(made: Path, tmp_path: Path) -> None:
    """Weights as they were, the evaluation of these weights and not that of others; and the same from a directory."""
    best, second = (row.trial for row in table(made).rows[:2])
    home, again, other = (tmp_path / "models" / name for name in ("home", "again", "other"))
    done = katib("fetch", NAME, "--out", str(made), "--to", str(home))
    assert (done.returncode, done.stdout) == (0, f"model: {home}\n")
    assert "evaluation-val" in done.stderr
    assert {file.name for file in home.iterdir()} == {"README.md", "best.pt", "config.json", "evaluation-test.json"}
    assert (home / "best.pt").read_bytes() == (made / NAME / best / "best.pt").read_bytes()
    readme = (home / "README.md").read_text()
    assert f"# convtasnet, {best}" in readme
    assert "epoch 7 of 20: val_si_snr 3.00 dB (SER " in readme
    assert "evaluation on test: SI-SNR 2.50 dB [2.25, 2.75], PESQ 2.12 MOS [2.00, 3.00] over 9 mixtures" in readme
    assert "| C | 4 | 2.50 dB [2.25, 2.75] | – | 2.50 dB [2.25, 2.75] |" in readme
    assert "\x1b" not in readme
    assert "<b>" not in readme.lower()
    assert katib("fetch", f"{made}/{NAME}/{best}", "--to", str(again)).returncode == 0
    assert (again / "best.pt").read_bytes() == (home / "best.pt").read_bytes()
    for words in (("--top", "2"), ("--trial", second)):
        assert katib("fetch", NAME, "--out", str(made), "--to", str(other / words[0]), *words).returncode == 0
        assert f"# convtasnet, {second}" in (other / words[0] / "README.md").read_text()
    network = load(home)
    assert network(torch.randn(3, 4001)).shape == (3, 2, 4001)
    assert not network.training


def test_results_and_report_say_what_the_best_trial_was_evaluated_to(made: Path) -> None:
    """The evaluation of the best epoch's weights, in one line; that of an earlier epoch is not one of theirs."""
    best = table(made).rows[0].trial
    done = katib("results", NAME, "--out", str(made))
    line = f"{best}: evaluation on test: SI-SNR 2.50 dB [2.25, 2.75], PESQ 2.12 MOS [2.00, 3.00] over 9 mixtures"
    assert [f"note: {line}"] == [one for one in done.stderr.splitlines() if "evaluation" in one]
    assert line in summary_notes(table(made))


def test_what_cannot_be_fetched_is_one_line(made: Path, tmp_path: Path) -> None:
    rows = table(made).rows
    (failed,) = (row.trial for row in rows if row.state == "Failed")
    to = tmp_path / "home"
    here = ("--out", str(made), "--to", str(to))
    cases: list[tuple[tuple[str, ...], int, str]] = [
        (("mad", *here), 2, "made"),
        ((NAME, *here, "--trial", rows[0].trial[:-1] + "x"), 2, f"'{NAME}' has no trial"),
        ((NAME, *here, "--trial", failed), 1, "has not ended with a value (it is Failed)"),
        ((NAME, *here, "--top", "10"), 2, "TOP=10: 'made' has 9 trials"),
        ((NAME, *here, "--top", "2", "--trial", rows[0].trial), 2, "give one of them"),
        ((NAME, *here, "--top", "3"), 2, "best.pt: is missing"),
        (
            (f"{made}/{NAME}", "--to", str(to)),
            2,
            "has no best.pt; name a run directory, or an experiment by its name alone",
        ),
        ((f"{made}/none", "--to", str(to)), 2, "none: is no folder; name a run directory"),
        ((f"{made}/{NAME}/{rows[0].trial}", "--top", "2"), 2, "is one run directory"),
        ((NAME, "--out", str(made), "--to", str(tmp_path)), 2, "exists already"),
        ((NAME, "--out", str(made), "--to", "/proc/home"), 2, "cannot be written"),
    ]
    for words, code, text in cases:
        found, line = refused(*words)
        assert (found, text in line) == (code, True), line
    assert list(tmp_path.iterdir()) == []


def test_damage_is_found_before_anything_stays(runs: Path, tmp_path: Path) -> None:
    """A byte changed, the end lost, no configuration, a link in place of the weights."""
    run = runs / NAME / table(runs).rows[0].trial
    best, config = run / "best.pt", run / "config.json"
    whole, words = best.read_bytes(), (NAME, "--out", str(runs), "--to", str(tmp_path / "home"))
    assert damage(whole) == ""
    for content, text in (
        (b"x" + whole[1:], "its checksum is wrong"),
        (whole[:-1], "no checksum"),
        (b"", "no checksum"),
    ):
        best.write_bytes(content)
        code, line = refused(*words)
        assert (code, text in line) == (2, True), line
        with pytest.raises(DamagedCheckpointError):
            load(run)
    best.unlink()
    best.symlink_to(config)
    assert "symbolic link" in refused(*words)[1]
    best.unlink()
    best.write_bytes(whole)
    config.write_text("{")
    assert "config.json: is no JSON" in refused(*words)[1]
    assert [file.name for file in tmp_path.iterdir()] == ["runs"]
    with pytest.raises(ConfigError, match="no such checkpoint"):
        load(tmp_path)


def test_the_saved_table_of_a_deleted_cluster_search_says_what_brings_its_model(tmp_path: Path) -> None:
    local = LocalBackend(tmp_path)
    words = f"make fetch EXPERIMENT={NAME} TRIAL={NAME}-a CLUSTER=1 brings it"
    with pytest.raises(ResultError, match=words), local.run_directory(NAME, f"{NAME}-a"):
        pass


def test_nothing_has_ended(runs: Path) -> None:
    found = table(runs)
    with pytest.raises(ResultError, match=r"no trial of 'made' has ended with a value \(1 Running\)"):
        choose(replace(found, rows=(replace(found.rows[0], state="Running"),)), None, None)


def test_an_export_is_checked_and_another_form_is_refused(
    made: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a corpus nothing could be checked; then nothing is written."""
    to = ("--out", str(made), "--to", str(tmp_path / "home"))
    monkeypatch.setattr("katib.report.model_export.ONNX_PACKAGES", ("onnx_of_nobody",))
    for form, text in (("onnx", "pip install -c constraints.txt"), ("torchscipt", "did you mean 'torchscript'?")):
        code, line = refused(NAME, *to, "--export", form)
        assert (code, text in line) == (2, True), line
    torchscript = (NAME, *to, "--export", "torchscript")
    for words, text in ((), "names none; name it with DATA="), (("--data", str(made)), "is no corpus"):
        code, line = refused(*torchscript, *words)
        assert (code, text in line) == (2, True), line
    assert list(tmp_path.iterdir()) == []
    done = katib("fetch", *torchscript, "--data", str(corpus))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("torchscript.pt: TorchScript; on 2 validation mixtures its greatest deviation")
    assert "| torchscript.pt | the network as TorchScript; on 2" in (tmp_path / "home" / "README.md").read_text()
