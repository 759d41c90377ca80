"""The words of a call: what was asked for, or one plain line with the nearest thing; never the text of a library."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import katib.cli as katib_cli
from katib.__main__ import VERBS
from katib.cli._help import overview
from katib.errors import nearest
from katib.manifest.render import Overrides, render
from katib.manifest.render_sweep import render_sweep
from katib.site import load_site
from katib.spec import SPECS, load_spec, specs
from tests.verbs import katib

FOREIGN = ("pydantic", "Input should", "should match", "unable to parse", "Traceback", "constrained")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["local", ""], "local: no MODEL|FILE given: "),
        (["results", " "], "results: no EXPERIMENT given: name of the experiment"),
        (["ui", ""], "ui: no EXPERIMENT given: "),
        (["render", "demo", "--name", ""], "render: --name is empty; give it a value or leave it out"),
        (["confirm", "x", "--seeds="], "confirm: --seeds is empty; give it a value or leave it out"),
        (["results"], "results: no EXPERIMENT given: name of the experiment"),
        (["render", "demo", "--trials", "six"], "render: --trials 'six': must be a whole number"),
        (["render", "demo", "--trials", "0"], "render: --trials '0': must be at least 1"),
        (["plan", "--price", "dear"], "plan: --price 'dear': must be a number"),
        (["render", "demo", "--name", "My Search"], "'my-search' would do"),
        (["render", "ConvTasNet"], "did you mean 'convtasnet'?"),
        (["render", "sepf"], "did you mean 'sepformer'?"),
        (["help", "reprot"], "unknown verb 'reprot': did you mean 'report'?"),
    ],
)
def test_a_wrong_word_is_answered_in_one_plain_line(words: list[str], line: str) -> None:
    done = katib(*words)
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith("error: ")
    assert line in said
    assert not any(word in said for word in FOREIGN)


@pytest.mark.parametrize("words", [["results", "-h"], ["help", "results"], ["--help", "results"], ["-h", "results"]])
def test_each_way_to_ask_for_a_verbs_help_gives_it(words: list[str]) -> None:
    done = katib(*words)
    assert (done.returncode, done.stdout) == (0, katib("results", "--help").stdout)
    assert "results" in done.stdout


@pytest.mark.parametrize("columns", [80, 100, 120])
def test_the_overview_names_every_verb_and_breaks_no_word(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verbs are read off the files, one a verb; `demo` comes first, and so does its command."""
    files = {
        path.stem.replace("_", "-")
        for path in Path(katib_cli.__file__).parent.glob("[a-z]*.py")
        if path.stem not in ("options", "searches", "tables")
    }
    assert set(VERBS) == files
    monkeypatch.setenv("COLUMNS", str(columns))
    page = overview(lambda verb: f"Says what {verb} does: {'hyperparameters ' * 9}end.")
    lines = page.splitlines()
    assert max(map(len, lines)) <= columns
    assert {word.strip(".:") for line in lines[10:] for word in line.split()} >= {"hyperparameters", "end"}
    assert "hyperparam\n" not in page
    listed = [line.split()[0] for line in lines if re.match(r"  [a-z]", line) and "python" not in line]
    assert sorted(listed) == sorted(files)
    assert listed[0] == "demo"
    assert page.index("-m katib demo") < page.index("\nStart\n")


def test_what_runs_searches_is_not_loaded_to_look_at_them_or_to_print_a_help() -> None:
    """Optuna alone takes longer to load than the rest of a verb."""
    verbs = ", ".join(f"katib.cli.{verb}" for verb in ("results", "watch", "local", "init", "again"))
    unwanted = {"optuna", "sqlalchemy", "kubernetes", "torch", "urllib.request"}
    code = f"import sys, katib.backend.local.backend, {verbs}; print(*sorted({unwanted} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_help_and_version_are_what_was_asked_for() -> None:
    assert katib("help").stdout == katib("--help").stdout
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert katib("--version").stdout == f"{project['name']} {project['version']}\n"


def test_the_beginning_of_a_word_is_nearer_than_one_of_like_letters() -> None:
    """Katib's algorithms: "bayes" shares more of its letters with cmaes."""
    known = ["bayesianoptimization", "cmaes", "grid", "hyperband", "random", "tpe"]
    assert nearest("bayes", known) == "did you mean 'bayesianoptimization'?"
    assert nearest("Bayesian", known) == "did you mean 'bayesianoptimization'?"
    assert nearest("cmeas", known) == "did you mean 'cmaes'?"
    assert nearest("xyz", known) == f"valid: {', '.join(known)}"


@pytest.mark.parametrize("name", specs())
def test_a_rendered_file_names_the_spec_that_it_came_from(name: str) -> None:
    """Also where a flag has changed it: its model is not its name, as in demo.yaml."""
    for text in (
        render(load_spec(name), load_site()),
        render(load_spec(name), load_site(), Overrides(name="other", trials=3)),
        render_sweep(load_spec(name), load_site(), "/d", "/r"),
    ):
        assert f"katib/specs/{name}.yaml" in text.splitlines()[0]
    assert (SPECS / f"{name}.yaml").is_file()
