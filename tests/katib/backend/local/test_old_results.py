"""Old results of other programs: a table runs/NAME/trials.csv from which a search learns."""

from pathlib import Path

import pytest

from katib.backend.local.old_results import FILE
from katib.backend.local.warm_start import earlier_trials
from katib.errors import ManifestError
from katib.manifest.experiment import Experiment, load_experiment
from katib.manifest.render import render
from katib.site import load_site
from katib.spec import Spec

SPEC = {
    "name": "next",
    "command": "./train --lr {lr} --layers {layers} --norm {norm} --width {width}",
    "metric": {"name": "val/loss", "direction": "minimize"},
    "trials": 10,
    "epochs": 5,
    "hours_per_run": 1.0,
    "max_failed_trials": 2,
    "algorithm": {"name": "bayesianoptimization", "settings": {"warm_start": "old"}},
    "early_stopping": {"name": "medianstop", "min_trials_required": 3, "start_step": 2},
    "search": {
        "lr": {"min": 1e-4, "max": 1e-1, "distribution": "logUniform", "why": "w"},
        "layers": {"type": "int", "min": 1.0, "max": 8.0, "distribution": "uniform", "why": "w"},
        "norm": {"type": "bool", "why": "w"},
        "width": {"type": "choice", "values": [16, 32], "why": "w"},
    },
}
WANDB = 'Name,State,lr,layers,norm,width,val/loss\n"a, b",finished,0.01,2,true,32,0.25\nb,failed,0.1,3,false,16,\n'
TABLES = {
    "W&B": WANDB,
    "W&B, with a mark at its beginning": "\ufeff" + WANDB,
    "Optuna": "number,value,params_lr,params_layers,params_norm,params_width\n0,0.25,0.01,2.0,True,32.0\n1,,1,1,True,16\n",
    "Ray Tune": "val/loss,config/lr,config/layers,config/norm,config/width\n0.25,1e-2,2,True,32\nnan,1,1,True,16\n",
}


def experiment() -> Experiment:
    """Returns the search that begins with the old results."""
    spec = Spec.model_validate(SPEC)
    return load_experiment(render(spec, load_site(None), None, "next.yaml"), "next.yaml")


def written(runs: Path, table: str | bytes) -> Path:
    """Returns the runs folder with a table in it."""
    (runs / "old").mkdir()
    (runs / "old" / FILE).write_bytes(table if isinstance(table, bytes) else table.encode())
    return runs


@pytest.mark.parametrize("program", TABLES)
def test_the_trials_with_a_value_are_learned_from(program: str, tmp_path: Path) -> None:
    (trial,) = earlier_trials(written(tmp_path, TABLES[program]), experiment())
    assert (trial.outcome, trial.value) == ("completed", 0.25)
    assert {name: float(trial.assignments[name]) for name in ("lr", "layers")} == {"lr": 0.01, "layers": 2.0}
    assert (trial.assignments["norm"], trial.assignments["width"]) == ("True", "32")


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (WANDB.replace("layers", "layer"), "has no column layers: did you mean 'layer'?"),
        (WANDB.replace("val/loss", "val_loss"), "has no column val/loss: did you mean 'val_loss'?"),
        ("lr,val/loss\n", "has no column lr: it has no line of values"),
        ("", "has no column lr: it has no line of values"),
        (b"lr,\xff\n", "is no table in CSV and UTF-8 ("),
        ('lr,"val', "is no table in CSV and UTF-8 (unexpected end of data)"),
        (WANDB.splitlines()[0] + "\nb,failed,0.1,3,false,16,\n", "has no trial yet; leave 'old' out"),
    ],
)
def test_what_cannot_be_learned_from_is_one_line(table: str | bytes, line: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as error:
        earlier_trials(written(tmp_path, table), experiment())
    assert str(error.value).startswith("warm_start: ")
    assert line in str(error.value)
    assert "\n" not in str(error.value)
