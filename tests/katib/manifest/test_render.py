"""The renderer against the Series 3 table, its golden files, and the rules that Katib's shell line sets."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from katib.check.manifest import check_text
from katib.document import load
from katib.errors import SpecError
from katib.manifest.render import Overrides, render
from katib.manifest.render_sweep import render_sweep
from katib.metrics import MetricParser
from katib.ranges import Range
from katib.site import load_site
from katib.spec import SPECS, Spec, load_spec, specs
from katib.trainer_contract import METRIC

# trials, epochs, first look of the early stopper, hours a run, mean baseline (dB): the published plan of Series 3
SERIES_3 = {
    "convtasnet": (20, 50, 15, 9, 2.95),
    "dprnn": (25, 100, 20, 2.5, 3.03),
    "sepformer": (30, 50, 15, 12, 5.10),
    "spmamba": (35, 30, 10, 25, 5.56),
}
SOURCE: dict[str, tuple[int, bool | None]] = {
    "convtasnet": (16, None),
    "dprnn": (16, None),
    "sepformer": (2, False),
    "spmamba": (1, None),
}
# lr, weight decay (0, and the space ends at 1e-6), clip, lr_factor (dprnn's is 0.98, and the space ends at 0.8)
BASELINES = {
    "convtasnet": (1e-3, 1e-6, 5, 0.5),
    "dprnn": (1.5e-4, 1e-6, 5, 0.8),
    "sepformer": (1.5e-4, 1e-6, 5, 0.5),
    "spmamba": (1e-3, 1e-6, 2, 0.5),
}
RANGES = {
    "lr": ("0.0001", "0.01", "logUniform"),
    "weight_decay": ("1e-06", "0.0001", "logUniform"),
    "grad_clip_norm": ("1", "10", "uniform"),
    "lr_factor": ("0.3", "0.8", "uniform"),
}


def manifest(model: str, overrides: Overrides | None = None) -> dict[str, Any]:
    data = yaml.safe_load(render(load_spec(model), load_site(), overrides))
    assert isinstance(data, dict)
    return data


def words(data: dict[str, Any]) -> list[str]:
    pod = data["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    found: list[str] = pod["containers"][0]["command"]
    return found


def test_there_is_a_spec_for_each_model() -> None:
    assert set(specs()) == {*SERIES_3, "demo", "dpmamba", "tfgridnet"}


@pytest.mark.parametrize("model", SERIES_3)
def test_spec_holds_its_row_of_the_series_3_table(model: str) -> None:
    spec = load_spec(model)
    row = (spec.trials, spec.epochs, int(spec.stop_settings["start_step"]), spec.hours_per_run)
    assert spec.baseline is not None
    assert (*row, round(spec.baseline.mean, 2)) == SERIES_3[model]
    assert set(spec.baseline.seeds) == {42, 123, 456}


@pytest.mark.parametrize("model", SERIES_3)
def test_spec_fixes_what_the_sweep_at_its_source_fixes(model: str) -> None:
    """Patience, batch and curriculum as read from the public sweep files and the configurations that they name."""
    fixed = load_spec(model).fixed
    batch, positions = SOURCE[model]
    assert (fixed["batch_size"], fixed.get("positional_encoding")) == (batch, positions)
    assert (fixed["patience"], fixed["lr_patience"], fixed["seed"]) == (10, 2, 42)
    assert (fixed["curriculum"], fixed["validation_variants"]) == (model, ["SER", "SE"])
    assert (fixed["precision"] == "fp32") == (model == "spmamba")


@pytest.mark.parametrize("gpus", [0, 1, 2])
def test_a_trial_that_asks_for_gpus_is_told_to_train_on_them(gpus: int) -> None:
    site = load_site()
    resources = site.resources.model_copy(update={"gpus": gpus})
    data = yaml.safe_load(render(load_spec("dprnn"), site.model_copy(update={"resources": resources})))
    found = words(data)
    assert (found[found.index("--device") + 1] == "cuda") if gpus else ("--device" not in found)
    assert (found[found.index("--gpus") + 1] == "2") if gpus == 2 else ("--gpus" not in found)


def test_a_spec_says_how_many_gpus_its_trials_have() -> None:
    """A site without GPUs has none for it, and one whose trials share a GPU has one."""
    spec, site = load_spec("dprnn").model_copy(update={"gpus": 8}), load_site()

    def on(**resources: int) -> str:
        return render(spec, site.model_copy(update={"resources": site.resources.model_copy(update=resources)}))

    assert 'nvidia.com/gpu: "8"' in on(gpus=1)
    assert "--gpus" in on(gpus=2)
    assert "gpu" not in " ".join(words(yaml.safe_load(on(gpus=0))))
    with pytest.raises(SpecError, match=r"^gpus: 8 of the spec: on this site 3 trials share a GPU .*; write 1$"):
        on(gpus=1, trials_per_gpu=3)


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (
            {"fixed": {"batch_size": 16}, "gpus": 3},
            "gpus 3 does not divide the 16 of --batch-size, choose among 1, 2, 4, 8, 16",
        ),
        ({"fixed": {}, "gpus": 5}, "gpus 5 does not divide the 16 of --batch-size, choose among 1, 2, 4, 8, 16"),
        (
            {"fixed": {}, "search": Range(type="choice", values=[4, 6], why="w"), "gpus": 4},
            "gpus 4 does not divide the 6 of",
        ),
        (
            {
                "fixed": {},
                "search": Range(type="int", min=4, max=16, step=2, distribution="uniform", why="w"),
                "gpus": 4,
            },
            "gpus 4 does not divide the 2 of",
        ),
    ],
)
def test_gpus_that_cannot_share_the_batch_equally_are_refused(batch: dict[str, Any], said: str) -> None:
    spec = load_spec("dprnn")
    searched = {"batch_size": batch["search"]} if "search" in batch else {}
    changed = {"fixed": batch["fixed"], "gpus": batch["gpus"], "search": searched or spec.search}
    with pytest.raises(SpecError, match=f"^spec of {spec.name}: {said}"):
        render(spec.model_copy(update=changed), load_site())


def test_a_trial_waits_for_room_as_long_as_the_site_says() -> None:
    """Half a day where it says nothing: a person frees a volume in working hours."""
    found = words(manifest("dprnn"))
    assert found[found.index("--room-minutes") + 1] == "720"
    site = load_site().model_copy(update={"room_minutes": 5})
    found = words(yaml.safe_load(render(load_spec("dprnn"), site)))
    assert found[found.index("--room-minutes") + 1] == "5"


@pytest.mark.parametrize("model", SERIES_3)
def test_manifest_searches_the_published_ranges(model: str) -> None:
    found = {
        item["name"]: tuple(item["feasibleSpace"][key] for key in ("min", "max", "distribution"))
        for item in manifest(model)["spec"]["parameters"]
    }
    assert found == RANGES


@pytest.mark.parametrize("model", SERIES_3)
def test_manifest_is_golden(model: str, snapshot: SnapshotAssertion) -> None:
    """The text, whole, against the file that was reviewed; it is rendered twice, so that it is deterministic too."""
    text = render(load_spec(model), load_site())
    assert text == render(load_spec(model), load_site())
    assert text == snapshot


@pytest.mark.parametrize("model", SERIES_3)
def test_no_word_of_the_command_is_changed_by_an_unquoted_shell_line(model: str) -> None:
    """With every placeholder replaced by a number, as Katib's webhook joins them."""
    for word in words(manifest(model)):
        assert re.fullmatch(r"[A-Za-z0-9_./:=,+@%-]+", re.sub(r"\$\{trialParameters\.\w+\}", "1e-05", word))


