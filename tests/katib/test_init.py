"""The verb init: a command is really run for an epoch, and a spec is written only where it has printed its metric."""

import os
import pty
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from katib.spec import load_spec
from tests.verbs import katib

ROOT = Path(__file__).parents[2]
COMMAND = "python3 train.py --rate={rate} --samples={samples} --seed={seed} --epochs={epochs} --out={run_dir}"
RATE, SAMPLES = "rate=0.005:0.5:log", "samples=1:8:int"
GIVEN = {"--command": COMMAND, "--metric": "loss", "--direction": "minimize", "--range": RATE}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a folder with the example's script, which is the current folder; temporary ones lie beside it."""
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "temporary").mkdir()
    shutil.copy(ROOT / "examples/quadratic/train.py", here)
    monkeypatch.chdir(here)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return here


def init(*words: str, **changes: str | None) -> "subprocess.CompletedProcess[str]":
    """Returns what init prints with the options of the example, changed by name; None removes one."""
    options = GIVEN | {f"--{name}": value for name, value in changes.items()}
    given = [word for name, value in options.items() if value is not None for word in (name, value)]
    return katib("init", "mine.yaml", *given, "--range", SAMPLES, *words)


def test_it_writes_a_spec_with_which_a_search_runs(folder: Path) -> None:
    done = init()
    assert done.returncode == 0, done.stderr
    assert "runs the command for an epoch, with rate 0.05, samples 4; Ctrl-C ends it\n" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["mine.yaml", "train.py"]
    assert not list((folder.parent / "temporary").iterdir())
    text = (folder / "mine.yaml").read_text()
    assert len(text.splitlines()) <= 16
    assert "had loss 1.343\n" in text
    assert "  samples: {type: int, min: 1, max: 8, distribution: uniform, why: " in text
    (folder / "manifest.yaml").write_text(katib("render", "mine.yaml").stdout)
    assert katib("check", "manifest.yaml").stdout == "manifest.yaml: nothing found\n"
    searched = katib("local", "mine.yaml", "--trials", "2", "--epochs", "2")
    assert searched.returncode == 0, searched.stderr
    assert "2 Succeeded" in searched.stdout


def test_every_kind_of_range_reaches_the_command_and_the_spec(folder: Path) -> None:
    script = "import sys, time\nprint('ran', *sys.argv[1:], 'val_loss: 0.5', flush=True)\ntime.sleep(600)\n"
    (folder / "train.py").write_text(script)
    ranges = ("a=1:4", "b=1e-4:1e-2:log", "c=2:9:log:int", "d=gLN,cLN", "e=8,16,32", "f=bool")
    given = [word for text in ranges for word in ("--range", text)]
    words = ("--command", "python3 train.py {a} {b} {c} {d} {e} {f}", "--regexp", r"val_loss: (\S+)", "--unit", "%")
    done = katib("init", "my_net.yml", *words, "--metric", "val_loss", "--direction", "minimize", *given)
    assert done.returncode == 0, done.stderr
    assert "with a 2.5, b 0.001, c 4, d cLN, e 16, f False; " in done.stdout
    spec = yaml.safe_load((folder / "my_net.yml").read_text())
    assert (spec["name"], spec["search"]["d"]["values"], spec["search"]["e"]["values"]) == (
        "my-net",
        ["gLN", "cLN"],
        [8, 16, 32],
    )
    assert spec["metric"]["unit"] == "%"
    assert (spec["search"]["c"]["distribution"], spec["search"]["f"]["type"]) == ("logUniform", "bool")


