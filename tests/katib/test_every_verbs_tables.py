"""Every verb's tables on terminals of several widths and on a pipe: nothing is cut or too long, and colours are as
asked for.
"""

import io
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml
from rich.cells import cell_len

from benchmarks.systems.made_experiment import make_experiment
from katib.__main__ import main
from katib.backend.cluster.doctor.result import error, ok
from katib.backend.cluster.doctor.view import print_results
from katib.backend.local.record import Effort
from katib.backend.local.table import read_table
from katib.cli.local import _close as close_local
from katib.conclude.architecture import Variant, plan_architecture
from katib.conclude.confirmation import plan_confirmation
from katib.conclude.fixed_runs import derived
from katib.conclude.follow_up import FollowUp, propose
from katib.manifest.object import Manifest
from katib.report import architecture, confirmation
from katib.table.formats import print_table
from katib.terminal import output, wants_colours
from tests.katib.conclude.made import made, trial
from tests.verbs import Terminal

WIDTHS = (60, 80, 100, 120, 200)
NAME = "series3-sepformer"
STYLED = re.compile(r"\x1b\[[0-9;]*m")
Verb = Callable[[Path], object]


@cache
def _followed(runs: Path, purpose: str) -> FollowUp:
    manifest = Manifest.of(yaml.safe_load((runs / NAME / "experiment.yaml").read_text()))
    table = read_table(runs, NAME)
    if purpose == "confirm":
        return propose(plan_confirmation(table, manifest), manifest)
    plan = plan_architecture(table, manifest, "num_layers", ("2", "4", "6"), seeds=(42, 123, 456))
    return FollowUp(plan, derived(manifest, plan))


def _arch(runs: Path) -> None:
    found = _followed(runs, "arch")
    variants = [
        Variant(
            str(layers),
            {42: 5.1, 123: -0.012, 456: 4.98},
            3.36,
            12.345,
            26_000_000 * layers,
            87_654_321_000,
            0.123,
        )
        for layers in (2, 4, 6)
    ]
    architecture.print_outcome(found, variants, runs)


