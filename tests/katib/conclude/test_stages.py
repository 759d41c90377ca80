"""The stages of a spec: searches one after the other, on more and more mixtures of the corpus."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from katib.conclude.confirmation import conclude, other_size, plan_confirmation
from katib.conclude.fixed_runs import derived
from katib.conclude.stages import begun_stage, due
from katib.errors import SepsweepError, SpecError
from katib.manifest.object import Manifest
from katib.manifest.render import Overrides, render
from katib.site import load_site
from katib.spec import SPECS, Spec, load_spec, stages_of
from katib.table.trial_table import Budget, TrialRow, TrialTable
from katib.trial import Identity
from tests.katib.conclude.tables import row as measured
from tests.katib.conclude.tables import table as measured_table
from tests.verbs import katib

STAGES: list[dict[str, Any]] = [
    {"train_limit": 4, "trials": 2},
    {"train_limit": 8, "hours_per_run": 0.2},
    {"train_limit": "all", "trials": 1},
]


def written(folder: Path, stages: list[dict[str, Any]], **changed: Any) -> Path:
    """Writes the demo's spec with these stages, under the name `grown`."""
    spec = yaml.safe_load((SPECS / "demo.yaml").read_text()) | {"name": "grown", "stages": stages} | changed
    file = folder / "grown.yaml"
    file.write_text(yaml.safe_dump(spec))
    return file


def row(number: int, value: float, state: str = "Succeeded") -> TrialRow:
    values = {"lr": f"0.00{number}", "weight_decay": "1e-05", "grad_clip_norm": "5.0", "lr_factor": "0.5"}
    return TrialRow(f"t-{number}", state, "", values, value, 1, 1, 1.0)  # type: ignore[arg-type]


@dataclass
class Done:
    """A backend with these experiments, each with the values of its trials and its manifest."""

    rows: dict[str, list[TrialRow]]
    trials: int = 2
    manifests: dict[str, str] = field(default_factory=dict)
    error: type[SepsweepError] = SepsweepError

    def has(self, experiment: str) -> bool:
        return experiment in self.rows

    begun = settled = has

    def table(self, experiment: str) -> TrialTable:
        rows = tuple(sorted(self.rows[experiment], key=lambda one: -(one.value or 0)))
        identity = Identity(experiment, "val_si_snr", True, "max", {})
        return TrialTable(identity, rows, budget=Budget(self.trials, 7, None))

    def manifest(self, experiment: str) -> str | None:
        return self.manifests.get(experiment)


def chosen(spec: Spec, done: Done, **overrides: Any) -> tuple[Spec, str]:
    found = due(done, spec, Overrides(**overrides))  # type: ignore[arg-type]
    return found.spec, found.note


def test_each_stage_is_a_search_that_begins_with_the_best_of_the_one_before(tmp_path: Path) -> None:
    spec = load_spec(str(written(tmp_path, STAGES)))
    first, note = chosen(spec, Done({}))
    assert (first.name, first.trials, first.fixed["train_limit"]) == ("grown-1", 2, 4)
    assert note == "stage 1 of 3: 'grown-1' on 4 mixtures"
    assert "warm_start" not in first.algorithm.settings
    done = Done({"grown-1": [row(1, 1.0), row(2, 3.0), row(3, 9.0, "Failed")]})
    second, note = chosen(spec, done)
    assert note == "stage 2 of 3: 'grown-2' on 8 mixtures, and begins with 2 points of stage 1"
    assert second.algorithm.settings["warm_start"] == "grown-1"
    assert [point["lr"] for point in second.first_suggestions] == [0.002, 0.001]
    assert (second.trials, second.hours_per_run) == (6, 0.2)
    text = render(second, load_site(), None, str(tmp_path / "grown.yaml"))
    assert "--train-limit" in text
    # A stage that has begun keeps its points, whatever happens to the one before.
    done.rows["grown-2"] = [row(4, 4.0, "Running")]
    done.rows["grown-1"].append(row(5, 9.0))
    done.manifests["grown-2"] = text
    assert chosen(spec, done)[0] == second
    done.rows["grown-2"] = [row(4, 4.0), row(5, 5.0)]
    del done.rows["grown-1"]
    last, note = chosen(spec, done, name=None)
    assert (last.name, "train_limit" in last.fixed, last.trials) == ("grown-3", False, 1)
    assert begun_stage(done, str(tmp_path / "grown.yaml")) == "grown-2"  # type: ignore[arg-type]
    assert chosen(spec, done, name="other")[0].name == "other-1"


def test_the_last_stage_stays_due_and_one_without_a_finished_trial_leaves_nothing(tmp_path: Path) -> None:
    spec = load_spec(str(written(tmp_path, STAGES[:2])))
    done = Done({"grown-1": [row(1, 1.0), row(2, 2.0)], "grown-2": [row(3, 3.0), row(4, 4.0)]})
    done.manifests["grown-2"] = render(stages_of(spec)[1], load_site(), None, "x.yaml")
    assert chosen(spec, done)[0].name == "grown-2"
    stopped = Done({"grown-1": [row(1, 1.0, "EarlyStopped"), row(2, 2.0, "Failed")]})
    with pytest.raises(SpecError, match="grown-1: no trial ran to its end, so that stage 2 has nothing to begin with"):
        due(stopped, spec, Overrides())  # type: ignore[arg-type]


def test_a_baseline_of_the_whole_corpus_is_compared_with_the_last_stage_only(tmp_path: Path) -> None:
    spec = load_spec(str(written(tmp_path, STAGES, baseline={"seeds": {42: 3.0}})))
    assert [bool(stage.baseline) for stage in stages_of(spec)] == [False, False, True]


