"""Several trials on a GPU of this machine: who gets which, what they need together, and what each counts of it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from katib.backend.local import sharing as module
from katib.backend.local.devices import Gpu, gpus, told
from katib.backend.local.gpu_budget import GpuBudget
from katib.backend.local.launch import Launcher, launcher
from katib.backend.local.record import Effort, Trial, read
from katib.backend.local.sharing import Sharing, sharing
from katib.backend.local.table import read_table
from katib.errors import ManifestError
from katib.manifest.experiment import load_experiment
from katib.manifest.gpu_hours import ANNOTATION
from katib.manifest.render import Overrides, render
from katib.site import load_site
from katib.spec import load_spec
from katib.trainer_contract import run_trainer
from katib.untrusted import checked
from tests.katib.backend.local.rig import Rig, as_text, manifest, pod, read_until

Machine = Callable[..., None]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Makes a machine whose nvidia-smi lists these GPUs: uuid, memory in MiB, compute mode."""

    def make(*listed: tuple[str, str, str]) -> None:
        rows = {"uuid": [uuid for uuid, *_ in listed], "uuid,memory.total,compute_mode": map(", ".join, listed)}
        cases = "\n".join(f"--query-gpu={fields}) printf '%s\\n' {_quoted(rows[fields])};;" for fields in rows)
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\ncase $1 in\n{cases}\n*) exit 6;;\nesac\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path / "mps"))

    return make


def _quoted(lines: Any) -> str:
    return " ".join(f"'{line}'" for line in lines)


def on_gpus(count: int = 1, **spec: Any) -> dict[str, Any]:
    search = manifest("--epochs", "8", "--seconds", "0.2", values=("1", "2", "3", "4"), **spec)
    pod(search)["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": str(count)}}
    return search


def start(search: dict[str, Any], per_gpu: int) -> Launcher:
    return launcher(load_experiment(as_text(search), "test"), None, Path("/none"), per_gpu)


BIG, SMALL = ("GPU-a1", "81920", "Default"), ("GPU-b2", "20480", "Default")


@pytest.mark.parametrize(
    ("here", "parallel", "slots", "trials"),
    [
        ((BIG,), 3, ("GPU-a1", "GPU-a1"), 2),
        ((BIG, SMALL), 3, ("GPU-a1", "GPU-b2", "GPU-a1"), 2),
        ((BIG, SMALL), 2, ("GPU-a1", "GPU-b2"), None),
    ],
)
def test_no_gpu_is_shared_before_each_has_a_trial(
    here: Any, parallel: int, slots: tuple[str, ...], trials: int | None, machine: Machine
) -> None:
    machine(*here)
    made = start(on_gpus(parallelTrialCount=parallel), 2)
    assert made.slots == slots
    found = sharing(made)
    assert (found and found.trials) == trials
    assert made.launch("a", {"x": "1"}, slots[-1]).env["CUDA_VISIBLE_DEVICES"] == slots[-1]


def test_what_cannot_share_is_refused_in_one_line(machine: Machine, rig: Rig, tmp_path: Path) -> None:
    machine()
    refused = rig.run(on_gpus(), "--slots", "2")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "SLOTS=2 (--slots): there is no GPU here that trials could share" in refused.stderr
    machine(BIG, SMALL)
    with pytest.raises(ManifestError, match=r"a trial of test asks for 2 GPUs, and one that shares a GPU has one"):
        start(on_gpus(2), 2)
    machine(("GPU-a1", "81920", "Exclusive_Process"))
    alone = start(on_gpus(parallelTrialCount=2), 2)
    with pytest.raises(ManifestError, match=r"GPU-a1 admits one process only .*start MPS"):
        sharing(alone)
    (tmp_path / "mps").mkdir()
    (tmp_path / "mps" / "control").touch()
    assert "2 trials share a GPU by MPS" in str(sharing(alone))
    for word in ("0", "101", "two"):
        assert rig.run(on_gpus(), f"--slots={word}").returncode == 2
    assert not rig.out.exists()


def test_nvidia_smi_is_read_as_it_writes(machine: Machine) -> None:
    machine(BIG, ("GPU-b2", "[N/A]", "Exclusive_Process"))
    a, b = Gpu("GPU-a1", 81920 << 20, exclusive=False), Gpu("GPU-b2", None, exclusive=True)
    assert gpus() == ["GPU-a1", "GPU-b2"]
    assert told({"GPU-a"}) == [a]
    # CUDA's number 0 may be either.
    assert told({"0"}) == [a, b]
    assert told({"MIG-3"}) == []