CHECKS = [
    ok("access", "you may do all that the verbs need"),
    error(
        "GPU capacity",
        "no node has 1 free nvidia.com/gpu: gpu-node-1.cluster.local has 0 of 4, gpu-node-2.cluster.local 0 of 4",
        "trials of the search wait until another one ends, and a deadline may pass meanwhile",
        "kubectl get pods -A -o wide | grep gpu-node shows who has them",
    ),
]
VERBS: dict[str, Verb] = {
    "results": lambda runs: main(["results", NAME, "--out", str(runs)]),
    "best": lambda runs: main(["best", NAME, "--top", "9", "--out", str(runs)]),
    "plan": lambda runs: main(["plan", "--gpus", "4", "--price", "1.5", "--out", str(runs)]),
    "check": lambda runs: main(["check", str(runs / "bad.yaml")]),
    "local": lambda runs: close_local(runs, NAME, None),
    "doctor": lambda runs: print_results(CHECKS, all_of_them=True),
    "confirm": lambda runs: confirmation.print_outcome(_followed(runs, "confirm"), None),
    "arch": _arch,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 trials of a SepFormer, a fifth of which failed or were stopped, and a manifest with defects."""
    folder = tmp_path_factory.mktemp("runs")
    make_experiment(folder, 30, 20, model="sepformer", name=NAME)
    (folder / "bad.yaml").write_text(
        "apiVersion: kubeflow.org/v1beta1\nkind: Experiment\nmetadata: {name: A_b}\nspec: {}\n"
    )
    return folder


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, runs: Path) -> Callable[..., str]:
    """Returns what a verb prints on stdout."""

    def of(verb: str, file: io.StringIO | None = None, **environment: str) -> str:
        out = file or Terminal()
        with monkeypatch.context() as patch:
            for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
                patch.delenv(name, raising=False)
            for name, value in ({"TERM": "xterm-256color"} | environment).items():
                patch.setenv(name, value)
            patch.setattr("sys.stdout", out)
            VERBS[verb](runs)
        return out.getvalue()

    return of


@pytest.mark.parametrize("verb", VERBS)
def test_a_terminal_shows_whole_cells_in_lines_of_its_width(verb: str, printed: Callable[..., str]) -> None:
    """What a line has is what the pipe has too; a word longer than the line aside, which goes on in the next."""
    words = printed(verb, io.StringIO()).split()
    known = {word.removeprefix(prefix).rstrip(",:") for word in words for prefix in ("", f"{NAME}-")}
    for width in WIDTHS:
        text = STYLED.sub("", printed(verb, COLUMNS=str(width)))
        lines = [line for line in text.splitlines() if not line.startswith("written: ")]
        assert lines
        assert all(cell_len(line) <= width and line == line.rstrip() for line in lines)
        rule = next((number for number, line in enumerate(lines) if set(line) == {"─"}), -1)
        shown = re.sub(r"\d+ columns? do(es)? not fit: .*?shows? (it|them)", "", " ".join(lines[rule + 1 :]))
        cut = {word for word in shown.split() if word.rstrip(",:") not in known and re.search(r"[\d…]", word)}
        assert not {word for word in cut if not any(word in whole and len(whole) > width - 16 for whole in words)}


@pytest.mark.parametrize("verb", VERBS)
def test_a_pipe_has_no_blanks_at_the_ends_no_colours_and_no_rule(verb: str, printed: Callable[..., str]) -> None:
    text = printed(verb, io.StringIO(), COLUMNS="80")
    assert "\x1b" not in text
    assert "─" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("verb", ["results", "plan", "check", "doctor"])
def test_colours_are_as_the_environment_asks_for(verb: str, printed: Callable[..., str]) -> None:
    """no-color.org and force-color.org; a dumb terminal obeys no escapes."""
    for file, environment, colours in (
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"NO_COLOR": "", "TERM": "xterm"}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"FORCE_COLOR": "0"}, False),
        (Terminal(), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": ""}, False),
    ):
        text = printed(verb, file, COLUMNS="100", **environment)
        assert bool(STYLED.search(text)) == colours, environment
        assert "\x1b" not in STYLED.sub("", text)


def test_forced_colours_on_a_pipe_do_not_make_it_narrow(printed: Callable[..., str]) -> None:
    plain = printed("results", io.StringIO(), COLUMNS="40")
    assert STYLED.sub("", printed("results", io.StringIO(), COLUMNS="40", FORCE_COLOR="1")) == plain


def test_a_dumb_terminal_that_colours_are_forced_on_has_them() -> None:
    assert wants_colours({"TERM": "dumb", "FORCE_COLOR": "1"}, terminal=True)


def test_results_show_the_settings_at_120_columns_and_the_prefix_once(printed: Callable[..., str]) -> None:
    text = STYLED.sub("", printed("results", COLUMNS="120"))
    title, *_ = text.splitlines()
    assert title == f"trials {NAME}-*"
    assert text.count(NAME) == 1
    _, best, *_ = printed("results", io.StringIO()).splitlines()
    assert all(cell in text for cell in re.split(r"  +", best)[1:-1])
    assert "1 column does not fit: reason; a wider terminal or --format csv shows it" in text


def test_why_trials_failed_is_said_below_a_table_without_reasons(printed: Callable[..., str]) -> None:
    cause = "failed: 00000009, 00000019, 00000029: diverged: the loss is nan"
    assert cause in STYLED.sub("", printed("results", COLUMNS="100")).splitlines()
    assert cause not in STYLED.sub("", printed("results", COLUMNS="200"))
    assert "failed: " not in printed("results", io.StringIO())


@pytest.mark.parametrize(("causes", "lines"), [(1, 1), (4, 4), (6, 5)])
def test_many_causes_are_the_most_frequent_ones_and_a_count(
    causes: int, lines: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the last cause most trials died: it comes first, with three of their names."""
    monkeypatch.setenv("COLUMNS", "60")
    trials = [
        trial(f"x-{cause}{number}", state="Failed", reason=f"exit code {cause}")
        for cause in range(1, causes + 1)
        for number in range(cause + 3)
    ]
    print_table(made(tmp_path, *trials), output(terminal := Terminal()))
    found = [line for line in STYLED.sub("", terminal.getvalue()).splitlines() if line.startswith("failed: ")]
    assert len(found) == lines
    assert found[0] == f"failed: {causes}0, {causes}1, {causes}2 and {causes} more: exit code {causes}"
    assert (found[-1] == "failed: 9 more, for other causes") == (causes == 6)


def test_a_piped_table_has_a_line_a_trial_and_as_many_cells_in_each(printed: Callable[..., str]) -> None:
    """By the command of docs/results.md: awk -F'  +' '{ print $3 }'."""
    heading, *lines = printed("results", io.StringIO()).splitlines()
    cells = [re.split(r"  +", line) for line in lines]
    assert {len(row) for row in cells} == {len(re.split(r"  +", heading))}
    assert len(lines) == 30
    assert all(row[0].startswith(f"{NAME}-") for row in cells)
    assert [row[2] for row in cells if row[1] == "Failed"] == ["-"] * 3


def test_a_trial_that_has_trained_and_waits_is_interrupted_and_one_that_has_not_is_created(
    tmp_path: Path,
) -> None:
    """After Ctrl-C; Katib's own word stays in JSON and CSV."""
    found = made(
        tmp_path,
        trial("a", 1.0, state="Created", effort=Effort(seconds=42.0, starts=1)),
        trial("b", state="Created", effort=Effort()),
    )
    assert {row.trial: row.shown_state for row in found.rows} == {"a": "Interrupted", "b": "Created"}
    assert found.counted == "1 Interrupted, 1 Created"
    assert [row.state for row in found.rows] == ["Created", "Created"]