def test_a_sweep_file_answers_what_no_option_does(folder: Path) -> None:
    (folder / "sweep.yaml").write_text(
        "program: train.py\nmethod: bayes\nrun_cap: 7\nmetric: {name: loss, goal: minimize}\n"
        "early_terminate: {type: hyperband, min_iter: 3}\n"
        "command: [python3, '${program}', '${args}']\n"
        "parameters:\n  rate: {distribution: log_uniform_values, min: 0.001, max: 0.5}\n  samples: {min: 1, max: 8}\n"
        "  epochs: {value: 4}\n  seed: {value: 3}\n  out: {value: out}\n"
    )
    done = katib("init", "mine.yaml", "--sweep", "sweep.yaml", "--range", RATE)
    assert done.returncode == 0, done.stderr
    assert "note: sweep.yaml: left out: early_terminate; its early_stopping is medianstop\n" in done.stdout
    spec = load_spec("mine.yaml")
    assert spec.command == [
        *("python3", "train.py", "--rate={rate}", "--samples={samples}"),
        *("--epochs={epochs}", "--seed={seed}", "--out=out"),
    ]
    assert (spec.trials, spec.epochs, spec.fixed, spec.objective) == (7, 4, {"seed": 3}, ("loss", "minimize"))
    assert (spec.search["rate"].bounds, spec.search["samples"].bounds) == ((0.005, 0.5), (1, 8))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"metric": "accuracy"},
            "--command: no line has the metric accuracy; its last lines: epoch=1 loss=1.343131; name another --metric"
            r" (epoch, loss), or say with --regexp how the line looks, such as 'accuracy: (\S+)'",
        ),
        ({"command": f"./nothing {COMMAND}"}, "mine: command nothing: no such program on this machine; install it"),
        (
            {"command": COMMAND.replace("python3 ", "./")},
            "mine: command train.py: is not executable; begin with its interpreter (python3 ./train.py), or chmod +x it",
        ),
        ({"command": COMMAND.replace("train.py", "/nosuch/t.py")}, "/nosuch/t.py: no such file on this machine; if it"),
        (
            {"command": f"OUT={{rate}} {COMMAND}"},
            "mine: command: begins with a variable, which only a shell reads; write",
        ),
        (
            {"command": COMMAND.replace("{rate}", "{optim.rate}")},
            "--command: '{optim.rate}' is no placeholder: its name has letters, digits and _, as in {optim_rate}",
        ),
        ({"command": COMMAND.replace("train", "trian")}, "mine: command trian.py: no such file in "),
        ({"command": f"{COMMAND} --what"}, f"unrecognized arguments: --what; python3 is {sys.executable} here: name"),
        ({"command": "python3 train.py"}, "--command: has no placeholder for a hyperparameter; write {lr} where its"),
        ({"command": f"{COMMAND} | tee log"}, "--command: '|' must have letters, digits and "),
        ({"command": f"{COMMAND} {{data}}"}, "--data is missing: the folder of the corpus"),
        ({"command": f"{COMMAND} {{width}}"}, "init: no --range width=… given, and there is no terminal to ask on: "),
        ({"command": None}, "init: no --command given, and there is no terminal to ask on: the command of one"),
        ({"range": "rate=0.5:0.005:log"}, "--range 'rate=0.5:0.005:log': min 0.5 must lie below max 0.005"),
        ({"range": "rate=0:1:log"}, "--range 'rate=0:1:log': logUniform needs min above 0, not 0"),
        ({"range": "rate=a:b"}, "--range 'rate=a:b': must be a number"),
        (
            {"range": "rate=0,005:0,5:log"},
            "--range 'rate=0,005:0,5:log': a decimal has a point, as in rate=0.005:0.5:log; a choice has no ':'",
        ),
        ({"range": "rate=1:2:lgo"}, "--range 'rate=1:2:lgo': 'lgo' says nothing of a range; valid: int, log"),
        (
            {"range": "rate"},
            "--range 'rate': must look like lr=1e-4:1e-2:log, layers=1:8:int, norm=gLN,cLN or bias=bool",
        ),
        ({"range": "rat=1:2"}, "--range 'rat=1:2': the command has no {rat}: did you mean 'rate'?"),
        ({"range": "samples=1:2"}, f"--range '{SAMPLES}': samples has a range already; give one"),
        ({"direction": "down"}, "--direction 'down': "),
        ({"metric": "a b"}, "--metric 'a b': must have letters, digits and "),
        ({"unit": "m s"}, "--unit: must have at most 16 letters, digits and % / _ . - only"),
        ({"regexp": "loss=("}, "--regexp: RE2 does not accept 'loss=('"),
    ],
)
def test_what_cannot_be_tried_is_one_line_and_no_file(changes: dict[str, str | None], line: str, folder: Path) -> None:
    done = init(**changes)
    assert done.returncode == 2
    assert done.stdout in ("", "runs the command for an epoch, with rate 0.05, samples 4; Ctrl-C ends it\n")
    (message,) = done.stderr.splitlines()
    assert message.startswith("error: ")
    assert line in message
    assert [path.name for path in folder.iterdir()] == ["train.py"]
    assert not list((folder.parent / "temporary").iterdir())


@pytest.mark.parametrize(
    "line",
    [
        "epoch 1: val/loss: 1.5",
        '{"epoch": 1, "val/loss": 1.5}',
        "train/val/loss: 3.5 val/loss: 1.5",
        "Epoch 1: 100%|##| 10/10 [00:02, 4.5it/s, val/loss=1.5]",
        "│ val/loss │ 1.5 │",
        "epoch=1, metrics={'val/loss': 1.5, 'acc': 0.3}",
    ],
)
def test_a_line_of_another_form_is_read_by_the_regexp_that_the_message_names(line: str, folder: Path) -> None:
    (folder / "train.py").write_text(f"print({line!r})\n")
    command = ("--command", "python3 train.py {a} {epochs}", "--range", "a=1:2", "--direction", "minimize")
    done = katib("init", "mine.yaml", *command, "--metric", "val/loss")
    assert (done.returncode, done.stderr.endswith(" reads it there\n")) == (2, True)
    option, regexp = shlex.split(done.stderr.rpartition("; ")[2])[:2]
    done = katib("init", "mine.yaml", *command, "--metric", "val/loss", option, regexp)
    assert done.returncode == 0, done.stderr
    assert "had val/loss 1.5\n" in done.stdout