def test_memory_is_what_describe_says_of_the_largest_trial(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The trainer is asked for the model, the segment and the batch of the trials, as it would be by hand."""
    machine(BIG)
    text = render(load_spec("demo"), load_site(), Overrides(parallel=2))
    made = Launcher(load_experiment(text, "demo"), tmp_path, tmp_path, ("GPU-a1", "GPU-a1"))
    asked: list[list[str]] = []
    monkeypatch.setattr(module, "run_trainer", lambda words, env: asked.append(list(words)) or run_trainer(words, env))
    found = sharing(made)
    assert found is not None
    assert found.each is not None
    assert found.each > 0
    assert (found.memory, found.fits) == (81920 << 20, True)
    words = asked[0][asked[0].index("describe") :]
    given = made.experiment.trial(
        "x", {one.name: one.max or one.values[-1] for one in made.experiment.search.parameters}
    )
    for flag in ("--model", "--preset", "--batch-size"):
        if flag in given.argv:
            assert words[words.index(flag) + 1] == given.argv[given.argv.index(flag) + 1]
    assert str(found).startswith("2 trials share a GPU by turns, and its memory (about ")


def test_trials_that_do_not_fit_together_are_asked_about(machine: Machine, rig: Rig, monkeypatch: Any) -> None:
    machine(BIG)
    one = Sharing(4, int(30e9), 81920 << 20)
    assert not one.fits
    assert str(one) == (
        "4 trials on a GPU need more memory than it has (about 30 GB each of 85.9 GB): SLOTS=2 fits, or a smaller"
        " micro_batch among the spec's `fixed`, with the same result"
    )
    assert "leave SLOTS out" in str(replace(one, each=int(50e9)))
    assert replace(one, trials=2).fits
    assert replace(one, memory=None).fits
    half = replace(one, trials=3, half=True)
    assert half.fits
    assert "(about 15 to 30 GB each of 85.9 GB, without" in str(half)
    assert "SLOTS=5 fits" in str(replace(half, trials=6))
    monkeypatch.setattr("katib.cli.local.sharing", lambda start: one)
    refused = rig.run(on_gpus(parallelTrialCount=2), "--slots", "2")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "with the same result, YES=1 (--yes) starts it all the same" in refused.stderr
    assert not rig.out.exists()


def test_a_budget_ends_when_the_gpu_is_used_up_and_not_when_its_trials_are(machine: Machine, rig: Rig) -> None:
    """Two trials count half of the GPU each; alone, after kill -9, a trial counts all of it."""
    machine(BIG)
    search = on_gpus(parallelTrialCount=2)
    search["metadata"]["annotations"] = {ANNOTATION: repr(1.0 / 3600)}
    done = rig.run(search, "--slots", "2")
    assert done.returncode == 0
    assert "note: 2 trials share a GPU by turns, and its memory (how much of it each needs is not known" in done.stdout
    assert re.search(r"budget spent: 0\.00\d+ of 0\.000277778 GPU-hours", done.stderr)
    table = read_table(rig.out, "test")
    # Trials that count whole would have ended it after half of this.
    assert 3600 * table.hours_used >= 1.0
    assert all(2 * 3600 * row.gpu_hours == pytest.approx(row.seconds) for row in table.rows)
    assert table.gpus == 0.5

    search["metadata"]["annotations"] = {ANNOTATION: "1"}
    before = {trial.name: trial.effort for trial in read(rig.out / "test")[1]}
    engine = rig.start(search)
    read_until(engine, "epoch 8 ")
    engine.kill()
    engine.communicate()
    assert rig.run(search).returncode == 0
    for trial in read(rig.out / "test")[1]:
        effort = trial.effort
        assert (effort.sharers, effort.lent) == (1, before.get(trial.name, Effort()).lent)
        assert effort.held() == pytest.approx(effort.seconds - effort.lent)


def test_a_record_of_an_earlier_version_counts_whole_gpus() -> None:
    effort = checked(Effort, {"seconds": 10.0, "starts": 1})
    assert (effort.held(), effort.held(5.0)) == (10.0, 15.0)
    shared = effort.begun(0.0, gpu=True, sharers=4)
    assert shared.held(8.0) == 12.0
    assert shared.ended(8.0, failed=False).held() == 12.0


@pytest.mark.parametrize(("sharers", "left"), [(2, 3000.0), (1, 1200.0)])
def test_a_budget_lasts_longer_where_its_trials_share_a_gpu(sharers: int, left: float) -> None:
    """Two trials that have run for 600 s each: of an hour, 3000 s are left to them on one GPU, 1200 s on two."""
    names = ("a", "b")
    trials = {name: Trial(0, name, {}, effort=Effort(sharers=sharers)) for name in names}
    running: Any = {name: SimpleNamespace(process=SimpleNamespace(seconds=600.0)) for name in names}
    assert GpuBudget(1.0, 1).lasts(trials, running) == pytest.approx(left)
