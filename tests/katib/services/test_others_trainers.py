"""Trainers that are none of ours, each as a process behind Katib's wrapper, with the real collector beside it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml

from katib.check.manifest import check_text
from katib.services.early_stopping import HEALTH, EarlyStopping
from katib.services.server import start
from katib.services.stubs import rpc
from katib.services.suggestion import Suggestion
from tests.katib.services.controller import Controller
from tests.katib.services.rig import METRIC, DbManager, TrialServer, channel, stamp

PAGE = (Path(__file__).parents[3] / "docs" / "services-alone.md").read_text()
TRAINER, EXPERIMENT = (re.search(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[1] for kind in ("python", "yaml"))  # type: ignore[index]
WRITES_JSON = """
import json, sys, time
for step, value in enumerate((3.5, 4.5, 5.5, 5.25, 9), 1):
    with open(sys.argv[1], "a") as file:
        print(json.dumps({"checkpoint": step}), file=file)
        print(json.dumps({"timestamp": sys.argv[1 + step], "val_si_snr": str(value) if step % 2 else value}), file=file)
    time.sleep(600 if step == 4 else 0)
"""
"""Texts are what Katib's own collector takes, and numbers what most trainers write."""


def pod(folder: Path, command: str, words: list[str], stopper: str, env: Mapping[str, str] | None = None) -> str:
    """Runs a trial's pod to its end, as webhook/v1beta1/pod/utils.go makes it; returns what the collector said."""
    mark = f"{folder}/$$.pid"
    command += f" || if test -f {mark} && [ $(head -n 1 {mark}) = early-stopped ]; then echo stopped; else exit 1; fi"
    rule = ["-stop-rule", "x;1e30;greater;1", "-s-earlystop", stopper]
    collector = [sys.executable, "-m", "katib.services", *words, *rule]
    shell = ["sh", "-c", f"{command} && echo completed > {mark}"]
    with subprocess.Popen(shell, env=os.environ | (env or {}), stdout=subprocess.DEVNULL) as trainer:
        done = subprocess.run(collector, capture_output=True, text=True, check=False, timeout=600)
        assert trainer.wait(600) == 0
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_trainer_that_writes_json_lines_is_followed_and_stopped(
    db: DbManager, cluster: TrialServer, stopper: str, tmp_path: Path
) -> None:
    """By a collector of kind File; the rows have the times of the lines."""
    file = tmp_path / "metrics.json"
    command = f"{sys.executable} -c '{WRITES_JSON}' {file} {' '.join(map(stamp, range(1, 6)))}"
    words = ["-t", "t", "-m", METRIC, "-o-type", "maximize", "-s-db", db.address, "-path", str(file), "-format", "JSON"]
    assert "step 4: best 5.5 is worse than 6" in pod(tmp_path, command, words, stopper)
    assert db.values("t") == ["3.5", "4.5", "5.5", "5.25"]
    assert [time for time, _, _ in db.rows["t"]] == [stamp(step) for step in range(1, 5)]
    assert cluster.objects["trials/t"]["status"]["conditions"][-1]["type"] == "EarlyStopped"


def test_the_experiment_of_the_page_is_sound() -> None:
    """But for the rule, which only our services have."""
    assert {finding.rule for finding in check_text(EXPERIMENT, "page")} == {"setting-ours"}


@pytest.fixture
def katib(db: DbManager, cluster: TrialServer) -> Iterator[tuple[Controller, str]]:
    suggestion, stopping = Suggestion(db.address, cluster.api), EarlyStopping(cluster.api, db.address)
    first, port = start(0, "", lambda to: rpc.add_SuggestionServicer_to_server(suggestion, to))
    second, other = start(0, HEALTH, lambda to: rpc.add_EarlyStoppingServicer_to_server(stopping, to))
    with channel(port) as one, channel(other) as two:
        manifest = yaml.safe_load(EXPERIMENT)
        played = Controller(manifest, rpc.SuggestionStub(one), rpc.EarlyStoppingStub(two), cluster, db)
        yield played, f"127.0.0.1:{other}"
    first.stop(None)
    second.stop(None)


def test_the_trainer_of_the_page_pauses_and_goes_on(katib: tuple[Controller, str], tmp_path: Path) -> None:
    """At the first rung it pauses; once it is among the best, another pod goes on after the same rows."""
    played, stopper = katib
    (pattern,) = played.manifest["spec"]["metricsCollectorSpec"]["source"]["filter"]["metricsFormat"]

    def train(trial: str, continues: str, rung: int) -> None:
        # The epoch after the rung is the one in which it is stopped, however busy this machine is.
        slow = f"time.sleep(600 if epoch > {rung} else 0)"
        (tmp_path / "train.py").write_text(TRAINER.replace("time.sleep(0.5)", slow))
        folder = tmp_path / f"pod-{trial}"
        folder.mkdir()
        lr = "0.03" if not continues else played.points[trial]["lr"]
        run = f"{sys.executable} {tmp_path}/train.py {lr} {tmp_path}/runs {trial} 1>{folder}/metrics.log 2>&1"
        words = ["-t", trial, "-m", "loss", "-o-type", "minimize", "-s-db", played.db.address]
        words += ["-path", f"{folder}/metrics.log", "-f", pattern, "-format", "TEXT"]
        pod(folder, run, words, stopper, {"SEPSWEEP_CONTINUES": continues})
        conditions = played.cluster.objects[f"trials/{trial}"]["status"]["conditions"]
        assert conditions[-1]["type"] == "EarlyStopped"
        played.cluster.objects[f"jobs/{trial}"]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}

    played.validate()
    played.ask(2)
    good, bad = played.points
    train(good, "", 1)
    played.cluster.objects[f"jobs/{good}"]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    played.db.put(bad, [9.0], "loss")
    played.cluster.objects[f"trials/{bad}"]["status"]["conditions"].append({"type": "EarlyStopped", "status": "True"})
    played.cluster.objects[f"jobs/{bad}"]["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    played.ask(1)
    again = list(played.points)[2]
    assert (again, played.first[again]) == (f"{good}-2", good)
    train(again, good, 3)
    before, after = played.db.rows[good], played.db.rows[again]
    assert (len(before), len(after)) == (1, 3)
    assert after[0] == before[0]
    assert len((tmp_path / "runs" / good / "history.txt").read_text().splitlines()) == 3
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [good]
