"""A local search tells its people: a real engine with a real server and a real command, and one that hangs."""

import re
from pathlib import Path

import pytest

from katib import notify
from katib.backend.choice import choose_backend
from katib.backend.local.record import Trial
from katib.backend.local.view import Lines
from katib.notify import recipient
from tests.katib.backend.local.rig import Rig, as_text, ended, manifest, medianstop, read_until
from tests.katib.hook import hook


def test_a_search_tells_its_beginning_each_event_and_its_end(rig: Rig) -> None:
    search = manifest("--at", "2", "--exit", "3", "--say", "nan", "--once", str(rig.folder / "once"))
    search["spec"]["trialTemplate"]["trialSpec"]["spec"]["backoffLimit"] = 0
    search["spec"] |= {
        "algorithm": {"algorithmName": "grid"},
        "parameters": manifest(values=("5", "4", "8", "1"))["spec"]["parameters"],
        "maxTrialCount": 4,
        "maxFailedTrialCount": 3,
        "earlyStopping": medianstop(2, 2),
    }
    with hook() as server:
        assert rig.run(search, "--notify", f"{server.url}/topic").returncode == 0
        texts = [re.sub(r"test-\w{8}", "T", text) for text in server.texts]
        assert texts[0] == "test: begins, 0 of 4 trials ended"
        assert re.match(r"test: T failed: exit code 3: nan", texts[1])
        # Two trials may end within one look, a second.
        assert sum(text.startswith("test: new best val_si_snr 11.00 dB by T") for text in texts) == 1
        assert any(text.startswith("test: T was stopped early: ") for text in texts)
        assert texts[-1] == "test: has ended, 4 of 4 trials ended, best val_si_snr 11.00 dB by T"
        assert len(texts) == len(set(texts)) >= 5


def test_a_stop_is_told_and_the_next_start_says_that_it_goes_on(rig: Rig) -> None:
    out = rig.folder / "out"
    tell = rig.folder / "tell"
    tell.write_text(f"#!/bin/sh\ncat >> {out}\n")
    tell.chmod(0o755)
    search = manifest("--at", "1", "--hang", "--once", str(rig.folder / "once"))
    engine = rig.start(search, "--notify", str(tell))
    read_until(engine, "epoch 1")
    engine.terminate()
    assert ended(engine).returncode == 143
    assert rig.run(search, "--notify", str(tell)).returncode == 0
    lines = out.read_text().splitlines()
    assert lines[:3] == [
        "test: begins, 0 of 3 trials ended",
        "test: ended before its end: stopped by SIGTERM, 0 of 3 trials ended",
        "test: goes on, 0 of 3 trials ended",
    ]
    assert lines[-1].startswith("test: has ended, 3 of 3 trials ended, best")


def test_a_server_that_hangs_delays_no_trial_and_is_mentioned_once(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers only once all trials have ended, which they never would if they waited for it."""
    monkeypatch.setattr(notify, "SECONDS", 600)
    secret, succeeded = tmp_path / "hook", set[str]()
    with hook(hangs=True) as server:

        def change(_: Lines, trial: Trial) -> None:
            if trial.state == "Succeeded":
                succeeded.add(trial.name)
            if len(succeeded) == 3:
                server.code = 500
                server.goes_on.set()

        monkeypatch.setattr(Lines, "change", change)
        secret.write_text(f"{server.url}/hooks/T0AbCdEf")
        secret.chmod(0o600)
        done = rig.run(manifest(), "--notify", f"@{secret}")
    assert done.returncode == 0
    assert done.stdout.count("--notify") <= 1
    files = [path.read_text(errors="replace") for path in rig.out.rglob("*") if path.is_file()]
    everything = "".join([done.stdout, done.stderr, *files])
    assert "T0AbCdEf" not in everything


def test_what_follows_from_a_search_tells_too(rig: Rig) -> None:
    assert rig.run(manifest()).returncode == 0
    after = as_text(manifest("--epochs", "1", name="test-confirm", values=("1",)))
    with hook() as server:
        backend = choose_backend(rig.out, cluster=False, notify=recipient(f"{server.url}/topic"))
        run = backend.prepare("test-confirm", after, "test", None, named=True)
        assert run is not None
        assert run.run().code == 0
        assert server.texts[0] == "test-confirm: begins, 0 of 1 trials ended"
        assert server.texts[-1].startswith("test-confirm: has ended, 1 of 1 trials ended, best val_si_snr")


def test_a_bad_value_is_refused_before_anything_is_written(rig: Rig) -> None:
    found = rig.run(manifest(), "--notify", "https://hooks.slack.com/services/T0AbCdEf")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == (
        "error: --notify: this address of hooks.slack.com is a secret, which `ps` would show; write it into a file that"
        " only you can read, and give @FILE\n"
    )
    assert not rig.out.exists()