@pytest.mark.parametrize(
    ("file", "name", "next_file"),
    [
        ("größe 2.yaml", "groe-2", "'größe 2.yaml'"),
        ("7th.yaml", "th", "7th.yaml"),
        ("日本.yaml", "search", "'日本.yaml'"),
        (f"{'long' * 12}.yaml", "long" * 10, f"{'long' * 12}.yaml"),
    ],
)
def test_a_file_of_any_name_has_a_search_with_a_valid_one(file: str, name: str, next_file: str) -> None:
    given = [word for option, value in GIVEN.items() for word in (option, value)]
    done = katib("init", file, *given, "--range", SAMPLES)
    assert done.returncode == 0, done.stderr
    assert load_spec(f"./{file}").name == name
    assert f"next: make local FILE={next_file}\n" in done.stdout


@pytest.mark.parametrize(
    ("rate", "algorithm"), [(RATE, "bayesianoptimization"), ("rate=0:0.5", "tpe"), ("rate=-1:0.5", "tpe")]
)
def test_the_algorithm_takes_every_range(rate: str, algorithm: str) -> None:
    assert init(range=rate).returncode == 0
    assert load_spec("./mine.yaml").algorithm.name == algorithm


def test_a_metric_that_is_printed_for_every_batch_is_said(folder: Path) -> None:
    assert "note:" not in init().stdout
    (folder / "mine.yaml").unlink()
    (folder / "train.py").write_text("for n in range(3):\n    print(f'batch {n} loss={n}')\n")
    done = init()
    assert done.returncode == 0, done.stderr
    assert "note: loss was printed 3 times, and each counts as an epoch: print it once per epoch, or " in done.stdout


def test_a_word_that_yaml_takes_for_another_value_stays_a_word(folder: Path) -> None:
    (folder / "train.py").write_text("print('loss=1')\n")
    given = ("--command", "python3 train.py {y}", "--metric", "loss", "--direction", "minimize", "--range", "y=on,off")
    done = katib("init", "n.yaml", *given)
    assert done.returncode == 0, done.stderr
    spec = load_spec("./n.yaml")
    assert (spec.name, spec.search["y"].texts) == ("n", ["on", "off"])


def test_the_last_lines_are_five_and_control_no_terminal(folder: Path) -> None:
    (folder / "train.py").write_text("for n in range(9):\n    print(f'\\x1b[2Jepoch {n}')\n")
    message = init().stderr.splitlines()[-1]
    assert (
        "its last lines: [2Jepoch 4 | [2Jepoch 5 | [2Jepoch 6 | [2Jepoch 7 | [2Jepoch 8; name another --metric"
        in message
    )


def test_no_file_is_replaced(folder: Path) -> None:
    (folder / "mine.yaml").write_text("mine")
    done = init()
    assert (done.returncode, done.stderr) == (
        2,
        "error: mine.yaml: is there already; remove it, or give another name\n",
    )
    assert (folder / "mine.yaml").read_text() == "mine"
    assert (
        katib("init").stderr
        == "error: init: no FILE given, and there is no terminal to ask on: the spec to write, x.yaml\n"
    )


def test_on_a_terminal_it_asks_and_asks_again(folder: Path) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, f"train.py\nmine.yaml\n{COMMAND}\nloss\ndown\nminimize\n0.005:0.5:log\n{SAMPLES}\n".encode())
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "katib", "init"]
    done = subprocess.run(words, stdin=theirs, capture_output=True, text=True, env=env, timeout=600, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert "train.py: the name of a spec ends with .yaml" in done.stdout
    assert "--direction 'down': " in done.stdout
    assert yaml.safe_load((folder / "mine.yaml").read_text())["search"]["rate"]["max"] == 0.5


def test_an_answer_that_never_comes_writes_nothing(folder: Path) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, b"mine.yaml\n\x04")
    words = [sys.executable, "-m", "katib", "init"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, stdin=theirs, capture_output=True, text=True, env=env, timeout=600, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 1
    assert done.stderr.strip() == "error: init: nothing was written; what is missing can be given as options"
    assert not (folder / "mine.yaml").exists()
