"""The two sides that never import each other, held against each other: what the manifest passes and what the trainer
takes.
"""

from typing import Any

import pytest
import yaml

from katib.manifest.render import render
from katib.metrics import MetricParser, metric_filter
from katib.site import load_site
from katib.spec import load_spec, specs
from katib.trainer_contract import METRIC
from trainer.command_line import parse
from trainer.config import Run
from trainer.metric_line import metric_line, timestamp

ASSIGNMENTS = {"lr": "0.00123", "weight_decay": "2e-06", "grad_clip_norm": "7", "lr_factor": "0.45"}


def trial_words(model: str) -> list[str]:
    """Returns the command of one trial of the rendered Experiment, without `python -m trainer`, filled in as Katib
    does.
    """
    data: Any = yaml.safe_load(render(load_spec(model), load_site()))
    pod = data["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    values = ASSIGNMENTS | {"trialName": f"{model}-abcd1234"}
    words = []
    for word in pod["containers"][0]["command"][3:]:
        for name, value in values.items():
            word = word.replace(f"${{trialParameters.{name}}}", value)
        words.append(word)
    return words


@pytest.mark.parametrize("model", specs())
def test_trainer_takes_every_flag_of_the_template_with_its_value(model: str) -> None:
    run = parse(trial_words(model))
    assert isinstance(run, Run)
    spec = load_spec(model)
    assert (run.training.model, run.epochs, run.device) == (spec.model, spec.epochs, "cuda")
    assert run.run_dir.name == f"{model}-abcd1234"
    for name, text in ASSIGNMENTS.items():
        assert getattr(run.training, name) == float(text)
    for name, value in spec.fixed.items():
        found = getattr(run.training if hasattr(run.training, name) else run, name)
        assert (list(found) if isinstance(found, tuple) else found) == value


def test_manifest_filter_reads_the_trainers_own_line() -> None:
    line = metric_line(timestamp(), -3.14159)
    (report,) = MetricParser([metric_filter(METRIC)], [METRIC]).parse(line)
    assert report.value == pytest.approx(-3.1416)
