"""The Makefile: a variable that a target does not know ends it before anything runs, and no value can run a command."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
import typer.main

from katib.__main__ import VERBS, _module
from katib.program import GROUPS

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"(?m)^([a-z][a-z-]*):.*## ", MAKEFILE)
SWITCHES = re.search(r"(?m)^switches := (.*)$", MAKEFILE)

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def make(*words: str, folder: Path = ROOT, **variables: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *words], cwd=folder, env=clean | variables, capture_output=True, text=True, check=False
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Returns the Makefile beside an environment whose Python prints the words that it is given, one a line."""
    for name in ("Makefile", "katib", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    python.chmod(0o755)
    (tmp_path / ".venv" / ".run").touch()
    return tmp_path


def options(verb: str) -> tuple[set[str], set[str]]:
    """Returns the verb's options as variables of make, and those among them that take no value."""
    app = typer.Typer(add_completion=False)
    app.command()(getattr(_module(verb), verb.replace("-", "_")))
    found: set[str] = set()
    switches: set[str] = set()
    for item in typer.main.get_command(app).params:
        if item.param_type_name == "option":
            name = item.opts[0].removeprefix("--").replace("-", "_").upper()
            found.add(name + "S" * bool(getattr(item, "multiple", False)))
            if getattr(item, "is_flag", False):
                switches.add(name)
    return found, switches


@pytest.mark.parametrize("verb", sorted(set(VERBS) - set(GROUPS["This program"])))
def test_table_holds_the_options_of_each_verb_and_no_others(verb: str) -> None:
    row = re.search(rf"(?m)^takes\.{verb} := (.*)$", MAKEFILE)
    assert row is not None
    assert SWITCHES is not None
    short = {name: re.findall(rf"(?m)^{name} := (.*)$", MAKEFILE)[0] for name in ("search", "cluster")}
    words = re.sub(r"\$\((\w+)\)", lambda match: short[match[1]], row[1]).split()
    listed = {word for word in words if not word.startswith("@")}
    expected, switches = options(verb)
    assert listed == expected
    assert listed & set(SWITCHES[1].split()) == switches


@pytest.mark.parametrize("target", TARGETS)
def test_a_variable_that_the_target_does_not_know_is_an_error(target: str) -> None:
    done = make("-n", target, "TRAILS=2")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert f"make {target}: unknown variable TRAILS" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["local", "MODEL=sepformer", "TRIAL=2", "EPOCH=1", "DATA=d"],
            "make local: unknown variable TRIAL, did you mean TRIALS? (EPOCH: EPOCHS)",
        ),
        (["local", "model=sepformer"], "unknown variable model, did you mean MODEL?"),
        (["local", "TRIAL="], "unknown variable TRIAL, did you mean TRIALS?"),
        (["local", "DATA=d TRIALS=3", "trial=2 EPOCHS=1"], "unknown variable trial, did you mean TRIALS?"),
        (["local", "unknown=", "TRIAL=2"], "unknown variable unknown"),
        (["local", "given=", "TRIAL=2"], "unknown variable given"),
        (["local", "fail=", "TRIAL=2"], "unknown variable fail"),
        (["local", "targets=", "TRIAL=2"], "unknown variable targets"),
        (["local", "verbs=", "TRIAL=2"], "unknown variable verbs"),
        (["deploy", "cluster=1"], "unknown variable cluster"),
        ([".venv/.run", "TRIAL=2"], "make .venv/.run: unknown variable TRIAL, it takes none"),
        (["TRIAL=2"], "make help: unknown variable TRIAL, it takes none"),
        (["setup", "local", "GPUS=2"], "make setup local: unknown variable GPUS"),
        (["local", "TRIAL=2", "PYTHON=no-such-program"], "make local: unknown variable TRIAL"),
        (["deploy", "MODEL=dprnn", "TRIALS="], "make deploy: TRIALS is empty"),
        (["local", "MODEL=dprnn", "FILE=x.yaml"], "make local: give one of FILE MODEL"),
        (["delete", "MODEL=dprnn", "YES=perhaps"], "make delete: YES=perhaps is neither 1 nor 0"),
        (["local", "DATA=a\ntouch x"], "make local: the value of DATA has a line break"),
        (["setup", "CONSTRAINTS=none.txt"], "CONSTRAINTS=none.txt: no such file"),
        (["lcoal", "MODEL=dprnn"], "make lcoal: no such target, did you mean local?"),
        (["Install_Katib"], "make Install_Katib: no such target, did you mean install-katib?"),
        (["render", "convtasnet"], "make convtasnet: no such target, did you mean MODEL=convtasnet?"),
        (["frobnicate"], "make frobnicate: no such target, make help lists them"),
        (["lcoal", "PYTHON=no-such-program"], "make lcoal: no such target; make help lists them"),
    ],
)
def test_the_line_names_the_slip_before_anything_is_set_up(words: list[str], message: str, project: Path) -> None:
    shutil.rmtree(project / ".venv")
    for dry in (["-n"], []):
        done = make(*dry, *words, folder=project)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert message in line
        assert not (project / ".venv").exists()