@pytest.mark.parametrize("model", SERIES_3)
def test_placeholders_and_trial_parameters_name_each_other(model: str) -> None:
    data = manifest(model)
    template = data["spec"]["trialTemplate"]
    used = set(re.findall(r"\$\{trialParameters\.(\w+)\}", json.dumps(template["trialSpec"])))
    assert used == {item["name"] for item in template["trialParameters"]}
    references = {item["reference"] for item in template["trialParameters"]} - {"${trialSpec.Name}"}
    assert references == {item["name"] for item in data["spec"]["parameters"]}


def test_filter_finds_the_metric_line_and_nothing_that_looks_like_it() -> None:
    filters = manifest("dprnn")["spec"]["metricsCollectorSpec"]["source"]["filter"]["metricsFormat"]
    parser = MetricParser(filters, [METRIC])
    (report,) = parser.parse("2026-11-24T09:30:00.123456Z val_si_snr=-5.1234")
    assert report.value == -5.1234
    assert report.time is not None
    assert report.time.microsecond == 123456
    for line in (
        "2026-11-24T09:30:00Z best_val_si_snr=5.1",
        "2026-11-24T09:30:00Z val_si_snr=nan",
        "2026-11-24T09:30:00Z val_si_snr=5.1 dB",
        "epoch 3 val_si_snr=5.1",
        "--metric=val_si_snr",
    ):
        assert parser.parse(line) == []


