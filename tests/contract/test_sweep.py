"""The W&B sweep file against W&B's own packages: its schema, its agent, and the trainer that the agent starts."""

import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from katib.manifest.render import Overrides
from katib.manifest.render_sweep import render_sweep
from katib.site import load_site
from katib.spec import load_spec, specs
from katib.trainer_contract import METRIC
from tests.katib.test_ranges import SEARCH, changed
from tests.trainer.wandb_server import WandbServer, wandb_server

SECONDS = 600
EXAMPLE = Path(__file__).parents[2] / "examples/quadratic"
RUN = "w4nd81d0"
# Of the four sweep files at the source, which all have s: 2 beside it.
SOURCE_MIN_ITER = {"convtasnet": 15, "dprnn": 20, "sepformer": 15, "spmamba": 10}
VALUES = {"lr": 0.002, "weight_decay": 3e-06, "grad_clip_norm": 4.5, "lr_factor": 0.5}


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the package is of the time of pydantic 1
    from sweeps.config import schema_violations_from_proposed_config
    from sweeps.hyperband_stopping import hyperband_stop_runs
    from sweeps.run import RunState, SweepRun


def sweep(model: str, data: str = "data/mine", runs: str = "runs", **overrides: Any) -> str:
    return render_sweep(load_spec(model), load_site(), data, runs, Overrides(**overrides))


@pytest.mark.parametrize("model", specs())
def test_wandb_finds_nothing_wrong_with_the_sweep(model: str) -> None:
    """Version 0.2.0 of W&B's package is older than run_cap.

    Its later ones, which need an older numpy, ask for a whole number.
    """
    config = yaml.safe_load(sweep(model))
    spec = load_spec(model)
    assert config.pop("run_cap") == spec.trials
    assert schema_violations_from_proposed_config(config) == []


def test_wandbs_schema_is_one_that_finds_faults() -> None:
    config = yaml.safe_load(sweep("dprnn"))
    config["early_terminate"]["min_iter"] = 0
    config["parameters"]["lr"]["distribution"] = "logUniform"
    found = " ".join(schema_violations_from_proposed_config(config))
    assert all(part in found for part in ("run_cap", "'min_iter': 0", "logUniform")), found


@pytest.mark.parametrize("model", specs())
def test_the_sweep_is_the_search_of_the_spec(model: str) -> None:
    config, spec = yaml.safe_load(sweep(model)), load_spec(model)
    names = {"logUniform": "log_uniform_values", "uniform": "uniform"}
    assert config["parameters"] == {
        name: {"distribution": names[axis.distribution or ""], "min": axis.min, "max": axis.max}
        for name, axis in spec.search.items()
    }
    assert config["method"] == "bayes"
    assert config["metric"] == {"name": METRIC, "goal": "maximize"}
    min_iter = {**SOURCE_MIN_ITER, "demo": 2, "dpmamba": 15, "tfgridnet": 15}[model]
    assert config["early_terminate"] == {"type": "hyperband", "min_iter": min_iter, "s": 2}


def test_a_command_gets_its_values_and_a_run_directory_from_wandbs_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As W&B's own agent fills in the words; the values are in the places of the placeholders, whatever their form."""
    monkeypatch.chdir(tmp_path)
    example = yaml.safe_load((EXAMPLE / "quadratic.yaml").read_text())
    command = [*example["command"].split()[:1], str(EXAMPLE / "train.py"), *example["command"].split()[2:]]
    metric = {"name": "val/loss", "direction": "minimize"}
    Path("mine.yaml").write_text(yaml.safe_dump(example | {"command": command, "metric": metric, "wandb": True}))
    text = render_sweep(load_spec("mine.yaml"), load_site(), "my data", "my runs", word="mine.yaml")
    config = yaml.safe_load(text)
    assert config.pop("run_cap") == 4
    assert schema_violations_from_proposed_config(config) == []
    assert config["metric"] == {"name": "val/loss", "goal": "minimize"}
    assert set(config["parameters"]) == {"rate", "samples"}
    told = create_sweep_command_args({"args": {"rate": {"value": 0.25}, "samples": {"value": 2}}})
    told["env"] = ["/usr/bin/env"]
    words = [new for word in config["command"] for new in told.get(word[2:-1] if word[:2] == "${" else "", [word])]
    environment = {**os.environ, "WANDB_RUN_ID": RUN}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    given = ["--rate=0.25", "--samples=2", "--seed=42", "--epochs=5", "--out=own"]
    own = subprocess.run([sys.executable, EXAMPLE / "train.py", *given], capture_output=True, text=True, check=True)
    assert done.stdout == own.stdout
    assert Path("my runs/quadratic", RUN, "weight.txt").exists()