def test_variables_of_another_target_that_is_made_too_and_those_of_make_itself_pass() -> None:
    done = make("-n", "render", "plan", "MODEL=dprnn", "GPUS=2", "PYTHON=python3", "SHELL=/bin/sh")
    assert done.returncode == 0
    assert "render 'dprnn'" in done.stdout
    assert "plan 'dprnn' --gpus '2'" in done.stdout


def test_a_make_that_calls_this_one_hands_its_slip_on(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(f"all:\n\t$(MAKE) -C {ROOT} local\n")
    done = make("-n", "TRIAL=2", folder=tmp_path)
    assert done.returncode == 2
    assert "make local: unknown variable TRIAL, did you mean TRIALS?" in done.stderr


@pytest.mark.parametrize("name", ["MODEL", "TRIALS", "TRIAL", "YES"])
def test_variables_of_the_environment_neither_count_nor_fail(name: str, project: Path) -> None:
    done = make("local", "DATA=d", folder=project, **{name: "2"})
    assert done.stdout.splitlines() == ["-m", "katib", "local", "--data", "d"]


@pytest.mark.parametrize(("value", "words"), [("1", ["--yes"]), ("yes", ["--yes"]), ("0", []), ("", [])])
def test_a_switch_that_is_off_is_not_given(value: str, words: list[str], project: Path) -> None:
    done = make("delete", "MODEL=dprnn", f"YES={value}", folder=project)
    assert done.stdout.splitlines() == ["-m", "katib", "delete", "dprnn", *words]


@pytest.mark.parametrize(
    "value",
    [
        "a b",
        "a'; touch x; '",
        '"; touch x; "',
        "$(touch x)",
        "$(shell touch x)",
        "`touch x`",
        "a$b$$c${HOME}",
        "a;touch x",
        "a\\",
        "#a",
        "a|touch x&",
        "~",
        "*",
    ],
)
def test_a_value_reaches_the_verb_as_it_was_typed(value: str, project: Path) -> None:
    before = sorted(project.iterdir())
    done = make("local", f"MODEL={value}", f"DATA={value}", folder=project)
    assert done.stdout.splitlines() == ["-m", "katib", "local", value, "--data", value]
    made = make("-n", "-B", "test-cluster", f"CONTEXT={value}", f"PYTHON={value}", folder=project)
    assert made.returncode == 0
    images = make("images", f"BUILD_ARGS={value}", folder=project)
    assert images.stdout.splitlines()[4::2] == value.split()
    assert sorted(project.iterdir()) == before


def test_help_fits_a_terminal_of_100_columns_and_begins_with_what_comes_first() -> None:
    """Every target once; tests and measurements, which a user does not need, stand last."""
    lines = make("help").stdout.splitlines()
    assert max(map(len, lines)) <= 100
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert sorted(listed) == sorted(set(TARGETS) - {"help"})
    assert listed[0] == "demo"
    assert {"test", "test-cluster", "lint", "bench", "bench-search", "clean"} == set(listed[-6:])


@pytest.mark.parametrize(
    ("words", "extras"),
    [
        (["plan"], "."),
        (["results", "EXPERIMENT=x"], "."),
        (["deploy", "MODEL=dprnn"], "."),
        (["confirm", "EXPERIMENT=x", "CLUSTER=1"], "."),
        (["confirm", "EXPERIMENT=x"], ".[trainer,corpus]"),
        (["local", "MODEL=demo"], ".[trainer,corpus]"),
        (["demo"], ".[trainer,corpus]"),
    ],
)
def test_a_target_that_trains_nothing_installs_no_trainer(words: list[str], extras: str, project: Path) -> None:
    """Where there is one, its environment serves, and nothing is installed."""
    assert "pip install" not in make("-n", *words, folder=project).stdout
    (project / ".venv" / ".run").unlink()
    installed = re.findall(r"pip install .* -e '?([^'\n]+)'?$", make("-n", *words, folder=project).stdout, re.MULTILINE)
    assert installed == [extras]
