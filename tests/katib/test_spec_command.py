"""A spec with the command of a trainer of one's own: examples/quadratic, really run, and what is refused before that."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from katib.document import load
from katib.errors import SpecError
from katib.manifest.experiment import load_experiment
from katib.metrics import MetricParser
from katib.spec import Spec
from katib.spec_command import Metric
from tests.verbs import katib

EXAMPLE = Path(__file__).parents[2] / "examples/quadratic"
PHASE = {"field": "samples", "values": [2, 4]}
COMMAND = yaml.safe_load((EXAMPLE / "quadratic.yaml").read_text())["command"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a copy of the example, which is the current folder."""
    shutil.copytree(EXAMPLE, tmp_path / "quadratic")
    monkeypatch.chdir(tmp_path / "quadratic")
    return tmp_path / "quadratic"


def changed(folder: Path, **changes: object) -> str:
    """Returns the name of the example's spec with other values; None removes a key."""
    spec = yaml.safe_load((EXAMPLE / "quadratic.yaml").read_text()) | changes
    kept = {key: value for key, value in spec.items() if value is not None}
    (folder / "changed.yaml").write_text(yaml.safe_dump(kept))
    return "changed.yaml"


def test_the_example_runs_and_each_trial_has_its_folder(folder: Path) -> None:
    done = katib("local", "quadratic.yaml", "--trials", "2", "--epochs", "3")
    assert done.returncode == 0, done.stderr
    assert "2 Succeeded" in done.stdout
    header, *rows = katib("results", "quadratic", "--format", "csv").stdout.splitlines()
    assert len(rows) == 2
    assert {"rate", "samples"} <= set(header.split(","))
    assert len(list(folder.glob("runs/quadratic/*/weight.txt"))) == 2


def test_its_manifest_has_no_defect_and_says_what_the_spec_declares(folder: Path) -> None:
    text = katib("render", "quadratic.yaml").stdout
    (folder / "manifest.yaml").write_text(text)
    assert katib("check", "manifest.yaml").stdout == "manifest.yaml: nothing found\n"
    experiment = load_experiment(text, "quadratic")
    assert (experiment.search.direction.value, experiment.search.metric) == ("minimize", "loss")
    pod = experiment.trial("t", {"rate": "0.1", "samples": "2"})
    words = "python3 train.py --rate=0.1 --samples=2 --seed=42 --epochs=5 --out=/runs/quadratic/t"
    assert list(pod.argv) == words.split()
    assert "image: docker.io/library/python:3.11\n" in text
    assert experiment.template.backoff_limit == 0


def test_only_what_the_command_names_is_mounted_or_passed(folder: Path) -> None:
    command = ["./train", "{rate}", "{samples}", "--data={data}"]
    text = katib("render", changed(folder, command=command, image=None, fixed={})).stdout
    document = yaml.safe_load(text)["spec"]["trialTemplate"]
    assert [one["name"] for one in document["trialParameters"]] == ["rate", "samples"]
    (container,) = document["trialSpec"]["spec"]["template"]["spec"]["containers"]
    assert "data" in [mount["name"] for mount in container["volumeMounts"]]
    (folder / "manifest.yaml").write_text(text)
    assert katib("check", "manifest.yaml").stdout == "manifest.yaml: nothing found\n"


