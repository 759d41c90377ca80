"""The renderer against the Series 3 table, its golden files, and the rules that Katib's shell line sets."""

import json
import re
from typing import Any

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion

from katib.errors import SpecError
from katib.metrics import METRIC, MetricParser
from katib.render import Overrides, render
from katib.site import load_site
from katib.spec import load_spec, specs

# trials, epochs, first look of the early stopper, hours a run, mean baseline (dB): the published plan of Series 3
SERIES_3 = {
    "convtasnet": (20, 50, 15, 9, 2.95),
    "dprnn": (25, 100, 20, 2.5, 3.03),
    "sepformer": (30, 50, 15, 12, 5.10),
    "spmamba": (35, 30, 10, 25, 5.56),
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


def test_there_is_a_spec_for_each_model_of_series_3() -> None:
    assert set(specs()) == {*SERIES_3, "demo"}


@pytest.mark.parametrize("model", SERIES_3)
def test_spec_holds_its_row_of_the_series_3_table(model: str) -> None:
    spec = load_spec(model)
    row = (spec.trials, spec.epochs, spec.early_stopping.start_step, spec.hours_per_run)
    assert spec.baseline is not None
    assert (*row, round(spec.baseline.mean, 2)) == SERIES_3[model]
    assert set(spec.baseline.seeds) == {42, 123, 456}


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


def test_overrides_shorten_a_search_and_keep_it_valid() -> None:
    data = manifest("sepformer", Overrides(preset="debug", name="try", trials=3, epochs=2, parallel=8))
    spec = data["spec"]
    assert (data["metadata"]["name"], spec["maxTrialCount"], spec["parallelTrialCount"]) == ("try", 3, 3)
    assert spec["maxFailedTrialCount"] == 3
    settings = {item["name"]: item["value"] for item in spec["earlyStopping"]["algorithmSettings"]}
    assert settings["start_step"] == "2"
    command = words(data)
    assert command[command.index("--preset") + 1] == "debug"
    assert command[command.index("--epochs") + 1] == "2"


def test_override_that_katib_would_refuse_is_an_error() -> None:
    with pytest.raises(SpecError, match="name"):
        manifest("dprnn", Overrides(name="Upper_case"))
