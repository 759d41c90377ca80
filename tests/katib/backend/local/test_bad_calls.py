"""Whatever is wrong with the call ends in one line and exit code 2, before anything is written."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from katib.backend.local.record import unreadable
from tests.katib.backend.local.rig import Rig, manifest, script
from tests.ports import free_port
from tests.verbs import katib


def algorithm(name: str, **settings: str) -> dict[str, Any]:
    return {
        "algorithmName": name,
        "algorithmSettings": [{"name": key, "value": value} for key, value in settings.items()],
    }


def with_data(search: dict[str, Any]) -> dict[str, Any]:
    """Returns the manifest as one that mounts a corpus."""
    pod = search["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]
    pod["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    return search


SEARCHES = {
    "did you mean 'random'?": manifest(algorithm=algorithm("randm")),
    "valid: random_state": manifest(algorithm=algorithm("random", seed="1")),
    "grid needs the step of a double": manifest(algorithm=algorithm("grid")),
    "did you mean 'medianstop'?": manifest(earlyStopping=algorithm("median")),
    "neither maxTrialCount nor a goal": manifest(maxTrialCount=None),
    "metrics collector File: this machine reads StdOut only": manifest(
        metricsCollectorSpec={"collector": {"kind": "File"}}
    ),
    "is no finite number": manifest(
        parameters=[{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "x", "max": "1"}}]
    ),
    "no trialParameter refers to 'x'": manifest(
        parameters=[{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}],
        trialTemplate={
            **manifest()["spec"]["trialTemplate"],
            "trialParameters": [{"name": "name", "reference": "y"}],
        },
    ),
    "--data is missing": with_data(manifest()),
}


@pytest.mark.parametrize(("message", "search"), SEARCHES.items(), ids=lambda value: str(value)[:30])
def test_a_manifest_that_cannot_be_run_is_named(rig: Rig, message: str, search: dict[str, Any]) -> None:
    done = rig.run(search)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert message in line
    assert not rig.out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sepfomer"], "unknown model 'sepfomer', and no file of that name: did you mean 'sepformer'?"),
        (["none.yaml"], "none.yaml: cannot be read (No such file or directory)"),
        (["plain.yaml", "--trials", "3"], "plain.yaml: --trials changes a rendered manifest"),
        (["demo"], "--data is missing"),
        (["demo", "--data", "nowhere"], "--data nowhere: no such folder"),
        (["demo", "--data", "empty"], "--data empty: the folder is empty"),
        (["plain.yaml", "--data", "empty"], "mounts no volume 'data'"),
        (["demo", "--data", ".", "--out", "plain.yaml"], "plain.yaml: cannot be written (Not a directory)"),
    ],
)
def test_a_call_that_cannot_be_met_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("plain.yaml").write_text(yaml.safe_dump(manifest()))
    done = katib("local", *words)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert message in line
    assert done.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "plain.yaml"]


def test_a_file_with_the_name_of_the_search_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain.yaml").write_text(yaml.safe_dump(manifest()))
    Path("runs").mkdir()
    Path("runs/test").write_text("a file")
    done = katib("local", "plain.yaml")
    line = f"error: {tmp_path}/runs/test: cannot be written (File exists); remove that file, or choose another NAME (--name)"
    assert (done.returncode, done.stderr) == (2, f"{line}\n")


def test_a_search_does_not_go_on_with_another_corpus(rig: Rig) -> None:
    """The same corpus in another place is the same.

    Another one under the same name would mix values that do not compare.
    """
    for name, row in {"one": "mix_1", "moved": "mix_1", "other": "mix_2"}.items():
        (rig.folder / name / "train").mkdir(parents=True)
        (rig.folder / name / "train" / "corpus.csv").write_text(f"mixture\n{row}\n")
    assert rig.run(with_data(manifest(maxTrialCount=1)), "--data", str(rig.folder / "one")).returncode == 0
    again = with_data(manifest(maxTrialCount=2))
    done = rig.run(again, "--data", str(rig.folder / "other"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "trained on another corpus than" in line
    assert len(rig.results()) == 1
    assert rig.run(again, "--data", str(rig.folder / "moved")).returncode == 0
    assert len(rig.results()) == 2


@pytest.mark.parametrize("verb", ["results", "ui"])
def test_an_experiment_that_is_not_there_is_named(rig: Rig, verb: str) -> None:
    assert rig.run(manifest(maxTrialCount=1)).returncode == 0
    done = rig.verb(verb, "tets")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "no experiment 'tets': did you mean 'test'?" in line


def test_a_store_that_is_damaged_is_named(rig: Rig) -> None:
    """study.db overwritten by something else: nobody's traces, nothing is put in its place, and no verb takes a search
    whose runs have written no summary for one that has not begun.
    """
    search = manifest(maxTrialCount=1)
    assert rig.run(search).returncode == 0
    database = rig.out / "test" / "study.db"
    database.write_bytes(b"not a database, but long enough to be read as one" * 100)
    before = database.read_bytes()
    log = rig.folder / "log.md"
    for words in (["local", str(rig.folder / "test.yaml")], ["results", "test"], ["log", "test", "--file", str(log)]):
        done = rig.verb(*words)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert f"{database}: cannot be read" in line
    assert database.read_bytes() == before
    assert not log.exists()


def test_a_write_that_was_cut_off_on_a_volume_that_is_now_read_only_is_no_reason_to_begin_anew() -> None:
    for why, fix in {
        "attempt to write a readonly database": "is undone once the folder can be written",
        "database is locked": "try again",
        "database disk image is malformed": "put it back from a copy",
    }.items():
        assert f"({why}); " in (line := str(unreadable(Path("runs/a"), why)))
        assert fix in line


def test_a_study_that_is_removed_while_its_search_runs_is_named(rig: Rig) -> None:
    study = f"{rig.out}/test/study.db"
    done = rig.run(script(f"rm {study}; echo val_si_snr=1", values=("1",)))
    why = "was removed while the search was running, and the same command cannot go on: choose another NAME (--name)"
    assert (done.returncode, done.stderr) == (1, f"error: {study}: {why}\n")


def test_a_manifest_that_a_power_failure_emptied_is_written_again(rig: Rig) -> None:
    search = manifest(maxTrialCount=1)
    assert rig.run(search).returncode == 0
    copy = rig.out / "test" / "experiment.yaml"
    before = copy.read_text()
    for damage in (b"", b"\x00" * 4096, before.encode()[:500]):
        copy.write_bytes(damage)
        assert rig.run(search).returncode == 0
        assert copy.read_text() == before


def test_a_port_that_is_taken_is_named(rig: Rig) -> None:
    assert rig.run(manifest(maxTrialCount=1)).returncode == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = rig.verb("ui", "test", "--port", port)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"port {port}: Address already in use; take another --port" in line


def test_the_dashboard_serves_the_study_until_it_is_interrupted(rig: Rig) -> None:
    """Its own interface names the study; Ctrl-C is a good end."""
    assert rig.run(manifest(maxTrialCount=1)).returncode == 0
    port = str(free_port())
    words = [sys.executable, "-m", "katib", "ui", "--out", str(rig.out), "--port", port]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline().startswith(f"test: http://localhost:{port}/dashboard")
            with urlopen(f"http://127.0.0.1:{port}/api/studies") as answer:
                (study,) = json.load(answer)["study_summaries"]
            assert study["study_name"] == "test"
            server.send_signal(signal.SIGINT)
            assert server.wait(600) == 0
        finally:
            server.kill()
