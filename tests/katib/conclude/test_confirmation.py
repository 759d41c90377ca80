"""Which runs a confirmation takes, when it comes to a verdict, and on what."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from katib.backend.local.backend import LocalBackend
from katib.conclude.confirmation import (
    conclude,
    find_verdict,
    keep,
    plan_confirmation,
    verdict_record,
)
from katib.conclude.follow_up import find
from katib.conclude.plan import FollowUpPlan, Group
from katib.errors import FolderError, ResultError
from katib.manifest.object import Manifest
from katib.manifest.render import Overrides, render
from katib.site import load_site
from katib.spec import load_spec
from katib.table.trial_table import CLUSTER, Budget, TrialRow, TrialTable
from tests.katib.conclude.tables import row, table

DOCUMENT: dict[str, Any] = yaml.safe_load(render(load_spec("dprnn"), load_site(), Overrides(name="test")))
MANIFEST = Manifest.of(DOCUMENT)
SEARCH = (
    row("best", 3.9, lr=0.0015, grad_clip_norm=5),
    row("second", 3.6, lr=0.004, grad_clip_norm=4),
    row("stopped", 3.0, "EarlyStopped", lr=0.0008, grad_clip_norm=7),
    row("worst", 1.0, lr=0.0001, grad_clip_norm=9),
)
SPEC = load_spec("dprnn")


def of_spec(*rows: TrialRow, epochs: int = 100) -> TrialTable:
    return replace(table(*rows), spec=SPEC, budget=Budget(25, epochs, 2.5))


def ended(plan: FollowUpPlan, values: list[float | None], states: dict[int, str] | None = None) -> TrialTable:
    """Returns the confirmation's own table: one value a planned run; None failed."""
    rows = [
        row(f"r{n}", value, (states or {}).get(n, "Failed" if value is None else "Succeeded"), run=word)
        for n, (word, value) in enumerate(zip(plan.words, values, strict=True))
    ]
    return table(*rows, spec={})


def test_the_searchs_own_run_is_taken_where_it_ran_to_its_end_and_not_where_it_was_stopped() -> None:
    plan = plan_confirmation(of_spec(*SEARCH), MANIFEST)
    known = {group.configuration["lr"]: group.known for group in plan.groups}
    assert known == {"0.0015": {42: 3.9}, "0.004": {42: 3.6}, "0.0008": {}}
    assert len(plan.words) == 2 + 2 + 3
    assert (plan.seeds, plan.seen, plan.baseline) == (
        (42, 123, 456),
        (42,),
        SPEC.baseline and SPEC.baseline.seeds,
    )


def test_shorter_trainings_have_no_baseline_and_another_can_be_given() -> None:
    short = of_spec(*SEARCH, epochs=3)
    assert plan_confirmation(short, MANIFEST).baseline == {}
    assert plan_confirmation(table(*SEARCH), MANIFEST).baseline == {}
    assert plan_confirmation(short, MANIFEST, baseline={1: 2.0}).baseline == {1: 2.0}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((), "nothing to conclude from: test: no trial yet; see make results EXPERIMENT=test"),
        (
            (
                row("a", None, "Failed", lr=1e-3, grad_clip_norm=5),
                row("b", None, "Failed", lr=1e-3, grad_clip_norm=6),
            ),
            "test: all 2 trials failed, .: diverged: the loss is nan",
        ),
        ((row("a", 3.0, "Running", lr=1e-3, grad_clip_norm=5),), "test: no trial has run to its end"),
    ],
)
def test_where_there_is_no_candidate_one_line_says_why(rows: tuple[TrialRow, ...], said: str) -> None:
    with pytest.raises(ResultError, match=said) as error:
        plan_confirmation(table(*rows), MANIFEST)
    assert "\n" not in str(error.value)


def test_a_search_of_one_trial_is_confirmed_by_that_one() -> None:
    plan = plan_confirmation(of_spec(SEARCH[0]), MANIFEST)
    verdict = conclude(plan, ended(plan, [3.8, 3.9]))
    assert verdict is not None
    assert verdict.outcome == "better"


def test_seeds_that_the_search_has_seen_confirm_nothing() -> None:
    with pytest.raises(ResultError, match="ran with seed 42"):
        plan_confirmation(of_spec(*SEARCH), MANIFEST, seeds=(42,))