@pytest.mark.parametrize(
    ("stages", "changed", "said"),
    [
        ([], {}, "stages: there is none; name two or more"),
        ([{"train_limit": 4}], {}, "stages: there is one only; name two or more"),
        (
            [{"train_limit": 4}, {"train_limit": "alll"}],
            {},
            "stages.1.train_limit: must be a whole number of mixtures, 1 or more, or all (got 'alll')",
        ),
        ([{"train_limit": 8}, {"train_limit": 4}], {}, "stage 2 has 4 mixtures, not more than the one before"),
        ([{"train_limit": "all"}, {"train_limit": 4}], {}, "stage 2 has 4 mixtures, not more than the one before"),
        ([{"train_limit": "whole"}, {"train_limit": 4}], {}, "stages.0.train_limit"),
        ([{"mixtures": 2}, {"train_limit": 4}], {}, "stages.0.mixtures"),
        (STAGES, {"fixed": {"train_limit": 4}}, "fixed.train_limit: each of the stages has its own; remove it there"),
        (STAGES, {"algorithm": {"name": "random"}}, "the algorithm random learns nothing from an earlier stage; take"),
        (
            STAGES,
            {"algorithm": {"name": "tpe", "settings": {"warm_start": "x"}}},
            "algorithm.settings.warm_start: each stage learns from the one before; remove it",
        ),
        (STAGES, {"name": "a" * 39}, "have at most 40 characters"),
    ],
)
def test_stages_that_make_no_sense_are_one_line(
    stages: list[dict[str, Any]], changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    done = katib("plan", str(written(tmp_path, stages, **changed)), "--out", str(tmp_path))
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_same_command_runs_one_stage_after_the_other_and_verbs_speak_of_the_last(
    corpus: Path, tmp_path: Path
) -> None:
    """With the real trainer, on the twelve mixtures of the corpus."""
    stages: list[dict[str, Any]] = [{"train_limit": 4, "trials": 1}, {"train_limit": "all", "trials": 1}]
    file = str(written(tmp_path, stages, epochs=1, trials=1, max_failed_trials=1, early_stopping=SOON))
    words = [file, "--out", str(tmp_path / "runs")]
    search = ["local", *words, "--data", str(corpus), "--yes"]
    first = katib(*search)
    assert first.returncode == 0, first.stderr
    assert "stage 1 of 2: 'grown-1' on 4 mixtures\n" in first.stdout
    assert first.stdout.endswith("then: the same command again, for stage 2 of 2\n")
    second = katib(*search)
    assert second.returncode == 0, second.stderr
    assert "'grown-2' on all mixtures, and begins with 1 point of stage 1\n" in second.stdout
    assert "warm_start: the search begins with 1 earlier trial" in second.stdout
    best = katib("best", *words)
    assert "grown-2" in best.stdout
    large = written(tmp_path, [{"train_limit": 4}, {"train_limit": 13}])
    refused = katib("local", str(large), *words[1:], "--data", str(corpus), "--name", "large")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.endswith(
        "grown.yaml: stages: 13 mixtures, but the corpus has 12 to train; write all, or fewer\n"
    )
    assert not (tmp_path / "runs" / "large-1").exists()


SOON = {"name": "medianstop", "min_trials_required": 2, "start_step": 1}


def test_render_prints_the_first_stage_and_says_so(tmp_path: Path) -> None:
    done = katib("render", str(written(tmp_path, STAGES)))
    assert "name: grown-1" in done.stdout
    assert "this is the first stage, 'grown-1'; local and deploy run the others after it" in done.stderr
    with pytest.raises(SpecError, match="its stages are searches of their own"):
        render(load_spec(str(tmp_path / "grown.yaml")), load_site())


def test_a_confirmation_of_another_size_counts_no_run_of_the_search_and_no_other_baseline() -> None:
    search = Manifest.of(yaml.safe_load(render(load_spec("dprnn"), load_site())))
    rows = [measured(f"test-{number}", 3.0 - number, lr=f"0.00{number + 1}", grad_clip_norm="5") for number in (0, 1)]
    found = plan_confirmation(measured_table(*rows), search, train_limit=8000)
    assert [dict(group.known) for group in found.groups] == [{}] * len(found.groups)
    assert (found.baseline, found.train_limit) == ({}, 8000)
    assert [group.control for group in found.groups] == [False, False, True]
    given = plan_confirmation(measured_table(*rows), search, train_limit=8000, baseline={42: 3.0})
    assert (given.baseline, given.control) == ({42: 3.0}, None)
    assert plan_confirmation(measured_table(*rows), search).control is None


def test_what_won_on_few_mixtures_loses_to_the_defaults_on_more() -> None:
    """The control is trained without any flag of what was searched, and is what the verdict compares with."""
    search = Manifest.of(yaml.safe_load(render(load_spec("dprnn"), load_site())))
    rows = [measured(f"test-{number}", 3.0 - number, lr=f"0.00{number + 1}", grad_clip_norm="5") for number in (0, 1)]
    planned = plan_confirmation(measured_table(*rows), search, train_limit=64000)
    assert planned.words[-3:] == ["seed=42", "seed=123", "seed=456"]
    flags = Manifest.of(yaml.safe_load(derived(search, planned))).flags
    assert not {"--lr", "--grad-clip-norm", "--seed"} & flags.keys()
    runs = []
    for number, word in enumerate(planned.words):
        runs.append(measured(f"run-{number}", 5.0 + number / 100 if word.startswith("seed") else 4.0, run=word))
    verdict = conclude(planned, measured_table(*runs))
    assert verdict is not None
    assert (verdict.outcome, len(verdict.baseline), len(verdict.others)) == ("worse", 3, 1)
    assert other_size(search, "all") is None
    assert other_size(search, 8000) == 8000
