"""The Experiment of fixed runs: sound, the search's own in all but the runs, and read by the trainer as it was meant."""

import json
import re
from typing import Any

import pytest
import yaml

from katib.check.manifest import check_text
from katib.conclude.fixed_runs import derived, seed_of
from katib.conclude.plan import FollowUpPlan, Group, experiment_name, plan_of
from katib.conclude.selection import candidates
from katib.errors import ManifestError
from katib.manifest.experiment import load_experiment
from katib.manifest.object import Manifest
from katib.manifest.render import Overrides, render
from katib.search.history import Observation
from katib.search.sampler import sampler
from katib.site import load_site
from katib.spec import load_spec, specs
from katib.tree import at
from tests.katib.backend.local.rig import manifest as foreign
from tests.katib.conclude.tables import row, table
from trainer.command_line import parse
from trainer.config import Run

SETTINGS = {"lr": "0.0016", "weight_decay": "1.2e-05", "grad_clip_norm": "5.1", "lr_factor": "0.4"}


def search(model: str = "dprnn", **overrides: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(render(load_spec(model), load_site(), Overrides(**overrides)))
    return found


def plan(name: str = "series3-dprnn", **fields: Any) -> FollowUpPlan:
    groups = (
        Group(configuration=SETTINGS, known={42: 3.9}, mean=3.8, sd=0.05),
        Group(configuration=SETTINGS | {"lr": "0.0021"}),
    )
    given = {"purpose": "confirm", "search": name, "seeds": (42, 123, 456), "seen": (42,), "groups": groups}
    return FollowUpPlan(**(given | {"baseline": {42: 3.01}} | fields))


@pytest.mark.parametrize("model", specs())
def test_it_has_neither_errors_nor_warnings(model: str) -> None:
    """On stock Katib too: the check warns of whatever only our services know."""
    document = search(model)
    assert check_text(derived(Manifest.of(document), plan(document["metadata"]["name"])), model) == []


def test_a_search_as_the_api_server_has_it_gives_a_sound_experiment_without_its_history() -> None:
    document = search()
    document["metadata"] |= {"uid": "u", "resourceVersion": "7", "finalizers": ["x"], "managedFields": [{}]}
    document["status"] = {"trials": 25}
    document["spec"]["objective"]["goal"] = 3.0
    text = derived(Manifest.of(document), plan())
    made = yaml.safe_load(text)
    assert check_text(text, "x") == []
    assert set(made) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(made["metadata"]) == {"name", "namespace", "labels", "annotations"}
    assert "goal" not in made["spec"]["objective"]  # reached by the first run, it would end the others


@pytest.mark.parametrize("group", ["sweeps/series3-dprnn", "series3-dprnn", "of-my-own"])
def test_its_runs_are_a_group_of_their_own_on_wandb_in_the_same_namespace(group: str) -> None:
    document = search()
    (container,) = document["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"]
    (variable,) = [item for item in container["env"] if item["name"] == "WANDB_RUN_GROUP"]
    assert variable["value"] == f"{document['metadata']['namespace']}/series3-dprnn"
    variable["value"] = group
    namespace = "sweeps/" if "/" in group else ""
    assert f"value: {namespace}series3-dprnn-confirm\n" in derived(Manifest.of(document), plan())


@pytest.mark.parametrize(
    ("had", "wanted", "flags", "longer"),
    [(None, 8000, ["8000"], 1.0), (2000, 8000, ["8000"], 4.0), (2000, "all", [], 100.0), (8000, 2000, ["2000"], 1.0)],
)
def test_runs_of_another_size_have_their_own_name_mixtures_and_time(
    had: int | None, wanted: Any, flags: list[str], longer: float
) -> None:
    document = search()
    spec = document["spec"]["trialTemplate"]["trialSpec"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    container["command"] += ["--train-limit", str(had)] if had else []
    sized = plan(train_limit=wanted)
    text = derived(Manifest.of(document), sized)
    made = Manifest.of(yaml.safe_load(text))
    assert check_text(text, "x") == []
    assert made.name == sized.name == f"series3-dprnn-confirm-{wanted}"
    assert made.flags.get("--train-limit", []) == flags
    before, after = spec["activeDeadlineSeconds"], at(made.job, "spec").get("activeDeadlineSeconds")
    assert after == before * longer
    assert plan_of(made) == sized


def test_a_plan_of_the_search_s_own_size_is_written_as_before() -> None:
    assert "train_limit" not in plan().text
    assert plan_of(Manifest.of(yaml.safe_load(derived(Manifest.of(search()), plan())))) == plan()


def test_the_runs_are_those_that_are_missing_and_no_others() -> None:
    """Five of six: the search's own run of seed 42 is there. Grid proposes each once and then nothing."""
    experiment = load_experiment(derived(Manifest.of(search()), plan()), "x")
    proposer = sampler(experiment.search)
    found: list[dict[str, str]] = []
    while point := proposer.propose([Observation(one, "completed", 1.0) for one in found]):
        found += point
    wanted = [(group, seed) for group in plan().groups for seed in (42, 123, 456) if seed not in group.known]
    assert [point["run"] for point in found] == [group.word(seed) for group, seed in wanted]
    assert (experiment.search.max_trials, experiment.search.early_stopping, experiment.goal) == (5, None, None)


@pytest.mark.parametrize("model", specs())
def test_the_trainer_reads_each_setting_by_its_own_type_and_the_rest_as_the_search_had_it(model: str) -> None:
    document = search(model)
    name = document["metadata"]["name"]
    experiment = load_experiment(derived(Manifest.of(document), plan(name)), model)
    word = plan(name).words[0]
    trial = experiment.trial(f"{name}-confirm-abcd1234", {"run": word})
    run = parse(list(trial.argv[3:]))
    assert isinstance(run, Run)
    assert {name: getattr(run.training, name) for name in SETTINGS} == {
        name: float(text) for name, text in SETTINGS.items()
    }
    assert run.training.seed == 123
    spec = load_spec(model)
    assert (run.epochs, run.linger) == (spec.epochs, 20)
    for field, value in spec.fixed.items():
        told = getattr(run.training if hasattr(run.training, field) else run, field)
        if field != "seed":
            assert (list(told) if isinstance(told, tuple) else told) == value
    assert str(run.run_dir) == f"/runs/{name}-confirm/{name}-confirm-abcd1234"


def test_nothing_of_it_carries_the_searchs_name_but_the_plan() -> None:
    """Labels, W&B group, run directory and preStop hook are the new Experiment's."""
    document = yaml.safe_load(derived(Manifest.of(search()), plan()))
    del document["metadata"]["annotations"]
    assert not re.findall(r"series3-dprnn(?!-confirm)", json.dumps(document))


def test_no_text_can_be_taken_for_a_number() -> None:
    """Go reads 1e-06 as a number where Python does not; Katib then refuses it where it wants a text."""
    document = search()
    document["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["env"].append(
        {"name": "SMALL", "value": "1e-06"}
    )
    text = derived(Manifest.of(document), plan())
    assert 'value: "1e-06"' in text
    assert not re.search(r"^\s*(- )?(\w+: )?[-+.]?\d+(\.\d*)?e[-+]?\d+$", text, re.MULTILINE)


def test_an_architecture_that_the_search_fixed_gives_way_to_the_runs_own() -> None:
    document = search()
    words = document["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["command"]
    words += ["--hidden-size", "128"]
    sweep = plan(purpose="arch", field="hidden_size", groups=(Group(configuration=SETTINGS | {"hidden_size": "64"}),))
    argv = load_experiment(derived(Manifest.of(document), sweep), "x").trial("t", {"run": sweep.words[0]}).argv
    run = parse(list(argv[3:]))
    assert isinstance(run, Run)
    assert vars(run.training)["hidden_size"] == 64


def test_the_plan_is_found_again_in_what_was_rendered() -> None:
    assert plan_of(Manifest.of(yaml.safe_load(derived(Manifest.of(search()), plan())))) == plan()
    assert plan_of(Manifest.of(search())) is None
    damaged = yaml.safe_load(derived(Manifest.of(search()), plan()))
    damaged["metadata"]["annotations"]["sepsweep/plan"] = '{"purpose": "confirm"}'
    with pytest.raises(ManifestError, match="annotation sepsweep/plan"):
        plan_of(Manifest.of(damaged))


def test_a_search_whose_trainer_stood_behind_a_shell_is_repeated_without_it() -> None:
    document = search()
    plain = load_experiment(derived(Manifest.of(document), plan()), "x").trial("t", {"run": "r"}).argv
    container = document["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]
    container |= {"command": ["sh", "-c"], "args": [" ".join(container["command"])]}
    assert load_experiment(derived(Manifest.of(document), plan()), "x").trial("t", {"run": "r"}).argv == plain


def test_trials_of_another_program_cannot_be_repeated() -> None:
    with pytest.raises(ManifestError, match="only runs of `python -m trainer` can be repeated"):
        derived(Manifest.of(foreign()), plan("test"))


def test_a_setting_that_a_shell_would_read_is_refused() -> None:
    for bad in ("a b", "a;b", "a,b", "a=b", "$(x)", ""):
        with pytest.raises(ManifestError, match="is no setting that can be passed in one word"):
            derived(Manifest.of(search()), plan(groups=(Group(configuration={"curriculum": bad}),)))


def test_names_stay_within_katibs_40_characters() -> None:
    assert experiment_name("n" * 40, "confirm") == "n" * 32 + "-confirm"
    assert experiment_name("a" * 31 + "-bcdefghi", "confirm") == "a" * 31 + "-confirm"
    assert experiment_name("series3-dprnn", "arch") == "series3-dprnn-arch"


def test_a_trials_seed_is_its_parameter_or_that_of_the_command() -> None:
    document = search()
    assert seed_of(row("a", 1.0, lr=0.1), Manifest.of(document)) == 42
    assert seed_of(row("a", 1.0, lr=0.1, seed=7), Manifest.of(document)) == 7
    words = document["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["command"]
    del words[words.index("--seed") : words.index("--seed") + 2]
    with pytest.raises(ManifestError, match="a: neither a parameter 'seed' nor its command"):
        seed_of(row("a", 1.0, lr=0.1), Manifest.of(document))


def test_values_of_ended_runs_join_those_known_before() -> None:
    words = plan().words
    ended = table(
        row("a", 3.7, run=words[0]),
        row("b", 3.5, "Running", run=words[1]),
        row("c", 3.2, "EarlyStopped", run=words[2]),
        row("d", 3.3, run=words[3]),
        spec={},
    )
    assert plan().values(ended) == [{42: 3.9, 123: 3.7}, {123: 3.3}]
    assert candidates(ended)  # a table of runs is one like any other