def with_first(*learning_rates: float) -> Spec:
    """Returns the spec of ConvTasNet with the published configuration, at these learning rates, as first suggestions."""
    points = [{"lr": lr, "weight_decay": 1e-6, "grad_clip_norm": 5, "lr_factor": 0.5} for lr in learning_rates]
    data = load_spec("convtasnet").data | {"first_suggestions": points}
    return Spec.model_validate(data, strict=True)


def test_first_suggestions_of_a_spec_are_the_setting_of_the_manifest() -> None:
    """In the order of the spec; sound but for the warning that stock Katib refuses the setting."""
    text = render(with_first(0.001, 0.01), load_site())
    settings = yaml.safe_load(text)["spec"]["algorithm"]["algorithmSettings"]
    (value,) = [item["value"] for item in settings if item["name"] == "first_suggestions"]
    rest = {"weight_decay": "1e-06", "grad_clip_norm": "5", "lr_factor": "0.5"}
    assert json.loads(value) == [{"assignments": {"lr": lr, **rest}} for lr in ("0.001", "0.01")]
    assert [(item.rule, item.severity) for item in check_text(text, "test")] == [("setting-ours", "warning")]


@pytest.mark.parametrize("model", specs())
def test_the_first_suggestion_that_a_spec_holds_is_off_and_at_work_without_its_hash(model: str, tmp_path: Path) -> None:
    """It is one line: the nearest point to the baseline, whose weight decay of 0 lies outside the space."""
    assert load_spec(model).first_suggestions == []
    path = tmp_path / "spec.yaml"
    text = (SPECS / f"{model}.yaml").read_text()
    path.write_text(text.replace("\n# first_suggestions:", "\nfirst_suggestions:"))
    (point,) = load(path, Spec, SpecError).first_suggestions
    if model in BASELINES:
        assert tuple(point.values()) == BASELINES[model]


def test_a_search_of_one_trial_keeps_the_first_of_two_first_suggestions() -> None:
    data = yaml.safe_load(render(with_first(0.001, 0.01), load_site(), Overrides(trials=1)))
    settings = {item["name"]: item["value"] for item in data["spec"]["algorithm"]["algorithmSettings"]}
    assert [point["assignments"]["lr"] for point in json.loads(settings["first_suggestions"])] == ["0.001"]


def test_a_sweep_says_that_it_cannot_try_a_point_first() -> None:
    """W&B's sweep configuration has no key for it: the point stands in a comment, as flags of the trainer."""
    text = render_sweep(with_first(0.001), load_site(), "data", "runs")
    assert "#   --lr 0.001 --weight-decay 0.000001 --grad-clip-norm 5 --lr-factor 0.5" in text.splitlines()
    plain = render_sweep(load_spec("convtasnet"), load_site(), "data", "runs")
    assert yaml.safe_load(text) == yaml.safe_load(plain)


def test_overrides_shorten_a_search_and_keep_it_valid() -> None:
    data = manifest("sepformer", Overrides(preset="debug", name="try", trials=3, epochs=2, parallel=3))
    spec = data["spec"]
    assert (data["metadata"]["name"], spec["maxTrialCount"], spec["parallelTrialCount"]) == ("try", 3, 3)
    assert spec["maxFailedTrialCount"] == 3
    settings = {item["name"]: item["value"] for item in spec["earlyStopping"]["algorithmSettings"]}
    assert settings["start_step"] == "2"
    command = words(data)
    assert command[command.index("--preset") + 1] == "debug"
    assert command[command.index("--epochs") + 1] == "2"