@pytest.mark.parametrize("name", ["min_iter", "max_iter"])
def test_wandb_makes_use_of_s_beside_max_iter_alone(name: str) -> None:
    """The comment in the sweep file says so: the epochs at which W&B's own rule looks, with s of 1 and of 2."""
    bands = []
    for s in (1, 2):
        runs = [SweepRun(name="a", state=RunState.running, history=[{METRIC: 1.0}] * 30)]
        rule = {"type": "hyperband", name: {"min_iter": 2, "max_iter": 27}[name], "s": s}
        config = {
            "method": "bayes",
            "metric": {"name": METRIC, "goal": "maximize"},
            "parameters": {"lr": {"min": 0.0, "max": 1.0}},
            "early_terminate": rule,
        }
        hyperband_stop_runs(runs, config)
        bands.append(runs[0].early_terminate_info["bands"])
    assert (bands[0] == bands[1]) == (name == "min_iter")


class _Sweep(WandbServer):
    """A server with a sweep of one run, which is stopped once it has reported, as hyperband does it."""

    config = ""

    def graphql(self, name: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "SweepWithRuns" in query:
            return {"project": {"sweep": {"id": "S", "config": self.config, "runs": {"edges": []}}}}
        if "CreateAgent" in query:
            return {"createAgent": {"agent": {"id": "A"}}}
        if "Heartbeat" in query:
            running = RUN in json.loads(variables["runState"])
            return {"agentHeartbeat": {"agent": {"id": "A"}, "commands": json.dumps(self._commands(running))}}
        return super().graphql(name, query, variables)

    def _commands(self, running: bool) -> list[dict[str, Any]]:
        if running:
            return [{"type": "stop", "run_id": RUN}] if self.history else []
        if self.runs:
            return [{"type": "exit"}]
        args = {name: {"value": value} for name, value in VALUES.items()}
        return [{"type": "run", "run_id": RUN, "program": "trainer", "args": args}]


@pytest.fixture
def server() -> Iterator[_Sweep]:
    with wandb_server(_Sweep) as server:
        yield server


@pytest.mark.long
def test_wandbs_agent_starts_the_trainer_which_reports_to_the_sweep_and_hears_the_stop(
    server: _Sweep, corpus: Path, tmp_path: Path
) -> None:
    """The real agent and the real trainer: the values of the sweep arrive, the run is W&B's own, hyperband's end is
    clean.
    """
    out = tmp_path / "runs with a blank"
    spec = load_spec("demo")  # patience would end the run before the stop, which comes with the agent's next heartbeat
    patient = spec.model_copy(update={"fixed": {**spec.fixed, "patience": 100_000}})
    server.config = render_sweep(patient, load_site(), str(corpus), str(out), Overrides(epochs=100_000))
    scripts = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environment |= server.environment | {
        "HOME": str(tmp_path),
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path.cwd()),
        "OMP_NUM_THREADS": "1",
        "WANDB_ERROR_REPORTING": "false",
    }
    del environment["WANDB_PROJECT"]
    agent = subprocess.Popen(
        [sys.executable, "-m", "wandb", "agent", "--count", "1", "team/sepsweep/sweep1"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(SECONDS, agent.kill)
    watchdog.start()
    output, _ = agent.communicate()
    watchdog.cancel()
    assert agent.returncode == 0, output
    folder = out / "demo" / RUN
    assert server.runs[0]["name"] == RUN, output
    config = json.loads((folder / "config.json").read_text())
    assert {name: config[name] for name in VALUES} == VALUES
    assert server.history[0][METRIC] == json.loads((folder / "summary.json").read_text())["history"][0][METRIC]
    assert server.exit_codes == [143]
    assert (folder / "last.pt").is_file()


def test_a_sweep_has_every_type_of_range(tmp_path: Path) -> None:
    """Only steps that W&B counts as the spec does, or else a list; its normal distributions alone leave the range."""
    text = render_sweep(changed(SEARCH, tmp_path), load_site(), "d", "runs")
    config = yaml.safe_load(text)
    del config["run_cap"]
    assert schema_violations_from_proposed_config(config) == []
    assert config["parameters"]["batch_size"] == {"values": [2, 4, 6, 8]}
    assert config["parameters"]["positional_encoding"] == {"values": ["True", "False"]}
    assert config["parameters"]["lr"]["distribution"] == "log_normal"
    assert config["parameters"]["lr_patience"] == {"distribution": "q_log_uniform_values", "min": 1, "max": 8, "q": 1}
    assert "# A sweep's normal distributions have no bounds: 3 of 1000 values of grad_clip_norm leave 1 to 2.\n" in text