@pytest.mark.parametrize(
    ("regexp", "line"),
    [
        (None, "epoch=1 val/loss=0.25"),
        (None, "2026-01-01T00:00:00Z val/loss = 2.5e-1, best 3"),
        (r"val/loss: ([\d.]+);", "epoch 3 val/loss: 0.25;"),
        (r"(val/loss) is (\S+)", "val/loss is .25"),
    ],
)
def test_a_metric_is_found_by_its_name_or_its_regexp(regexp: str | None, line: str) -> None:
    metric = Metric(name="val/loss", direction="minimize", regexp=regexp)
    assert ";" not in metric.filter
    assert [one.value for one in MetricParser([metric.filter], ["val/loss"]).parse(line)] == [0.25]


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("loss=0,25", []),
        ("loss=0,25 accuracy=0,5", []),
        ("loss=0.25,accuracy=0.5", [0.25]),
        ("loss=0.25,", [0.25]),
        ("loss=0.25, 3", [0.25]),
    ],
)
def test_a_decimal_comma_is_no_whole_number(line: str, values: list[float]) -> None:
    metric = Metric(name="loss", direction="minimize")
    assert [one.value for one in MetricParser([metric.filter], ["loss"]).parse(line)] == values


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"command": COMMAND.replace("{rate}", "{rat}")},
            "command: {rat} has no range under search: did you mean 'rate'?",
        ),
        (
            {"command": COMMAND.replace("{rate}", "1")},
            "search.rate: no placeholder of the command takes it; write {rate} there, or remove it",
        ),
        (
            {"model": "dprnn"},
            "it has both model and command: keep one, a model of ours or the command of a trainer of your own",
        ),
        (
            {"command": None},
            "it has neither model nor command: name one, a model of ours or the command of a trainer of your own",
        ),
        (
            {"metric": None},
            "key 'metric' is missing: its name and direction, such as {name: loss, direction: minimize}",
        ),
        (
            {"metric": {"name": "loss", "direction": "minimize", "regexp": "loss"}},
            r"metric: regexp: 'loss' has no group; put the value into one, such as loss: (\S+), and write (?:...) for others",
        ),
        (
            {"metric": {"name": "loss", "direction": "minimize", "regexp": "loss ("}},
            "metric: regexp: RE2 does not accept 'loss (': missing ): loss (",
        ),
        (
            {"metric": {"name": "loss", "direction": "minimize", "regexp": r"Verlust (\S+)"}},
            r"metric: regexp: 'Verlust (\S+)' lacks the name 'loss' before its group, and Katib looks for it in the line;"
            " give the metric the name that the trainer prints",
        ),
        (
            {"command": COMMAND + " > log"},
            "command: '>' must have letters, digits and _ . / : = , + @ % - only, and placeholders such as {lr};"
            " what needs a shell belongs into a script",
        ),
        ({"fixed": {"epochs": 3}}, "fixed.epochs: {epochs} takes the spec's epochs; give the setting another name"),
        (
            {"command": "./t {rate} {samples}", "resume": True},
            "resume: the command has no {run_dir} in which it could go on",
        ),
    ],
)
def test_a_wrong_one_is_one_line(changes: dict[str, object], line: str, folder: Path) -> None:
    path = Path(changed(folder, **changes))
    with pytest.raises(SpecError) as error:
        load(path, Spec, SpecError)
    said = str(error.value).removeprefix("changed.yaml: ")
    assert said.split(" (got ")[0] == line


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["local", "changed.yaml"], "quadratic: command nothing: no such program on this machine; install it first"),
        (["local", "quadratic.yaml"], "quadratic: command train.py: no such file in {}; start it where that lies"),
        (
            ["local", "quadratic.yaml", "--preset", "x"],
            "--preset: the command of quadratic has no {{preset}}; leave it out",
        ),
        (
            ["sweep", "quadratic.yaml", "--data", "d"],
            "quadratic.yaml: a W&B sweep reads loss from W&B, and this spec does not say `wandb: true`, that its command"
            " reports it there; see the verb local",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(words: list[str], line: str, folder: Path) -> None:
    changed(folder, command="./nothing {rate} {samples}")
    (folder / "train.py").unlink()
    done = katib(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {line.format(folder)}\n"
    assert not (folder / "runs").exists()


@pytest.fixture
def searched(folder: Path) -> Path:
    """Returns the folder after a search of two trials."""
    assert katib("local", "quadratic.yaml", "--trials", "2").returncode == 0
    return folder


def test_fetch_says_where_the_files_of_its_best_trial_lie(searched: Path) -> None:
    best = json.loads(katib("results", "quadratic", "--json").stdout)[0]["trial"]
    done = katib("fetch", "quadratic")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"what its program has written is in runs/quadratic/{best}\n")
    assert Path("runs/quadratic", best).is_dir()


def test_the_log_has_the_commit_of_the_folder_where_its_trainer_lies(searched: Path) -> None:
    assert katib("log", "quadratic").returncode == 0
    assert "- Commit: unknown (not a checkout of git)\n" in Path("EXPERIMENT_LOG.md").read_text()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "train.py"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], check=True, capture_output=True, text=True
    ).stdout
    for change, mark in (("", ""), ("# changed\n", "-dirty")):
        Path("train.py").write_text(Path("train.py").read_text() + change)
        assert katib("log", "quadratic").returncode == 0
        assert f"- Commit: {commit.strip()}{mark}\n" in Path("EXPERIMENT_LOG.md").read_text()


def test_best_says_no_digits_of_a_deviation_that_nobody_knows(searched: Path) -> None:
    (sd,) = re.findall(r"seed-to-seed sd (\S+),", katib("best", "quadratic").stdout)
    assert len(sd.replace(".", "").replace("-", "").lstrip("0").split("e")[0]) <= 2


def test_its_plan_counts_its_trials(searched: Path) -> None:
    done = katib("plan", "quadratic.yaml", "--json")
    assert done.stderr == ""
    (told,) = json.loads(done.stdout)["models"]
    assert (told["trials_ended"], told["epochs_used"], told["measured_trials"]) == (2, 10, 2)
    # After as many epochs as its own, of the same command; {epochs} and the folders tell nothing else.
    other = "was run with settings that its spec does not have"
    assert other in katib("plan", changed(searched, fixed={"seed": 7})).stderr
    assert other in katib("plan", changed(searched, epochs=6)).stderr