def test_more_trials_at_a_time_than_there_are_is_an_error_where_a_caller_says_so() -> None:
    """The site's number is that of many searches, and is cut instead."""
    with pytest.raises(SpecError, match=r"^parallel 4: the search has 3 trials in all; name at most 3$"):
        manifest("sepformer", Overrides(trials=3, parallel=4))
    assert manifest("sepformer", Overrides(trials=1))["spec"]["parallelTrialCount"] == 1


def test_override_that_katib_would_refuse_is_an_error() -> None:
    with pytest.raises(SpecError, match="name"):
        manifest("dprnn", Overrides(name="Upper_case"))


@pytest.mark.parametrize(
    ("keys", "overrides", "settings", "trials"),
    [
        ({}, Overrides(), {"rung_epochs": "6,18,50", "eta": "3", "configurations": "25"}, 25 + 9 + 3 + 1),
        ({}, Overrides(epochs=7, trials=4), {"rung_epochs": "1,4", "eta": "3", "configurations": "4"}, 4 + 2 + 1),
        ({}, Overrides(epochs=1, trials=2), {"rung_epochs": "2", "eta": "3", "configurations": "2"}, 2),
        (
            {"rung_epochs": [5, 40], "eta": 2.5},
            Overrides(epochs=40),
            {"rung_epochs": "5", "eta": "2.5", "configurations": "25"},
            25 + 10,
        ),
        (
            {"rung_epochs": "9", "eta": 2.0},
            Overrides(epochs=9),
            {"rung_epochs": "1,2,4", "eta": "2", "configurations": "25"},
            25 + 13 + 7 + 4,
        ),
    ],
)
def test_a_spec_that_names_promote_counts_configurations(
    keys: dict[str, object], overrides: Overrides, settings: dict[str, str], trials: int
) -> None:
    """`name: promote` is enough: 6, 18 and 50 % of the epochs, eta 3; maxTrialCount has room for the continuations."""
    given = yaml.safe_load((SPECS / "dprnn.yaml").read_text()) | {"early_stopping": {"name": "promote", **keys}}
    spec = Spec.model_validate(given, strict=True)
    text = render(spec, load_site(), overrides)
    found = yaml.safe_load(text)["spec"]
    assert {one["name"]: one["value"] for one in found["earlyStopping"]["algorithmSettings"]} == settings
    assert (found["earlyStopping"]["algorithmName"], found["maxTrialCount"]) == ("promote", trials)
    rules = {defect.rule for defect in check_text(text, "") if "earlyStopping" in defect.path}
    assert rules - {"setting-ours"} == ({"rung-after-end"} if overrides.epochs == 1 else set())


def test_a_stop_rule_takes_all_its_settings_from_a_spec() -> None:
    given = yaml.safe_load((SPECS / "dprnn.yaml").read_text())
    given["early_stopping"] |= {"tolerance": 0.5, "looks": "once"}
    found = yaml.safe_load(render(Spec.model_validate(given, strict=True), load_site()))["spec"]["earlyStopping"]
    assert {one["name"]: one["value"] for one in found["algorithmSettings"]} == {
        "looks": "once",
        "min_trials_required": "3",
        "start_step": "20",
        "tolerance": "0.5",
    }


def test_in_a_sweep_hyperband_stands_for_promote_and_says_so() -> None:
    given = yaml.safe_load((SPECS / "dprnn.yaml").read_text()) | {"early_stopping": {"name": "promote"}}
    text = render_sweep(Spec.model_validate(given, strict=True), load_site(), "data", "runs")
    assert "# W&B has no promote: hyperband" in text
    found = yaml.safe_load(text)
    assert (found["early_terminate"], found["run_cap"]) == ({"type": "hyperband", "min_iter": 6, "eta": 3, "s": 2}, 25)
