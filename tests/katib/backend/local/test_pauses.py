"""A search by the rule promote: trials pause, and the best of them go on where they were, each under its own name."""

import csv
import io
import json
import os
import signal
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from katib.backend.local.record import DATABASE, Pause, read
from katib.backend.local.store import Store
from katib.backend.local.table import read_table
from katib.manifest.render import Overrides, render
from katib.report.log import entry
from katib.search.space import Space
from katib.site import load_site
from katib.spec import load_spec
from katib.table.formats import records, text
from katib.trial import Identity, State
from tests.katib.backend.local.rig import Rig, manifest, medianstop, read_until, script
from tests.katib.backend.local.test_going_on import alive, kill


def promote(**settings: object) -> dict[str, Any]:
    """Returns the `earlyStopping` of a manifest."""
    listed = [{"name": name, "value": str(value)} for name, value in settings.items()]
    return {"algorithmName": "promote", "algorithmSettings": listed}


def told(rig: Rig, name: str = "test") -> dict[str, tuple[State, tuple[float, ...], tuple[int, ...], str]]:
    """Returns what is decided of each configuration, by its x."""
    rows = read_table(rig.out, name).rows
    return {row.assignments["x"]: (row.state, row.reports, row.pauses, row.reason) for row in rows}


def test_the_best_half_goes_on_from_its_checkpoint_under_its_own_name(rig: Rig) -> None:
    """The best of four pauses at both rungs, since it is alone there first, and then trains to its end."""
    values = ("4", "3", "2", "1")
    stopping = promote(rung_epochs="1,2", configurations=4)
    # A continuation is no trial more: maxTrialCount counts starts on Katib.
    search = manifest("--epochs", "4", "--seconds", "0.02", values=values, earlyStopping=stopping, maxTrialCount=2)
    done = rig.run(search)
    assert (done.returncode, done.stderr) == (0, "")
    found = {x: (state, len(reports), pauses) for x, (state, reports, pauses, _) in told(rig).items()}
    assert found == {
        "4": ("Succeeded", 4, (1, 2)),
        "3": ("EarlyStopped", 2, (1,)),
        "2": ("EarlyStopped", 1, ()),
        "1": ("EarlyStopped", 1, ()),
    }
    best = read_table(rig.out, "test").rows[0]
    assert (best.value, best.restarts, len(rig.starts()[best.trial])) == (8.0, 0, 3)
    assert f"trial {best.trial}  pausing  best of epoch 1" in done.stdout
    assert f"trial {best.trial}  Created  goes on, resumes after epoch 1" in done.stdout
    assert done.stdout.count(f"trial {best.trial}  epoch 1 ") == 1
    assert (rig.results()[0]["pauses"], rig.results()[0]["continuations"]) == ([1, 2], [])
    line = next(csv.DictReader(io.StringIO("".join(text(read_table(rig.out, "test"), "csv")))))
    assert (line["pauses"], line["epochs"], line["restarts"]) == ("1, 2", "4", "0")
    assert "Budget used: 4 trials (1 Succeeded, 3 EarlyStopped), 3 continuations, 8 epochs" in entry(
        read_table(rig.out, "test"), "", None
    )


def test_killed_at_any_instant_it_comes_to_the_same_table(rig: Rig) -> None:
    """kill -9 of the engine and of what it trains, again and again, after so many lines of its output."""
    algorithm = {"algorithmName": "random", "algorithmSettings": [{"name": "random_state", "value": "5"}]}
    stopping = promote(rung_epochs="1,2", configurations=5)
    one, two = (
        manifest("--epochs", "3", "--seconds", "0.02", name=name, algorithm=algorithm, earlyStopping=stopping)
        for name in ("one", "two")
    )
    assert rig.run(one).returncode == 0
    for lines in (3, 4, 5, 4):
        engine = rig.start(two)
        read_until(engine, "", times=lines)
        kill(engine)
        for process in [process for starts in rig.starts("two").values() for process in starts if alive(process)]:
            os.kill(process, signal.SIGKILL)
    assert rig.run(two).returncode == 0
    assert told(rig, "two") == told(rig, "one")
    assert [row for row in told(rig, "one").values() if row[2]], "no configuration went on"


