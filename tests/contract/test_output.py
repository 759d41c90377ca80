"""What the trainer prints, read with the manifest's own filter; how the manifest's preStop hook ends it."""

import math
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from katib.manifest.render import render
from katib.metrics import MetricParser
from katib.site import load_site
from katib.spec import Spec, load_spec
from katib.trainer_contract import METRIC
from trainer.metric_line import metric_line

WORDS = ("--model", "convtasnet", "--preset", "debug", "--batch-size", "4", "--device", "cpu")


@pytest.fixture(scope="module")
def manifest() -> Any:
    return yaml.safe_load(render(load_spec("convtasnet"), load_site()))["spec"]


def promoted() -> Any:
    """The same with the stop rule promote."""
    data = load_spec("convtasnet").data | {"early_stopping": {"name": "promote"}}
    return yaml.safe_load(render(Spec.model_validate(data), load_site()))["spec"]


@pytest.fixture(scope="module")
def parser(manifest: Any) -> MetricParser:
    return MetricParser(manifest["metricsCollectorSpec"]["source"]["filter"]["metricsFormat"], [METRIC])


@given(
    value=st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6),
    time=st.datetimes(min_value=datetime(2000, 1, 1)),
)
def test_any_value_at_any_time_is_read_as_it_was_written(value: float, time: datetime, parser: MetricParser) -> None:
    """To four decimals, and to the microsecond."""
    stamp = time.replace(tzinfo=UTC)
    (report,) = parser.parse(metric_line(stamp.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), value))
    assert report.value == pytest.approx(value, abs=5.1e-5)
    assert report.time == stamp


@given(value=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_what_is_no_number_is_never_a_line(value: float) -> None:
    """The collector would put an empty value into its data base, which stalls the search."""
    with pytest.raises(ValueError, match="finite"):
        metric_line("2026-11-24T09:30:00.123456Z", value)


NOISE = """
import os, sys, threading, warnings
from pathlib import Path
import torch, trainer.training.fit
from trainer.__main__ import main
torch.set_num_threads(1)
step, texts = trainer.training.fit.clip_grad_norm_, iter(range(10**9))
NOISE = [
    "  45%|####   | val_si_snr=nan\\r", "val_si_snr: 3.2 dB, ", "\\x1b[32mwandb: val_si_snr", "best/val_si_snr=7.5\\n",
    "Namespace(metric='val_si_snr')\\n", "--metric=val_si_snr stage=val val_si_snr=3", "\\n2026-01-01 val_si_snr =1\\n",
]
def noisy(*args):
    # Libraries, C code and reading processes write to both streams, and often leave the line open.
    number = next(texts)
    os.write(1 + number % 2, NOISE[number % len(NOISE)].encode())
    warnings.warn(f"val_si_snr={number} is deprecated")
    if number == BOOM:
        raise KeyError("val_si_snr=3.0")
    return step(*args)
trainer.training.fit.clip_grad_norm_ = noisy
sys.exit(main(sys.argv[1:]))
"""


def test_nothing_that_libraries_print_spoils_or_feigns_a_metric_line(
    corpus: Path, tmp_path: Path, parser: MetricParser
) -> None:
    """Both streams go to one file, as Katib's wrapper has it, unbuffered, as the manifest has it.

    Progress bars, warnings, coloured and half lines that name the metric, and in the end a traceback: the filter finds
    the finished epochs and nothing else. The second run replays them.
    """
    run_dir, log = tmp_path / "trial", tmp_path / "metrics.log"
    arguments = [*WORDS, "--data-dir", str(corpus), "--run-dir", str(run_dir), "--epochs", "4"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    found = []
    for boom, code in ((7, 1), (-1, 0)):
        with log.open("wb") as file:
            command = [sys.executable, "-c", NOISE.replace("BOOM", str(boom)), *arguments]
            run = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
        lines = log.read_text().splitlines()
        assert run.returncode == code, lines[-3:]
        assert ("Traceback (most recent call last):" in lines) == (code == 1)
        found.append([report for line in log.read_text().split("\n") for report in parser.parse(line)])
    assert [len(reports) for reports in found] == [2, 4]
    assert found[1][:2] == found[0]
    assert len({report.time for report in found[1]}) == 4


@pytest.mark.parametrize("continues", [False, True])
def test_the_manifests_prestop_hook_saves_and_stops_the_trainer(
    corpus: Path, tmp_path: Path, manifest: Any, continues: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very shell command, with the run directory's place here: it returns when the trainer has gone, with 143, and
    its checkpoint is on the disk. A continuation has the directory of another trial, and its own in its command.
    """
    spec = manifest if not continues else promoted()
    pod = spec["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    hook = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    folder = "/runs/series3-convtasnet/${trialParameters.trialName}"
    assert folder in hook[-1]
    if continues:
        (name,) = [item["name"] for item in pod["containers"][0]["env"] if "continues" in str(item.get("valueFrom"))]
        monkeypatch.setenv(name, "trial")
    own, run_dir = tmp_path / ("trial-2" if continues else "trial"), tmp_path / "trial"
    arguments = [*WORDS, "--data-dir", str(corpus), "--run-dir", str(own), "--epochs", "1000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments, "--stop-delay", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert any(METRIC in line for line in process.stdout)
        with subprocess.Popen([*hook[:-1], hook[-1].replace(folder, str(own))]) as stopping:
            assert process.wait(timeout=600) == 143
            assert stopping.wait(timeout=600) == 0
        assert (run_dir / "last.pt").exists()
        assert not (run_dir / "trainer.pid").exists()
    finally:
        process.kill()
        process.communicate()


PRESTOP_ATTACKS = {
    "left by a training that was killed": lambda pid, _: pid,
    "of the shell that has the folder in its line": lambda _, shell: shell,
    "every process": lambda *_: "-1",
    "the group": lambda *_: "0",
    "with an option": lambda pid, _: f"-s KILL {pid}",
    "a command": lambda pid, _: f"{pid}; kill {pid}",
    "two": lambda pid, shell: f"{pid} {shell}",
    "nothing": lambda *_: "",
    "no number": lambda *_: "abc",
}


@pytest.mark.parametrize("attack", [*PRESTOP_ATTACKS, "a link", "a pipe"])
def test_the_prestop_hook_ends_no_process_but_the_trainer(tmp_path: Path, manifest: Any, attack: str) -> None:
    """A bystander of the same user, and the wrapper's shell, which has the run directory within one of its words."""
    pod = manifest["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    hook = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    folder = "/runs/series3-convtasnet/${trialParameters.trialName}"
    shell = subprocess.Popen(["sh", "-c", f"read line; echo --run-dir {tmp_path}"], stdin=subprocess.PIPE)
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pid_file = tmp_path / "trainer.pid"
    if attack == "a link":
        (tmp_path / "other").write_text(f"{bystander.pid}\n")
        pid_file.symlink_to("other")
    elif attack == "a pipe":
        os.mkfifo(pid_file)
    else:
        pid_file.write_text(f"{PRESTOP_ATTACKS[attack](bystander.pid, shell.pid)}\n")
    try:
        words = [*hook[:-1], hook[-1].replace(folder, str(tmp_path))]
        assert subprocess.run(words, timeout=600, check=False, capture_output=True).returncode == 0
        assert (bystander.poll(), shell.poll()) == (None, None)
    finally:
        for process in (bystander, shell):
            process.kill()
            process.communicate()
