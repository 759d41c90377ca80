"""What is trained further and what is not, and an extension with the real trainer and engine."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from katib.backend.local.record import read
from katib.check.manifest import check_text
from katib.conclude.extension import plan_extension
from katib.conclude.fixed_runs import derived
from katib.conclude.plan import FollowUpPlan, Group, plan_of
from katib.errors import ResultError, SepsweepError
from katib.manifest.experiment import load_experiment
from katib.manifest.object import Manifest
from tests.katib.backend.local.rig import Rig
from tests.katib.conclude.made import manifest
from tests.katib.conclude.tables import row, table
from tests.verbs import katib
from trainer.command_line import parse
from trainer.config import Run

SETTINGS = {"weight_decay": "1e-05", "lr_factor": "0.5"}
CURVE = (1.0, 2.0, 3.0)


def test_the_best_runs_go_on_with_their_own_seed_epochs_and_deadline_and_the_rest_says_why_not() -> None:
    best = row("a", 3.2, curve=CURVE, lr=0.002, grad_clip_norm=5, **SETTINGS)
    ended = replace(
        row("b", 3.1, curve=CURVE, lr=0.003, grad_clip_norm=5, **SETTINGS),
        reason="patience: no better epoch than 3 in 10 epochs",
    )
    stopped = row("c", 2.0, "EarlyStopped", curve=(1.0, 2.0), lr=0.008, grad_clip_norm=5, **SETTINGS)
    search, trials = Manifest.of(manifest()), table(best, ended, stopped, row("d", None, "Running", lr=0.01), spec={})
    plan, refused = plan_extension(trials, search, 150, 3)
    assert refused == ["b would end again at once (patience: no better epoch than 3 in 10 epochs)"]
    assert [(group.source.trial, group.source.seed) for group in plan.groups if group.source] == [("a", 42), ("c", 42)]
    assert plan.name == "test-extend-150"
    text = derived(search, plan)
    assert check_text(text, "x") == []
    assert plan_of(Manifest.of(yaml.safe_load(text))) == plan
    experiment, before = load_experiment(text, "x"), load_experiment(json.dumps(manifest()), "x")
    run = parse(list(experiment.trial("test-extend-150-x", {"run": plan.words[0]}).argv[3:]))
    assert isinstance(run, Run)
    assert (run.epochs, run.training.lr, run.training.seed) == (150, 0.002, 42)
    assert (str(run.continue_from), str(run.run_dir)) == (
        "/runs/series3-dprnn/a",
        "/runs/test-extend-150/test-extend-150-x",
    )
    assert experiment.template.job_deadline == pytest.approx(1.5 * (before.template.job_deadline or 0), abs=1)


def test_what_cannot_be_extended_is_told_in_one_line() -> None:
    search = Manifest.of(manifest())
    one = row("a", 3.2, curve=CURVE, lr=0.002, grad_clip_norm=5)
    with pytest.raises(SepsweepError, match=r"^test: nothing to extend: a has 3 epochs; EPOCHS= \(--epochs\) must be"):
        plan_extension(table(one), search, 3, 1)
    hopeless = replace(one, reason="hopeless: still below the unprocessed mixtures after 3 epochs")
    with pytest.raises(SepsweepError, match=r"a would end again at once \(hopeless: still below"):
        plan_extension(table(hopeless), search, 9, 1)
    groups = (Group(configuration={"lr": "0.1"}),)
    plan = FollowUpPlan(purpose="confirm", search="series3-dprnn", seeds=(7,), groups=groups)
    confirmation = Manifest.of(yaml.safe_load(derived(search, plan)))
    with pytest.raises(SepsweepError, match=r"^test: is no search, it follows from 'series3-dprnn'; extend that$"):
        plan_extension(table(one), confirmation, 9, 1)
    with pytest.raises(ResultError, match="nothing to conclude from"):
        plan_extension(table(row("a", None, "Failed", lr=0.002)), search, 9, 1)


def test_an_extension_is_extended_from_its_own_run_directories_and_keeps_the_search() -> None:
    search = Manifest.of(manifest())
    plan, _ = plan_extension(table(row("a", 3.2, curve=CURVE, lr=0.002, grad_clip_norm=5)), search, 4, 1)
    extension = Manifest.of(yaml.safe_load(derived(search, plan)))
    trials = table(row("b", 3.3, curve=(*CURVE, 3.3), run=plan.words[0]), spec={})
    longer, _ = plan_extension(trials, extension, 6, 3)
    assert (longer.name, longer.words) == (
        "test-extend-6",
        ["lr=0.002,grad_clip_norm=5,seed=42,continue_from=/runs/test-extend-4/b"],
    )
    made = load_experiment(derived(extension, longer), "x")
    run = parse(list(made.trial("c", {"run": longer.words[0]}).argv[3:]))
    assert isinstance(run, Run)
    assert (run.epochs, str(run.run_dir)) == (6, "/runs/test-extend-6/c")


def test_a_search_is_trained_further_and_its_own_checkpoints_stay(rig: Rig, corpus: Path) -> None:
    flags = ("--data", str(corpus), "--trials", "1", "--epochs", "1", "--name", "test")
    assert rig.run("demo", *flags).returncode == 0
    before = {path: path.read_bytes() for path in (rig.out / "test").glob("*/last.pt")}
    _, (best,) = read(rig.out / "test")

    done = rig.verb("extend", "test", "--epochs", "2", "--yes")
    assert done.returncode == 0, done.stderr
    _, (run,) = read(rig.out / "test-extend-2")
    assert (run.state, run.values[:1], len(run.values)) == ("Succeeded", best.values, 2)
    assert {path: path.read_bytes() for path in (rig.out / "test").glob("*/last.pt")} == before
    shown = json.loads(rig.verb("extend", "test", "--epochs", "2", "--json").stdout)
    assert shown["runs"][0]["before"] == {"epochs": 1, "value": max(best.values)}
    assert (shown["runs"][0]["continues"], shown["runs"][0]["epochs"], shown["runs_to_go"]) == (best.name, 2, 0)

    for file in (rig.out / "test" / best.name).glob("*.pt"):
        file.write_bytes(b"half of one")
    damaged = rig.verb("extend", "test", "--epochs", "3", "--yes")
    assert damaged.returncode == 2
    assert "is damaged, it has no checksum at its end; name a run whose checkpoints can be read" in damaged.stderr
    for words, said in (
        (("test", "--epochs", "1"), "has 1 epoch; EPOCHS= (--epochs) must be more than that"),
        (("nosuch", "--epochs", "9"), "no experiment 'nosuch'"),
        (("test", "--epochs", "0"), "--epochs"),
        (("test",), "no --epochs given: epochs to train to, in all"),
        (("test", "--epochs", "9", "--top", "0"), "--top"),
    ):
        refused = katib("extend", *words, "--out", str(rig.out), "--yes")
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1), refused.stderr
        assert said in refused.stderr
