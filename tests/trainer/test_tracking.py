"""W&B, by its real SDK: what is reported to it, and that none of its failures affects the training."""

import contextlib
import json
import math
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from tests.ports import free_port
from tests.trainer.training import Training
from tests.trainer.wandb_server import KEY, WandbServer, wandb_server
from trainer.tracking.example import Signals, spectrograms
from trainer.training.gradients import Gradients
from trainer.training.losses import gains

OFFLINE = {"WANDB_PROJECT": "sepsweep", "WANDB_RUN_GROUP": "exp"}


@pytest.fixture(autouse=True)
def _no_wandb_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with wandb_server(WandbServer) as made:
        yield made


def tracked(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def records(run_dir: Path) -> list[Any]:
    """Returns all records of the single run that W&B has kept in the run directory, read by its own reader."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    (file,) = (run_dir / "wandb").glob("*run-*/run-*.wandb")
    store = DataStore()
    found: list[Any] = []
    store.open_for_scan(str(file))
    while (data := store.scan_data()) is not None:
        found.append(cast(Any, wandb_internal_pb2).Record.FromString(bytes(data)))
    store.close()
    return found


def values(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def test_a_run_without_a_key_is_kept_offline(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is called like its directory, lies in the experiment's group and holds each epoch of summary.json, sounds and
    pictures of the best; stdout says how to send it, and names the metric in the metric lines alone.
    """
    tracked(monkeypatch, OFFLINE)
    run_dir = tmp_path / "trial-7"
    assert training.here(run_dir) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    run_id = (run_dir / "wandb" / "id").read_text().strip()
    assert re.fullmatch("trial-7-[0-9a-f]{8}", run_id)
    (folder,) = (run_dir / "wandb").glob(f"offline-run-*-{run_id}")
    assert f"wandb sync {folder}" in printed.out
    assert len([line for line in printed.out.splitlines() if "val_si_snr" in line]) == 3

    found = records(run_dir)
    (run,) = (record.run for record in found if record.HasField("run"))
    assert (run.run_id, run.display_name, run.run_group, run.project) == (
        run_id,
        "trial-7",
        "exp",
        "sepsweep",
    )
    config, summary = values(run.config.update), json.loads((run_dir / "summary.json").read_text())
    assert (config["grad_clip_norm"], config["parameters"]) == (5.0, summary["parameters"])
    epochs = [values(record.history.item) for record in found if record.HasField("history")]
    assert [epoch["_step"] for epoch in epochs] == [1, 2, 3]
    for epoch, record in zip(epochs, summary["history"], strict=True):
        assert {name: epoch[name] for name in ("val_si_snr", "train_loss", "lr", "grad_norm")}.items() <= record.items()
        assert epoch["val_loss"] == -epoch["val_si_snr"]
        assert {"SER": epoch["val_si_snr_SER"], "SE": epoch["val_si_snr_SE"]} == record["variants"]
        assert epoch["mixtures_per_second"] == pytest.approx(record["mixtures"] / record["seconds"])
    assert "example-1/estimate 1/path" in epochs[-1]
    assert [record.metric.summary.max for record in found if record.metric.name == "val_si_snr"] == [True]
    media = folder / "files" / "media"
    assert len(list(media.glob("audio/example-3/*.wav"))) >= 5
    assert len(list(media.glob("images/example-3/*.png"))) >= 5
    assert not [record for record in found if record.HasField("alert")]


@pytest.mark.long
def test_a_killed_run_goes_on_in_the_same_run(training: Training, tmp_path: Path, server: WandbServer) -> None:
    """After kill -9 the reporter lives long enough to raise an alert.

    The next process brings the epochs that the server lacks, and each once. The key is in no file and no line.
    """
    run_dir = tmp_path / "trial"
    process = training.start(run_dir, "--epochs", "1000", env=server.environment)
    assert process.stdout is not None
    seen = [line for line, _ in zip(iter(process.stdout.readline, ""), range(8), strict=False)]
    assert server.asked.wait(600)
    process.kill()
    rest, err = process.communicate()
    assert server.ended.wait(600)
    assert server.exit_codes == [137]
    assert "killed" in str(server.alerts)

    done = len(json.loads((run_dir / "summary.json").read_text())["history"])
    again = training.run(run_dir, "--epochs", str(done + 2), env=server.environment)
    assert (again.returncode, again.stderr) == (0, "")
    run_id = (run_dir / "wandb" / "id").read_text().strip()
    assert {run["name"] for run in server.runs} == {run_id}
    assert {run["groupName"] for run in server.runs if run["displayName"]} == {"exp"}
    steps = [row["_step"] for row in server.history]
    assert steps == list(range(1, done + 3))
    best = max(row["val_si_snr"] for row in server.history)
    assert server.summary["val_si_snr"] == {"max": best} or server.summary["val_si_snr.max"] == best
    assert any("media/audio/example-1" in file for file in server.files)
    assert server.exit_codes == [137, 0]
    (link,) = [line for line in again.stdout.splitlines() if line.startswith("W&B: ")]
    assert link.endswith(f"/{run_id}")
    assert link == f"W&B: {(run_dir / 'wandb' / 'url').read_text()}"
    written = [file.read_bytes() for file in run_dir.rglob("*") if file.is_file()]
    assert not [content for content in written if KEY.encode() in content]
    assert KEY not in "".join(seen) + rest + err + again.stdout


def test_a_trial_that_fails_raises_an_alert(
    training: Training, tmp_path: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is not a number; W&B hears the trainer's own line."""
    monkeypatch.setattr(Gradients, "__call__", lambda *_: torch.tensor(math.nan))
    tracked(monkeypatch, server.environment)
    assert training.here(tmp_path / "trial") == 3
    (alert,) = server.alerts
    assert alert["title"] == "trial: diverged"
    assert "try a lower --lr" in alert["text"]
    assert server.exit_codes == [3]


def test_a_server_that_cannot_be_reached_makes_the_run_offline(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody listens at the port."""
    url = f"http://127.0.0.1:{free_port()}"
    tracked(monkeypatch, OFFLINE | {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": url})
    assert training.here(tmp_path / "trial") == 0
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith(f"warning: W&B's server {url} cannot be reached")
    assert "wandb sync" in printed.out
    assert len([record for record in records(tmp_path / "trial") if record.HasField("history")]) == 3


@pytest.mark.parametrize("silent_on", ["", "file_stream"], ids=["from the start", "once the run is open"])
def test_sigterm_ends_a_training_whose_tracker_hangs(
    silent_on: str, training: Training, tmp_path: Path, server: WandbServer
) -> None:
    """The server takes each request, or each of the run's content, and never answers."""
    server.silent_on = silent_on
    process = training.start(tmp_path / "trial", "--epochs", "100000", env=server.environment)
    assert process.stdout is not None
    while "val_si_snr" not in process.stdout.readline():
        pass
    assert server.asked.wait(600)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 143
    (line,) = err.splitlines()
    assert line.startswith("warning: W&B did not finish within")
    assert json.loads((tmp_path / "trial" / "summary.json").read_text())["state"] == "stopped"
    wait_until_gone(str(tmp_path / "trial"))


def test_a_sdk_that_fails_in_the_middle_does_not_stop_the_training(training: Training, tmp_path: Path) -> None:
    """Its service process is killed, as by a machine that is short of memory."""
    process = training.start(tmp_path / "trial", "--epochs", "100000", env=OFFLINE)
    assert process.stdout is not None
    while "W&B offline" not in process.stdout.readline():
        pass
    (reporter,) = processes(str(tmp_path / "trial"), "trainer.tracking.reporter")
    (service,) = processes("wandb-core", f"--pid {reporter}")
    os.kill(service, signal.SIGKILL)
    for _ in range(12):
        process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 143
    assert all(line.startswith("warning: W&B") for line in err.splitlines())
    assert len(err.splitlines()) == 1


def test_a_tracker_that_cannot_start_does_not_stop_the_training(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """WANDB_MODE is one that W&B does not know."""
    tracked(monkeypatch, OFFLINE | {"WANDB_MODE": "sideways"})
    assert training.here(tmp_path / "trial") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: W&B")
    assert (tmp_path / "trial" / "last.pt").exists()


def test_an_example_survives_its_file(tmp_path: Path) -> None:
    """Five channels and a title, to 16 bits; a picture's bright line lies at the tone's frequency."""
    time_ = np.arange(8000, dtype=np.float32) / 8000
    tones = np.stack([0.5 * np.sin(2 * np.pi * hertz * time_) for hertz in (500, 1000, 1500, 2000, 3000)])
    Signals("SER, 7.31 dB", tones.astype(np.float32), 8000).write(tmp_path / "example-1.wav")
    read = Signals.read(tmp_path / "example-1.wav")
    assert (read.title, read.rate) == ("SER, 7.31 dB", 8000)
    np.testing.assert_allclose(read.signals, tones, atol=1e-4)
    pictures = spectrograms(read.signals)
    rows = 128 - pictures[:, :, 20].argmax(1)
    assert rows.tolist() == [16, 32, 48, 64, 96]
    assert pictures.max() == 255


def test_estimates_get_the_level_they_have_in_the_mixture() -> None:
    """Sources scaled and turned over by a network without knowledge of levels come out as they went in."""
    sources = torch.randn(3, 2, 4000, generator=torch.Generator().manual_seed(1)) * torch.tensor([[0.3], [0.05]])
    estimates = sources * torch.tensor([[-7.0], [0.01]])
    torch.testing.assert_close(estimates * gains(estimates, sources.sum(1)), sources, rtol=0.02, atol=1e-3)
    assert gains(torch.zeros(1, 2, 100), torch.ones(1, 100)).abs().max() == 0


def processes(*parts: str) -> list[int]:
    """Returns the ids of the processes whose command line has all `parts`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if all(part in words for part in parts):
                found.append(int(folder.name))
    return found


def wait_until_gone(part: str) -> None:
    while processes(part):
        time.sleep(0.05)