def test_a_trainer_that_cannot_resume_starts_anew_and_passes_the_rung(rig: Rig) -> None:
    """Its output is set aside; at the rung at which it paused it is not asked again."""
    text = "for epoch in 1 2 3; do echo val_si_snr=$((X + epoch)); sleep 0.1; done"
    search = script(text, values=("2", "1"), earlyStopping=promote(rung_epochs="1", configurations=2))
    assert rig.run(search).returncode == 0
    assert {x: found[:3] for x, found in told(rig).items()} == {
        "2": ("Succeeded", (3.0, 4.0, 5.0), (1,)),
        "1": ("EarlyStopped", (2.0,), ()),
    }
    best = read_table(rig.out, "test").rows[0]
    assert (rig.out / "test" / best.trial / "output-1.log").exists()


def test_a_larger_budget_lets_a_paused_configuration_go_on(rig: Rig) -> None:
    """An ended search has no more to say than that it paused; another rung is another search."""
    search = manifest(values=("2", "1"), earlyStopping=promote(rung_epochs="1", configurations=1))
    assert rig.run(search).returncode == 0
    assert told(rig)["2"][:3] == ("EarlyStopped", (3.0,), ())
    assert told(rig)["2"][3].startswith("best of epoch 1")
    search["spec"]["earlyStopping"] = promote(rung_epochs="1", configurations=2)
    assert rig.run(search).returncode == 0
    assert told(rig)["2"][:3] == ("Succeeded", (3.0, 4.0, 5.0), (1,))
    search["spec"]["earlyStopping"] = promote(rung_epochs="2", configurations=2)
    done = rig.run(search)
    assert done.returncode == 2
    assert "early_stopping.rung_epochs: 1 became 2" in done.stderr


def test_without_a_number_of_configurations_every_start_counts(rig: Rig) -> None:
    """As on Katib, where maxTrialCount counts continuations."""
    search = manifest(values=("3", "2", "1"), earlyStopping=promote(rung_epochs="1"))
    assert rig.run(search).returncode == 0
    assert {x: found[0] for x, found in told(rig).items()} == {"3": "Succeeded", "2": "EarlyStopped"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "promote needs the setting 'rung_epochs'"),
        ({"rung_epochs": "1", "eta": "1"}, "eta of promote is '1'; it has a number above 1"),
    ],
)
def test_a_wrong_setting_ends_in_one_line_before_anything_is_written(
    rig: Rig, settings: dict[str, str], says: str
) -> None:
    done = rig.run(manifest(earlyStopping=promote(**settings)))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr
    assert not rig.out.exists()


def test_a_paused_trial_says_that_it_may_go_on_while_the_search_does(tmp_path: Path) -> None:
    """A trial that another rule stops says nothing of the kind."""
    for name, stopping in (("one", promote(rung_epochs="1")), ("two", medianstop(1, 1))):
        (tmp_path / name).mkdir()
        store = Store.create(tmp_path / name, Identity(name, "loss", True, "max", {"earlyStopping": stopping}))
        first, second = (store.add(f"{name}-{letter}", {}, Space({})) for letter in "ab")
        first = store.update(store.report(first, 1, 2.5, "too low"), state="EarlyStopped", reason="too low")
        running = read_table(tmp_path, name)
        before = [row.reason for row in running.rows]
        store.update(store.report(second, 1, 3.5), state="Succeeded")
        ended = read_table(tmp_path, name)
        after = [row.reason for row in ended.rows]
        store.close()
        assert running.counted == f"1 {'Paused' if name == 'one' else 'EarlyStopped'}, 1 Created"
        assert ended.counted == "1 Succeeded, 1 EarlyStopped"
        assert [record["state"] for record in records(running)] == ["EarlyStopped", "Created"]
        assert ("Paused" in "".join(text(running, "markdown"))) == (name == "one")
        assert "Paused" not in "".join(text(running, "csv"))
        assert before == ["paused, may go on: too low" if name == "one" else "too low", ""]
        assert after == ["", "too low"]