def test_every_verb_names_the_unit_that_the_spec_declares(folder: Path) -> None:
    metric = {"name": "loss", "direction": "minimize", "unit": "m/s", "noise": 0.25}
    changed(folder, metric=metric, baseline={"seeds": {1: 9.0, 2: 8.0}}, next_phase=PHASE)
    done = katib("local", "changed.yaml", "--trials", "3")
    assert re.search(r"epoch 5 +loss [-.e0-9]+ m/s\n", done.stdout)
    assert re.search(r"best: quadratic-\w+, loss [-.e0-9]+ m/s\n", done.stdout)
    assert re.search(r" [-.e0-9]+ m/s ", katib("results", "quadratic").stdout)
    assert "0.25 m/s as its spec says, combined with the seeds" in " ".join(katib("best", "quadratic").stdout.split())
    assert katib("report", "quadratic").returncode == 0
    assert "make confirm EXPERIMENT=x.yaml" in (folder / "runs/quadratic/report.html").read_text()
    assert "make arch MODEL=x.yaml" in (folder / "runs/quadratic/report.html").read_text()
    assert "loss (m/s)" in (folder / "runs/quadratic/report.html").read_text()
    done = katib("confirm", "changed.yaml", "--seeds", "7,8", "--top", "1", "--yes")
    assert re.search(r"Better than the baseline: loss \S+ m/s .* against the baseline's 8.5 m/s", done.stdout)


def test_its_best_is_confirmed_with_other_seeds(searched: Path) -> None:
    seeds = ("--seeds", "42,7", "--top", "1", "--baseline", "42=9,7=8", "--yes")
    done = katib("confirm", "quadratic.yaml", *seeds)
    assert done.returncode == 0, done.stderr
    assert "epoch 5" in done.stdout
    (row,) = json.loads(katib("results", "quadratic-confirm", "--format", "json").stdout)
    _, seed = row["assignments"]["run"].rsplit(",", 1)
    assert seed == "seed=7"
    told = json.loads(katib("confirm", "quadratic.yaml", "--json").stdout)
    assert set(told["verdict"]["seeds"]) == {"42", "7"}
    # What it repeats is what the command itself prints with that seed.
    settings = dict(part.split("=") for part in row["assignments"]["run"].split(","))
    words = [f"--{name}={text}" for name, text in settings.items()]
    again = subprocess.run(
        [sys.executable, "train.py", *words, "--out=again"], capture_output=True, text=True, check=True
    )
    losses = [float(line.rsplit("=", 1)[1]) for line in again.stdout.splitlines()]
    assert row["loss"] == min(losses)


@pytest.mark.parametrize(
    ("field", "values", "own"),
    [("samples", [9, 16], None), ("start", [0.5, "2.5"], "0.5")],
)
def test_its_next_phase_trains_any_values_of_any_placeholder(
    field: str, values: list[object], own: str | None, folder: Path
) -> None:
    command = COMMAND if field in COMMAND else f"{COMMAND} --start={{{field}}}"
    trainer = (folder / "train.py").read_text().replace(", weight, target =", ", _, target =")
    trainer = trainer.replace('"--out"', '"--start", type=float, default=0)\nparser.add_argument("--out"')
    (folder / "train.py").write_text(trainer.replace("\nfor epoch", "\nweight = given.start\nfor epoch"))
    spec = changed(
        folder, command=command, next_phase={"field": field, "values": values}, fixed={field: 0.5} if own else None
    )
    assert katib("local", spec, "--trials", "2").returncode == 0
    done = katib("arch", spec, "--seeds", "42,7", "--yes")
    assert done.returncode == 0, done.stderr
    assert "start" in done.stdout or "samples" in done.stdout
    assert "multiply-adds" not in done.stdout
    # Its lines have no times, and it tells no costs.
    assert (folder / "runs/quadratic-arch/pareto.html").read_text().count("this cost is not known") == 3
    told = json.loads(katib("arch", spec, "--json").stdout)
    assert [one["value"] for one in told["variants"]] == [str(one) for one in values]
    assert all(set(one["seeds"]) == {"42", "7"} and one["parameters"] is None for one in told["variants"])
    # With the value of the search itself, its own run counts.
    rows = json.loads(katib("results", "quadratic-arch", "--format", "json").stdout)
    assert len(rows) == (3 if own else 4)
    assert f"{field}={values[1]}" in str([row["assignments"] for row in rows])


