"""From a search to its verdict and to an architecture sweep, by their command lines, with the real trainer and engine."""

import json
from pathlib import Path

import pytest

from katib.backend.local.record import read
from katib.backend.local.table import read_table
from katib.conclude.confirmation import find_verdict
from katib.manifest.render import Overrides, render
from katib.site import load_site
from katib.spec import load_spec
from tests.katib.backend.local.rig import Rig, manifest, read_until
from tests.verbs import SECONDS


def test_a_search_is_confirmed_and_a_confirmation_that_is_killed_goes_on(
    rig: Rig, corpus: Path, tmp_path: Path
) -> None:
    """Two trials, the better one confirmed with one more seed: killed after its first epoch, it goes on as the same
    trial.

    The run of seed 42 is the search's own; the verdict is on the other, and is the same whoever asks.
    """
    flags = ("--data", str(corpus), "--trials", "2", "--epochs", "2", "--name", "test")
    assert rig.run("demo", *flags).returncode == 0
    best = rig.verb("best", "test", "--json")
    assert best.returncode == 0, best.stderr
    first = json.loads(best.stdout)[0]

    refused = rig.verb("confirm", "test", "--top", "1", "--seeds", "42,7")
    assert (refused.returncode, refused.stderr) == (1, "error: nothing was changed; --yes answers for you\n")
    assert not (rig.out / "test-confirm").exists()
    look = rig.verb("confirm", "test", "--top", "1", "--seeds", "42,7", "--json")
    assert (json.loads(look.stdout)["runs_to_go"], json.loads(look.stdout)["verdict"]) == (1, None)

    words = (
        "confirm",
        "test",
        "--top",
        "1",
        "--seeds",
        "42,7",
        "--yes",
        "--baseline",
        "42=-99,123=-98,456=-97",
    )
    # As long as no run has finished an epoch, another plan takes its place.
    other = rig.begin(*("42,9" if word == "42,7" else word for word in words))
    read_until(other, "Running")
    other.kill()
    other.communicate()
    engine = rig.begin(*words)
    read_until(engine, "replaces it")
    read_until(engine, "epoch 1 ")
    ((trial),) = [path.parent for path in (rig.out / "test-confirm").glob("*/config.json")]
    engine.kill()
    engine.communicate()
    done = rig.verb(*words)
    assert done.returncode == 0, done.stderr
    _, (run,) = read(rig.out / "test-confirm")
    assert (run.name, run.state, len(run.values)) == (trial.name, "Succeeded", 2)
    config = json.loads((trial / "config.json").read_text())
    assert config["seed"] == 7
    assert {name: config[name] for name in first["configuration"]} == {
        name: float(text) for name, text in first["configuration"].items()
    }

    verdict = find_verdict(rig.out, read_table(rig.out, "test"))
    assert verdict is not None
    assert dict(verdict.seeds) == {42: first["observed"], 7: max(run.values)}
    assert (verdict.unseen, verdict.outcome) == ((7,), "better")
    assert verdict.sentence in done.stdout
    assert verdict.sentence in rig.verb("best", "test").stdout
    assert json.loads(rig.verb("confirm", "test", "--json").stdout)["verdict"]["sentence"] == verdict.sentence

    corpus = tmp_path / "other"
    corpus.mkdir()
    (corpus / "x.csv").write_text("another corpus")
    (rig.out / "test-confirm").rename(rig.out / "elsewhere")
    elsewhere = rig.verb("confirm", "test", "--yes", "--data", str(corpus))
    assert (elsewhere.returncode, elsewhere.stderr.count("\n")) == (2, 1)
    assert "was trained on another corpus" in elsewhere.stderr


@pytest.mark.long
def test_architectures_are_trained_with_the_searchs_best_and_shown_with_what_they_cost(
    rig: Rig, corpus: Path, tmp_path: Path
) -> None:
    """DPRNN's hidden sizes in the debug preset: parameters are those of the runs' own summaries."""
    overrides = Overrides(preset="debug", name="test", trials=1, epochs=1, parallel=1)
    text = render(load_spec("dprnn"), load_site().model_copy(update={"data_folder": ""}), overrides)
    # A processor without bf16 units takes minutes for what it does in seconds in fp32.
    path = tmp_path / "test.yaml"
    flags = ("fp32", "--train-limit", "2", "--segment-seconds", "0.2")
    small = "\n                  - ".join(f'"{word}"' for word in flags)
    path.write_text(text.replace('"bf16"', small))
    searched = rig.run(str(path), "--data", str(corpus))
    assert searched.returncode == 0, searched.stderr
    done = rig.verb("arch", "dprnn", "--experiment", "test", "--seeds", "42", "--yes", seconds=4 * SECONDS)
    assert done.returncode == 0, done.stderr
    shown = json.loads(rig.verb("arch", "dprnn", "--experiment", "test", "--json").stdout)
    assert [one["value"] for one in shown["variants"]] == ["64", "128", "192"]
    assert shown["runs_to_go"] == 0
    summaries = [json.loads(path.read_text()) for path in (rig.out / "test-arch").glob("*/summary.json")]
    assert sorted(one["parameters"] for one in summaries) == [one["parameters"] for one in shown["variants"]]
    for one in shown["variants"]:
        (summary,) = (summary for summary in summaries if summary["parameters"] == one["parameters"])
        (epoch,) = summary["history"]
        assert one["step_seconds"] == pytest.approx(epoch["seconds"])  # 2 mixtures are one step of 16
        assert one["seeds"] == {"42": pytest.approx(epoch["val_si_snr"], abs=1e-4)}
    assert '<html lang="en">' in (rig.out / "test-arch" / "pareto.html").read_text()


def test_bad_input_is_one_line(rig: Rig, corpus: Path) -> None:
    """No such search, a search of another program, one without a value, no next phase, another model."""
    assert rig.run(manifest(name="foreign", maxTrialCount=1)).returncode == 0
    failing = rig.run(manifest("--exit", "3", "--at", "0", name="failing", maxTrialCount=2, maxFailedTrialCount=1))
    assert failing.returncode == 1
    for words, code, said in (
        (("best", "nosuch"), 2, "no experiment 'nosuch': valid: failing, foreign"),
        (("best", "failing"), 1, "nothing to conclude from: failing: its one trial failed"),
        (("confirm", "nosuch"), 2, "no experiment 'nosuch'"),
        (("confirm", "failing", "--yes"), 1, "nothing to conclude from: failing: its one trial failed"),
        (("confirm", "foreign", "--yes"), 2, "only runs of `python -m trainer` can be repeated one by one"),
        (("confirm", "foreign", "--seeds", "4,4"), 2, "whole numbers, each once"),
        (("confirm", "foreign", "--baseline", "3"), 2, "finite values by seed, each seed once"),
        (("arch", "convtasnet"), 2, "has no next phase; these have one: dpmamba, dprnn, sepformer, spmamba, tfgridnet"),
        (("arch", "dprnn"), 2, "no experiment 'series3-dprnn'"),
        (("arch", "dprnn", "--experiment", "foreign"), 2, "is a search of no model of ours, not of dprnn"),
    ):
        done = rig.verb(*words)
        assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
        assert said in done.stderr
    one = rig.verb("best", "foreign")
    assert (one.returncode, one.stderr) == (
        0,
        "note: foreign: one trial has a value, with nothing to compare it with\n",
    )