def test_there_is_no_verdict_before_the_last_run_has_ended() -> None:
    plan = plan_confirmation(of_spec(*SEARCH), MANIFEST)
    values: list[float | None] = [3.7, 3.8, 3.5, 3.4, 3.0, 3.1, 2.9]
    running = ended(plan, values, {6: "Running"})
    assert (plan.outstanding(running), conclude(plan, running)) == (1, None)
    verdict = conclude(plan, ended(plan, values))
    assert verdict is not None
    assert dict(verdict.seeds) == {42: 3.9, 123: 3.7, 456: 3.8}


def test_the_verdict_is_on_the_searchs_first_choice_whatever_the_others_come_to() -> None:
    plan = plan_confirmation(of_spec(*SEARCH), MANIFEST)
    verdict = conclude(plan, ended(plan, [3.1, 3.0, 5.0, 5.1, 6.0, 6.1, 6.2]))
    assert verdict is not None
    assert dict(verdict.configuration) == plan.groups[0].configuration
    assert verdict.outcome == "no better"


def test_a_first_choice_whose_new_runs_all_fail_makes_room_for_the_next() -> None:
    plan = plan_confirmation(of_spec(*SEARCH), MANIFEST)
    verdict = conclude(plan, ended(plan, [None, None, 3.5, None, 3.0, 3.1, 2.9]))
    assert verdict is not None
    assert dict(verdict.configuration) == plan.groups[1].configuration
    assert dict(verdict.seeds) == {42: 3.6, 123: 3.5}
    assert conclude(plan, ended(plan, [None] * 7)) is None


def test_a_verdict_that_is_kept_is_found_again(tmp_path: Path) -> None:
    """As a search on a cluster finds it. Another one of its name has another configuration, or is on this machine."""
    search = table(*SEARCH, venue=CLUSTER)
    plan = plan_confirmation(search, MANIFEST)
    assert find_verdict(tmp_path, search) is None
    for baseline in ({}, {42: 3.0, 123: 2.9, 456: 3.1}):
        verdict = conclude(
            plan.model_copy(update={"baseline": baseline}), ended(plan, [3.7, 3.8, 3.5, 3.4, 3.0, 3.1, 2.9])
        )
        assert verdict is not None
        assert math.isnan(verdict.low) == (not baseline)
        keep(tmp_path, "test", verdict)
        found = find_verdict(tmp_path, search)
        assert found is not None
        assert verdict_record(found) == verdict_record(verdict)
        assert found.others == verdict.others
        assert [dict(one.configuration) for one in found.others] == [one.configuration for one in plan.groups[1:]]
        assert find_verdict(tmp_path, table(*SEARCH)) is None
        other = [replace(one, assignments={**one.assignments, "lr": "0.009"}) for one in SEARCH]
        assert find_verdict(tmp_path, table(*other, venue=CLUSTER)) is None
    # One that an earlier version has kept has no other candidates.
    kept = json.loads((tmp_path / "test" / "verdict.json").read_text())
    del kept["others"]
    (tmp_path / "test" / "verdict.json").write_text(json.dumps(kept))
    found = find_verdict(tmp_path, search)
    assert found is not None
    assert found.others == ()
    (tmp_path / "test" / "verdict.json").write_text("{}")
    assert find_verdict(tmp_path, search) is None


def test_a_folder_of_that_name_that_confirms_something_else_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "test-confirm"
    folder.mkdir()
    (folder / "experiment.yaml").write_text(yaml.safe_dump(DOCUMENT))
    with pytest.raises(
        FolderError, match="experiment 'test-confirm' follows from no search, not from 'test'; remove it"
    ):
        find(LocalBackend(tmp_path), "test", "confirm")
    other = FollowUpPlan(purpose="confirm", search="other", seeds=(1,), groups=(Group(configuration={"lr": "0.1"}),))
    document = DOCUMENT | {"metadata": {"name": "x", "annotations": {"sepsweep/plan": other.model_dump_json()}}}
    (folder / "experiment.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(FolderError, match="follows from 'other', not from 'test'"):
        find(LocalBackend(tmp_path), "test", "confirm")