def test_what_a_command_does_not_declare_no_verb_does(searched: Path) -> None:
    def refused(*words: str, **changes: object) -> str:
        done = katib(words[0], changed(searched, **changes), *words[1:], "--yes")
        assert (done.returncode, done.stdout) == (2, "")
        return done.stderr.removeprefix("error: ").rstrip()

    seedless = "python3 train.py --rate={rate} --samples={samples} --out={run_dir}"
    extend = ("extend", "--epochs", "9")
    assert "does not say `resume: true`, that the command goes on" in refused(*extend)
    assert "its command has no {epochs}, so that no run can go on" in refused(*extend, resume=True, command=seedless)
    assert "its spec has no next phase; add next_phase: {field: NAME, values: [A, B]}" in refused("arch")
    promote = {"name": "promote"}
    assert "the spec does not say `resume: true`, that the command does so; or take medianstop" in refused(
        "local", early_stopping=promote
    )
    assert "the command has no {seed}" in refused("arch", next_phase=PHASE, command=seedless)
    assert "next_phase.field 'sample': no placeholder of the command takes it: " in refused(
        "arch", next_phase=PHASE | {"field": "sample"}
    )
    assert "declares the command of 'quadratic' alone; leave it out" in refused(
        "arch", "--experiment", "x", next_phase=PHASE
    )
    assert not (searched / "runs/quadratic-arch").exists()


GOES_ON = """
import pathlib, sys, time
rate, epochs, out = float(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
out.mkdir(parents=True, exist_ok=True)
history = out / "history"
print(history.read_text() if history.exists() else "", end="", flush=True)
for epoch in range(history.read_text().count("\\n") + 1 if history.exists() else 1, epochs + 1):
    line = f"loss={rate / epoch:.6f}\\n"
    with history.open("a") as file:
        file.write(line)
    print(line, end="", flush=True)
    time.sleep(0.15)
"""


def test_a_command_that_resumes_may_pause(folder: Path) -> None:
    """By promote it goes on where it was, here in its own folder, on Katib in that of its first trial."""
    (folder / "train.py").write_text(GOES_ON)
    rule = {"name": "promote", "rung_epochs": [2]}
    search = {"rate": yaml.safe_load((EXAMPLE / "quadratic.yaml").read_text())["search"]["rate"]}
    command = "python3 train.py {rate} {epochs} {run_dir}"
    spec = changed(folder, command=command, early_stopping=rule, search=search, epochs=6, trials=6, resume=True)
    done = katib("local", spec)
    assert done.returncode == 0, done.stderr
    rows = json.loads(katib("results", "quadratic", "--format", "json").stdout)
    assert any(row["pauses"] and row["epochs"] == 6 for row in rows)
    for row in rows:
        lines = (folder / "runs/quadratic" / row["trial"] / "history").read_text().splitlines()
        rate = float(row["assignments"]["rate"])
        # None was trained twice, and what was trained before its pause counts.
        assert lines == [f"loss={rate / epoch:.6f}" for epoch in range(1, len(lines) + 1)]
        assert row["epochs"] <= len(lines) <= 6
    assert katib("plan", spec).stderr == ""
    text = katib("render", spec).stdout
    (folder / "manifest.yaml").write_text(text)
    assert "error" not in katib("check", "manifest.yaml").stdout.replace("0 errors", "")
    argv = load_experiment(text, "quadratic").trial("first-2", {"rate": "0.5"}).argv
    words = [word.replace("/runs", str(folder / "katib")) for word in argv]
    for label, trial in (("first", "first"), ("", "first-2")):
        subprocess.run(words, env={**os.environ, "SEPSWEEP_CONTINUES": label}, check=True, capture_output=True)
        assert (folder / "katib/quadratic" / trial / "history").exists()


def test_only_a_spec_that_the_user_names_is_repeated(searched: Path) -> None:
    assert "if the verb gets that spec by its path" in katib("confirm", "quadratic", "--yes").stderr
    manifest = searched / "runs/quadratic/experiment.yaml"
    manifest.write_text(manifest.read_text().replace('"train.py"', '"evil.py"'))
    done = katib("confirm", "quadratic.yaml", "--yes")
    assert (done.returncode, done.stdout) == (2, "")
    assert "but the trials of 'quadratic' ran 'python3 evil.py" in done.stderr
    assert not (searched / "runs/quadratic-confirm").exists()


def test_a_command_without_a_seed_is_not_confirmed(searched: Path) -> None:
    command = "python3 train.py --rate={rate} --samples={samples} --out={run_dir}"
    done = katib("confirm", changed(searched, command=command), "--yes")
    assert done.stderr == ("error: spec of quadratic: its command has no {seed}, so that each run of it is the same\n")


def test_a_run_outside_the_ranges_of_the_spec_is_refused(searched: Path) -> None:
    search = yaml.safe_load((EXAMPLE / "quadratic.yaml").read_text())["search"]
    search["samples"] |= {"min": 100, "max": 200}
    done = katib("confirm", changed(searched, search=search), "--yes")
    assert done.returncode == 2
    assert "and its range is from 100 to 200; name the spec with which it was run" in done.stderr