def test_a_pause_is_recorded_at_once_and_ends_at_once(tmp_path: Path) -> None:
    """The report and its stop are one transaction. In Optuna's dashboard it is pruned, then running, then complete."""
    identity = Identity("test", "val_si_snr", True, "max", {"earlyStopping": promote(rung_epochs="1")})
    store = Store.create(tmp_path, identity)
    trial = store.add("test-a", {}, Space({}))
    trial = store.report(store.update(trial, state="Running"), 1, float("nan"))
    trial = store.report(trial, 2, 2.5, "too low")
    assert (read(tmp_path)[1][0].stop, trial.stop) == ("too low", "too low")
    trial = store.update(trial, state="EarlyStopped", reason="too low")
    assert _optuna(tmp_path) == (TrialState.PRUNED, 2.5)
    trial = store.update(trial, state="Created", stop="", reason="goes on", pauses=(Pause(2, "too low"),))
    assert _optuna(tmp_path) == (TrialState.RUNNING, None)
    (found,) = read(tmp_path)[1]
    assert (found.pauses, found.stop, found.ended) == ((Pause(2, "too low"),), "", None)
    store.update(store.report(trial, 3, 4.0), state="Succeeded", reason="")
    assert _optuna(tmp_path) == (TrialState.COMPLETE, 4.0)
    store.close()


def _optuna(folder: Path) -> tuple[TrialState, float | None]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / DATABASE}", skip_table_creation=True)
    (trial,) = storage.get_all_trials(storage.get_all_studies()[0]._study_id)
    storage.engine.dispose()
    return trial.state, trial.value


@pytest.mark.long
def test_the_trainer_goes_on_without_training_an_epoch_twice(rig: Rig, corpus: Path) -> None:
    """The first point pauses alone at the rung; the second, which learns nothing, pauses behind it."""
    data: dict[str, Any] = yaml.safe_load(render(load_spec("demo"), load_site(), Overrides(name="test", epochs=2)))
    rest = {"weight_decay": "1e-05", "grad_clip_norm": "5", "lr_factor": "0.5"}
    points = [
        {"assignments": {"lr": lr, **rest}, "trial": name} for name, lr in (("good", "0.002"), ("bad", "0.0000001"))
    ]
    # PyYAML would write 1e-06 without quotes, and kubectl read a number.
    for place, limits in enumerate((("0.0000001", "0.01"), ("0.000001", "0.0001"))):
        data["spec"]["parameters"][place]["feasibleSpace"] |= dict(zip(("min", "max"), limits, strict=True))
    data["spec"] |= {
        "algorithm": {
            "algorithmName": "random",
            "algorithmSettings": [{"name": "first_suggestions", "value": json.dumps(points)}],
        },
        "earlyStopping": promote(rung_epochs="1", configurations=2),
        "parallelTrialCount": 1,
    }
    command = data["spec"]["trialTemplate"]["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["command"]
    command[3 + command[3:].index("/data/PolSESS_C_both")] = "/data"
    done = rig.run(data, "--data", str(corpus))
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row.trial: row for row in read_table(rig.out, "test").rows}
    assert {name: (row.state, row.epochs, row.pauses) for name, row in rows.items()} == {
        "good": ("Succeeded", 2, (1,)),
        "bad": ("EarlyStopped", 1, ()),
    }
    run = rig.out / "test" / "good"
    history = json.loads((run / "summary.json").read_text())["history"]
    lines = [line for line in (run / "output.log").read_text().splitlines() if " val_si_snr=" in line]
    assert len(lines) > len(history)
    assert {line.split()[0] for line in lines} == {record["time"] for record in history}
